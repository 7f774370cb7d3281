"""Histograms of lag, service time and response time that add up, and are read as HdrHistograms.

Promise: one bucket layout for all of them (values in microseconds, 1 us to an hour and 11 minutes,
3 significant digits), so histograms of any workers and intervals merge by adding counts, in any
order. Smallest, largest and sum are kept exactly beside the buckets. ``hdrh`` reads percentiles and
gives the text form, which every HdrHistogram library understands.

This module must not know how values are counted (latency_counts.py, compiled) nor import numba: the
parent process of a run only merges and reads.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from hdrh.codec import (
    HdrCookieException,
    HdrHistogramEncoder,
    HdrLengthException,
)
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

LOWEST_US: Final = 1
HIGHEST_US: Final = 3_600_000_000
DIGITS: Final = 3
SUB_BUCKET_BITS: Final = 11
"""log2 of the buckets that hold one value each: the first power of two from 2 * 10^3 on."""
N_BUCKETS: Final = 23 * 2 ** (SUB_BUCKET_BITS - 1)
LIMIT_US: Final = 2**32
"""The first value beyond the last bucket; such values are counted there, and as saturated."""

# Behind the buckets of a counts array: exact values that buckets cannot give.
CELL_SATURATED: Final = N_BUCKETS
CELL_MIN_NS: Final = N_BUCKETS + 1
CELL_MAX_NS: Final = N_BUCKETS + 2
CELL_SUM_US: Final = N_BUCKETS + 3
CELL_SUM_REST_NS: Final = N_BUCKETS + 4
N_CELLS: Final = N_BUCKETS + 5

_NO_MIN_NS: Final = 2**63 - 1
_PAYLOAD_HEADER_BYTES: Final = 40


def empty_counts() -> NDArray[np.int64]:
    """What the functions of latency_counts.py count into.

    Returns:
        int64 of shape (N_CELLS,): the buckets, then saturated values, smallest and largest in
        nanoseconds, and the sum in microseconds and the nanoseconds left over.
    """
    counts = np.zeros(N_CELLS, np.int64)
    clear_counts(counts)
    return counts


def clear_counts(counts: NDArray[np.int64]) -> None:
    """Make an array of ``empty_counts`` empty again, in place."""
    counts[:] = 0
    counts[CELL_MIN_NS] = _NO_MIN_NS


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of values by size; only buckets that hold something are kept.

    Args:
        buckets: int32 of shape (k,), increasing: which buckets.
        counts: int64 of shape (k,): how many values each holds, above 0.
        n_saturated: how many values were beyond the last bucket and are counted in it.
        min_ns: the smallest value; 0 when there is none.
        max_ns: the largest value; 0 when there is none.
        sum_ns: the sum of all values, saturated ones as 2^32 us.
    """

    buckets: NDArray[np.int32]
    counts: NDArray[np.int64]
    n_saturated: int = 0
    min_ns: int = 0
    max_ns: int = 0
    sum_ns: int = 0

    @classmethod
    def empty(cls) -> Histogram:
        """No values: what others merge into."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int64))

    @classmethod
    def of_counts(cls, counts: NDArray[np.int64]) -> Histogram:
        """A copy of what was counted so far.

        Args:
            counts: int64 of shape (N_CELLS,), as ``empty_counts`` lays it out.
        """
        # A value's bucket is at most its microseconds: so much need be looked at.
        n_buckets = min(max(int(counts[CELL_MAX_NS]), 0) // 1000 + 1, N_BUCKETS)
        buckets = np.flatnonzero(counts[:n_buckets])
        if len(buckets) == 0:
            return cls.empty()
        return cls(
            buckets.astype(np.int32),
            counts[buckets],
            int(counts[CELL_SATURATED]),
            int(counts[CELL_MIN_NS]),
            int(counts[CELL_MAX_NS]),
            int(counts[CELL_SUM_US]) * 1000 + int(counts[CELL_SUM_REST_NS]),
        )

    @staticmethod
    def merge(histograms: Iterable[Histogram]) -> Histogram:
        """All values of all histograms; order and grouping do not matter."""
        parts = [histogram for histogram in histograms if histogram.n]
        if len(parts) < 2:
            return parts[0] if parts else Histogram.empty()
        dense = np.zeros(N_BUCKETS, np.int64)
        for part in parts:
            dense[part.buckets] += part.counts
        return _of_dense(
            dense,
            sum(part.n_saturated for part in parts),
            min(part.min_ns for part in parts),
            max(part.max_ns for part in parts),
            sum(part.sum_ns for part in parts),
        )

    def since(self, earlier: Histogram) -> Histogram:
        """What was counted after an earlier state of the same histogram.

        Smallest and largest are exact where the later state has a new one, and else the bounds of
        their bucket (within 0.1 %).

        Raises:
            ValueError: ``earlier`` is not an earlier state.
        """
        if not earlier.n:
            return self
        dense = np.zeros(N_BUCKETS, np.int64)
        dense[self.buckets] += self.counts
        dense[earlier.buckets] -= earlier.counts
        if (dense < 0).any():
            raise ValueError("not an earlier state of this histogram")
        rest = _of_dense(dense, self.n_saturated - earlier.n_saturated, 0, 0, 0)
        if not rest.n:
            return Histogram.empty()
        hdr = _hdr_of(rest)
        lowest_ns = int(hdr.get_value_from_index(int(rest.buckets[0]))) * 1000
        highest = int(hdr.get_value_from_index(int(rest.buckets[-1])))
        highest_ns = int(hdr.get_highest_equivalent_value(highest)) * 1000 + 999
        new_min = self.min_ns < earlier.min_ns
        # The last bucket has no upper bound for what is saturated.
        new_max = self.max_ns > earlier.max_ns or rest.n_saturated > 0
        return Histogram(
            rest.buckets,
            rest.counts,
            rest.n_saturated,
            self.min_ns if new_min else max(lowest_ns, self.min_ns),
            self.max_ns if new_max else min(highest_ns, self.max_ns),
            self.sum_ns - earlier.sum_ns,
        )

    @property
    def n(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    @property
    def mean_ns(self) -> float:
        """The exact mean, nanoseconds; 0 when there is no value."""
        n = self.n
        return self.sum_ns / n if n else 0.0

    def percentile_ns(self, percent: float) -> int:
        """The value that so many percent of the values do not exceed, within 0.1 %, nanoseconds."""
        return self.percentiles_ns((percent,))[0]

    def percentiles_ns(self, percents: Iterable[float]) -> tuple[int, ...]:
        """Several percentiles, read in one pass.

        Args:
            percents: each from 0 to 100.

        Returns:
            Nanoseconds, whole microseconds unless bounded by the exact extremes; 0s when empty.
        """
        asked = tuple(percents)
        if not self.n:
            return (0,) * len(asked)
        found = _hdr_of(self).get_percentile_to_value_dict(list(asked))
        return tuple(
            min(max(int(found[percent]) * 1000, self.min_ns), self.max_ns) for percent in asked
        )

    def counts_up_to(self, bounds_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many values do not exceed each of several bounds, within 0.1 % of the bound.

        Args:
            bounds_us: int64[k], microseconds.

        Returns:
            int64[k].
        """
        # As HdrHistogram counts: 2^11 buckets of one value, then 2^10 for each doubling.
        half = 1 << (SUB_BUCKET_BITS - 1)
        shift = np.maximum(self.buckets // half - 1, 0).astype(np.int64)
        lowest_us = (self.buckets - shift * half) << shift
        sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(self.counts)))
        return sums[np.searchsorted(lowest_us, bounds_us, side="right")]

    def to_hdr(self) -> Any:
        """The same histogram as an ``hdrh.histogram.HdrHistogram``, values in microseconds."""
        return _hdr_of(self)

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON; ``hdr`` is the compressed V2 text of the HdrHistogram libraries (us)."""
        return {
            "n": self.n,
            "n_saturated": self.n_saturated,
            "min_ns": self.min_ns,
            "max_ns": self.max_ns,
            "sum_ns": self.sum_ns,
            "hdr": _hdr_of(self).encode().decode("ascii"),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> Histogram:
        """Restore what ``to_dict`` gave.

        Raises:
            ValueError: it is damaged, of another layout, or does not add up.
        """
        exact = [table.get(key) for key in ("n", "n_saturated", "min_ns", "max_ns", "sum_ns")]
        text = table.get("hdr")
        numbers = [value for value in exact if type(value) is int and value >= 0]
        if len(numbers) != len(exact) or not isinstance(text, str):
            raise ValueError("a histogram is not complete")
        n, n_saturated, min_ns, max_ns, sum_ns = numbers
        histogram = _of_dense(_decoded(text), n_saturated, min_ns, max_ns, sum_ns)
        least = n * min(min_ns, LIMIT_US * 1000)
        if histogram.n != n or n_saturated > n or not least <= sum_ns <= n * max_ns:
            raise ValueError(f"a histogram of {n} values does not add up")
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (
            np.array_equal(self.buckets, other.buckets)
            and np.array_equal(self.counts, other.counts)
            and (self.n_saturated, self.min_ns, self.max_ns, self.sum_ns)
            == (other.n_saturated, other.min_ns, other.max_ns, other.sum_ns)
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Latencies:
    """The three histograms of a lane, a run or an interval.

    Args:
        lag: sent - intended.
        service: confirmed - sent.
        response: confirmed - intended: what a user of the stream waits, free of coordinated
            omission.
    """

    lag: Histogram
    service: Histogram
    response: Histogram

    @classmethod
    def empty(cls) -> Latencies:
        """No values."""
        return cls(Histogram.empty(), Histogram.empty(), Histogram.empty())

    @staticmethod
    def merge(parts: Iterable[Latencies]) -> Latencies:
        """All values of all parts; order and grouping do not matter."""
        listed = list(parts)
        return Latencies(
            Histogram.merge(part.lag for part in listed),
            Histogram.merge(part.service for part in listed),
            Histogram.merge(part.response for part in listed),
        )

    def since(self, earlier: Latencies) -> Latencies:
        """What was counted after an earlier state."""
        return Latencies(
            self.lag.since(earlier.lag),
            self.service.since(earlier.service),
            self.response.since(earlier.response),
        )

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "lag": self.lag.to_dict(),
            "service": self.service.to_dict(),
            "response": self.response.to_dict(),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> Latencies:
        """Restore what ``to_dict`` gave; ValueError when it is damaged."""
        parts = []
        for name in ("lag", "service", "response"):
            part = table.get(name)
            if not isinstance(part, Mapping):
                raise ValueError(f"the histogram of {name} is missing")
            parts.append(Histogram.from_dict(part))
        return cls(*parts)


def _of_dense(
    dense: NDArray[np.int64], n_saturated: int, min_ns: int, max_ns: int, sum_ns: int
) -> Histogram:
    buckets = np.flatnonzero(dense)
    return Histogram(buckets.astype(np.int32), dense[buckets], n_saturated, min_ns, max_ns, sum_ns)


def _hdr_of(histogram: Histogram) -> Any:
    hdr = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    if len(histogram.buckets):
        # A view of hdrh's own counters: counts go in without a Python loop.
        cells = np.ctypeslib.as_array(hdr.counts)
        cells[histogram.buckets] = histogram.counts
        hdr.set_internal_tacking_values(
            int(histogram.buckets[0]), int(histogram.buckets[-1]), histogram.n
        )
    return hdr


def _decoded(text: str) -> NDArray[np.int64]:
    """The counts of an encoded histogram, int64 of shape (N_BUCKETS,)."""
    try:
        raw = base64.b64decode(text, validate=True)
        payload = HdrHistogramEncoder.decode(base64.b64encode(raw))
        header = payload.payload
        layout = (header.lowest_trackable_value, header.highest_trackable_value)
        if (*layout, header.significant_figures) != (LOWEST_US, HIGHEST_US, DIGITS):
            raise ValueError(f"a histogram of another layout: {layout}")
        # hdrh does not look whether the counts that follow are all there.
        if len(payload._data) != _PAYLOAD_HEADER_BYTES + header.payload_len:
            raise ValueError("a histogram is cut off")
        hdr = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS, hdr_payload=payload)
    except (
        binascii.Error,
        zlib.error,
        HdrCookieException,
        HdrLengthException,
        IndexError,
        MemoryError,
        TypeError,
    ) as error:
        raise ValueError(f"a histogram cannot be read: {error}") from error
    return np.ctypeslib.as_array(hdr.counts).astype(np.int64)
