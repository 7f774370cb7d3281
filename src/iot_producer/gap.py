"""What a resumed lane leaves out: from the last message that is stored to the first of this run.

Promise: it says what the broker said, and nothing more: the ids are those that it gave when the
lane was taken. It must not know brokers, plans or files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from iot_producer.report_text import taken

STORED_BEFORE: Final = "stored before, by the lane's last run"
"""Why a message of a gap that is being filled is not sent: on its partition it was stored."""

LastIds = tuple[tuple[int, ...], ...]
"""By worker, and by partition (one where the topic has none): the highest sequence id that is
stored, which is an intended time in ns since the epoch; −1: nothing is known."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The stretch of a lane that nobody sent, between two runs of it.

    Args:
        since_ns: intended time of the last message that is surely stored with all before it, ns
            since the epoch: the least of ``last_ids``.
        until_ns: where this run's plan begins.
        n_messages: messages of this run's plan in between, those at both ends not counted; on
            partitions that were further on, some of them are stored. None: the plan has no times
            before its start.
        last_ids: what the broker said.

    Raises:
        ValueError: it ends before it begins, or the ids do not say where it begins.
    """

    since_ns: int
    until_ns: int
    n_messages: int | None
    last_ids: LastIds

    def __post_init__(self) -> None:
        if known_ids(self.last_ids)[:1] != [self.since_ns] or self.until_ns <= self.since_ns:
            raise ValueError(f"not a gap: {self!r:.300}")
        if self.n_messages is not None and self.n_messages < 0:
            raise ValueError(f"not a gap: {self!r:.300}")

    @property
    def is_filled(self) -> bool:
        """Whether nothing is left out."""
        return self.n_messages == 0

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "since_ns": self.since_ns,
            "until_ns": self.until_ns,
            "n_messages": self.n_messages,
            "last_ids": [list(ids) for ids in self.last_ids],
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> Gap:
        """Restore what ``to_dict`` gave; ValueError when it is damaged."""
        n_messages = table.get("n_messages")
        return cls(
            taken(table, "since_ns", int),
            taken(table, "until_ns", int),
            None if n_messages is None else taken(table, "n_messages", int),
            _last_ids_of(taken(table, "last_ids", list)),
        )


def known_ids(last_ids: Iterable[Sequence[int]]) -> list[int]:
    """All ids that say something, sorted."""
    return sorted(each for ids in last_ids for each in ids if each >= 0)


def _last_ids_of(listed: list[object]) -> LastIds:
    found = []
    for ids in listed:
        if not isinstance(ids, list) or any(type(each) is not int for each in ids):
            raise ValueError(f"not the last ids of a worker: {ids!r:.60}")
        found.append(tuple(ids))
    return tuple(found)
