"""What a sink counts beside its receipts, as one value that adds up over lanes.

Promise: frozen, additive, and zero where a destination has nothing to count. It must not know who
counts, nor who shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iot_producer.report_text import taken


@dataclass(frozen=True, slots=True)
class SinkCounters:
    """Counts of a sink since it was opened; those of several lanes add up.

    Attributes:
        wire_bytes: bytes of entries that were handed to connections, compressed and framed, those
            that were sent again included; 0 where the client does not tell.
        n_reconnects: how often a producer was made anew after it had worked; each partition has
            one.
        n_maybe_duplicated: messages that may be stored twice, for want of deduplication. It falls
            back to 0 when it turns out that the destination deduplicates.
        deduplicates: whether the destination does; None: that cannot be told.
    """

    wire_bytes: int = 0
    n_reconnects: int = 0
    n_maybe_duplicated: int = 0
    deduplicates: bool | None = None

    def __post_init__(self) -> None:
        counts = (self.wire_bytes, self.n_reconnects, self.n_maybe_duplicated)
        if any(count < 0 for count in counts):
            raise ValueError(f"a sink counts from 0: {self!r}")

    @staticmethod
    def merge(parts: Iterable[SinkCounters]) -> SinkCounters:
        """The sum of all parts; where they differ about deduplication, it is off."""
        listed = list(parts)
        found = [part.deduplicates for part in listed]
        return SinkCounters(
            sum(part.wire_bytes for part in listed),
            sum(part.n_reconnects for part in listed),
            sum(part.n_maybe_duplicated for part in listed),
            False if False in found else True if True in found else None,
        )

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "wire_bytes": self.wire_bytes,
            "n_reconnects": self.n_reconnects,
            "n_maybe_duplicated": self.n_maybe_duplicated,
            "deduplicates": self.deduplicates,
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> SinkCounters:
        """Restore what ``to_dict`` gave; ValueError when it is damaged."""
        deduplicates = table.get("deduplicates")
        if deduplicates is not None and not isinstance(deduplicates, bool):
            raise ValueError(f"'deduplicates' is not yes or no: {deduplicates!r:.60}")
        return cls(
            taken(table, "wire_bytes", int),
            taken(table, "n_reconnects", int),
            taken(table, "n_maybe_duplicated", int),
            deduplicates,
        )
