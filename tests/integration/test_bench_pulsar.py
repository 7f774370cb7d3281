"""The Pulsar stage of the benchmark on a real broker, with few records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iot_producer.bench import BenchOptions, run_bench, suite
from iot_producer.bench.bench_options import BY_NAME
from iot_producer.bench.local_broker import local_broker
from iot_producer.fleet import FleetSpec
from iot_producer.pulsar.admin import PulsarAdmin

pytestmark = pytest.mark.integration

OPTIONS = BenchOptions(
    stages=("pulsar",),
    workers=(1, 2),
    n_records=3_000,
    quick=True,
    start_up=False,
    fleet=FleetSpec(devices=5_000, customers=500, sites=50),
    environ=dict(os.environ),
)


def test_what_is_measured_is_on_the_topic_and_the_broker_is_gone_afterwards():
    said: list[str] = []
    with local_broker(OPTIONS, said.append) as status:
        home = Path(status.home)
        assert home.is_dir()
        for workers in OPTIONS.workers:
            found = suite._measured(
                OPTIONS, BY_NAME["pulsar"], workers, status.pulsar_url, said.append
            )
            assert [r.n_records for r in found.rounds] == [3_000 * workers] * 3
            assert all(r.cpu_s > 0 for r in found.rounds)
        # One round more of each warmed up; the broker counts by itself.
        assert PulsarAdmin(status.admin_url).n_messages_in(suite._TOPIC) == 3_000 * (4 + 2 * 4)
    assert not home.parent.exists()
    assert status.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(status.pid, 0)


def test_the_whole_command_names_the_broker_it_measured_with():
    said: list[str] = []
    report = run_bench(OPTIONS, said.append)
    assert report.failed == ()
    assert report.left_out == ()
    assert [(r.stage, r.workers) for r in report.stages] == [("pulsar", 1), ("pulsar", 2)]
    assert report.versions["pulsar broker"]
    assert [bar.name for bar in report.bars()] == ["to Pulsar, generated and confirmed"]
