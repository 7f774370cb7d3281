"""Records as they were found somewhere: the seam between a source and what verifies them.

Promise: a chunk holds texts as they were read, byte for byte, in the order of reading, with what
the message around them said, where there was one. It must not know where they were read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Around:
    """What keys and properties of a chunk's messages say, as numbers: no object for each message.

    Attributes:
        devices: int64[n], the devices whose ids the keys are; −1 where a key is none.
        kinds, customers: int64[n], numbers of the type and the customer in the properties; −1 both
            where the properties are anything but exactly these two.
    """

    devices: NDArray[np.int64]
    kinds: NDArray[np.int64]
    customers: NDArray[np.int64]

    def part(self, start: int, stop: int) -> Around:
        """Of the records ``[start, stop)``."""
        return Around(self.devices[start:stop], self.kinds[start:stop], self.customers[start:stop])


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records of one partition (or file), in the order in which they lie there.

    Attributes:
        buffer: uint8[n_bytes], in which the texts lie.
        starts, ends: int64[n], where each text begins and ends in it.
        times_ms: int64[n], event times of the messages, ms since the epoch; None where there is no
            message around the text.
        keys: the messages' keys; None where there is no message.
        properties: the messages' properties; None where there are none to compare.
        partition: which partition of the topic, or which file of several; from 0.
        around: what keys and properties say; None where a source did not look, and they count.
        sequence_ids: int64[n], as the producer gave them, −1 for none; None where unknown.
        received_ns: int64[n], when each was here, ns since the epoch; None where unknown.
    """

    buffer: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    times_ms: NDArray[np.int64] | None = None
    keys: Sequence[str] | None = None
    properties: Sequence[Mapping[str, str]] | None = None
    partition: int = 0
    around: Around | None = None
    sequence_ids: NDArray[np.int64] | None = None
    received_ns: NDArray[np.int64] | None = None

    @property
    def n(self) -> int:
        """How many records."""
        return len(self.ends)

    def text(self, i: int) -> bytes:
        """The text of one record."""
        return self.buffer[self.starts[i] : self.ends[i]].tobytes()

    def part(self, start: int, stop: int) -> Chunk:
        """The records ``[start, stop)``; the buffer is shared."""
        return Chunk(
            self.buffer,
            self.starts[start:stop],
            self.ends[start:stop],
            None if self.times_ms is None else self.times_ms[start:stop],
            None if self.keys is None else self.keys[start:stop],
            None if self.properties is None else self.properties[start:stop],
            self.partition,
            None if self.around is None else self.around.part(start, stop),
            None if self.sequence_ids is None else self.sequence_ids[start:stop],
            None if self.received_ns is None else self.received_ns[start:stop],
        )

    @classmethod
    def of_texts(
        cls,
        texts: Sequence[bytes],
        times_ms: Sequence[int] | NDArray[np.int64] | None = None,
        keys: Sequence[str] | None = None,
        properties: Sequence[Mapping[str, str]] | None = None,
        partition: int = 0,
    ) -> Chunk:
        """A chunk of single texts."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        ends = np.cumsum(lengths)
        return cls(
            np.frombuffer(b"".join(texts), dtype=np.uint8),
            ends - lengths,
            ends,
            None if times_ms is None else np.asarray(times_ms, dtype=np.int64),
            keys,
            properties,
            partition,
        )
