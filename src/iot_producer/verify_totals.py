"""The counts of a verification by minute, and what is missing, once everything was read.

Promise: expected = found + lost in each minute, whatever was counted. It must not know records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import NS_PER_MS
from iot_producer.expectation import MAY, MUST
from iot_producer.plan_set import PlanSet, Slot
from iot_producer.report import RunReport
from iot_producer.sightings import Sightings
from iot_producer.verify_report import Counts, LostRange, Minute

MOST_LOST_RANGES: Final = 1_000

_MINUTE_MS: Final = 60_000
_LATEST_MS: Final = 1 << 42
_COUNTED: Final = (
    "found",
    "duplicated",
    "changed",
    "out_of_order",
    "unconfirmed_found",
    "unexpected",
    "unreported",
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of intended time.

    Attributes:
        first_ms: its beginning, ms since the epoch.
        stop_ms: its end, which is not part of it.
    """

    first_ms: int = 0
    stop_ms: int = _LATEST_MS

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self.first_ms <= 0 and self.stop_ms >= _LATEST_MS

    def contains(self, times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool[n]: which times lie in it; those that could not be read (−1) do."""
        inside = (times_ms >= self.first_ms) & (times_ms < self.stop_ms)
        return inside | (times_ms < 0)


class Totals:
    """Counts records by the minute that they are intended for.

    Args:
        plans: what is expected.
        sightings: what was seen, for the parts of blocks.
        span: only messages of this time are expected.
    """

    def __init__(self, plans: PlanSet, sightings: Sightings, span: Span) -> None:
        self._plans = plans
        self._sightings = sightings
        self._span = span
        self._first_minute = plans.first_ms // _MINUTE_MS
        n_minutes = max(plans.last_ms // _MINUTE_MS - self._first_minute + 1, 0)
        self._columns = {name: np.zeros(n_minutes, dtype=np.int64) for name in _COUNTED}
        self._within = [self._messages_within(number) for number in range(len(plans.slots))]

    @property
    def n_expected(self) -> int:
        """How many records must be there."""
        return sum(slot.expectation.n_in(MUST, *within) for slot, within in self._all())

    @property
    def n_unconfirmed(self) -> int:
        """How many more may be there."""
        return sum(slot.expectation.n_in(MAY, *within) for slot, within in self._all())

    def within(self, slot: int) -> tuple[int, int]:
        """Which messages of a slot are in the span: first, and behind the last."""
        return self._within[slot]

    def count(self, name: str, times_ms: NDArray[np.int64]) -> None:
        """Count records.

        Args:
            name: a field of Counts, of those that are counted.
            times_ms: int64[k], their intended times.
        """
        np.add.at(self._columns[name], times_ms // _MINUTE_MS - self._first_minute, 1)

    def minutes(self) -> tuple[Minute, ...]:
        """All minutes in which something was expected or found."""
        columns = {name: column.copy() for name, column in self._columns.items()}
        expected = np.zeros(len(columns["found"]), dtype=np.int64)
        for number, slot in enumerate(self._plans.slots):
            if slot.first_ms <= slot.last_ms:
                self._expect(number, slot, expected, columns)
        columns["expected"] = expected
        columns["lost"] = expected - columns["found"]
        busy = np.zeros(len(expected), dtype=np.bool_)
        for column in columns.values():
            busy |= column != 0
        return tuple(
            Minute(
                (self._first_minute + i) * _MINUTE_MS,
                Counts(**{name: int(column[i]) for name, column in columns.items()}),
            )
            for i in np.flatnonzero(busy).tolist()
        )

    @staticmethod
    def sum_of(minutes: Iterable[Minute]) -> Counts:
        """All minutes together."""
        return sum((minute.counts for minute in minutes), Counts())

    def _expect(
        self,
        number: int,
        slot: Slot,
        expected: NDArray[np.int64],
        columns: dict[str, NDArray[np.int64]],
    ) -> None:
        first, last = slot.first_ms // _MINUTE_MS, slot.last_ms // _MINUTE_MS
        begin, end = first - self._first_minute, last - self._first_minute + 1
        edges_ms = np.arange(first, last + 2, dtype=np.int64) * _MINUTE_MS
        low, high = self._within[number]
        messages = np.clip(self._plans.n_before(number, edges_ms * NS_PER_MS), low, high)
        expected[begin:end] += np.diff(slot.expectation.n_before(MUST, messages))
        for part in slot.expectation.parts:
            at = int(part.messages[0])
            if low <= at < high:
                minute = self._plans.intended_ns(number, at) // NS_PER_MS // _MINUTE_MS
                minute -= self._first_minute
                n_seen = int((self._sightings.counts_of(number, part.messages) > 0).sum())
                expected[minute] += part.n_confirmed
                columns["found"][minute] += min(n_seen, part.n_confirmed)
                columns["unconfirmed_found"][minute] += max(n_seen - part.n_confirmed, 0)

    def _messages_within(self, number: int) -> tuple[int, int]:
        n = self._plans.slots[number].expectation.n_messages
        if self._span.is_all or not n:
            return 0, n
        edges = np.array([self._span.first_ms, self._span.stop_ms], dtype=np.int64)
        low, high = self._plans.n_before(number, edges * NS_PER_MS).tolist()
        return low, max(low, high)

    def _all(self) -> Iterable[tuple[Slot, tuple[int, int]]]:
        return zip(self._plans.slots, self._within, strict=True)


def lost_ranges(
    plans: PlanSet, sightings: Sightings, totals: Totals
) -> tuple[list[tuple[int, LostRange]], int]:
    """The first lost ranges, with their slots, and how many there are; those that touch are one."""
    lost: list[tuple[int, LostRange]] = []
    n_ranges = 0
    for number, slot in enumerate(plans.slots):
        stop = -1
        for ranges in sightings.missing(number, *totals.within(number)):
            fresh = np.flatnonzero(ranges[:, 0] != np.concatenate(([stop], ranges[:-1, 1])))
            n_ranges += len(fresh)
            stop = int(ranges[-1, 1])
            for first, end in ranges[: MOST_LOST_RANGES + 1].tolist():
                before = lost[-1] if lost else None
                if before is not None and before[0] == number and before[1].stop == first:
                    whole = LostRange(slot.lane, before[1].first, end, slot.name)
                    lost[-1] = (number, whole)
                elif len(lost) < MOST_LOST_RANGES:
                    lost.append((number, LostRange(slot.lane, first, end, slot.name)))
    return lost, n_ranges


def n_lanes_covered(reports: Sequence[RunReport]) -> tuple[int, int]:
    """How many lanes the reports cover, and how many their plans have.

    Pods that share a plan start at different times; so plans count as one that differ in their
    start alone.
    """
    plans: dict[str, set[int]] = {}
    sizes: dict[str, int] = {}
    for report in reports:
        schedule = {name: value for name, value in report.schedule.items() if name != "first"}
        plan = repr((dict(report.fleet), schedule, report.n_lanes, report.lane))
        sizes[plan] = report.n_lanes
        plans.setdefault(plan, set()).update(lane.index for lane in report.lanes)
    return sum(map(len, plans.values())), sum(sizes.values())
