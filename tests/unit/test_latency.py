from __future__ import annotations

import base64
import pickle
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from iot_producer import latency
from iot_producer.latency import Histogram, Latencies, clear_counts, empty_counts
from iot_producer.latency_counts import count_latencies, count_latency

MS = 1_000_000


def counted(*latencies_ns: int) -> Histogram:
    counts = empty_counts()
    count_latencies(counts, 0, -np.array(latencies_ns, np.int64))
    return Histogram.of_counts(counts)


def hdr_text(lowest: int, highest: int, digits: int, *values: int) -> str:
    hdr = HdrHistogram(lowest, highest, digits)
    for value in values:
        hdr.record_value(value)
    text: bytes = hdr.encode()
    return text.decode()


def test_the_layout_is_that_of_the_library():
    hdr = HdrHistogram(latency.LOWEST_US, latency.HIGHEST_US, latency.DIGITS)
    assert hdr.counts_len == latency.N_BUCKETS
    assert hdr.sub_bucket_count == 2**latency.SUB_BUCKET_BITS
    assert hdr.record_value(latency.LIMIT_US - 1)
    assert not hdr.record_value(latency.LIMIT_US)


@pytest.mark.parametrize("bit", range(32))
def test_each_boundary_falls_into_the_bucket_of_the_library(bit: int):
    hdr = HdrHistogram(latency.LOWEST_US, latency.HIGHEST_US, latency.DIGITS)
    for value_us in {2**bit - 1, 2**bit, 2**bit + 1, 3 * 2**bit // 2, 2 ** (bit + 1) - 1}:
        histogram = counted(value_us * 1000 + 999)
        assert histogram.buckets.tolist() == [hdr.get_counts_array_index(value_us)]


def test_a_negative_value_counts_as_none():
    histogram = counted(-5, -(10**12))
    assert histogram.buckets.tolist() == [0]
    assert (histogram.n, histogram.min_ns, histogram.max_ns, histogram.sum_ns) == (2, 0, 0, 0)


def test_a_value_beyond_the_last_bucket_is_counted_in_it_and_told():
    day_ns = 86_400 * 10**9
    histogram = counted(day_ns, latency.LIMIT_US * 1000, latency.LIMIT_US * 1000 - 1)
    assert histogram.buckets.tolist() == [latency.N_BUCKETS - 1]
    assert histogram.n == 3
    assert histogram.n_saturated == 2
    assert histogram.max_ns == day_ns
    once = empty_counts()
    count_latency(once, day_ns, 4)
    assert Histogram.of_counts(once).n_saturated == 4
    assert Histogram.of_counts(once).sum_ns == 4 * latency.LIMIT_US * 1000


def test_one_value_for_a_block_is_that_value_for_each():
    counts = empty_counts()
    count_latency(counts, 1_234_567, 1000)
    count_latency(counts, -3, 2)
    count_latency(counts, 99, 0)
    one_by_one = counted(*[1_234_567] * 1000, 0, 0)
    assert Histogram.of_counts(counts) == one_by_one
    assert one_by_one.sum_ns == 1_234_567_000
    assert one_by_one.mean_ns == pytest.approx(1_234_567_000 / 1002)


def test_relative_offsets_serve_as_intended_times():
    relative, absolute = empty_counts(), empty_counts()
    offsets = np.arange(0, 10 * MS, MS, dtype=np.int64)
    start_ns = 1_790_000_000 * 10**9
    count_latencies(relative, 12 * MS, offsets)
    count_latencies(absolute, start_ns + 12 * MS, start_ns + offsets)
    histogram = Histogram.of_counts(relative)
    assert histogram == Histogram.of_counts(absolute)
    assert (histogram.min_ns, histogram.max_ns, histogram.n) == (3 * MS, 12 * MS, 10)


def test_an_interval_is_taken_by_clearing():
    counts = empty_counts()
    count_latency(counts, MS, 5)
    clear_counts(counts)
    assert Histogram.of_counts(counts) == Histogram.empty()
    count_latency(counts, 2 * MS, 1)
    assert Histogram.of_counts(counts) == counted(2 * MS)


def test_percentiles_of_a_thousand_milliseconds():
    histogram = counted(*(n * MS for n in range(1, 1001)))
    p50, p90, p99, p999 = histogram.percentiles_ns((50, 90, 99, 99.9))
    for found, wanted in ((p50, 500), (p90, 900), (p99, 990), (p999, 999)):
        assert wanted * MS <= found <= wanted * MS * 1.001
    assert histogram.percentile_ns(100) == histogram.max_ns == 1000 * MS
    assert histogram.percentile_ns(0) == histogram.min_ns == MS
    assert histogram.mean_ns == 500.5 * MS


def test_percentiles_never_leave_the_exact_extremes():
    histogram = counted(5_000_123)
    assert histogram.percentiles_ns((0, 50, 99.9, 100)) == (5_000_123,) * 4


def test_an_empty_histogram_reads_as_0():
    empty = Histogram.empty()
    assert empty.percentiles_ns((50, 99)) == (0, 0)
    assert (empty.n, empty.mean_ns, empty.max_ns) == (0, 0.0, 0)
    assert Histogram.from_dict(empty.to_dict()) == empty
    assert Histogram.merge([]) == Histogram.merge([empty, empty]) == empty


def test_counts_up_to_a_bound_are_those_of_the_values():
    rng = np.random.default_rng(7)
    values_us = np.sort((10 ** rng.uniform(0, 8.5, 20_000)).astype(np.int64))
    bounds_us = np.array([1, 500, 2_000, 2_048, 2_049, 10_000, 1_000_000, 60_000_000])
    found = counted(*(values_us * 1000).tolist()).counts_up_to(bounds_us)
    exact = np.searchsorted(values_us, bounds_us, side="right")
    within = np.searchsorted(values_us, bounds_us * 1.001, side="right")
    assert (exact <= found).all()
    assert (found <= within).all()
    assert found[:3].tolist() == exact[:3].tolist()  # there a bucket is a microsecond


def test_a_value_at_a_bound_counts_below_it():
    bounds_us = np.array([500, 60_000_000, 2**40])
    assert counted(500_000, 60 * 10**9).counts_up_to(bounds_us).tolist() == [1, 2, 2]
    assert counted(501_000, 61 * 10**9).counts_up_to(bounds_us).tolist() == [0, 1, 2]
    assert Histogram.empty().counts_up_to(bounds_us).tolist() == [0, 0, 0]


def test_a_snapshot_is_small():
    histogram = counted(*(n * MS // 100 for n in range(500)))
    assert len(pickle.dumps(histogram)) < 10_000
    assert pickle.loads(pickle.dumps(histogram)) == histogram


def test_an_interval_is_the_difference_of_two_states():
    counts = empty_counts()
    count_latency(counts, 5 * MS, 100)
    earlier = Histogram.of_counts(counts)
    count_latency(counts, 2 * MS, 7)
    count_latency(counts, 3 * MS, 1)
    interval = Histogram.of_counts(counts).since(earlier)
    assert interval.n == 8
    assert interval.sum_ns == 17 * MS
    assert interval.min_ns == 2 * MS
    assert 3 * MS <= interval.max_ns <= 3.003 * MS
    assert Histogram.of_counts(counts).since(Histogram.empty()) == Histogram.of_counts(counts)
    assert earlier.since(earlier) == Histogram.empty()
    with pytest.raises(ValueError, match="not an earlier state"):
        earlier.since(Histogram.of_counts(counts))


def test_an_interval_of_saturated_values_keeps_their_bound():
    one, day_ns = counted(5 * 10**12), 86_400 * 10**9
    assert counted(5 * 10**12, 5 * 10**12).since(one).max_ns == 5 * 10**12
    assert counted(5 * 10**12, day_ns).since(one).max_ns == day_ns


def test_three_histograms_merge_and_differ_together():
    one = Latencies(counted(1), counted(2 * MS), counted(3 * MS, 4 * MS))
    two = Latencies(counted(5), counted(6 * MS), counted(7 * MS))
    both = Latencies.merge([one, two])
    assert (both.lag.n, both.service.n, both.response.n) == (2, 2, 3)
    assert both.since(one).response.n == 1
    assert Latencies.from_dict(both.to_dict()) == both
    assert Latencies.merge([]) == Latencies.empty()
    with pytest.raises(ValueError, match="service is missing"):
        Latencies.from_dict({"lag": one.lag.to_dict()})


class TestDamaged:
    def damaged(self, **changes: object) -> dict[str, object]:
        return {**counted(MS, 2 * MS).to_dict(), **changes}

    @pytest.mark.parametrize(
        "changes",
        [
            {"n": 3},
            {"n": -1},
            {"n": "2"},
            {"n": None},
            {"n_saturated": 3},
            {"min_ns": 10**12},
            {"max_ns": 0},
            {"sum_ns": 1.5},
            {"hdr": 5},
            {"hdr": ""},
            {"hdr": "not base64!"},
            {"hdr": "aGVsbG8gd29ybGQ="},
            {"hdr": hdr_text(1, 3_600_000_000, 2, 5, 6)},
            {"hdr": hdr_text(1, 1000, 3, 5, 6)},
            {"hdr": hdr_text(1, 3_600_000_000, 3, 5)},
        ],
    )
    def test_is_refused(self, changes: dict[str, object]):
        with pytest.raises(ValueError, match="histogram"):
            Histogram.from_dict(self.damaged(**changes))

    def test_every_cut_is_refused(self):
        text = str(self.damaged()["hdr"])
        for length in range(len(text)):
            with pytest.raises(ValueError, match="histogram"):
                Histogram.from_dict(self.damaged(hdr=text[:length]))

    def test_counts_that_are_cut_inside_are_refused(self):
        raw = base64.b64decode(str(self.damaged()["hdr"]))
        inside = zlib.compress(zlib.decompress(raw[8:])[:-1])
        cut = raw[:4] + len(inside).to_bytes(4, "big") + inside
        with pytest.raises(ValueError, match="cut off"):
            Histogram.from_dict(self.damaged(hdr=base64.b64encode(cut).decode()))


COUNT_SOME = """
import numpy as np
from iot_producer.latency import Histogram, empty_counts
from iot_producer.latency_counts import count_latencies, count_latency
counts = empty_counts()
values = np.random.default_rng(7).integers(-10**6, 10**13, 2000) >> np.arange(2000) % 40
count_latencies(counts, 10**6, 10**6 - values)
count_latency(counts, 5 * 10**12, 3)
count_latency(counts, 1234567, 1000)
print(Histogram.of_counts(counts).to_dict())
"""


def test_counts_the_same_without_the_compiler(monkeypatch: pytest.MonkeyPatch):
    found = []
    for disabled in ("0", "1"):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", disabled)
        run = subprocess.run(
            [sys.executable, "-c", COUNT_SOME], capture_output=True, text=True, check=True
        )
        found.append(run.stdout)
    assert found[0] == found[1]
    assert "'n': 3003" in found[0]


def test_reading_histograms_does_not_load_the_compiler():
    modules = "latency, ranges, report, schedule, tally"
    code = f"import sys; from iot_producer import {modules}; print('numba' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
