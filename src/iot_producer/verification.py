"""Comparing what was found with what the reports of runs say must be there, chunk by chunk.

Promise: every record that was read counts exactly once: as a message of a plan, seen for the first
time or again, or as foreign; and bytes are compared with bytes that are made again. It must not
know where chunks come from, nor wait for anything.

Whose record it is, identification.py says. Where several plans send the same record (lanes of
different rates pass each other, a plan is run twice), what is there is a multiset: a record is one
that a plan expects and that was not seen yet; else a copy of one that was; else one that a plan may
have sent. So the counts do not depend on the order of reading. Order is checked for each device,
lane and partition, and not for such shared records: nobody can tell whose they are.

A record that no plan explains is foreign, and no fault: other runs may use the topic too. Other
runs of the same fleet that write at the same time cannot always be told apart.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.chunk import Chunk
from iot_producer.device_order import DeviceOrder
from iot_producer.expectation import MAY, MUST, MUST_NOT, OPEN, PARTLY, PartitionOf
from iot_producer.identification import Identified, Identifier
from iot_producer.known_run import Runs, known_runs_of
from iot_producer.offenders import Offenders
from iot_producer.plan_set import PlanSet
from iot_producer.sighting_counts import COUNT_MASK, FATE_SHIFT
from iot_producer.sightings import Sightings
from iot_producer.verify_report import Fault, VerifyReport
from iot_producer.verify_totals import Span, Totals, lost_ranges, n_lanes_covered

AT_ONCE: Final = 8_192
"""Longer chunks are cut: a thousand records take about a megabyte to compare."""

_SEEN: Final = 255
_NOT_SEEN, _SEEN_BEFORE, _EITHER = 0, 1, -1
_EXPECTED: Final = 1 << MUST | 1 << PARTLY
_STEPS: Final = (
    (_EXPECTED, _NOT_SEEN),
    (_EXPECTED, _SEEN_BEFORE),
    (1 << MAY, _NOT_SEEN),
    (1 << OPEN, _NOT_SEEN),
    (1 << MAY | 1 << OPEN, _SEEN_BEFORE),
    (1 << MUST_NOT, _EITHER),
)
"""Which of several messages a record is: the first of these that there is."""


class Verification:
    """One verification: add what was read, then ask for the result.

    Args:
        runs: a run's report, or what is known of several runs; their lanes are expected, and no
            others.
        partition_of: the topic's partition of each device; None where there are no partitions.
        page_bits: see Sightings.
        span: only records of this time count.

    Raises:
        ReportError: a report is of another version of the data, or its plan contradicts itself.
    """

    def __init__(
        self,
        runs: Runs,
        partition_of: PartitionOf | None = None,
        page_bits: int | None = None,
        span: Span | None = None,
    ) -> None:
        listed = known_runs_of(runs)
        self._plans = PlanSet(listed, partition_of)
        self._span = span or Span()
        expectations = [slot.expectation for slot in self._plans.slots]
        self._sightings = (
            Sightings(expectations)
            if page_bits is None
            else Sightings(expectations, page_bits, most_open=4)
        )
        self._identifier = Identifier(self._plans)
        self._totals = Totals(self._plans, self._sightings, self._span)
        self._n_lanes = n_lanes_covered([run.report for run in listed])
        self._n_runs = len(listed)
        self._orders: dict[int, DeviceOrder] = {}  # by chain
        self._n_read = 0
        self._n_foreign = 0
        self._n_unreadable = 0
        self._n_outside = 0
        self._n_read_of: Counter[int] = Counter()
        self._offenders = Offenders(self._plans, self._identifier)

    @property
    def n_expected(self) -> int:
        """How many records must be there."""
        return self._totals.n_expected

    @property
    def n_read(self) -> int:
        """How many records were added."""
        return self._n_read

    @property
    def n_bookkeeping_bytes(self) -> int:
        """Memory of what was seen."""
        return self._sightings.n_bytes

    def add(self, chunk: Chunk) -> None:
        """Look at some records; those of a partition in the order in which they lie there."""
        for start in range(0, chunk.n, AT_ONCE):
            self._add(chunk.part(start, min(start + AT_ONCE, chunk.n)))

    def result(self, source: str, seconds: float) -> VerifyReport:
        """What was found, once everything was added.

        Args:
            source: what was read, for people.
            seconds: how long it took.
        """
        minutes = self._totals.minutes()
        lost, n_lost_ranges = lost_ranges(self._plans, self._sightings, self._totals)
        self._offenders.note_lost(lost)
        n_lanes, n_lanes_of_plan = self._n_lanes
        return VerifyReport(
            source=source,
            minutes=minutes,
            totals=self._totals.sum_of(minutes),
            n_read=self._n_read,
            n_foreign=self._n_foreign,
            n_unreadable=self._n_unreadable,
            n_outside=self._n_outside,
            n_unconfirmed=self._totals.n_unconfirmed,
            n_runs=self._n_runs,
            n_lanes=n_lanes,
            n_lanes_of_plan=n_lanes_of_plan,
            lost_ranges=tuple(each for _, each in lost),
            n_lost_ranges=n_lost_ranges,
            offenders=self._offenders.all(),
            seconds=seconds,
        )

    def _add(self, chunk: Chunk) -> None:
        found = self._identifier.identify(chunk)
        n_before = self._n_read_of[chunk.partition]
        self._n_read += chunk.n
        self._n_read_of[chunk.partition] += chunk.n
        is_known = found.slots >= 0
        if not self._span.is_all:
            inside = self._span.contains(found.times_ms)
            self._n_outside += int((~inside).sum())
            foreign = np.flatnonzero(inside & ~is_known)
            is_known &= inside
        else:
            foreign = np.flatnonzero(~is_known)
        if len(foreign):
            self._add_foreign(chunk, found, foreign, n_before)
        places = np.flatnonzero(is_known)
        unchanged = found.same[places] & self._identifier.same_around(chunk, places, found)
        before = self._marked(found, places)
        again = (before & COUNT_MASK) != 0
        late = self._late(chunk.partition, found, places, again)
        fates = np.where(again, _SEEN, before >> FATE_SHIFT)
        times_ms = found.times_ms[places]
        for name, chosen, fault in (
            ("found", fates == MUST, None),
            ("unconfirmed_found", fates == MAY, None),
            ("unreported", fates == OPEN, None),
            ("unexpected", fates == MUST_NOT, Fault.UNEXPECTED),
            ("duplicated", again, Fault.DUPLICATED),
            ("changed", ~unchanged, Fault.CHANGED),
            ("out_of_order", late, Fault.OUT_OF_ORDER),
        ):
            if chosen.any():
                self._totals.count(name, times_ms[chosen])
                if fault is not None:
                    self._offenders.note(fault, chunk, found, places[chosen], n_before)

    def _marked(self, found: Identified, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Count the records at ``places``; what was there before of each, see Sightings.mark.

        Where several messages are about a record, ``found`` says afterwards which one it is.
        """
        is_shared = found.many[places]
        if not is_shared.any():
            return self._sightings.mark(found.slots[places], found.messages[places])
        before = np.empty(len(places), dtype=np.uint8)
        alone = np.flatnonzero(~is_shared)
        before[alone] = self._sightings.mark(
            found.slots[places[alone]], found.messages[places[alone]]
        )
        shared = np.flatnonzero(is_shared)
        before[shared] = self._mark_shared(found, places[shared])
        return before

    def _mark_shared(self, found: Identified, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        before = np.zeros(len(places), dtype=np.uint8)
        fleets = self._identifier.fleets_of(found.slots[places])
        for fleet in np.unique(fleets).tolist():
            left = np.flatnonzero(fleets == fleet)
            at = places[left]
            plans = list(self._plans.each(fleet, found.devices[at], found.times_ms[at]))
            for fates, seen in _STEPS:
                for slots, messages in plans:
                    mine = np.flatnonzero((slots >= 0) & (left >= 0))
                    was, took = self._sightings.mark_some(slots[mine], messages[mine], fates, seen)
                    taken = mine[took]
                    before[left[taken]] = was[took]
                    found.slots[at[taken]] = slots[taken]
                    found.messages[at[taken]] = messages[taken]
                    left[taken] = -1
        return before

    def _late(
        self, partition: int, found: Identified, places: NDArray[np.int64], again: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which records come after a later one of their device and lane in the partition."""
        late = np.zeros(len(places), dtype=np.bool_)
        checked = np.flatnonzero(~again & ~found.many[places])
        chains = self._plans.chain_of[found.slots[places[checked]]]
        for chain in np.unique(chains).tolist():
            mine = checked[chains == chain]
            at = places[mine]
            order = self._orders.get(chain)
            if order is None:
                fleet = self._identifier.fleets_of(found.slots[at[:1]])[0]
                order = self._orders[chain] = DeviceOrder(self._plans.fleets[fleet].devices)
            late[mine] = order.late(partition, found.devices[at], found.times_ms[at])
        return late

    def _add_foreign(
        self, chunk: Chunk, found: Identified, foreign: NDArray[np.int64], n_before: int
    ) -> None:
        if self._plans.windows:
            is_ours = self._in_windows(chunk, found, foreign)
            self._totals.count("unreported", found.times_ms[foreign[is_ours]])
            foreign = foreign[~is_ours]
        unreadable = (found.devices[foreign] < 0) | (found.times_ms[foreign] < 0)
        self._n_foreign += len(foreign)
        self._n_unreadable += int(unreadable.sum())
        self._offenders.note(Fault.FOREIGN, chunk, found, foreign, n_before)

    def _in_windows(
        self, chunk: Chunk, found: Identified, places: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which records are, to the byte, what a lane may have sent after its last word."""
        is_ours = np.zeros(len(places), dtype=np.bool_)
        devices, times_ms = found.devices[places], found.times_ms[places]
        for window in self._plans.windows:
            lane = window.lane
            fits = (times_ms >= window.first_ms) & (times_ms <= window.last_ms)
            fits &= (devices >= 0) & (devices < self._plans.fleets[window.fleet].devices)
            fits &= (devices % lane.n_lanes == lane.index) & ~is_ours
            if fits.any():
                same = self._identifier.same_texts(
                    chunk, places[fits], devices[fits], times_ms[fits], window.fleet
                )
                is_ours[np.flatnonzero(fits)[same]] = True
        return is_ours
