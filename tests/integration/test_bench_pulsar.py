"""The stages of the benchmark that need a broker, on a real one, with few records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iot_producer.bench import BenchOptions, run_bench, suite
from iot_producer.bench.bench_options import BY_NAME
from iot_producer.bench.local_broker import local_broker
from iot_producer.fleet import FleetSpec
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin

pytestmark = pytest.mark.integration

STAGES = ("ready", "native", "official", "pulsar-perf", "verify", "paced")
OPTIONS = BenchOptions(
    stages=STAGES,
    workers=(1, 2),
    n_records=3_000,
    quick=True,
    start_up=False,
    fleet=FleetSpec(devices=5_000, customers=500, sites=50),
    environ=dict(os.environ),
)


def test_what_is_measured_was_on_the_topic_and_all_is_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch,
):
    counted: dict[str, int] = {}
    stats = PulsarAdmin.stats

    def noted(admin: PulsarAdmin, topic: str) -> dict[str, object]:
        found = stats(admin, topic)
        counted[topic] = found["msgInCounter"]
        return found

    monkeypatch.setattr(PulsarAdmin, "stats", noted)
    with local_broker(OPTIONS, lambda _: None) as broker:
        home = Path(broker.status.home)
        assert home.is_dir()
        for workers in OPTIONS.workers:
            for name in ("ready", "native", "official"):
                found = suite._measured(OPTIONS, BY_NAME[name], workers, broker, lambda _: None)
                assert [r.n_records for r in found.rounds] == [3_000 * workers] * 3
                assert all(r.cpu_s > 0 for r in found.rounds)
                assert 100 < found.wire_bytes < 400
                # The broker counts by itself; one more round warmed up.
                topic = f"{suite._TOPIC}-{name}-{workers}"
                assert [counted[f"{topic}-{turn}"] for turn in range(4)] == [3_000 * workers] * 4
        for topic in counted:
            with pytest.raises(AdminRefusedError) as caught:
                stats(PulsarAdmin(broker.status.admin_url), topic)
            assert caught.value.status == 404
    assert not home.parent.exists()
    assert broker.status.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(broker.status.pid, 0)


def test_the_whole_command_names_the_broker_and_the_bars():
    said: list[str] = []
    report = run_bench(OPTIONS, said.append)
    assert report.failed == ()
    assert report.left_out == ()
    assert [(r.stage, r.workers) for r in report.stages] == [
        *(("ready", 1), ("ready", 2), ("native", 1), ("native", 2)),
        *(("official", 1), ("official", 2), ("pulsar-perf", 1), ("verify", 1)),
    ]
    perf = report.result("pulsar-perf")
    assert perf is not None
    assert len(perf.rounds) == 3
    # The Java tool is measured between messages that the broker counted.
    assert all(r.n_records >= 3_000 and r.cpu_s > 0 for r in perf.rounds)
    assert perf.peak_rss_bytes > 50e6  # its Java alone needs more
    assert 100 < perf.wire_bytes < 400  # our records, compressed
    assert report.versions["pulsar broker"]
    assert [bar.name for bar in report.bars()] == [
        "native, generated and confirmed",
        "native",
        "native to pulsar-perf, CPU",
        "native to official, CPU",
        "native to official, bytes sent",
        "verify",
        "official, generated and confirmed",
        "worker at 1,000 msg/s",
        "lag p99 at 1,000 msg/s",
        "response p99 at 100,000 msg/s",
    ]
    read_back = report.result("verify")
    assert read_back is not None
    assert [r.n_records for r in read_back.rounds] == [3_000] * 3
    assert all(r.cpu_s > 0.1 and r.wall_s > 0 for r in read_back.rounds)
    assert 100 < read_back.wire_bytes < 400
    assert [run.per_s for run in report.paced] == [1_000, 100_000]
    for run in report.paced:
        assert len(run.rounds) == 5
        assert all(r.wall_s >= 1 and 0 <= r.cpu_s < r.wall_s * 2 for r in run.rounds)
        assert run.worker_percent > 0
        assert 0 < run.lag_p99_ms <= run.response_p99_ms
