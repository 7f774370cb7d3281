"""A report of a benchmark that never ran, with figures that are easy to follow."""

from __future__ import annotations

from iot_producer.bench.bench_report import (
    BenchReport,
    PacedResult,
    Round,
    StageResult,
    StartUpResult,
)
from iot_producer.fleet import FleetSpec


def result(
    stage: str,
    workers: int,
    *cpu_s_per_million: float,
    rss_mb: int = 200,
    wire_bytes: float = 0.0,
) -> StageResult:
    """Rounds of 10,000 records of each worker, at half the speed of one core."""
    n = 10_000 * workers
    rounds = tuple(Round(n, c * n / 1e6, 2 * c * n / 1e6 / workers) for c in cpu_s_per_million)
    return StageResult(stage, workers, rounds, rss_mb * 1_000_000, wire_bytes)


def report(*stages: StageResult, **changes: object) -> BenchReport:
    """A report of a known machine."""
    known: dict[str, object] = {
        "date": "2026-11-22T16:58:36.118Z",
        "commit": "63db83d0ab57",
        "machine": {
            "cpu": "Imaginary 9000",
            "n_cpus": 2,
            "platform": "linux-x86_64",
            "kernel": "6.1.0",
            "python": "3.11.7",
        },
        "versions": {"iot-producer": "0.1.0", "numba": "0.68.1"},
        "settings": {
            "fleet": FleetSpec().to_dict(),
            "block_records": 1000,
            "per_s": 50_000,
            "quick": False,
        },
    }
    return BenchReport(stages=stages, **(known | changes))  # type: ignore[arg-type]


START_UPS = (
    StartUpResult("--help", (0.21, 0.19, 0.2), (0.18, 0.17, 0.18), 0.5),
    StartUpResult("first record, warm", (2.75, 2.6), (2.1, 2.2), 2.5),
    StartUpResult("first record, cold", (), (), 15.0, "exit code 1: no such thing"),
)

PACED = (
    PacedResult(1_000, tuple(Round(10_000, c, 10.0) for c in (0.42, 0.51, 0.38)), 3.3, 5.25),
    PacedResult(100_000, (Round(200_000, 0.186, 2.0),), 3.2, 26.0),
)
