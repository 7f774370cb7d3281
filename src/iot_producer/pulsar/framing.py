"""A block's messages for one partition as entries that are ready to be sent.

Promise: no entry is larger than the broker takes; whoever is told that an entry is settled gives it
back here, and its buffer is used again only if nothing of it is still to be sent. It must not know
partitions or connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.pulsar.channel import Parcel
from iot_producer.pulsar.commands import Compression, MessageMetadata
from iot_producer.pulsar.entry import LZ4, LZ4_LIBRARY, NONE, EntryBuilder, EntryPayload
from iot_producer.pulsar.producer import Outgoing, Producer
from iot_producer.pulsar.wire import HEADROOM, send_frame

_NUMBERS: Final = {
    LZ4: Compression.LZ4,
    LZ4_LIBRARY: Compression.LZ4,
    "zlib": Compression.ZLIB,
    "zstd": Compression.ZSTD,
    "snappy": Compression.SNAPPY,
    NONE: Compression.NONE,
}


class Framer:
    """Makes entries with one builder; used from one thread.

    Args:
        builder: makes their payloads.
    """

    def __init__(self, builder: EntryBuilder) -> None:
        self._builder = builder
        self._compression = int(_NUMBERS[builder.compression])

    def entries(
        self,
        producer: Producer,
        devices: NDArray[np.int32],
        intended_ns: NDArray[np.int64],
        publish_ms: int,
        tag: Any,
    ) -> Iterator[tuple[Outgoing, int]]:
        """Entries for a producer, most often one.

        Args:
            producer: who will send them.
            devices: int32[n].
            intended_ns: int64[n], not falling; the sequence ids.
            publish_ms: the time to put on them, ms since the epoch.
            tag: of each entry, with its payload: ``(tag, payload)``.

        Yields:
            an entry, and the bytes of its records before compression.
        """
        payload = self._builder.build(devices, intended_ns)
        most = producer.max_message_bytes - HEADROOM
        if payload.n_bytes > most and payload.n_records > 1:
            n_pieces = min(-(-payload.n_bytes * 17 // (most * 16)), payload.n_records)
            self._builder.release(payload)
            cuts = [payload.n_records * i // n_pieces for i in range(n_pieces + 1)]
            for start, stop in pairwise(cuts):
                part = slice(start, stop)
                yield from self.entries(producer, devices[part], intended_ns[part], publish_ms, tag)
            return
        yield self._entry(producer, payload, publish_ms, (tag, payload)), payload.raw_bytes

    def release(self, entry: Outgoing) -> None:
        """An entry is settled: its buffer is free, unless the entry is just being sent again."""
        if entry.parcel.is_written:
            self._builder.release(entry.tag[1])

    def drop(self, entry: Outgoing) -> None:
        """An entry will not be sent: its buffer is free."""
        self._builder.release(entry.tag[1])

    def _entry(
        self, producer: Producer, payload: EntryPayload, publish_ms: int, tag: Any
    ) -> Outgoing:
        metadata = MessageMetadata(
            producer_name=producer.name,
            sequence_id=payload.first_id,
            publish_time=publish_ms,
            partition_key=payload.first_key.decode(),
            num_messages_in_batch=payload.n_records,
            highest_sequence_id=payload.last_id,
        )
        if self._compression:
            metadata.compression = self._compression
            metadata.uncompressed_size = payload.uncompressed_bytes
        frame = send_frame(
            payload.buffer,
            payload.start,
            payload.stop,
            producer_id=producer.number,
            sequence_id=payload.first_id,
            highest_sequence_id=payload.last_id,
            n_messages=payload.n_records,
            metadata=metadata.SerializeToString(),
        )
        parcel = Parcel(producer, frame)
        return Outgoing(parcel, payload.first_id, payload.last_id, payload.n_records, tag)
