"""Half an hour at 100,000 messages a second: memory stays as it is, and the disk is bounded.

``IOT_SOAK_MINUTES`` sets how long; the broker keeps about half a gigabyte. Kernels are compiled by
a short run before: a process that compiles keeps what the compiler took, some 150 MiB, to its end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil
import pytest
from fault_cases import new_topic, pause, producing

from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, status, up

pytestmark = [pytest.mark.integration, pytest.mark.soak]

MINUTES = float(os.environ.get("IOT_SOAK_MINUTES", "30"))
RATE = 100_000
MIB = 1 << 20
EVERY_S = 5.0
MOST_BYTES = 350 * MIB
MOST_GROWTH = 1.03
MOST_DISK_BYTES = 6_000 * MIB


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    return StackConfig(
        state_dir=tmp_path,
        cache_dir=default_cache_dir(os.environ),
        deduplication=True,
        retention_mb=512,
    )


@pytest.fixture
def small_broker(config: StackConfig) -> Iterator[StackStatus]:
    try:
        yield up(config)
    finally:
        down(config, purge=True)


def resident_bytes(processes: list[psutil.Process]) -> int:
    return sum(process.memory_info().rss for process in processes)


@pytest.mark.timeout(round(MINUTES * 60) + 600)
def test_memory_is_flat_and_the_disk_bounded(
    config: StackConfig, small_broker: StackStatus, tmp_path: Path
):
    url, topic = small_broker.pulsar_url, new_topic()
    with producing(tmp_path / "compile", url, new_topic(), messages=100) as first:
        first.completed()
    worker_bytes, disk_bytes = [], 0
    with (tmp_path / "log.jsonl").open("w") as log, producing(
        tmp_path / "run", url, topic, "--duration", f"{MINUTES:g}m",
        "--devices", "100000", "--customers", "10000", "--sites", "1000",
        "--stats-interval", "10s", messages=None, rate=RATE, stdout=log,
    ) as run:  # fmt: skip
        pause(20.0)  # until it sends
        (worker,) = run.program.workers()
        while run.program.process.poll() is None and worker.is_running():
            worker_bytes.append(resident_bytes([worker]))
            disk_bytes = max(disk_bytes, status(config).disk_bytes)
            pause(EVERY_S)
        report = run.ended(0)
    assert report.is_complete
    assert report.tally.confirmed == round(MINUTES * 60 * RATE)
    worker_bytes = worker_bytes[:-2]  # at its end it gathers its report
    quarter = len(worker_bytes) // 4
    before, after = median(worker_bytes[quarter : 2 * quarter]), median(worker_bytes[-quarter:])
    print(
        f"worker: {before / MIB:.1f} MiB, later {after / MIB:.1f}, at most "
        f"{max(worker_bytes) / MIB:.1f}; disk at most {disk_bytes / MIB:.0f} MiB"
    )
    assert max(worker_bytes) <= MOST_BYTES
    assert after <= MOST_GROWTH * before
    assert disk_bytes <= MOST_DISK_BYTES
