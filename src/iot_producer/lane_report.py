"""What one lane did: its counts, which messages met which fate, its histograms.

Promise: counts, ranges and blocks agree, or it cannot be made or read. It must not know the plan
that its messages are of, nor the file that it is written to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from iot_producer.latency import Latencies
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.report_text import taken, text_or_none
from iot_producer.sink_counters import SinkCounters


@dataclass(frozen=True, slots=True, eq=False)
class LaneReport:
    """What one lane did.

    Args:
        index: which lane of the plan, from 0.
        tally: counts of its messages.
        ranges: which of its messages (numbered within the lane, from 0) met which fate.
        latencies: its histograms, without the warm-up.
        blocks: with rate ``max`` only, int64 of shape (n_blocks, 2): number of messages and start
            (nanoseconds since the epoch) of each block in order; None for planned times.
        error: what ended the lane early; None: nothing did.
        sink: what its sink counted.

    Raises:
        ValueError: tally, ranges and blocks do not agree.
    """

    index: int
    tally: TallySnapshot
    ranges: LaneRanges
    latencies: Latencies = field(default_factory=Latencies.empty)
    blocks: NDArray[np.int64] | None = None
    error: str | None = None
    sink: SinkCounters = field(default_factory=SinkCounters)

    def __post_init__(self) -> None:
        self.ranges.check(self.tally)
        if self.blocks is not None:
            sizes, starts = self.blocks.reshape(-1, 2).T
            if (sizes < 1).any() or int(sizes.sum()) != self.tally.scheduled:
                raise ValueError(f"the blocks are not the {self.tally.scheduled} messages")
            if (starts[1:] < starts[:-1]).any():
                raise ValueError("the blocks do not start one after the other")

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "index": self.index,
            "tally": self.tally.to_dict(),
            "ranges": self.ranges.to_dict(),
            "latencies": self.latencies.to_dict(),
            "blocks": None if self.blocks is None else self.blocks.tolist(),
            "error": self.error,
            "sink": self.sink.to_dict(),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> LaneReport:
        """Restore what ``to_dict`` gave; ValueError when it is damaged."""
        return cls(
            taken(table, "index", int),
            TallySnapshot.from_dict(taken(table, "tally", dict)),
            LaneRanges.from_dict(taken(table, "ranges", dict)),
            Latencies.from_dict(taken(table, "latencies", dict)),
            None if table.get("blocks") is None else _blocks_of(taken(table, "blocks", list)),
            text_or_none(table, "error"),
            # Reports of before it was counted have none.
            SinkCounters.from_dict(taken(table, "sink", dict))
            if "sink" in table
            else SinkCounters(),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LaneReport):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def _blocks_of(listed: list[object]) -> NDArray[np.int64]:
    if not listed:
        return np.empty((0, 2), np.int64)
    try:
        # Without a dtype numpy keeps what it found: floats or objects give the damage away.
        blocks = np.array(listed)
    except ValueError as error:
        raise ValueError("the blocks are not pairs of numbers") from error
    if blocks.dtype != np.int64 or blocks.ndim != 2 or blocks.shape[1] != 2:
        raise ValueError("the blocks are not pairs of numbers")
    return blocks
