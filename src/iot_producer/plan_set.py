"""The messages of several plans at once: which of them a (device, time) may be.

Promise: every plan that explains a pair is found, however many there are, while only those whose
time it is cost anything: the tables of a plan are made when they are asked for, and few are kept.
It must not know what was read.

Plans of the same fleet share records: lanes of different rates pass each other, and a plan may be
run twice. So a *slot*, a lane of one of the runs, has its own account. Runs of one lane that follow
each other in time form a *chain*: in a chain each device's records have one order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import DATA_VERSION, NS_PER_MS, Plan
from iot_producer.errors import IotProducerError, ReportError
from iot_producer.expectation import Expectation, PartitionOf, expectation_of
from iot_producer.fleet import FleetSpec
from iot_producer.known_run import KnownRun
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.lane_report import LaneReport
from iot_producer.plan_index import LanePart, PlanIndex
from iot_producer.report import RunReport
from iot_producer.schedule import MaxRate, Schedule, schedule_from_spec

MOST_INDEXES: Final = 48
"""Plans whose tables are kept; each takes some 12 bytes a device."""

_LATEST_MS: Final = 1 << 42
_NONE: Final = np.empty((0, 2), dtype=np.int64)

Found = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Slots, −1 where a plan does not explain the pair, and numbers of messages; int64[n] each."""


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """One lane of one run.

    Attributes:
        name: of its run, for people; empty where there is only one.
        lane: index of the lane in its plan.
        fleet: number of its fleet.
        chain: number of its chain.
        expectation: of its messages.
        first_ms, last_ms: event times of its first and last message; the last is before the first
            when it has none.
    """

    name: str
    lane: int
    fleet: int
    chain: int
    expectation: Expectation
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which a lane at the maximum rate may have sent records that no plan knows of.

    Attributes:
        fleet: number of its fleet.
        lane: which devices: those that the lane has.
        first_ms, last_ms: from when to when, event times.
    """

    fleet: int
    lane: LaneSpec
    first_ms: int
    last_ms: int


@dataclass(slots=True)
class _Run:
    """A run, and what its PlanIndex is made from."""

    fleet: int
    schedule: Schedule | None
    start_ns: int
    n_lanes: int
    offset: int
    parts: list[LanePart]
    first_slot: int
    first_ms: int = 0
    last_ms: int = -1


class PlanSet:
    """The plans of some runs.

    Args:
        runs: what is known of each; the lanes in their reports are expected, and no others.
        partition_of: the topic's partition of each device; None where there are no partitions.

    Raises:
        ReportError: a report is of another version of the data, or its plan contradicts itself.
    """

    def __init__(self, runs: Sequence[KnownRun], partition_of: PartitionOf | None = None) -> None:
        self.fleets: list[FleetSpec] = []
        """All fleets, by number; most sets have one."""
        self.slots: list[Slot] = []
        """All lanes of all runs."""
        self.windows: list[Window] = []
        self._runs: list[_Run] = []
        self._run_of: list[int] = []  # by slot
        self._indexes: OrderedDict[int, PlanIndex] = OrderedDict()
        self._chains = _Chains()
        for run in sorted(runs, key=lambda run: (run.report.start_ns, run.report.started_at)):
            _check_version(run)
            try:
                self._add(run, partition_of)
            except (IotProducerError, ValueError, TypeError, OverflowError) as error:
                named = f" {run.name}" if run.name else ""
                raise ReportError(
                    f"the plan in the report{named} cannot be made again: {error}",
                    "use the file as the run wrote it",
                ) from error
        spans = [(slot.first_ms, slot.last_ms) for slot in self.slots]
        spans += [(window.first_ms, window.last_ms) for window in self.windows]
        spans = [span for span in spans if span[0] <= span[1]]
        self.first_ms = min((first for first, _ in spans), default=0)
        """The first event time of all messages, ms since the epoch."""
        self.last_ms = max((last for _, last in spans), default=-1)
        """The last event time; before the first when there is no message."""
        self.chain_of = np.array([slot.chain for slot in self.slots], dtype=np.int64)
        """int64[n_slots]: the chain of each slot."""

    @property
    def n_chains(self) -> int:
        """How many chains there are."""
        return self._chains.n

    def find(
        self, fleet: int, devices: NDArray[np.int64], times_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """One message for each of n (device, time) pairs.

        Args:
            fleet: number of the fleet.
            devices: int64[n], device numbers; any others are found nowhere.
            times_ms: int64[n], ms since the epoch.

        Returns:
            its slot, −1 where there is none, and its number; and whether there are others.
        """
        many = np.zeros(len(devices), dtype=np.bool_)
        plans = list(self.each(fleet, devices, times_ms))
        if len(plans) == 1:
            return *plans[0], many
        slots, messages = np.full((2, len(devices)), -1, dtype=np.int64)
        for found, numbers in plans:
            new = found >= 0
            many |= new & (slots >= 0)
            np.copyto(messages, numbers, where=new & (slots < 0))
            np.copyto(slots, found, where=new & (slots < 0))
        return slots, messages, many

    def each(
        self, fleet: int, devices: NDArray[np.int64], times_ms: NDArray[np.int64]
    ) -> Iterator[Found]:
        """What each plan finds of n (device, time) pairs; those that find nothing are left out."""
        known = times_ms[times_ms >= 0]
        if not len(known):
            return
        low, high = int(known.min()), int(known.max())
        for number, run in enumerate(self._runs):
            if run.fleet == fleet and run.first_ms <= high and low <= run.last_ms:
                slots, messages = self._index(number).find(devices, times_ms)
                if (slots >= 0).any():
                    yield np.where(slots >= 0, slots + run.first_slot, -1), messages

    def n_before(self, slot: int, at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of a slot's messages are intended before each time (ns since the epoch)."""
        run, local = self._place(slot)
        return self._index(run).n_before(local, at_ns)

    def device(self, slot: int, message: int) -> int:
        """The device that a message is about."""
        run, local = self._place(slot)
        return self._index(run).device(local, message)

    def intended_ns(self, slot: int, message: int) -> int:
        """When a message is due, ns since the epoch."""
        run, local = self._place(slot)
        return self._index(run).intended_ns(local, message)

    def _place(self, slot: int) -> tuple[int, int]:
        run = self._run_of[slot]
        return run, slot - self._runs[run].first_slot

    def _index(self, number: int) -> PlanIndex:
        """The tables of a run's plan, made if they are not there."""
        index = self._indexes.get(number)
        if index is None:
            run = self._runs[number]
            index = PlanIndex(
                self.fleets[run.fleet],
                run.schedule,
                run.start_ns,
                run.n_lanes,
                run.parts,
                run.offset,
            )
            self._indexes[number] = index
            while len(self._indexes) > MOST_INDEXES:
                self._indexes.popitem(last=False)
        self._indexes.move_to_end(number)
        return index

    def _add(self, known: KnownRun, partition_of: PartitionOf | None) -> None:
        report = known.report
        fleet = FleetSpec(**{name: int(str(value)) for name, value in report.fleet.items()})
        schedule = schedule_from_spec(report.schedule)
        planned = None if isinstance(schedule, MaxRate) else schedule
        number = len(self._runs)
        run = _Run(
            self._number_of(fleet),
            planned,
            report.start_ns,
            report.n_lanes,
            report.offset,
            [],
            len(self.slots),
        )
        expectations = []
        for lane in report.lanes:
            spec = LaneSpec(lane.index, report.n_lanes, report.offset)
            n_open = 0
            if planned is not None and known.open_until_ns:
                plan = Plan(fleet, spec, planned, report.start_ns)
                n_open = max(plan.n_due(known.open_until_ns) - lane.tally.scheduled, 0)
            run.parts.append(_part_of(lane, planned, n_open))
            expectations.append((lane, spec, n_open))
        self._runs.append(run)
        index = self._index(number)
        if index.first_ms < 0 or index.last_ms >= _LATEST_MS:
            raise ValueError("its times are beyond all calendars")
        run.first_ms, run.last_ms = index.first_ms, index.last_ms
        for local, (lane, spec, n_open) in enumerate(expectations):
            expectation = expectation_of(
                lane.ranges,
                lane.tally.scheduled,
                lane_of(fleet.devices, spec),
                partition_of,
                n_open=n_open,
                n_before=_n_before(report, lane, index, local),
            )
            first_ms, last_ms = 0, -1
            if n := expectation.n_messages:
                first_ms = index.intended_ns(local, 0) // NS_PER_MS
                last_ms = index.intended_ns(local, n - 1) // NS_PER_MS
            chain = self._chains.take(known, lane.index, run.fleet, first_ms, last_ms)
            self.slots.append(
                Slot(known.name, lane.index, run.fleet, chain, expectation, first_ms, last_ms)
            )
            self._run_of.append(number)
            if planned is None and known.open_until_ns:
                begins_ms = max(last_ms, report.start_ns // NS_PER_MS)
                ends_ms = known.open_until_ns // NS_PER_MS
                if begins_ms <= ends_ms < _LATEST_MS:
                    self.windows.append(Window(run.fleet, spec, begins_ms, ends_ms))

    def _number_of(self, fleet: FleetSpec) -> int:
        if fleet not in self.fleets:
            self.fleets.append(fleet)
        return self.fleets.index(fleet)


class _Chains:
    """Which slots follow each other: the runs of one lane, as long as their times do not meet."""

    def __init__(self) -> None:
        self.n = 0
        self._last: dict[object, tuple[int, int, str]] = {}  # chain, last event time, started at

    def take(self, run: KnownRun, lane: int, fleet: int, first_ms: int, last_ms: int) -> int:
        """The chain of a run's lane; runs are given in the order of their plans' starts."""
        report = run.report
        name: object = (run.lane or (report.lane, report.n_lanes), lane, fleet)
        known = self._last.get(name)
        chain = self.n
        if known is not None and known[1] <= first_ms and known[2] <= report.started_at:
            chain = known[0]
        else:
            self.n += 1
        if first_ms <= last_ms:
            self._last[name] = (chain, last_ms, report.started_at)
        return chain


def _check_version(run: KnownRun) -> None:
    report = run.report
    if report.data_version != DATA_VERSION:
        named = f" {run.name}" if run.name else ""
        raise ReportError(
            f"the report{named} is about records of data version {report.data_version}, "
            f"this program makes version {DATA_VERSION}",
            f"use the version of iot-producer that wrote it: {report.tool_version}",
        )


def _part_of(lane: LaneReport, planned: Schedule | None, n_open: int) -> LanePart:
    n = lane.tally.scheduled
    if planned is not None:
        return LanePart(lane.index, n + n_open)
    blocks = _NONE if lane.blocks is None else lane.blocks
    if int(blocks[:, 0].sum()) != n:
        raise ValueError(f"the blocks of lane {lane.index} are missing")
    return LanePart(lane.index, n, blocks)


def _n_before(report: RunReport, lane: LaneReport, index: PlanIndex, local: int) -> int:
    """How many first messages of a lane may have been sent by its last run.

    A lane that fills the gap behind its predecessor begins where the first partition ends: on
    others more was stored.
    """
    if report.gap is None or not lane.tally.scheduled:
        return 0
    by_worker = report.gap.last_ids
    ids = by_worker[lane.index % len(by_worker)]
    last_ns = max(ids, default=-1)
    return int(index.n_before(local, np.array([last_ns + 1], dtype=np.int64))[0])
