from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from iot_producer.latency import Histogram, Latencies, empty_counts
from iot_producer.latency_counts import count_latency
from iot_producer.sink_counters import SinkCounters
from iot_producer.snapshot import Snapshot
from iot_producer.tally import TallySnapshot

MS = 1_000_000
S = 1000 * MS


def histogram(latency_ns: int, n: int) -> Histogram:
    counts = empty_counts()
    count_latency(counts, latency_ns, n)
    return Histogram.of_counts(counts)


def latencies(latency_ns: int, n: int) -> Latencies:
    return Latencies(
        histogram(latency_ns, n), histogram(2 * latency_ns, n), histogram(3 * latency_ns, n)
    )


A = Snapshot(10 * S, 1, 500.0, TallySnapshot(50, 40, 30, 5, 2), 4000, 3 * MS, latencies(MS, 35))
B = Snapshot(11 * S, 2, 250.0, TallySnapshot(60, 60, 60), 6000, 7 * MS, latencies(2 * MS, 60))
C = Snapshot(9 * S, 1, 0.25, TallySnapshot(1, 1, 0), 100, 0, Latencies.empty())


def test_lanes_add_up():
    both = Snapshot.merge([A, B])
    assert (both.at_ns, both.n_lanes, both.target_per_s) == (11 * S, 3, 750.0)
    assert both.tally == TallySnapshot(110, 100, 90, 5, 2)
    assert (both.raw_bytes, both.lag_now_ns) == (10_000, 7 * MS)
    assert both.latencies.lag.n == 95
    assert both.latencies.response.max_ns == 6 * MS


def test_order_and_grouping_do_not_matter():
    merged = Snapshot.merge([A, B, C])
    assert merged == Snapshot.merge([C, B, A])
    assert merged == Snapshot.merge([Snapshot.merge([A, C]), B])
    assert merged == Snapshot.merge([A, Snapshot.merge([B, C])])
    assert Snapshot.merge([A]) == A


def test_what_sinks_counted_adds_up_and_one_that_ends_ends_all():
    a = replace(A, sink=SinkCounters(100, 1, 5, False))
    b = replace(B, sink=SinkCounters(50, 2, 0, None), is_draining=True)
    both = Snapshot.merge([a, b])
    assert both.sink == SinkCounters(150, 3, 5, False)
    assert both.is_draining
    assert not Snapshot.merge([a, C]).is_draining


def test_nothing_to_merge():
    with pytest.raises(ValueError, match="no snapshot"):
        Snapshot.merge([])


def test_an_interval_is_the_difference_of_two():
    later = Snapshot(
        12 * S,
        1,
        500.0,
        TallySnapshot(150, 140, 135, 5, 3),
        14_000,
        MS,
        Latencies.merge([A.latencies, latencies(5 * MS, 105)]),
    )
    interval = later.since(A)
    assert interval.seconds == 2.0
    assert interval.n_scheduled == 100
    assert interval.sent_per_s == 50.0
    assert interval.confirmed_per_s == 52.5
    assert interval.raw_bytes_per_s == 5000.0
    assert (interval.n_failed, interval.n_skipped) == (0, 1)
    assert interval.latencies == latencies(5 * MS, 105)


def test_an_interval_of_no_time_has_no_rate():
    assert A.since(A).confirmed_per_s == 0.0
    assert A.since(A).latencies == Latencies.empty()


def test_is_small_to_send():
    assert len(pickle.dumps(A)) < 3000
    assert pickle.loads(pickle.dumps(A)) == A
