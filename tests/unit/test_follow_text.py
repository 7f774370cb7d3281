from __future__ import annotations

import numpy as np

from iot_producer.follow import FollowSnapshot
from iot_producer.follow_text import news_line, render
from iot_producer.latency import Histogram, empty_counts
from iot_producer.latency_counts import count_latencies


def histogram(*latencies_ms: float) -> Histogram:
    counts = empty_counts()
    count_latencies(counts, 0, np.array([-int(ms * 1e6) for ms in latencies_ms], dtype=np.int64))
    return Histogram.of_counts(counts)


ALL = histogram(*range(1, 1001))


def snapshot(**changes: object) -> FollowSnapshot:
    fields = {
        "n_read": 123_456,
        "n_early": 0,
        "n_ahead": 0,
        "seconds": 61.5,
        "latency": ALL,
        "recent": histogram(2, 2, 2, 40),
        "recent_per_s": 5_000.0,
    }
    return FollowSnapshot(**(fields | changes))  # type: ignore[arg-type]


def test_a_line_of_news() -> None:
    assert news_line(snapshot()) == (
        "123,456 records, 5,000/s, intended → read p50 2.0 ms  p90 40.0 ms  p99 40.0 ms  "
        "p99.9 40.0 ms  max 40.0 ms"
    )
    assert news_line(snapshot(recent=Histogram.empty(), recent_per_s=0.0)) == (
        "123,456 records, 0/s"
    )


def test_the_result() -> None:
    assert render(snapshot()) == (
        "followed for 1 min 2 s: 123,456 records\n"
        "intended → read   p50 500 ms  p90 900 ms  p99 990 ms  p99.9 999 ms  max 1.0 s"
    )


def test_the_result_with_remarks() -> None:
    assert render(snapshot(n_early=12, n_ahead=1_000)).splitlines()[2:] == [
        "12 of them were due before that, and do not count for the times",
        "1,000 came before they were due: the clocks of this machine and the producer's disagree",
    ]


def test_nothing_came() -> None:
    assert render(snapshot(n_read=0, seconds=3.0, latency=Histogram.empty())) == (
        "followed for 3 s: 0 records"
    )
