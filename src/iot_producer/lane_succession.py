"""Closing what a lane left open: its successor knew what the broker had stored of it.

Promise: a message counts as confirmed only when the broker's last sequence id of its partition says
that it is stored, and as not sent only when that id says that it is not; where the broker could not
tell, it stays unconfirmed: there or not. It must not know where journals are kept, nor what is on
the topic.

A lane sends in the order of its intended times, and these are its sequence ids. So of what it had
sent when it died, each partition holds exactly what is intended up to its last id. What a lane left
out on purpose after it published for the last time is not known: where it may have, messages up to
the last id are unconfirmed too. At the maximum rate the starts of blocks after the last publication
died with the lane: its records up to the last id cannot be made again from a plan. Then
``open_until_ns`` says how far they may reach, and verification counts what it finds apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import Plan
from iot_producer.fleet import FleetSpec
from iot_producer.known_run import KnownRun
from iot_producer.lane import Lane, LaneSpec, lane_of
from iot_producer.lane_account import with_ranges
from iot_producer.outcome import LaneRanges, State
from iot_producer.report import iso_time
from iot_producer.run_journal import LaneEntry
from iot_producer.schedule import MaxRate, schedule_from_spec

Routing = Callable[[NDArray[np.int32], int], NDArray[np.int64]]
"""The partition of each device's messages, of so many partitions."""

NOT_STORED: Final = "not stored when the lane was claimed again"
_AT_ONCE: Final = 1 << 16


def known_runs(entries: Iterable[LaneEntry], now_ns: int, partition_of: Routing) -> list[KnownRun]:
    """What the journals of all lanes say together.

    Args:
        entries: the newest of each lane and claim.
        now_ns: until when lanes that still run may have sent more, ns since the epoch.
        partition_of: where the broker's clients send a device's messages.

    Returns:
        a run for each entry. What a dead lane left open is closed where another process claimed
        the lane after it.
    """
    lanes: dict[str, list[LaneEntry]] = {}
    for entry in sorted(entries, key=_order):
        lanes.setdefault(entry.head.name, []).append(entry)
    runs = []
    for name, claims in lanes.items():
        for entry, successor in zip(claims, [*claims[1:], None], strict=True):
            last = entry
            if successor is not None:
                head = successor.head
                last = close_predecessor(
                    entry, head.last_ids, partition_of, until_ns=head.claimed_ns
                )
            elif not entry.has_ended:
                last = replace(entry, open_until_ns=now_ns)
            called = f"{name} of {iso_time(entry.head.claimed_ns)}"
            runs.append(KnownRun(last.report, called, name, last.open_until_ns))
    return runs


def close_predecessor(
    entry: LaneEntry, last_ids: Sequence[int], partition_of: Routing, *, until_ns: int
) -> LaneEntry:
    """What became of the messages that a lane had not accounted for when it was claimed again.

    Args:
        entry: the last that the lane said.
        last_ids: by partition (one where the topic has none), what the broker told its successor;
            −1: nothing is known.
        partition_of: where the broker's clients send a device's messages.
        until_ns: when the successor claimed the lane, ns since the epoch.

    Returns:
        the same entry with every message decided that can be, and with what the lane sent after it
        had published for the last time.
    """
    stored = _Stored(tuple(last_ids), len(entry.head.last_ids), partition_of)
    run = entry.head.run
    spec = LaneSpec(entry.lane.index, run.n_lanes, run.offset)
    fleet = FleetSpec(**{name: int(str(value)) for name, value in run.fleet.items()})
    members = lane_of(fleet.devices, spec)
    schedule = schedule_from_spec(run.schedule)
    n = entry.lane.tally.scheduled
    if isinstance(schedule, MaxRate):
        messages: _Messages = _Blocks(members, entry.lane.blocks)
        stop = n
    else:
        plan = Plan(fleet, spec, schedule, run.start_ns)
        messages = _Planned(plan)
        stop = n
        if not entry.has_ended:
            stop = max(n, plan.n_due(until_ns if stored.highest < 0 else stored.highest))
    verdict = _Verdict(entry.lane.ranges)
    for first, end in _open_stretches(entry.lane.ranges):
        verdict.decide(stored, messages, first, end)
    if stop > n and stored.highest < 0:
        verdict.unconfirmed.add(n, stop)
    elif stop > n:
        verdict.decide(stored, messages, n, stop, surely=not entry.head.may_skip)
    open_until_ns = 0
    if isinstance(schedule, MaxRate) and not entry.has_ended:
        open_until_ns = until_ns if stored.highest < 0 else stored.highest
    lane = with_ranges(entry.lane, verdict.ranges(), stop, NOT_STORED)
    return replace(entry, lane=lane, has_ended=True, open_until_ns=open_until_ns)


def _order(claim: LaneEntry) -> tuple[int, int]:
    """By what the claims of a lane are sorted.

    Clocks of machines differ, but each plan of a lane begins after what the broker had stored when
    it was claimed (one that fills a gap begins within that).
    """
    head = claim.head
    return max(head.run.start_ns, max(head.last_ids, default=-1) + 1), head.claimed_ns


class _Messages(Protocol):
    """Devices and intended times of a lane's messages."""

    def of(self, first: int, stop: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """int32[k] devices and int64[k] times (ns since the epoch), in pieces, in order."""
        ...


class _Planned:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def of(self, first: int, stop: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        for block in self._plan.blocks(first, stop, _AT_ONCE):
            yield block.devices, block.intended_ns


class _Blocks:
    """Messages at the maximum rate, a nanosecond apart within a block."""

    def __init__(self, members: Lane, blocks: NDArray[np.int64] | None) -> None:
        self._members = members
        self._blocks = np.empty((0, 2), np.int64) if blocks is None else blocks.reshape(-1, 2)
        self._firsts = np.cumsum(self._blocks[:, 0]) - self._blocks[:, 0]

    def of(self, first: int, stop: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        for at in range(first, stop, _AT_ONCE):
            numbers = np.arange(at, min(at + _AT_ONCE, stop), dtype=np.int64)
            place = np.searchsorted(self._firsts, numbers, side="right") - 1
            devices = self._members.block(at, len(numbers))[2]
            yield devices, self._blocks[place, 1] + numbers - self._firsts[place]


class _Stored:
    """What the broker said is stored.

    Args:
        last_ids: by partition.
        n_before: partitions that the lane knew of; 0: not known.
        partition_of: see `close_predecessor`.
    """

    def __init__(self, last_ids: tuple[int, ...], n_before: int, partition_of: Routing) -> None:
        self._ids = np.array(last_ids, dtype=np.int64)
        self._is_same = n_before in (0, len(last_ids))
        self._partition_of = partition_of
        self.highest = max(last_ids, default=-1)
        """The last id of all partitions; −1: nothing is known."""

    def judge(
        self, devices: NDArray[np.int32], times_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which messages are stored, and which are not; bool[n] each. The rest is not known."""
        if self.highest < 0:
            nothing = np.zeros(len(devices), dtype=np.bool_)
            return nothing, nothing
        beyond = times_ns > self.highest
        if not self._is_same:
            # Partitions were added: where a message went depends on when that was noticed.
            return times_ns <= int(self._ids.min()), beyond
        last = self._ids[self._partition_of(devices, len(self._ids))]
        return times_ns <= last, beyond | ((times_ns > last) & (last >= 0))


class _Verdict:
    """The fates of a lane's messages, while they are decided."""

    def __init__(self, ranges: LaneRanges) -> None:
        self.confirmed, self.not_sent = ranges.confirmed.copy(), ranges.not_sent.copy()
        self.unconfirmed = ranges.unconfirmed.copy()
        self._failed = ranges.failed.copy()
        self._partial = {(part.first, part.stop) for part in ranges.partial}
        self._parts = ranges.partial

    def decide(
        self, stored: _Stored, messages: _Messages, first: int, stop: int, surely: bool = True
    ) -> None:
        """Decide messages ``first … stop − 1``.

        Args:
            stored: what is known.
            messages: the lane's.
            first, stop: which; none of them is decided yet.
            surely: what is stored up to an id includes all of the plan up to it.
        """
        self._partial.discard((first, stop))
        self.unconfirmed.remove(first, stop)
        at = first
        for devices, times_ns in messages.of(first, stop):
            there, absent = stored.judge(devices, times_ns)
            there = there & surely
            for chosen, into in (
                (there, self.confirmed),
                (absent, self.not_sent),
                (~there & ~absent, self.unconfirmed),
            ):
                edges = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0)) + at
                for begin, end in edges.reshape(-1, 2).tolist():
                    into.add(begin, end)
            at += len(devices)

    def ranges(self) -> LaneRanges:
        """What they are now."""
        parts = tuple(part for part in self._parts if (part.first, part.stop) in self._partial)
        return LaneRanges(self.confirmed, self._failed, self.unconfirmed, self.not_sent, parts)


def _open_stretches(ranges: LaneRanges) -> list[tuple[int, int]]:
    """Messages that were sent, and of which some or all have no receipt.

    Of a block of which a part failed, the parts stay as they are: what failed is below the last
    id, and is not stored all the same.
    """
    blocks: dict[tuple[int, int], set[State]] = {}
    for part in ranges.partial:
        blocks.setdefault((part.first, part.stop), set()).add(part.state)
    torn = [span for span, states in blocks.items() if State.FAILED not in states]
    return sorted([*ranges.unconfirmed, *torn])
