"""A run that never took place: snapshots and a report with known numbers, for the views' tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from iot_producer.latency import Histogram, Latencies, empty_counts
from iot_producer.latency_counts import count_latencies
from iot_producer.outcome import TallySnapshot
from iot_producer.report import LaneReport, RunReport, iso_time
from iot_producer.snapshot import Snapshot
from iot_producer.tally import LaneTally

S = 10**9
MS = 10**6
START_NS = 1_795_363_200 * S  # 2026-11-22T16:00:00Z
RECORD_BYTES = 540


def latencies(n: int, lag_ns: int = MS, service_ns: int = 3 * MS) -> Latencies:
    """n messages, of which the slowest hundredth takes ten times as long."""
    factors = np.where(np.arange(n) % 100 == 99, 10, 1)

    def histogram(latency_ns: int) -> Histogram:
        counts = empty_counts()
        count_latencies(counts, 0, -factors * latency_ns)
        return Histogram.of_counts(counts)

    return Latencies(histogram(lag_ns), histogram(service_ns), histogram(lag_ns + service_ns))


def snapshot(at_s: float, n: int, rate: float = 1000.0, **changes: Any) -> Snapshot:
    """The state after ``at_s`` seconds, when ``n`` messages were due, sent and confirmed."""
    values: dict[str, Any] = {
        "at_ns": START_NS + round(at_s * S),
        "n_lanes": 1,
        "target_per_s": rate,
        "tally": TallySnapshot(n, n, n),
        "raw_bytes": n * RECORD_BYTES,
        "lag_now_ns": MS,
        "latencies": latencies(n),
    }
    return Snapshot(**{**values, **changes})


def steady(seconds: float, rate: int = 1000, step_s: float = 0.25) -> Iterator[Snapshot]:
    """Snapshots of a run that keeps its rate."""
    for k in range(round(seconds / step_s) + 1):
        yield snapshot(k * step_s, round(k * step_s * rate), rate)


def report(**changes: Any) -> RunReport:
    """Twenty seconds at 1000 msg/s, all of it confirmed."""
    tally = LaneTally()
    tally.schedule_to(20_000)
    tally.sent(0, 20_000)
    tally.confirmed(0, 20_000, None, 20_000)
    tally.close()
    values: dict[str, Any] = {
        "data_version": 1,
        "tool_version": "0.1.0",
        "machine": {},
        "config": {},
        "fleet": {"devices": 100_000, "customers": 10_000, "sites": 1000, "seed": 7},
        "schedule": {"kind": "constant", "rate": "1000", "n_messages": 20_000},
        "start_ns": START_NS,
        "n_lanes": 1,
        "lanes": [LaneReport(0, tally.snapshot(), tally.ranges(), latencies(20_000))],
        "started_at": iso_time(START_NS - 2 * S),
        "ended_at": iso_time(START_NS + 20 * S),
        "stop_reason": "the end of the plan",
        "destination": "pulsar://127.0.0.1:6650 persistent://public/default/t",
        "raw_bytes": 20_000 * RECORD_BYTES,
    }
    return RunReport(**{**values, **changes})


def broken_lane() -> LaneReport:
    """14,000 confirmed, 400 failed, 1,600 unconfirmed, 4,000 not sent, of 20,000."""
    tally = LaneTally()
    tally.schedule_to(20_000)
    tally.sent(0, 15_000)
    tally.sent(15_000, 16_000, {0: 400, 1: 600})
    tally.skip(16_000, 18_000, "later than 1 s")
    tally.confirmed(0, 14_000, None, 14_000)
    tally.failed(15_000, 16_000, 0, 400, "the topic is terminated")
    tally.close("connection lost")
    return LaneReport(0, tally.snapshot(), tally.ranges(), latencies(14_000))
