"""What became of each message of a lane: scheduled, sent, confirmed, failed, unconfirmed, not sent.

Promise: at every moment, and at every exit,

    scheduled = confirmed + failed + unconfirmed + not sent

and a message counts as confirmed only when a receipt for it came in, once. Accounting is by blocks
and ranges, never by single messages, so it costs the same at any rate.

Messages are numbered within the lane, from 0. This module must not know what a message is, where
it goes, or what time it is. It is not safe for several threads at once: its owner locks. Its
frozen results are in outcome.py, and exported here too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from iot_producer.errors import DataError
from iot_producer.outcome import LaneRanges, PartialBlock, State, TallySnapshot
from iot_producer.ranges import RangeSet

__all__ = ["LaneRanges", "LaneTally", "PartialBlock", "State", "TallySnapshot"]

_MAX_REASONS = 50
_OTHER_REASONS = "other reasons"


@dataclass(slots=True)
class _Open:
    """A block that was sent to several partitions, and what is known of each."""

    first: int
    stop: int
    remaining: dict[int, int]
    confirmed: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)


class LaneTally:
    """The mutable account of one lane. Messages are sent or skipped in order, each once.

    Receipts may come in any order. What a receipt says must fit what was sent: anything else
    raises ``DataError``, for it would confirm a message that was not.
    """

    __slots__ = (
        "_blocks",
        "_closed",
        "_confirmed",
        "_failed",
        "_failed_reasons",
        "_n_confirmed",
        "_n_failed",
        "_next",
        "_not_sent_reasons",
        "_open",
        "_partial",
        "_scheduled",
        "_sent",
        "_skipped",
    )

    def __init__(self) -> None:
        self._scheduled = 0
        self._next = 0
        self._sent = RangeSet()
        self._skipped = 0
        self._open = RangeSet()  # sent as a whole, no receipt yet
        self._blocks: dict[int, _Open] = {}  # sent by partition, by first message
        self._confirmed = RangeSet()
        self._failed = RangeSet()
        self._partial: list[PartialBlock] = []
        self._n_confirmed = 0
        self._n_failed = 0
        self._failed_reasons: Counter[str] = Counter()
        self._not_sent_reasons: Counter[str] = Counter()
        self._closed = False

    @property
    def next(self) -> int:
        """The first message that was neither sent nor skipped nor passed over."""
        return self._next

    def schedule_to(self, n: int) -> None:
        """Messages 0 … ``n`` - 1 have come due; a smaller ``n`` than before changes nothing."""
        self._require_open()
        self._scheduled = max(self._scheduled, n)

    def sent(self, first: int, stop: int, n_by_partition: Mapping[int, int] | None = None) -> None:
        """Messages ``[first, stop)`` were handed to the destination as one block.

        Args:
            first: at or after ``next``; what is passed over stays unsent.
            stop: at most what is scheduled.
            n_by_partition: how many of them went to which partition, where receipts come by
                partition; None: a receipt may name any range of whole messages.

        Raises:
            DataError: sent before, not scheduled, or the partitions do not add up.
        """
        self._take(first, stop, "sent")
        if n_by_partition is None:
            self._open.add(first, stop)
        else:
            remaining = {p: n for p, n in n_by_partition.items() if n}
            if sum(remaining.values()) != stop - first or min(remaining.values()) < 0:
                raise DataError(
                    f"block [{first}, {stop}) is not the sum of its partitions: {remaining}"
                )
            self._blocks[first] = _Open(first, stop, remaining)
        self._sent.add(first, stop)
        self._next = stop

    def skip(self, first: int, stop: int, reason: str) -> None:
        """Messages ``[first, stop)`` are given up: they count as not sent, for ``reason``.

        Raises:
            DataError: sent or skipped before, or not scheduled.
        """
        self._take(first, stop, "skipped")
        self._skipped += stop - first
        _count_reason(self._not_sent_reasons, reason, stop - first)
        self._next = stop

    def confirmed(self, first: int, stop: int, partition: int | None, n_records: int) -> None:
        """A receipt came.

        Args:
            first, stop: a block that was sent by partition, exactly; or any range of messages
                that were sent as whole blocks.
            partition: which part of the block; None: all of it.
            n_records: how many messages the receipt is for; of a partition it may be some.

        Raises:
            DataError: these messages were not sent, or their fate is known already.
        """
        self._resolve(first, stop, partition, n_records, None)

    def failed(
        self, first: int, stop: int, partition: int | None, n_records: int, reason: str
    ) -> None:
        """The destination refused messages, for ``reason``; arguments as in ``confirmed``.

        Raises:
            DataError: these messages were not sent, or their fate is known already.
        """
        self._resolve(first, stop, partition, n_records, reason)

    def close(self, reason: str = "stopped") -> None:
        """Nothing comes after this: what is open is unconfirmed, what is overdue is not sent.

        Args:
            reason: why overdue messages were not sent.
        """
        if not self._closed:
            _count_reason(self._not_sent_reasons, reason, self.snapshot().overdue)
            self._closed = True

    def snapshot(self) -> TallySnapshot:
        """The counts of the moment."""
        return TallySnapshot(
            self._scheduled, self._sent.count, self._n_confirmed, self._n_failed, self._skipped
        )

    def ranges(self) -> LaneRanges:
        """Which messages met which fate, if nothing came after this moment.

        Until ``close`` the reasons do not cover what is overdue.
        """
        unconfirmed = self._open.copy()
        partial = list(self._partial)
        for block in self._blocks.values():
            if block.confirmed or block.failed:
                partial.extend(_parts_of(block))
            else:
                unconfirmed.add(block.first, block.stop)
        return LaneRanges(
            self._confirmed.copy(),
            self._failed.copy(),
            unconfirmed,
            RangeSet([(0, self._scheduled)]).difference(self._sent),
            tuple(sorted(partial, key=lambda part: (part.first, part.partition, part.state))),
            dict(self._failed_reasons),
            dict(self._not_sent_reasons),
        )

    def _require_open(self) -> None:
        if self._closed:
            raise DataError("the tally is closed: nothing can be counted any more")

    def _take(self, first: int, stop: int, what: str) -> None:
        self._require_open()
        if not self._next <= first < stop <= self._scheduled:
            raise DataError(
                f"messages [{first}, {stop}) cannot be {what}: "
                f"next is {self._next}, {self._scheduled} are scheduled"
            )

    def _resolve(
        self, first: int, stop: int, partition: int | None, n_records: int, reason: str | None
    ) -> None:
        self._require_open()
        block = self._blocks.get(first)
        if block is None:
            whole = partition is None and n_records == stop - first > 0
            if not whole or not self._open.contains(first, stop):
                raise _stray(first, stop, partition, n_records)
            self._open.remove(first, stop)
            (self._confirmed if reason is None else self._failed).add(first, stop)
        else:
            self._resolve_part(block, stop, partition, n_records, reason is not None)
        if reason is None:
            self._n_confirmed += n_records
        else:
            self._n_failed += n_records
            _count_reason(self._failed_reasons, reason, n_records)

    def _resolve_part(
        self, block: _Open, stop: int, partition: int | None, n_records: int, failed: bool
    ) -> None:
        if partition is None:
            parts = dict(block.remaining)
            fits = not block.confirmed and not block.failed and n_records == sum(parts.values())
        else:
            parts = {partition: n_records}
            fits = 0 < n_records <= block.remaining.get(partition, 0)
        if not fits or stop != block.stop:
            raise _stray(block.first, stop, partition, n_records)
        for part, n in parts.items():
            (block.failed if failed else block.confirmed)[part] += n
            block.remaining[part] -= n
            if not block.remaining[part]:
                del block.remaining[part]
        if block.remaining:
            return
        del self._blocks[block.first]
        if not block.failed:
            self._confirmed.add(block.first, block.stop)
        elif not block.confirmed:
            self._failed.add(block.first, block.stop)
        else:
            self._partial.extend(_parts_of(block))


def _stray(first: int, stop: int, partition: int | None, n_records: int) -> DataError:
    where = "" if partition is None else f" of partition {partition}"
    return DataError(
        f"a receipt for {n_records} messages{where} of [{first}, {stop}) "
        "that were not sent so, or whose fate is known already"
    )


def _parts_of(block: _Open) -> list[PartialBlock]:
    return [
        PartialBlock(block.first, block.stop, partition, n, state)
        for state, counts in (
            (State.CONFIRMED, block.confirmed),
            (State.FAILED, block.failed),
            (State.UNCONFIRMED, block.remaining),
        )
        for partition, n in counts.items()
    ]


def _count_reason(reasons: Counter[str], reason: str, n: int) -> None:
    """Count, keeping the number of different reasons bounded: messages of brokers vary."""
    if n:
        known = reason in reasons or len(reasons) < _MAX_REASONS
        reasons[reason if known else _OTHER_REASONS] += n
