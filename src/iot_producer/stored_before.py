"""Which messages of a resumed lane the broker has already, block by block.

Promise: a message whose sequence id is not above the last one of its partition is never sent again:
with deduplication the broker would drop it, and the rest of its entry too, and confirm both. It
must not know where the ids come from, nor what becomes of the messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from iot_producer.blocks import Block
from iot_producer.pulsar.message_keys import partition_of


class StoredBefore:
    """What is stored under the name of one lane.

    Args:
        last_ids: by partition (one where the topic has none), the highest sequence id that is
            stored; −1: none. Empty: nothing is stored.
    """

    def __init__(self, last_ids: Sequence[int] = ()) -> None:
        self._last_ids = np.array(last_ids, dtype=np.int64)
        self._until_ns = max(last_ids, default=-1)

    def may_have(self, block: Block) -> bool:
        """Whether any of a block may be stored; of most blocks nothing is."""
        return block.start_ns <= self._until_ns

    def runs(self, block: Block) -> Iterator[tuple[Block, bool]]:
        """A block in pieces, each with whether all of it is stored."""
        if not self.may_have(block):
            yield block, False
            return
        last_ids = self._last_ids[partition_of(block.devices, len(self._last_ids))]
        is_stored = block.intended_ns <= last_ids
        cuts = [0, *(np.flatnonzero(np.diff(is_stored)) + 1).tolist(), block.n]
        for start, stop in pairwise(cuts):
            yield block.part(start, stop), bool(is_stored[start])
