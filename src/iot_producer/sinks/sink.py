"""The seam between a worker and a destination: Sink and Receipt.

Promise: a sink takes whole blocks, chooses the encoding itself, and says with receipts which ranges
of messages the destination confirmed or refused, by partition where there are any. It must never
make up a confirmation. It must not know about schedules, tallies or clocks other than for stamps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import Block
from iot_producer.sink_counters import SinkCounters

__all__ = ["PreparingSink", "Receipt", "Sent", "Sink", "SinkCounters"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the destination said about a range of messages.

    Attributes:
        first: index of the block's first message.
        stop: index behind its last message.
        n_records: how many messages of the range it speaks of: all, or those of one partition.
        at_ns: when it arrived, ns since the epoch.
        partition: which partition it speaks of; None when the topic has none.
        members: int32[n_records], places in the block that belong to the partition; None for all.
        error: empty when confirmed, else why it failed.
    """

    first: int
    stop: int
    n_records: int
    at_ns: int
    partition: int | None = None
    members: NDArray[np.int32] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sink did with a block.

    Attributes:
        at_ns: when it was handed to the destination (the last record of it), ns since the epoch.
        raw_bytes: bytes of its records' text or columns, before compression.
        n_by_partition: records for each partition that receipts will name; empty when the topic has
            no partitions.
    """

    at_ns: int
    raw_bytes: int
    n_by_partition: Mapping[int, int]


class Sink(Protocol):
    """A destination, for one lane. Used from one thread.

    Creating a sink connects it or raises a DestinationError (unreachable, refused) or a UsageError.
    """

    def send(self, block: Block) -> Sent:
        """Take a block. May wait while the destination's queue is full (that shows as lag).

        Raises:
            DestinationError: the destination is gone for good; everything without a receipt stays
                unconfirmed.
        """
        ...

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        """Receipts that arrived since the last call; waits up to ``timeout_s`` for the first."""
        ...

    def drain(self, timeout_s: float) -> None:
        """Push out what is buffered; wait up to ``timeout_s`` until every block has its receipt.

        The receipts are fetched with :meth:`receipts` afterwards.
        """
        ...

    def counters(self) -> SinkCounters:
        """What it has counted since it was opened; zero where it has nothing to count.

        Asked several times a second, also after :meth:`close`.
        """
        ...

    def close(self) -> None:
        """Release everything; what is unfinished stays unconfirmed. Files become complete here."""
        ...


@runtime_checkable
class PreparingSink(Protocol):
    """A sink that can make a small block ready while there is time, to send it quicker later."""

    def prepare(self, block: Block) -> None:
        """A block that will be sent, if all goes as planned, after those prepared before it.

        A hint: it may be followed by a ``send`` of any other block.
        """
        ...
