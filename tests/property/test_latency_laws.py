"""Compiled counting is the library's counting, and histograms add up in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from iot_producer.latency import (
    DIGITS,
    HIGHEST_US,
    LIMIT_US,
    LOWEST_US,
    N_BUCKETS,
    Histogram,
    empty_counts,
)
from iot_producer.latency_counts import count_latencies

values = st.one_of(
    st.integers(0, 5_000_000),
    st.integers(0, LIMIT_US * 1000 - 1),
    st.integers(0, 42).map(lambda bit: (1 << bit) - 1),
    st.integers(0, 31).map(lambda bit: 1000 << bit),
)
lists = st.lists(values, max_size=50)


def counted(values_ns: list[int]) -> Histogram:
    counts = empty_counts()
    count_latencies(counts, 0, -np.array(values_ns, np.int64))
    return Histogram.of_counts(counts)


def recorded(values_ns: list[int]) -> HdrHistogram:
    hdr = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for value_ns in values_ns:
        assert hdr.record_value(min(value_ns // 1000, LIMIT_US - 1))
    return hdr


# The library walks all 23,552 buckets in Python for each percentile of a large value.
@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(lists)
def test_counting_is_what_the_library_records(values_ns: list[int]):
    histogram, hdr = counted(values_ns), recorded(values_ns)
    dense = np.zeros(N_BUCKETS, np.int64)
    dense[histogram.buckets] = histogram.counts
    assert dense.tolist() == list(hdr.counts)
    assert histogram.n == len(values_ns)
    if values_ns:
        kept = [min(value, LIMIT_US * 1000) for value in values_ns]
        assert histogram.sum_ns == sum(kept)
        assert histogram.min_ns == min(values_ns)
        assert histogram.max_ns == max(values_ns)
        percents = (0.0, 50.0, 90.0, 99.0, 99.9, 100.0)
        for percent, found in zip(percents, histogram.percentiles_ns(percents), strict=True):
            wanted = hdr.get_value_at_percentile(percent) * 1000
            assert found == min(max(wanted, histogram.min_ns), histogram.max_ns)
        assert histogram.to_hdr().get_mean_value() == pytest.approx(hdr.get_mean_value())


@settings(deadline=None)
@given(lists, lists, lists)
def test_merging_is_counting_all(x: list[int], y: list[int], z: list[int]):
    a, b, c = counted(x), counted(y), counted(z)
    merged = Histogram.merge([a, b, c])
    assert merged == counted([*x, *y, *z])
    assert merged == Histogram.merge([Histogram.merge([c, a]), b])
    assert merged == Histogram.merge([b, Histogram.merge([a, c]), Histogram.empty()])
    library = recorded(x)
    library.add(recorded(y))
    library.add(recorded(z))
    assert list(merged.to_hdr().counts) == list(library.counts)


@settings(deadline=None)
@given(lists, lists)
def test_a_difference_undoes_a_merge(x: list[int], y: list[int]):
    earlier, later = counted(x), counted([*x, *y])
    interval, wanted = later.since(earlier), counted(y)
    assert interval.buckets.tolist() == wanted.buckets.tolist()
    assert interval.counts.tolist() == wanted.counts.tolist()
    assert interval.sum_ns == wanted.sum_ns
    assert interval.n_saturated == wanted.n_saturated
    assert interval.min_ns <= wanted.min_ns
    assert interval.max_ns >= wanted.max_ns
    assert interval.max_ns <= wanted.max_ns * 1.001 + 1000


@settings(deadline=None)
@given(lists)
def test_text_restores_the_same_histogram(values_ns: list[int]):
    histogram = counted(values_ns)
    assert Histogram.from_dict(histogram.to_dict()) == histogram
    text = str(histogram.to_dict()["hdr"])
    assert list(HdrHistogram.decode(text.encode()).counts) == list(recorded(values_ns).counts)
