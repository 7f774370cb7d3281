"""Plan = fleet + lane + schedule; Block = the next few records of a lane, as devices and times.

Promise: everything here is recomputable from the plan: block after block, in any order, of any
size, the same messages come out. A block holds no values yet: encoders call the compiled signals.
It must not know how blocks are paced or sent.

Message indices are lane-local, count from 0 and are Python integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.fleet import FleetSpec
from iot_producer.lane import Lane, LaneSpec, lane_of
from iot_producer.schedule import Schedule

DATA_VERSION: Final = 1
"""Changes with anything that changes a record of the same fleet, device and time."""

NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """The messages ``first … first + n − 1`` of a lane.

    Attributes:
        first: index of the first message in its lane.
        devices: int32[n], device numbers.
        start_ns: intended time of the first message, ns since the epoch.
        offsets_ns: int64[n], nondecreasing from 0: intended times after ``start_ns``.
    """

    first: int
    devices: NDArray[np.int32]
    start_ns: int
    offsets_ns: NDArray[np.int64]

    @property
    def n(self) -> int:
        """How many records."""
        return len(self.devices)

    @property
    def stop(self) -> int:
        """Index behind the last message."""
        return self.first + len(self.devices)

    @property
    def intended_ns(self) -> NDArray[np.int64]:
        """int64[n]: intended times, ns since the epoch; also the messages' sequence ids."""
        return self.start_ns + self.offsets_ns

    @property
    def times_ms(self) -> NDArray[np.int64]:
        """int64[n]: the records' event times, ms since the epoch."""
        return self.intended_ns // NS_PER_MS

    @property
    def last_ns(self) -> int:
        """Intended time of the last message: the block is due then."""
        return self.start_ns + int(self.offsets_ns[-1])

    def part(self, start: int, stop: int) -> Block:
        """Its messages ``start … stop − 1``, counted within the block; at least one."""
        if start == 0 and stop == self.n:
            return self
        offsets_ns = self.offsets_ns[start:stop]
        begins_ns = int(offsets_ns[0])
        return Block(
            self.first + start,
            self.devices[start:stop],
            self.start_ns + begins_ns,
            offsets_ns - begins_ns,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """One lane of a run on a schedule.

    Attributes:
        fleet: what the records are of.
        lane: which part of the sequence.
        schedule: intended times of the whole sequence (all lanes), after ``start_ns``.
        start_ns: when its message 0 is due (where that begins a schedule with a pause: the pause),
            ns since the epoch.
    """

    fleet: FleetSpec
    lane: LaneSpec
    schedule: Schedule
    start_ns: int

    @property
    def members(self) -> Lane:
        """The lane's messages."""
        return lane_of(self.fleet.devices, self.lane)

    @property
    def n_messages(self) -> int | None:
        """How many messages the lane has; None without end."""
        total = self.schedule.n_messages
        return None if total is None else self.members.n_before(total)

    def n_due(self, now_ns: int) -> int:
        """How many of the lane's messages are due at ``now_ns`` (intended time not after it)."""
        return self.members.n_before(self.schedule.n_due(now_ns - self.start_ns))

    def due_ns(self, n: int) -> int:
        """Intended time of the lane's n-th message, ns since the epoch."""
        return self.start_ns + self.schedule.due_ns(self.members.message_of(n))

    def block(self, first: int, n: int) -> Block:
        """The lane's messages ``first … first + n − 1`` (n ≥ 1)."""
        message, distances, devices = self.members.block(first, n)
        start_ns, offsets_ns = self.schedule.offsets_ns(message, distances)
        return Block(first, devices, self.start_ns + start_ns, offsets_ns)

    def blocks(self, first: int, stop: int, n: int) -> Iterator[Block]:
        """The messages ``first … stop − 1`` in blocks of up to ``n`` records."""
        for start in range(first, stop, n):
            yield self.block(start, min(n, stop - start))


def block_at(members: Lane, first: int, n: int, start_ns: int) -> Block:
    """A block of a run at the maximum rate: it starts when it is made, a nanosecond a message.

    Args:
        members: the lane's messages.
        first: index of its first message.
        n: records, at most ``members.n_per_cycle``.
        start_ns: intended time of the first message, ns since the epoch.
    """
    _, _, devices = members.block(first, n)
    return Block(first, devices, start_ns, np.arange(n, dtype=np.int64))
