"""What a lane's run report lets one expect of each message: there, perhaps there, not there.

Promise: every message that came due has one fate, and ``n_must`` of a lane is what was confirmed.
Where only the counts of a block's parts are known, not which messages they were, the block becomes
a Part: so many of these must be there. It must not know what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.lane import Lane
from iot_producer.outcome import LaneRanges, PartialBlock, State
from iot_producer.ranges import RangeSet

MUST: Final = 0
"""Confirmed: there, once."""
MAY: Final = 1
"""Unconfirmed: there once, or not."""
MUST_NOT: Final = 2
"""Failed or not sent: not there."""
PARTLY: Final = 3
"""Of a Part: some of them are confirmed."""
OPEN: Final = 4
"""The report does not speak of it: there or not, and another report may say more."""

PartitionOf = Callable[[NDArray[np.int32]], NDArray[np.int64]]
"""The partition of each device's messages: int32[n] → int64[n]."""

_FATES: Final = {State.CONFIRMED: MUST, State.UNCONFIRMED: MAY, State.FAILED: MUST_NOT}


@dataclass(frozen=True, slots=True)
class Part:
    """Messages of one block, of which some were confirmed.

    Attributes:
        messages: int64[n], their numbers within the lane, rising.
        n_confirmed: how many of them must be there.
        n_unconfirmed: how many more may be there.
    """

    messages: NDArray[np.int64]
    n_confirmed: int
    n_unconfirmed: int


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """The fates of a lane's messages.

    Attributes:
        starts: int64[k], rising from 0: where each stretch of one fate begins.
        fates: uint8[k]: its fate.
        n_messages: how many messages there are.
        parts: what is known of the messages whose fate is PARTLY.
    """

    starts: NDArray[np.int64]
    fates: NDArray[np.uint8]
    n_messages: int
    parts: tuple[Part, ...] = ()
    _n_of: dict[int, NDArray[np.int64]] = field(init=False, repr=False)  # before each start

    def __post_init__(self) -> None:
        lengths = np.diff(self.starts, append=self.n_messages)
        counts = {
            fate: np.concatenate(([0], np.cumsum(np.where(self.fates == fate, lengths, 0))))
            for fate in (MUST, MAY)
        }
        object.__setattr__(self, "_n_of", counts)

    @property
    def n_must(self) -> int:
        """How many messages must be there, those of parts too."""
        return self.n_in(MUST, 0, self.n_messages)

    @property
    def n_may(self) -> int:
        """How many more may be there."""
        return self.n_in(MAY, 0, self.n_messages)

    def n_in(self, fate: int, first: int, stop: int) -> int:
        """How many of the messages ``first … stop − 1`` must be there, or may be there too.

        Args:
            fate: MUST or MAY.
            first, stop: which messages; parts count where they begin.
        """
        before = self.n_before(fate, np.array([first, stop], dtype=np.int64))
        alone = int(before[1] - before[0])
        mine = [part for part in self.parts if first <= int(part.messages[0]) < stop]
        return alone + sum(p.n_confirmed if fate == MUST else p.n_unconfirmed for p in mine)

    def n_before(self, fate: int, messages: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many messages of a fate, MUST or MAY, have a smaller number than each of
        ``messages``; those of parts do not count.
        """
        if not len(self.starts):
            return np.zeros(len(messages), dtype=np.int64)
        place = np.searchsorted(self.starts, messages, side="right") - 1
        inside = np.where(self.fates[place] == fate, messages - self.starts[place], 0)
        found: NDArray[np.int64] = self._n_of[fate][place] + inside
        return found

    def fates_of(self, first: int, stop: int) -> NDArray[np.uint8]:
        """uint8[stop − first]: the fates of messages ``first … stop − 1``."""
        low = int(np.searchsorted(self.starts, first, side="right")) - 1
        high = int(np.searchsorted(self.starts, stop, side="left"))
        edges = np.concatenate(([first], self.starts[low + 1 : high], [stop]))
        return np.repeat(self.fates[low:high], np.diff(edges))

    def must_ranges(self, first: int, stop: int) -> NDArray[np.int64]:
        """int64[k, 2]: the ranges [start, stop) of fate MUST within ``first … stop − 1``."""
        low = int(np.searchsorted(self.starts, first, side="right")) - 1
        high = int(np.searchsorted(self.starts, stop, side="left"))
        edges = np.concatenate(([first], self.starts[low + 1 : high], [stop]))
        ranges: NDArray[np.int64] = np.stack((edges[:-1], edges[1:]), axis=1)
        certain: NDArray[np.int64] = ranges[self.fates[low:high] == MUST]
        return certain


def expectation_of(
    ranges: LaneRanges,
    n_messages: int,
    members: Lane,
    partition_of: PartitionOf | None,
    *,
    n_open: int = 0,
    n_before: int = 0,
) -> Expectation:
    """What the ranges of a lane's report let one expect.

    Args:
        ranges: from the report.
        n_messages: how many messages came due.
        members: the lane's messages.
        partition_of: where the topic's partitions are known; None: they are not.
        n_open: how many more messages the lane may have sent, of which the report says nothing.
        n_before: of so many first messages, a run before this one may have sent those that this
            one did not.
    """
    not_sent = ranges.not_sent
    earlier = not_sent.intersection(RangeSet([(0, n_before)]))
    stretches: list[tuple[int, int]] = [(n_messages, OPEN)] if n_open else []
    for fate, whole in (
        (MUST, ranges.confirmed),
        (MAY, ranges.unconfirmed),
        (MUST_NOT, ranges.failed),
        (MUST_NOT, not_sent.difference(earlier)),
        (OPEN, earlier),
    ):
        stretches += [(start, fate) for start, _ in whole]
    blocks: dict[tuple[int, int], list[PartialBlock]] = {}
    for part in ranges.partial:
        blocks.setdefault((part.first, part.stop), []).append(part)
    unclear: list[Part] = []
    for (first, stop), states in blocks.items():
        fates, parts = _of_block(first, stop, states, members, partition_of)
        changes = np.flatnonzero(np.diff(fates, prepend=255))
        stretches += [(first + int(i), int(fates[i])) for i in changes]
        unclear += parts
    stretches.sort()
    table = np.array(stretches, dtype=np.int64).reshape(-1, 2)
    return Expectation(
        np.ascontiguousarray(table[:, 0]),
        table[:, 1].astype(np.uint8),
        n_messages + n_open,
        tuple(unclear),
    )


def _of_block(
    first: int,
    stop: int,
    states: list[PartialBlock],
    members: Lane,
    partition_of: PartitionOf | None,
) -> tuple[NDArray[np.uint8], list[Part]]:
    """The fates of a partial block's messages, and what is known of those that stay unclear."""
    fates = np.full(stop - first, PARTLY, dtype=np.uint8)
    place = None
    if partition_of is not None:
        place = partition_of(members.block(first, stop - first)[2])
        counts = dict.fromkeys(place.tolist(), 0)
        for part in states:
            counts[part.partition] = counts.get(part.partition, 0) + part.n_records
        if any(int((place == p).sum()) != n for p, n in counts.items()):
            place = None  # the topic has other partitions now than it had then
    if place is None:
        return fates, [_unclear(np.arange(first, stop, dtype=np.int64), states)]
    parts = []
    for partition in np.unique(place).tolist():
        mine = np.flatnonzero(place == partition)
        known = [part for part in states if part.partition == partition]
        if len(known) == 1:
            fates[mine] = _FATES[known[0].state]
        else:
            parts.append(_unclear(first + mine.astype(np.int64), known))
    return fates, parts


def _unclear(messages: NDArray[np.int64], states: list[PartialBlock]) -> Part:
    def count(state: State) -> int:
        return sum(part.n_records for part in states if part.state is state)

    return Part(messages, count(State.CONFIRMED), count(State.UNCONFIRMED))
