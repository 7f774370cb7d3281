from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from iot_producer.clock import ManualClock
from iot_producer.config import resolve_run
from iot_producer.errors import NameTakenError, RefusedError
from iot_producer.run_config import RunConfig
from iot_producer.sinks import clickhouse, opening, pulsar, pulsar_native
from iot_producer.sinks.json_file import JsonFileSink
from iot_producer.sinks.null import NullSink
from iot_producer.sinks.parquet_file import ParquetFileSink
from iot_producer.sinks.pulsar_native import NativePulsarConfig
from iot_producer.sinks.stdout import StdoutSink

NOW = 1_780_000_000_000_000_000
DAY_NS = 86_400 * 10**9


def config(to: str, **flags: str) -> RunConfig:
    return resolve_run({"to": to, "devices": "100", **flags}, {})


def opened(run: RunConfig, worker: int = 0):
    return opening.open_sink(run, worker, ManualClock(NOW), lambda text: None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("null:", NullSink),
        ("-", StdoutSink),
        ("out.jsonl", JsonFileSink),
        ("out.jsonl.gz", JsonFileSink),
        ("out.parquet", ParquetFileSink),
    ],
)
def test_each_destination_has_its_sink(tmp_path: Path, name: str, kind: type):
    to = str(tmp_path / name) if name.startswith("out") else name
    sink = opened(config(to))
    assert isinstance(sink, kind)
    sink.close()
    assert list(tmp_path.iterdir()) == []  # it was never used


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.parquet"])
def test_a_file_sink_that_is_never_used_leaves_what_was_there(tmp_path: Path, name: str):
    (tmp_path / name).write_text("old")
    opened(config(str(tmp_path / name), force="yes")).close()
    assert (tmp_path / name).read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_each_worker_has_a_file_of_its_own(tmp_path: Path):
    run = config(str(tmp_path / "out.jsonl"), workers="2", shard="1/2")
    sinks = [opened(run, worker) for worker in range(2)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "out.lane-02of-04.jsonl.partial",
        "out.lane-03of-04.jsonl.partial",
    ]
    for sink in sinks:
        sink.close()


@pytest.mark.parametrize(
    ("flags", "worker", "name"),
    [
        ({}, 0, "iot-producer-0"),
        ({"workers": "2"}, 1, "iot-producer-0.1"),
        ({"shard": "0/1"}, 0, "iot-producer-0of1"),
        ({"shard": "2/3"}, 0, "iot-producer-2of3"),
        ({"shard": "2/3", "workers": "4"}, 3, "iot-producer-2of3.3"),
    ],
)
def test_the_name_of_a_lanes_producer(flags: dict[str, str], worker: int, name: str):
    assert opening.producer_name(config("pulsar://h", **flags), worker) == name


@pytest.mark.parametrize(
    ("lane", "worker", "workers", "name"),
    [
        (0, 0, "1", "iot-producer-0"),
        (7, 0, "1", "iot-producer-7"),
        (7, 2, "3", "iot-producer-7.2"),
    ],
)
def test_the_name_of_a_claimed_lanes_producer(lane: int, worker: int, workers: str, name: str):
    run = replace(config("pulsar://h", workers=workers), lane=lane)
    assert opening.producer_name(run, worker) == name


def test_the_official_client_gets_the_settings_of_the_run(monkeypatch: pytest.MonkeyPatch):
    made = []
    monkeypatch.setattr(pulsar, "PulsarSink", lambda *args, **named: made.append((args, named)))
    flags = {"topic": "t", "compression": "zstd", "max_pending": "5000", "give_up_after": "7s"}
    opened(config("pulsar://h:1,g:2", client="official", **flags))
    ((sink_config, fleet, _), named) = made[0]
    assert sink_config.service_url == "pulsar://h:1,g:2"
    assert sink_config.give_up_after_s == 7.0
    assert sink_config.topic == "persistent://public/default/t"
    assert sink_config.producer_name == "iot-producer-0"
    assert (sink_config.compression, sink_config.max_pending) == ("zstd", 5000)
    assert fleet.spec.devices == 100
    assert set(named) == {"say"}
    opened(config("pulsar://h", client="official", give_up_after="never"))
    assert made[1][0][0].give_up_after_s is None


def test_our_own_transport_gets_them_too(monkeypatch: pytest.MonkeyPatch):
    made = []
    monkeypatch.setattr(pulsar_native, "NativePulsarSink", lambda *args: made.append(args))
    flags = {"topic": "t", "compression": "zstd", "max_pending": "5000", "give_up_after": "7s"}
    opened(config("pulsar://h:1,g:2", workers="2", **flags), 1)
    sink_config, fleet, _, _ = made[0]
    assert sink_config.hosts == (("h", 1), ("g", 2))
    assert sink_config.give_up_after_s == 7.0
    assert sink_config.topic == "persistent://public/default/t"
    assert sink_config.producer_name == "iot-producer-0.1"
    assert (sink_config.compression, sink_config.max_pending) == ("zstd", 5000)
    assert sink_config.name_wait_s == 0.0
    assert fleet.spec.devices == 100


class TestNamesThatAreTaken:
    """A broker that has some of the names; a dead producer's until a time."""

    @pytest.fixture
    def tried(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        found: list[str] = []

        def sink(sink_config: NativePulsarConfig, *_: object) -> str:
            name = sink_config.producer_name
            found.append(name)
            if self.clock.now_ns() < self.taken_until.get(name, 0):
                raise NameTakenError(f"{name} is taken")
            return name

        self.clock = ManualClock(NOW)
        self.taken_until: dict[str, int] = {}
        monkeypatch.setattr(pulsar_native, "NativePulsarSink", sink)
        return found

    def test_the_first_lane_that_is_free_is_claimed(self, tried: list[str]):
        self.taken_until = {f"iot-producer-{k}": NOW + DAY_NS for k in (0, 1, 3)}
        run = config("pulsar://h")
        assert opening.claim_lane(run, 0, self.clock, print) == (2, "iot-producer-2")
        assert tried == ["iot-producer-0", "iot-producer-1", "iot-producer-2"]
        assert opening.claim_lane(run, 3, self.clock, print) == (4, "iot-producer-4")
        assert self.clock.now_ns() == NOW  # nobody waits for a lane

    def test_other_troubles_end_the_search(self, monkeypatch: pytest.MonkeyPatch):
        def refuse(*_: object) -> None:
            raise RefusedError("no rights")

        monkeypatch.setattr(pulsar_native, "NativePulsarSink", refuse)
        with pytest.raises(RefusedError, match="no rights"):
            opening.claim_lane(config("pulsar://h"), 0, ManualClock(NOW), print)

    def test_there_is_an_end_to_it(self, tried: list[str], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(opening, "MOST_LANES", 3)
        self.taken_until = {f"iot-producer-{k}": NOW + DAY_NS for k in range(9)}
        with pytest.raises(RefusedError, match="all lanes from 2 to 4 are taken"):
            opening.claim_lane(config("pulsar://h"), 2, self.clock, print)

    def test_a_dead_producers_name_is_waited_for(self, tried: list[str]):
        run = replace(config("pulsar://h", workers="2"), lane=5)
        self.taken_until = {"iot-producer-5.1": NOW + 5 * 10**9}
        assert opening.open_free(run, 1, self.clock, print) == "iot-producer-5.1"
        assert self.clock.now_ns() == NOW + 5 * 10**9
        assert set(tried) == {"iot-producer-5.1"}

    def test_a_living_ones_is_not(self, tried: list[str]):
        run = replace(config("pulsar://h", workers="2"), lane=5)
        self.taken_until = {"iot-producer-5.1": NOW + DAY_NS}
        with pytest.raises(NameTakenError, match=r"iot-producer-5\.1"):
            opening.open_free(run, 1, self.clock, print)
        assert self.clock.now_ns() == NOW + 8 * 10**9


class TestClickHouse:
    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
        found: list[tuple] = []
        monkeypatch.setattr(clickhouse, "ClickHouseSink", lambda *args: found.append(args))
        return found

    def test_a_server(self, made: list[tuple]):
        opened(config("clickhouse://u:p%40@h:9000/d.t", workers="2", give_up_after="7s"), 1)
        found, _, lane, identity, _ = made[0]
        assert (found.host, found.port, found.user, found.password) == ("h", 9000, "u", "p@")
        assert (found.database, found.table, found.directory) == ("d", "t", "")
        assert found.give_up_after_s == 7.0
        assert found.ttl_days == 30
        assert (lane.index, lane.n_lanes) == (1, 2)
        assert str(NOW) in identity  # another run is another identity

    def test_a_directory(self, made: list[tuple]):
        opened(config("chdb:///var/db", give_up_after="never"))
        found = made[0][0]
        assert found.directory == "/var/db"
        assert (found.database, found.table) == ("benchmark", "sensors_local")
        assert found.give_up_after_s > 10**8

    def test_a_plan_in_the_past_keeps_its_rows(self, made: list[tuple]):
        opened(config("chdb:///var/db", start="2026-01-01"))
        assert made[0][0].ttl_days == 30 + (NOW - 1_767_225_600 * 10**9) // DAY_NS > 170
        opened(config("chdb:///var/db", start="2030-01-01"))
        assert made[1][0].ttl_days == 30


WITHOUT = """
import sys
sys.modules["_pulsar"] = None
from iot_producer.clock import ManualClock
from iot_producer.config import resolve_run
from iot_producer.errors import ConfigError
from iot_producer.sinks.opening import open_sink
from iot_producer.sources.topic import TopicSource, open_topic
run = resolve_run({"client": "official", "devices": "100"}, {})
source = TopicSource("pulsar://127.0.0.1:1", "persistent://public/default/t", client="official")
for opened in (
    lambda: open_sink(run, 0, ManualClock(1), print),
    lambda: open_topic(source, ManualClock(1)),
):
    try:
        opened()
    except ConfigError as error:
        print(error.message, error.hint, sep=": ")
"""


def test_without_the_official_client_it_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=60
    )
    line = (
        "--client official needs pulsar-client, which is not installed: "
        'pip install "iot-producer[official]", or leave --client away'
    )
    assert done.stdout.splitlines() == [line, line], done.stderr
