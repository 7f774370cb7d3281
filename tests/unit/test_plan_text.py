from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iot_producer import plan_text as module
from iot_producer.blocks import Plan
from iot_producer.config import resolve_run
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.plan_text import (
    RECORD_BYTES,
    mean_per_s,
    n_messages_of,
    plan_text,
    schedule_words,
    title_of,
)
from iot_producer.run_config import RunConfig
from iot_producer.schedule import MaxRate

RAMP = {"kind": "ramp", "from": 100, "to": 300, "over": "10s"}
STEPS = [{"rate": 100, "for": "1m"}, {"rate": 300, "for": "1m"}]


def run(toml: Any = None, **flags: str) -> RunConfig:
    return resolve_run(flags, {"PULSAR_URL": "pulsar://broker:6650"}, toml)


def rows(config: RunConfig) -> dict[str, str]:
    """The lines before the settings, by label; a line without one goes with the line before."""
    found: dict[str, str] = {}
    label = ""
    for line in plan_text(config).split("\n\n")[0].splitlines():
        label = line[:13].strip() or f"{label}, more"
        found[label] = line[13:]
    return found


def test_a_plan() -> None:
    text = plan_text(run(rate="5000", duration="20s", report="run.json", devices="500"))
    plan, settings = text.split("\n\n")
    assert plan.splitlines() == [
        "Dry run      nothing is sent",
        "Destination  pulsar://broker:6650",
        "Topic        persistent://public/default/iot-sensor-data",
        "Compression  lz4",
        "Fleet        500 devices of 500 customers at 500 sites, seed 1",
        "Schedule     5,000 msg/s",
        "Lanes        the first that is free on the broker, 1 worker",
        "Start        now",
        "Duration     20 s",
        "Messages     100,000",
        "Bytes        about 53.9 MB as JSON (539 bytes a record), before compression; 2.69 MB/s",
        "Overload     catch-up: late messages are sent late, and their lag is counted",
        "Gap          skip: what a resumed lane left out is not sent, and named in the report",
        "Report       run.json",
    ]
    given, usual = settings.split("Defaults\n")
    assert [line.split() for line in given.splitlines()] == [
        ["Settings", "given"],
        ["--pulsar-url", "pulsar://broker:6650", "PULSAR_URL"],
        ["--devices", "500", "--devices"],
        ["--rate", "5000", "--rate"],
        ["--duration", "20s", "--duration"],
        ["--report", "run.json", "--report"],
    ]
    assert "  --seed             1" in usual.splitlines()
    assert "  --warm-up          0s" in usual.splitlines()


def test_what_fills_a_gap_and_who_claims_no_lane() -> None:
    found = rows(run(on_gap="catch-up", max_gap="90s", workers="2"))
    late = "what a resumed lane left out in the last 1 min 30 s is sent late"
    assert found["Gap"] == f"catch-up: {late}"
    assert found["Lanes"] == "the first that is free on the broker, 2 workers"
    for flags in ({"shard": "0/1"}, {"client": "official"}, {"to": "null:"}):
        found = rows(run(**flags))
        assert "Gap" not in found
        assert found["Lanes"] == "1, 1 worker"


def test_passwords_stay_hidden() -> None:
    config = run(to="clickhouse://me:hunter2@host/benchmark.sensors_local")
    assert rows(config)["Destination"] == "clickhouse://me:***@host:8123/benchmark.sensors_local"
    assert "hunter2" not in plan_text(config)
    assert "hunter2" not in title_of(config)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "constant", "rate": "3000"}, "1,000 msg/s"),
        ({"kind": "constant", "rate": "1"}, "0.33 msg/s"),
        (
            {"kind": "ramp", "from": "0", "to": "150000", "over": "600s"},
            "from 0 to 50,000 msg/s over 10 min",
        ),
        (
            {"kind": "steps", "steps": [{"rate": "300", "for": "60s"}], "repeat": False},
            "100 msg/s for 1 min",
        ),
        (
            {
                "kind": "steps",
                "steps": [{"rate": str(3 * k), "for": "1s"} for k in range(1, 9)],
                "repeat": True,
            },
            "1 msg/s for 1 s, 2 msg/s for 1 s, 3 msg/s for 1 s, 4 more steps, 8 msg/s for 1 s, "
            "and again",
        ),
        (
            {"kind": "wave", "low": "3", "high": "30", "period": "60s", "peak_at": "30s"},
            "a wave of 1 … 10 msg/s in 1 min, highest 30 s after its start",
        ),
        (
            {"kind": "bursts", "base": "3000", "burst": "30000", "every": "60s", "for": "5s"},
            "1,000 msg/s, and 10,000 msg/s in the last 5 s of every 1 min",
        ),
        ({"kind": "max", "n_messages": 5}, "as fast as the destination takes it"),
    ],
)
def test_schedules_in_words(spec: dict[str, object], words: str) -> None:
    assert schedule_words(spec, 3) == words


def test_titles() -> None:
    assert title_of(run()) == "1,000 msg/s → pulsar://broker:6650 iot-sensor-data"
    assert title_of(run(topic="a/b/c")) == "1,000 msg/s → pulsar://broker:6650 a/b/c"
    assert title_of(run(to="x.parquet", rate="max")) == (
        "as fast as the destination takes it → x.parquet"
    )


def test_peak_and_average() -> None:
    limited = run({"schedule": RAMP}, duration="20s")
    assert rows(limited)["Schedule, more"] == "peak 300 msg/s, average 250 msg/s"
    assert rows(limited)["Messages"] == "5,000"
    assert rows(limited)["Bytes"].endswith("0.16 MB/s at the peak")
    unlimited = run({"schedule": RAMP})
    assert rows(unlimited)["Schedule, more"] == "peak 300 msg/s"
    steps = run({"schedule": {"kind": "steps", "steps": STEPS, "repeat": True}}, shard="0/2")
    assert rows(steps)["Schedule, more"] == "peak 300 msg/s, average 200 msg/s"
    wave = run({"schedule": {"kind": "wave", "low": 100, "high": 300}})
    assert rows(wave)["Schedule, more"] == "peak 300 msg/s, average 200 msg/s"
    bursts = {"kind": "bursts", "base": 100, "burst": 300, "every": "1m", "for": "30s"}
    assert rows(run({"schedule": bursts}))["Schedule, more"] == "peak 300 msg/s, average 200 msg/s"


def test_a_plan_that_ends_by_itself() -> None:
    steps = [*STEPS, {"rate": 0, "for": "1s"}]
    config = run({"schedule": {"kind": "steps", "steps": steps}})
    found = rows(config)
    assert (found["Messages"], found["Duration"]) == ("24,000", "2 min")
    assert found["Schedule, more"] == "peak 300 msg/s, average 200 msg/s"


@pytest.mark.parametrize(
    ("flags", "duration", "messages"),
    [
        ({}, "until stopped", "no limit"),
        ({"messages": "5000"}, "5 s", "5,000"),
        ({"messages": "5000", "duration": "1m"}, "5 s", "5,000"),
        ({"messages": "5000", "duration": "2s"}, "2 s", "2,000"),
        ({"rate": "max"}, "until stopped", "no limit"),
        ({"rate": "max", "duration": "1m"}, "1 min", "no limit"),
        ({"rate": "max", "messages": "9"}, "as long as the messages take", "9"),
        (
            {"rate": "max", "messages": "9", "duration": "1m"},
            "as long as the messages take, at most 1 min",
            "9",
        ),
    ],
)
def test_limits(flags: dict[str, str], duration: str, messages: str) -> None:
    found = rows(run(**flags))
    assert (found["Duration"], found["Messages"]) == (duration, messages)
    assert ("Overload" in found) == (flags.get("rate") != "max")


def test_other_words() -> None:
    found = rows(run(on_overload="drop", max_lag="2s", create_topic="3"))
    assert found["Overload"] == "drop: what is later than 2 s is left out, and counted as not sent"
    assert found["Topic"].endswith("/iot-sensor-data, created with 3 partitions if it is not there")
    found = rows(run(on_overload="fail", create_topic="0", start="2026-11-22T16:00:00Z"))
    assert found["Overload"] == "fail: the run ends when a message is later than 1 s"
    assert found["Topic"].endswith("created with no partitions if it is not there")
    assert found["Start"] == "2026-11-22T16:00:00.000Z"
    assert rows(run(to="-"))["Destination"] == "standard output"


def test_the_messages_of_a_shard_are_counted() -> None:
    shards = [
        run(shard=f"{i}/3", workers="2", devices="100", messages="333", rate="100")
        for i in range(3)
    ]
    counts = [n_messages_of(config) for config in shards]
    assert sum(count or 0 for count in counts) == 999
    for config, count in zip(shards, counts, strict=True):
        assert not isinstance(config.schedule, MaxRate)
        plans = [
            Plan(config.fleet, LaneSpec(config.lane_index(k), config.n_lanes), config.schedule, 0)
            for k in range(2)
        ]
        assert count == sum(plan.n_messages or 0 for plan in plans)
    assert rows(shards[1])["Lanes"] == "2 of the plan's 6: shard 1 of 3 (from 0), 2 workers"


def test_shards_of_a_large_fleet_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DEVICES_TO_COUNT", 99)
    config = run(shard="1/3", devices="100", messages="333", rate="100")
    assert n_messages_of(config) == 333
    assert rows(config)["Messages"] == "about 333"


def test_mean_rates() -> None:
    assert mean_per_s({"kind": "constant", "rate": "1000", "n_messages": 5}, 500) == 1000.0
    assert mean_per_s({"kind": "max", "duration": "5s"}, 500) is None
    assert mean_per_s({"kind": "not yet known"}, 500) is None
    assert mean_per_s({"kind": "constant", "rate": "1000"}, 0) is None


def test_the_mean_length_of_a_record() -> None:
    config = run()
    fleet = fleet_of(config.fleet)
    devices = np.arange(0, 100_000, 10, dtype=np.int32)
    times_ms = np.full(len(devices), 1_795_363_200_000, dtype=np.int64)
    rows = JsonEncoder(fleet).encode(devices, times_ms)
    assert abs(int(rows.ends[-1]) / len(devices) - RECORD_BYTES) < 2
