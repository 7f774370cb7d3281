"""The entries of blocks, one or more on each partition: made when they are sent, or ahead of that.

Promise: what is made ahead is what would be made later but for the time of publishing, which is
then that of the block's last message; it is used only for the very block, on the very topic, that
it was made for, and soon. It must not know connections, receipts, or the clock.

Why ahead: one small block after another, the code and the tables are in the processor's caches. A
block that is made after a sleep of 3 ms costs four times as much (docs/adr/0011).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import NS_PER_MS, Block
from iot_producer.fleet import Fleet
from iot_producer.pulsar.entry import EntryBuilder
from iot_producer.pulsar.framing import Framer
from iot_producer.pulsar.producer import Outgoing, Producer
from iot_producer.pulsar.routing import grouped
from iot_producer.pulsar.topic_producers import Topic

_STALE_NS: Final = 1_000_000_000


@dataclass(slots=True, eq=False)
class Part:
    """The messages of one block that go to one partition.

    Attributes:
        first, stop: the messages of the block.
        n: how many of them are in this part.
        partition: None where the topic has none.
        members: int32[n], places in the block; None for all of them.
        n_open: entries without an answer.
        error: why one of them failed.
    """

    first: int
    stop: int
    n: int
    partition: int | None
    members: NDArray[np.int32] | None
    n_open: int = 0
    error: str = ""


@dataclass(slots=True, eq=False)
class BlockEntries:
    """A block, ready to be sent.

    Attributes:
        block: the block.
        topic: where to.
        parts: of the block, by partition.
        entries: in the order of sending, each with its producer.
        too_old: parts without entries, for the broker would drop them; with their producer.
        raw_bytes: of the records, before compression.
    """

    block: Block
    topic: Topic
    parts: list[Part]
    entries: list[tuple[Producer, Outgoing]] = field(default_factory=list)
    too_old: list[tuple[Part, Producer]] = field(default_factory=list)
    raw_bytes: int = 0


class EntryMaker:
    """Makes the entries of one fleet's blocks; used from one thread.

    Args:
        fleet: whose records.
        compression: one of entry.COMPRESSIONS.
    """

    def __init__(self, fleet: Fleet, compression: str) -> None:
        self._framer = Framer(EntryBuilder(fleet, compression))
        self._ahead: deque[BlockEntries] = deque()

    def prepare(self, block: Block, topic: Topic) -> None:
        """Make the entries of a block that will be taken after all that were prepared before it."""
        self._ahead.append(self._made(block, topic, block.last_ns // NS_PER_MS))

    def take(self, block: Block, topic: Topic, now_ns: int) -> BlockEntries:
        """The entries of a block.

        Args:
            block: to be sent.
            topic: where to.
            now_ns: for entries that were not prepared, ns since the epoch.
        """
        while self._ahead:
            made = self._ahead.popleft()
            if made.block is block and made.topic is topic and now_ns < block.last_ns + _STALE_NS:
                return made
            for _, entry in made.entries:
                self._framer.drop(entry)
        return self._made(block, topic, now_ns // NS_PER_MS)

    def release(self, entry: Outgoing) -> None:
        """An entry is settled: see `Framer.release`."""
        self._framer.release(entry)

    def _made(self, block: Block, topic: Topic, publish_ms: int) -> BlockEntries:
        made = BlockEntries(block, topic, parts_of(block, topic))
        intended_ns = block.intended_ns
        for part in made.parts:
            producer = topic.producers[part.partition or 0]
            devices, ids = block.devices, intended_ns
            if part.members is not None:
                devices, ids = devices[part.members], ids[part.members]
            elif topic.n_partitions:
                part.members = np.arange(block.n, dtype=np.int32)
            if ids[0] <= producer.last_id:
                # The broker would drop the whole entry, and confirm it all the same.
                made.too_old.append((part, producer))
                continue
            for entry, n_bytes in self._framer.entries(producer, devices, ids, publish_ms, part):
                part.n_open += 1
                made.entries.append((producer, entry))
                made.raw_bytes += n_bytes
        return made


def parts_of(block: Block, topic: Topic) -> list[Part]:
    """The messages of a block by partition, without those partitions that get none."""
    n_partitions = topic.n_partitions
    first, stop = block.first, block.stop
    if not n_partitions:
        return [Part(first, stop, block.n, None, None)]
    if n_partitions == 1:
        return [Part(first, stop, block.n, 0, None)]
    order, bounds = grouped(block.devices, n_partitions)
    at = bounds.tolist()
    return [
        Part(first, stop, at[p + 1] - at[p], p, order[at[p] : at[p + 1]])
        for p in range(n_partitions)
        if at[p] < at[p + 1]
    ]
