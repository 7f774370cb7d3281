"""A rate that changes over time, as line segments, and the exact times at which messages fall due.

Promise: times come from integers alone and depend on the message's number, never on what was asked
before. A rising or falling segment is cut into slices; the number of messages before each cut is
the exact integral of the rate, and within a slice the rate is constant. So a due time is one
search and one division, and a whole block is a few array operations.

This module must not know what a schedule is made for, or how it is written down.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 1_000_000_000
_INT64_MAX = 2**63 - 1
_SLICE_NS = 100_000_000
# A slice costs about 10 us to find. With 1000 of them the rate moves in steps of 0.1 % of the
# segment's rise, however long the segment is, and a block rarely touches more than two.
_MAX_SLICES = 1000


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time in which the rate goes from one value to another on a straight line.

    Args:
        duration_ns: its length, above 0.
        start_per_s: the rate at its beginning, messages per second, at least 0.
        end_per_s: the rate at its end.
    """

    duration_ns: int
    start_per_s: Fraction
    end_per_s: Fraction


@dataclass(frozen=True, slots=True)
class _Slice:
    """A stretch of constant rate: ``n_area`` area units in ``n_ns`` nanoseconds."""

    start_ns: int
    start_area: int
    n_ns: int
    n_area: int
    end_area: int | None
    """None: it has no end."""


def floor_line(
    first: int, step: int, divisor: int, index: NDArray[np.int64], plus: int = 0
) -> NDArray[np.int64]:
    """``plus + floor((first + index * step) / divisor)``, exactly, for a whole array.

    Args:
        first, step, divisor, plus: integers of any size; divisor above 0, step at least 0.
        index: int64 of shape (n,), each at least 0.

    Returns:
        int64 of shape (n,).

    Raises:
        OverflowError: a result does not fit 64 bits.
    """
    if len(index) == 0:
        return np.empty(0, np.int64)
    common = gcd(step, divisor)
    numerator, step, divisor = first // common, step // common, divisor // common
    whole, rest = divmod(numerator, divisor)
    whole += plus
    step_whole, step_rest = divmod(step, divisor)
    top = int(index.max())
    if (
        top * step_rest + rest <= _INT64_MAX
        and divisor <= _INT64_MAX
        and abs(whole) + top * (step_whole + 1) + 1 <= _INT64_MAX
    ):
        result = index * np.int64(step_whole) + np.int64(whole)
        if step_rest or rest:
            result += (index * np.int64(step_rest) + np.int64(rest)) // np.int64(divisor)
        return result
    # Only for rates and durations that share no round unit: 0.3 us a record against 0.01 us above.
    return np.array([whole + (rest + i * step) // divisor for i in index.tolist()], dtype=np.int64)


class RateCurve:
    """Due times of messages under a rate made of line segments.

    Message n is due when the integral of the rate leaves n: the first at the beginning (or at the
    end of an initial pause), and none during a pause.

    Args:
        segments: the shape; at least one, and not all of rate 0.
        repeat: the shape begins again after its end, for ever. Otherwise its last rate goes on; if
            that is 0 the messages are numbered to an end.
        skip_ns: start this far into a repeating shape (at least 0, below its length).
    """

    __slots__ = (
        "_area_per_message",
        "_areas",
        "_hold",
        "_repeat",
        "_segment_starts",
        "_segments",
        "_skip_area",
        "_skip_ns",
        "_times",
        "n_messages",
        "peak_per_s",
    )

    def __init__(
        self, segments: Sequence[Segment], *, repeat: bool = False, skip_ns: int = 0
    ) -> None:
        if not segments or any(segment.duration_ns <= 0 for segment in segments):
            raise ValueError("a rate curve needs segments that last")
        self._segments = tuple(segments)
        self._repeat = repeat
        self._skip_ns = skip_ns
        self.peak_per_s = max(max(s.start_per_s, s.end_per_s) for s in segments)
        if self.peak_per_s == 0:
            raise ValueError("a rate curve needs a rate above 0")
        # Areas under the curve are integers: 1 / _area_per_message of a message.
        rates = lcm(*(rate.denominator for s in segments for rate in (s.start_per_s, s.end_per_s)))
        self._area_per_message = rates * lcm(
            *(NS_PER_S * (1 if _is_flat(s) else 2 * s.duration_ns) for s in segments)
        )
        self._times = [0]
        self._areas = [0]
        self._segment_starts: list[int] = []
        for segment in segments:
            self._append(segment)
        if not 0 <= skip_ns < self._times[-1] or (skip_ns and not repeat):
            raise ValueError(f"cannot start {skip_ns} ns into this curve")
        self._skip_area = self._areas[bisect_right(self._times, skip_ns) - 1]
        self._hold = 0 if repeat else self._area_per_ns(segments[-1].end_per_s)
        ends = not repeat and self._hold == 0
        self.n_messages = _ceil_div(self._areas[-1], self._area_per_message) if ends else None

    def __reduce__(self) -> tuple[Callable[..., RateCurve], tuple[object, ...]]:
        # The shape is a few numbers; the cuts are made again.
        return _restore, (self._segments, self._repeat, self._skip_ns)

    def due_ns(self, n: int) -> int:
        """When message ``n`` (from 0) is due, nanoseconds from the start.

        Raises:
            ValueError: ``n`` is negative, or the curve ended at rate 0 before it.
        """
        if n < 0:
            raise ValueError(f"no message {n}")
        piece = self._slice_of(n)
        area = n * self._area_per_message + self._skip_area
        return piece.start_ns + (area - piece.start_area) * piece.n_ns // piece.n_area

    def offsets_ns(self, base: int, index: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        """Due times of messages ``base + index``, relative to message ``base``.

        Args:
            base: a message number.
            index: int64 of shape (n,), at least 0, nondecreasing.

        Returns:
            The due time of ``base`` and the differences to it, int64 of shape (n,), nanoseconds.
        """
        base_ns = self.due_ns(base)
        offsets = np.empty(len(index), np.int64)
        position = 0
        while position < len(index):
            first = int(index[position])
            piece = self._slice_of(base + first)
            stop = len(index)
            if piece.end_area is not None:
                beyond = _ceil_div(piece.end_area - self._skip_area, self._area_per_message)
                if beyond - base <= int(index[-1]):
                    stop = int(np.searchsorted(index, beyond - base))
            area = (base + first) * self._area_per_message + self._skip_area
            offsets[position:stop] = floor_line(
                (area - piece.start_area) * piece.n_ns,
                self._area_per_message * piece.n_ns,
                piece.n_area,
                index[position:stop] - first,
                piece.start_ns - base_ns,
            )
            position = stop
        return base_ns, offsets

    def n_due(self, elapsed_ns: int) -> int:
        """How many messages have a due time of at most ``elapsed_ns``; 0 when it is negative."""
        if elapsed_ns < 0:
            return 0
        # A due time is cut to whole nanoseconds: at most e means before e + 1.
        cycles, time_ns = 0, elapsed_ns + 1 + self._skip_ns
        if self._repeat:
            cycles, time_ns = divmod(time_ns, self._times[-1])
        area = cycles * self._areas[-1] - self._skip_area
        if time_ns >= self._times[-1]:
            area += self._areas[-1] + (time_ns - self._times[-1]) * self._hold
            return _ceil_div(area, self._area_per_message)
        k = bisect_right(self._times, time_ns) - 1
        n_ns = self._times[k + 1] - self._times[k]
        n_area = self._areas[k + 1] - self._areas[k]
        area = (area + self._areas[k]) * n_ns + (time_ns - self._times[k]) * n_area
        return _ceil_div(area, self._area_per_message * n_ns)

    def rate_at(self, elapsed_ns: int) -> Fraction:
        """The rate at a time, messages per second; before the start, the rate of the start."""
        time_ns = max(elapsed_ns, 0) + self._skip_ns
        if self._repeat:
            time_ns %= self._times[-1]
        elif time_ns >= self._times[-1]:
            return self._segments[-1].end_per_s
        k = bisect_right(self._segment_starts, time_ns) - 1
        segment = self._segments[k]
        part = Fraction(time_ns - self._segment_starts[k], segment.duration_ns)
        return segment.start_per_s + (segment.end_per_s - segment.start_per_s) * part

    def _append(self, segment: Segment) -> None:
        """Cut a segment into slices, behind those that are there."""
        start_ns, start_area = self._times[-1], self._areas[-1]
        self._segment_starts.append(start_ns)
        duration = segment.duration_ns
        step = duration
        if not _is_flat(segment):
            step = max(_SLICE_NS, -(-duration // (_MAX_SLICES * 1_000_000)) * 1_000_000)
        cuts = list(range(step, duration, step))
        if 0 < self._skip_ns - start_ns < duration:
            cuts = sorted({*cuts, self._skip_ns - start_ns})
        start = self._area_per_ns(segment.start_per_s)
        # Twice the duration divides this for a segment that is not flat, and 0 for one that is.
        rise = self._area_per_ns(segment.end_per_s) - start
        for cut in [*cuts, duration]:
            self._times.append(start_ns + cut)
            self._areas.append(start_area + start * cut + rise * cut * cut // (2 * duration))

    def _area_per_ns(self, rate: Fraction) -> int:
        return rate.numerator * (self._area_per_message // (NS_PER_S * rate.denominator))

    def _slice_of(self, n: int) -> _Slice:
        """The slice in which message ``n`` is due, at times that count from the start."""
        cycles, area = 0, n * self._area_per_message + self._skip_area
        if self._repeat:
            cycles, area = divmod(area, self._areas[-1])
        elif area >= self._areas[-1]:
            if not self._hold:
                raise ValueError(f"no message {n}: the schedule ends after {self.n_messages}")
            return _Slice(self._times[-1], self._areas[-1], 1, self._hold, None)
        # The last cut whose area is not above: it passes over pauses, where no area is added.
        k = bisect_right(self._areas, area) - 1
        before_ns = cycles * self._times[-1] - self._skip_ns
        before_area = cycles * self._areas[-1]
        return _Slice(
            before_ns + self._times[k],
            before_area + self._areas[k],
            self._times[k + 1] - self._times[k],
            self._areas[k + 1] - self._areas[k],
            before_area + self._areas[k + 1],
        )


def _restore(segments: Sequence[Segment], repeat: bool, skip_ns: int) -> RateCurve:
    return RateCurve(segments, repeat=repeat, skip_ns=skip_ns)


def _is_flat(segment: Segment) -> bool:
    return segment.start_per_s == segment.end_per_s


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
