"""Sets of whole numbers kept as ranges: which messages were confirmed, which were never sent.

Promise: as long as numbers arrive about in order, adding costs the same however many there are, and
memory is one pair per gap. Ranges are half open, ``[start, stop)``, sorted, and never touch.

This module must not know what the numbers count.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class RangeSet:
    """A mutable set of integers of any size.

    Args:
        ranges: pairs (start, stop), in any order; they may overlap.
    """

    __slots__ = ("_n", "_starts", "_stops")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._n = 0
        for start, stop in ranges:
            self.add(start, stop)

    @classmethod
    def from_list(cls, ranges: object) -> RangeSet:
        """Restore what ``to_list`` gave.

        Raises:
            ValueError: not a list of [start, stop] of integers, sorted and without touching.
        """
        if not isinstance(ranges, list):
            raise ValueError(f"not a list of ranges: {ranges!r:.60}")
        result = cls()
        for pair in ranges:
            if (
                not isinstance(pair, list)
                or len(pair) != 2
                or type(pair[0]) is not int
                or type(pair[1]) is not int
            ):
                raise ValueError(f"not a range [start, stop]: {pair!r:.60}")
            start, stop = pair
            if start >= stop or (result._stops and start <= result._stops[-1]):
                raise ValueError(f"the range {pair!r:.60} is empty or out of order")
            result.add(start, stop)
        return result

    def to_list(self) -> list[list[int]]:
        """The ranges as [start, stop], sorted; fit for JSON."""
        return [list(pair) for pair in self]

    def add(self, start: int, stop: int) -> None:
        """Add the numbers of ``[start, stop)``; those that are there already stay.

        Raises:
            ValueError: ``start`` is above ``stop``.
        """
        if start >= stop:
            if start > stop:
                raise ValueError(f"a range cannot end before it starts: [{start}, {stop})")
            return
        starts, stops = self._starts, self._stops
        if not starts or start > stops[-1]:
            starts.append(start)
            stops.append(stop)
            self._n += stop - start
            return
        if start == stops[-1]:
            stops[-1] = stop
            self._n += stop - start
            return
        # The ranges that overlap or touch the new one are replaced by one.
        first, last = bisect_left(stops, start), bisect_right(starts, stop)
        if first < last:
            self._n -= sum(stops[i] - starts[i] for i in range(first, last))
            start, stop = min(start, starts[first]), max(stop, stops[last - 1])
        starts[first:last] = [start]
        stops[first:last] = [stop]
        self._n += stop - start

    def remove(self, start: int, stop: int) -> None:
        """Take the numbers of ``[start, stop)`` out; those that are not there are ignored."""
        if start >= stop:
            return
        starts, stops = self._starts, self._stops
        first, last = bisect_right(stops, start), bisect_left(starts, stop)
        if first >= last:
            return
        self._n -= sum(stops[i] - starts[i] for i in range(first, last))
        kept = []
        if starts[first] < start:
            kept.append((starts[first], start))
        if stops[last - 1] > stop:
            kept.append((stop, stops[last - 1]))
        starts[first:last] = [pair[0] for pair in kept]
        stops[first:last] = [pair[1] for pair in kept]
        self._n += sum(pair[1] - pair[0] for pair in kept)

    @property
    def count(self) -> int:
        """How many numbers are in the set."""
        return self._n

    @property
    def n_ranges(self) -> int:
        """How many ranges they form."""
        return len(self._starts)

    def contains(self, start: int, stop: int) -> bool:
        """Whether all of ``[start, stop)`` is in the set; an empty range always is."""
        k = bisect_right(self._starts, start) - 1
        return start >= stop or (k >= 0 and stop <= self._stops[k])

    def overlaps(self, start: int, stop: int) -> bool:
        """Whether any of ``[start, stop)`` is in the set."""
        k = bisect_right(self._stops, start)
        return start < stop and k < len(self._starts) and self._starts[k] < stop

    def union(self, *others: RangeSet) -> RangeSet:
        """The numbers of this set or of any other; order and grouping do not matter."""
        return RangeSet(sorted(pair for ranges in (self, *others) for pair in ranges))

    def intersection(self, other: RangeSet) -> RangeSet:
        """The numbers of both sets."""
        result = RangeSet()
        i = j = 0
        while i < len(self._starts) and j < len(other._starts):
            start = max(self._starts[i], other._starts[j])
            stop = min(self._stops[i], other._stops[j])
            if start < stop:
                result.add(start, stop)
            if self._stops[i] < other._stops[j]:
                i += 1
            else:
                j += 1
        return result

    def difference(self, other: RangeSet) -> RangeSet:
        """The numbers of this set that are not in the other."""
        result = RangeSet()
        j = 0
        for start, stop in self:
            while j < len(other._stops) and other._stops[j] <= start:
                j += 1
            k = j
            while k < len(other._starts) and other._starts[k] < stop:
                if start < other._starts[k]:
                    result.add(start, other._starts[k])
                start = other._stops[k]
                k += 1
            if start < stop:
                result.add(start, stop)
        return result

    def copy(self) -> RangeSet:
        """A set of its own with the same numbers."""
        result = RangeSet()
        result._starts, result._stops, result._n = self._starts[:], self._stops[:], self._n
        return result

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges (start, stop), sorted."""
        return iter(zip(self._starts, self._stops, strict=True))

    def __contains__(self, number: int) -> bool:
        return self.contains(number, number + 1)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    def __repr__(self) -> str:
        shown = ", ".join(f"[{start}, {stop})" for start, stop in list(self)[:10])
        return f"RangeSet({shown}{', …' if self.n_ranges > 10 else ''})"
