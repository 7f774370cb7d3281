"""From (device, time) back to the message: the exact inverse of a plan, for whole chunks.

Promise: a record's message is found by arithmetic, without a table of messages. Message m is due in
millisecond t exactly when ``n_due(end of t − 1) ≤ m < n_due(end of t)``, and a device's messages
are a fixed distance apart, so of one device there is at most one (a plan never repeats device and
time). What the plan does not explain is found nowhere. It must not know what was confirmed or read.

With the maximum rate the plan of a lane is the list of its blocks; they follow each other in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import NS_PER_MS, Plan
from iot_producer.fleet import FleetSpec
from iot_producer.lane import Lane, LaneSpec, lane_of
from iot_producer.schedule import Schedule

_SPAN_FACTOR: Final = 64
_SPAN_LEAST: Final = 4_096
_DENSE: Final = 4


@dataclass(frozen=True, slots=True)
class LanePart:
    """The messages ``0 … n_messages − 1`` of a lane.

    Attributes:
        index: which lane of the plan.
        n_messages: how many of its messages came due.
        blocks: with the maximum rate int64[n_blocks, 2]: records and start (ns since the epoch) of
            each block in order; None when the schedule says it all.
    """

    index: int
    n_messages: int
    blocks: NDArray[np.int64] | None = None


class _Blocks:
    """The intended times of a lane at the maximum rate."""

    __slots__ = ("firsts", "sizes", "starts")

    def __init__(self, blocks: NDArray[np.int64]) -> None:
        self.sizes = np.ascontiguousarray(blocks[:, 0])
        self.starts = np.ascontiguousarray(blocks[:, 1])
        self.firsts = np.cumsum(self.sizes) - self.sizes

    def n_due(self, at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many messages are intended for ``at_ns`` or before."""
        if not len(self.starts):
            return np.zeros(len(at_ns), dtype=np.int64)
        place = np.searchsorted(self.starts, at_ns, side="right") - 1
        begun = np.maximum(place, 0)
        inside = np.minimum(at_ns - self.starts[begun] + 1, self.sizes[begun])
        return np.where(place < 0, 0, self.firsts[begun] + inside)

    def intended_ns(self, n: int) -> int:
        place = int(np.searchsorted(self.firsts, n, side="right")) - 1
        return int(self.starts[place]) + n - int(self.firsts[place])


class PlanIndex:
    """Finds the messages of some lanes of one plan. A lane's *slot* is its place among them.

    Args:
        fleet: what the records are of.
        schedule: intended times of the whole plan; None with the maximum rate.
        start_ns: the plan's start, ns since the epoch.
        n_lanes: lanes of the whole plan.
        parts: the lanes that messages may belong to.
        offset: place in the cycle of the devices where the plan's message 0 is.

    Raises:
        ConfigError: more lanes than devices.
        ValueError: a lane has more messages than the schedule, or has no blocks and no schedule.
    """

    def __init__(
        self,
        fleet: FleetSpec,
        schedule: Schedule | None,
        start_ns: int,
        n_lanes: int,
        parts: Sequence[LanePart],
        offset: int = 0,
    ) -> None:
        self.fleet = fleet
        self.parts = tuple(parts)
        self._schedule = schedule
        self._start_ns = start_ns
        self._n_lanes = n_lanes
        self._offset = offset
        self._lanes: list[Lane] = []
        self._blocks: list[_Blocks] = []
        self._slot = np.full(n_lanes, -1, dtype=np.int64)  # by lane
        self._rank = np.full(fleet.devices, -1, dtype=np.int32)  # by device, within its lane
        self._place = np.zeros(fleet.devices, dtype=np.int32)  # by device, within the cycle
        for slot, part in enumerate(self.parts):
            self._add(slot, part)
        self._n = np.array([part.n_messages for part in self.parts], dtype=np.int64)
        self._per_cycle = np.array([lane.n_per_cycle for lane in self._lanes], dtype=np.int64)
        ends = [self.intended_ns(s, p.n_messages - 1) for s, p in self._filled()]
        firsts = [self.intended_ns(s, 0) for s, _ in self._filled()]
        self.first_ms = min(firsts, default=0) // NS_PER_MS
        """The first event time of all messages, ms since the epoch."""
        self.last_ms = max(ends, default=-NS_PER_MS) // NS_PER_MS
        """The last event time; before the first when there is no message."""

    def find(
        self, devices: NDArray[np.int64], times_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The messages of n (device, time) pairs.

        Args:
            devices: int64[n], device numbers; any others are found nowhere.
            times_ms: int64[n], ms since the epoch.

        Returns:
            the slots of their lanes, −1 where no message is about them, and the numbers of the
            messages within the lane; int64[n] each.
        """
        slots = np.full(len(devices), -1, dtype=np.int64)
        messages = np.full(len(devices), -1, dtype=np.int64)
        possible = (devices >= 0) & (devices < self.fleet.devices)
        possible &= (times_ms >= self.first_ms) & (times_ms <= self.last_ms)
        whole = bool(possible.all())
        places = np.arange(len(devices)) if whole else np.flatnonzero(possible)
        found = self._slot[devices[places] % self._n_lanes]
        if (found < 0).any():
            places, found = places[found >= 0], found[found >= 0]
        if not len(places):
            return slots, messages
        device, time_ms = devices[places], times_ms[places]
        rank = self._rank[device].astype(np.int64)
        if self._schedule is not None:
            low, high = self._due_around(time_ms)
            place = self._place[device].astype(np.int64)
            turn = (high - 1 - place) // self.fleet.devices
            at = turn * self.fleet.devices + place
        else:
            low, high = self._made_around(found, time_ms)
            turn = (high - 1 - rank) // self._per_cycle[found]
            at = turn * self._per_cycle[found] + rank
        message = turn * self._per_cycle[found] + rank
        fits = (turn >= 0) & (at >= low) & (message < self._n[found])
        slots[places[fits]] = found[fits]
        messages[places[fits]] = message[fits]
        return slots, messages

    def n_before(self, slot: int, at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of a lane's messages are intended before each time (ns since the epoch)."""
        if self._schedule is None:
            due = self._blocks[slot].n_due(at_ns - 1)
        else:
            cycle, place = np.divmod(
                self._schedule.n_due_many(at_ns - 1 - self._start_ns), self.fleet.devices
            )
            lane = self._lanes[slot]
            before = np.searchsorted(lane.positions, place, side="left")
            due = cycle * lane.n_per_cycle + before
        before_end: NDArray[np.int64] = np.minimum(due, self._n[slot])
        return before_end

    def device(self, slot: int, message: int) -> int:
        """The device that a message is about."""
        lane = self._lanes[slot]
        return int(lane.devices[message % lane.n_per_cycle])

    def intended_ns(self, slot: int, message: int) -> int:
        """When a message is due, ns since the epoch."""
        if self._schedule is None:
            return self._blocks[slot].intended_ns(message)
        lane = LaneSpec(self.parts[slot].index, self._n_lanes, self._offset)
        return Plan(self.fleet, lane, self._schedule, self._start_ns).due_ns(message)

    def _add(self, slot: int, part: LanePart) -> None:
        lane = lane_of(self.fleet.devices, LaneSpec(part.index, self._n_lanes, self._offset))
        self._lanes.append(lane)
        self._slot[part.index] = slot
        self._rank[lane.devices] = np.arange(lane.n_per_cycle, dtype=np.int32)
        self._place[lane.devices] = lane.positions
        if self._schedule is None:
            if part.blocks is None:
                raise ValueError(f"lane {part.index} has neither a schedule nor blocks")
            if (part.blocks[:, 0] > lane.n_per_cycle).any():
                raise ValueError(f"a block of lane {part.index} is longer than its cycle")
            self._blocks.append(_Blocks(part.blocks))
        elif self._schedule.n_messages is not None:
            n_planned = lane.n_before(self._schedule.n_messages)
            if part.n_messages > n_planned:
                raise ValueError(
                    f"lane {part.index} has {part.n_messages} messages, its plan {n_planned}"
                )

    def _filled(self) -> list[tuple[int, LanePart]]:
        return [(slot, part) for slot, part in enumerate(self.parts) if part.n_messages]

    def _due_around(
        self, times_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many messages of the plan are due before and until the end of each millisecond."""
        assert self._schedule is not None
        first, last = int(times_ms.min()), int(times_ms.max())
        if last - first < _DENSE * len(times_ms):
            # Every millisecond: no sorting, which would cost more than all the rest.
            bounds = np.arange(first, last + 2, dtype=np.int64)
            due = _n_due(self._schedule, bounds * NS_PER_MS - (1 + self._start_ns))
            places = times_ms - first
            return due[places], due[places + 1]
        bounds, where = np.unique(np.concatenate((times_ms, times_ms + 1)), return_inverse=True)
        due = _n_due(self._schedule, bounds * NS_PER_MS - (1 + self._start_ns))[where]
        return due[: len(times_ms)], due[len(times_ms) :]

    def _made_around(
        self, slots: NDArray[np.int64], times_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same for lanes at the maximum rate, each counting its own messages."""
        low, high = np.empty_like(times_ms), np.empty_like(times_ms)
        for slot in np.unique(slots).tolist():
            mine = slots == slot
            end_ns = times_ms[mine] * NS_PER_MS - 1
            low[mine] = self._blocks[slot].n_due(end_ns)
            high[mine] = self._blocks[slot].n_due(end_ns + NS_PER_MS)
        return low, high


def _n_due(schedule: Schedule, elapsed_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """``schedule.n_due_many`` of sorted times.

    A schedule that changes takes 3 µs a time for it; a chunk's times lie close together, so it is
    quicker to compute the due times of all messages in between and to search among them.
    """
    first = schedule.n_due(int(elapsed_ns[0]))
    n = schedule.n_due(int(elapsed_ns[-1])) - first
    if n == 0:
        return np.full(len(elapsed_ns), first, dtype=np.int64)
    if n > _SPAN_FACTOR * len(elapsed_ns) + _SPAN_LEAST:
        return schedule.n_due_many(elapsed_ns)
    base_ns, offsets_ns = schedule.offsets_ns(first, np.arange(n, dtype=np.int64))
    counts: NDArray[np.int64] = np.searchsorted(offsets_ns, elapsed_ns - base_ns, side="right")
    return counts + first
