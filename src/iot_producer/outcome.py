"""What became of messages: counts that add up, and the ranges behind them; frozen results.

Promise: scheduled = confirmed + failed + unconfirmed + not sent, in every one of them; what breaks
the law cannot be made or read. This module must not know how they are counted (tally.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

from iot_producer.ranges import RangeSet


class State(StrEnum):
    """What became of a part of a block."""

    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class TallySnapshot:
    """Counts of messages; those of several lanes add up.

    Args:
        scheduled: came due.
        sent: handed to the destination.
        confirmed: sent, and a receipt came.
        failed: sent, and the destination said no.
        skipped: given up on purpose before they were sent.

    Raises:
        ValueError: the counts contradict each other.
    """

    scheduled: int = 0
    sent: int = 0
    confirmed: int = 0
    failed: int = 0
    skipped: int = 0

    def __post_init__(self) -> None:
        counts = [getattr(self, item.name) for item in fields(self)]
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError(f"a tally counts messages: {counts}")
        if self.confirmed + self.failed > self.sent or self.sent + self.skipped > self.scheduled:
            raise ValueError(f"a tally that does not add up: {self!r}")

    @property
    def unconfirmed(self) -> int:
        """Sent, and nothing is known of them (yet)."""
        return self.sent - self.confirmed - self.failed

    @property
    def not_sent(self) -> int:
        """Scheduled, and not sent (yet): skipped or overdue."""
        return self.scheduled - self.sent

    @property
    def overdue(self) -> int:
        """Scheduled, and neither sent nor skipped: the debt of the moment."""
        return self.scheduled - self.sent - self.skipped

    @property
    def complete(self) -> bool:
        """Whether all that was scheduled is confirmed."""
        return self.confirmed == self.scheduled

    @staticmethod
    def merge(parts: Iterable[TallySnapshot]) -> TallySnapshot:
        """The sum of all parts."""
        listed = list(parts)
        return TallySnapshot(
            sum(part.scheduled for part in listed),
            sum(part.sent for part in listed),
            sum(part.confirmed for part in listed),
            sum(part.failed for part in listed),
            sum(part.skipped for part in listed),
        )

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON, with all words of the law."""
        return {
            "scheduled": self.scheduled,
            "sent": self.sent,
            "confirmed": self.confirmed,
            "failed": self.failed,
            "unconfirmed": self.unconfirmed,
            "not_sent": self.not_sent,
            "skipped": self.skipped,
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> TallySnapshot:
        """Restore what ``to_dict`` gave; ValueError when it is damaged or the law is broken."""
        counts = [table.get(item.name) for item in fields(cls)]
        tally = cls(*[count if type(count) is int else -1 for count in counts])
        if tally.to_dict() != dict(table):
            raise ValueError(f"a tally that does not balance: {dict(table)!r:.300}")
        return tally


@dataclass(frozen=True, slots=True)
class PartialBlock:
    """A part of a block whose parts had different fates.

    Args:
        first, stop: the messages of the block, ``[first, stop)``.
        partition: those of them that went to this partition of the topic.
        n_records: how many.
        state: what became of them.
    """

    first: int
    stop: int
    partition: int
    n_records: int
    state: State


@dataclass(frozen=True, slots=True, eq=False)
class LaneRanges:
    """Which messages of a lane met which fate: a frozen result; do not change its sets.

    Args:
        confirmed, failed, unconfirmed, not_sent: messages whose block met one fate as a whole.
        partial: the parts of all other blocks.
        failed_reasons, not_sent_reasons: why, with counts of messages.
    """

    confirmed: RangeSet = field(default_factory=RangeSet)
    failed: RangeSet = field(default_factory=RangeSet)
    unconfirmed: RangeSet = field(default_factory=RangeSet)
    not_sent: RangeSet = field(default_factory=RangeSet)
    partial: tuple[PartialBlock, ...] = ()
    failed_reasons: Mapping[str, int] = field(default_factory=dict)
    not_sent_reasons: Mapping[str, int] = field(default_factory=dict)

    def count(self, state: State) -> int:
        """How many messages of whole and partial blocks met a fate."""
        whole: RangeSet = getattr(self, state.value)
        return whole.count + sum(part.n_records for part in self.partial if part.state == state)

    def check(self, tally: TallySnapshot) -> None:
        """Check that the ranges are disjoint, leave no gap, and add up to the counts.

        Raises:
            ValueError: they do not.
        """
        spans: dict[tuple[int, int], int] = {}
        for part in self.partial:
            span = (part.first, part.stop)
            spans[span] = spans.get(span, 0) + part.n_records
        if any(start >= stop or n != stop - start for (start, stop), n in spans.items()):
            raise ValueError("the parts of a block do not add up to it")
        whole = (self.confirmed, self.failed, self.unconfirmed, self.not_sent)
        everything = RangeSet(sorted([*spans, *(pair for ranges in whole for pair in ranges)]))
        n_listed = sum(ranges.count for ranges in whole) + sum(b - a for a, b in spans)
        if everything != RangeSet([(0, tally.scheduled)]) or n_listed != tally.scheduled:
            raise ValueError("the ranges overlap, or leave messages out")
        for name, found, wanted in (
            ("confirmed", self.count(State.CONFIRMED), tally.confirmed),
            ("failed", self.count(State.FAILED), tally.failed),
            ("unconfirmed", self.count(State.UNCONFIRMED), tally.unconfirmed),
            ("not sent", self.not_sent.count, tally.not_sent),
            ("reasons of failed", sum(self.failed_reasons.values()), tally.failed),
            ("reasons of not sent", sum(self.not_sent_reasons.values()), tally.not_sent),
        ):
            if found != wanted:
                raise ValueError(f"{name}: the ranges hold {found} and the tally {wanted}")

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "confirmed": self.confirmed.to_list(),
            "failed": self.failed.to_list(),
            "unconfirmed": self.unconfirmed.to_list(),
            "not_sent": self.not_sent.to_list(),
            "partial": [
                [part.first, part.stop, part.partition, part.n_records, part.state.value]
                for part in self.partial
            ],
            "failed_reasons": dict(self.failed_reasons),
            "not_sent_reasons": dict(self.not_sent_reasons),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> LaneRanges:
        """Restore what ``to_dict`` gave; ValueError when it is damaged."""
        return cls(
            RangeSet.from_list(table.get("confirmed")),
            RangeSet.from_list(table.get("failed")),
            RangeSet.from_list(table.get("unconfirmed")),
            RangeSet.from_list(table.get("not_sent")),
            _partial_of(table.get("partial")),
            _reasons_of(table.get("failed_reasons")),
            _reasons_of(table.get("not_sent_reasons")),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LaneRanges):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def _partial_of(listed: object) -> tuple[PartialBlock, ...]:
    if not isinstance(listed, list):
        raise ValueError("the partial blocks are missing")
    parts = []
    for item in listed:
        if (
            not isinstance(item, list)
            or len(item) != 5
            or any(type(number) is not int or number < 0 for number in item[:4])
        ):
            raise ValueError(f"not a part of a block: {item!r:.60}")
        first, stop, partition, n_records, state = item
        parts.append(PartialBlock(first, stop, partition, n_records, State(state)))
    return tuple(parts)


def _reasons_of(table: object) -> dict[str, int]:
    if not isinstance(table, dict) or any(
        type(reason) is not str or type(n) is not int or n < 1 for reason, n in table.items()
    ):
        raise ValueError(f"not a table of reasons: {table!r:.60}")
    return table
