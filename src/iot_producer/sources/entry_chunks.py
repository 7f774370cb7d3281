"""Entries of a topic as chunks of records: uncompressed and taken apart by compiled code.

Promise: every message of every entry becomes one record of a chunk, in its order, with its bytes;
what is no readable batch becomes one record that nobody can explain: it counts, and nothing is
raised. Keys and properties become Python objects only for those that are looked at. It must not
know where entries come from.

As with the official clients, messages that compaction took out of a batch do not count, and of a
message in chunks only the last part does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from iot_producer.chunk import Around, Chunk
from iot_producer.pulsar.commands import (
    Compression,
    MessageMetadata,
    SingleMessageMetadata,
)
from iot_producer.pulsar.compression import MOST_BYTES, restore_into
from iot_producer.pulsar.entry_scan import scan_batch
from iot_producer.pulsar.reader import StoredEntry
from iot_producer.record_scan import frozen

T = TypeVar("T")

_LEAST_MESSAGE_BYTES: Final = 6  # four of its size, two of metadata
_COLUMNS: Final = 8


def chunks_of(entries: Iterable[StoredEntry], partition: int) -> Iterator[Chunk]:
    """The records of some entries of one partition, in order.

    Args:
        entries: together they should hold a few thousand messages: that many are compared at once.
        partition: its number.
    """
    batches: list[StoredEntry] = []
    others: list[StoredEntry] = []
    for entry in entries:
        if _is_batch(entry):
            if others:
                yield from _of_others(others, partition)
                others = []
            batches.append(entry)
        else:
            if batches:
                yield from _of_batches(batches, partition)
                batches = []
            others.append(entry)
    yield from _of_batches(batches, partition)
    yield from _of_others(others, partition)


class _Lazy(Sequence[T]):
    """A text or table of each message, made when it is asked for."""

    __slots__ = ("_make", "_places")

    def __init__(self, make: Callable[[int], T], places: range) -> None:
        self._make = make
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return _Lazy(self._make, self._places[index])
        return self._make(self._places[index])


def _is_batch(entry: StoredEntry) -> bool:
    body = entry.body
    return (
        body is not None
        and body.checksum_ok
        and bool(body.metadata.HasField("num_messages_in_batch"))
        and not body.metadata.encryption_keys
        and _full_bytes(entry) <= MOST_BYTES
    )


def _full_bytes(entry: StoredEntry) -> int:
    """Of the payload, uncompressed."""
    assert entry.body is not None
    if entry.body.metadata.compression == Compression.NONE:
        return len(entry.body.payload)
    return int(entry.body.metadata.uncompressed_size)


def _of_batches(entries: Sequence[StoredEntry], partition: int) -> Iterator[Chunk]:
    if not entries:
        return
    sizes = [_full_bytes(entry) for entry in entries]
    counts = [
        min(entry.n_permits, size // _LEAST_MESSAGE_BYTES)
        for entry, size in zip(entries, sizes, strict=True)
    ]
    buffer = np.empty(sum(sizes), dtype=np.uint8)
    table = np.empty((_COLUMNS, sum(counts)), dtype=np.int64)
    received_ns = np.empty(sum(counts), dtype=np.int64)
    source = frozen(buffer)
    at, first, found = 0, 0, 0
    for entry, size, count in zip(entries, sizes, counts, strict=True):
        assert entry.body is not None
        end = at + size
        metadata, payload = entry.body.metadata, entry.body.payload
        n, stopped = 0, at
        is_whole = restore_into(metadata.compression, payload, buffer[at:end])
        if is_whole:
            n, stopped = scan_batch(source, at, end, count, found, *table)
        received_ns[found : found + n] = entry.received_ns
        found += n
        if not is_whole or stopped != end:
            yield from _of_table(source, table, received_ns, first, found, partition)
            first = found
            rest = source[stopped:end].tobytes() if is_whole else bytes(payload)
            yield _unreadable(rest, entry, partition)
        at = end
    yield from _of_table(source, table, received_ns, first, found, partition)


def _of_table(
    buffer: NDArray[np.uint8],
    table: NDArray[np.int64],
    received_ns: NDArray[np.int64],
    first: int,
    stop: int,
    partition: int,
) -> Iterator[Chunk]:
    if stop == first:
        return
    heads, starts, ends, times_ms, sequence_ids, devices, kinds, customers = table[:, first:stop]

    def metadata(i: int) -> SingleMessageMetadata:
        found = SingleMessageMetadata()
        found.ParseFromString(buffer[heads[i] : starts[i]].tobytes())
        return found

    def key(i: int) -> str:
        return _key(metadata(i))

    def properties(i: int) -> Mapping[str, str]:
        return _properties(metadata(i))

    n = stop - first
    yield Chunk(
        buffer,
        starts,
        ends,
        times_ms,
        _Lazy(key, range(n)),
        _Lazy(properties, range(n)),
        partition,
        Around(devices, kinds, customers),
        sequence_ids,
        received_ns[first:stop],
    )


def _of_others(entries: Sequence[StoredEntry], partition: int) -> Iterator[Chunk]:
    """Entries of one message each: Python for each of them, 20 µs."""
    texts: list[bytes] = []
    times_ms: list[int] = []
    keys: list[str] = []
    properties: list[Mapping[str, str]] = []
    sequence_ids: list[int] = []
    received_ns: list[int] = []
    for entry in entries:
        metadata = MessageMetadata() if entry.body is None else entry.body.metadata
        if metadata.marker_type or metadata.chunk_id < metadata.num_chunks_from_msg - 1:
            continue
        texts.append(_payload(entry))
        times_ms.append(_signed(metadata.event_time))
        keys.append(_key(metadata))
        properties.append(_properties(metadata))
        sequence_ids.append(_signed(metadata.sequence_id))
        received_ns.append(entry.received_ns)
    if not texts:
        return
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    ends = np.cumsum(lengths)
    yield Chunk(
        np.frombuffer(b"".join(texts), dtype=np.uint8),
        ends - lengths,
        ends,
        np.array(times_ms, dtype=np.int64),
        keys,
        properties,
        partition,
        None,
        np.array(sequence_ids, dtype=np.int64),
        np.array(received_ns, dtype=np.int64),
    )


def _unreadable(text: bytes, entry: StoredEntry, partition: int) -> Chunk:
    none = np.full(1, -1, dtype=np.int64)
    return Chunk(
        np.frombuffer(text, dtype=np.uint8),
        np.zeros(1, dtype=np.int64),
        np.array([len(text)], dtype=np.int64),
        none,
        [""],
        [{}],
        partition,
        None,
        none,
        np.array([entry.received_ns], dtype=np.int64),
    )


def _payload(entry: StoredEntry) -> bytes:
    """The text of an entry's one message; as it is stored where it cannot be restored."""
    body = entry.body
    if body is None:
        return b""
    size = _full_bytes(entry)
    if body.metadata.compression == Compression.NONE or body.metadata.encryption_keys:
        return bytes(body.payload)
    if size > MOST_BYTES:
        return bytes(body.payload)
    text = np.empty(size, dtype=np.uint8)
    restored = restore_into(body.metadata.compression, body.payload, text)
    return text.tobytes() if restored else bytes(body.payload)


def _key(metadata: MessageMetadata | SingleMessageMetadata) -> str:
    return "" if metadata.null_partition_key else _text(metadata.partition_key)


def _properties(metadata: MessageMetadata | SingleMessageMetadata) -> Mapping[str, str]:
    return {_text(each.key): _text(each.value) for each in metadata.properties}


def _text(found: str | bytes) -> str:
    """Protobuf gives text that is not UTF-8 as bytes."""
    return found if isinstance(found, str) else found.decode("utf-8", "backslashreplace")


def _signed(number: int) -> int:
    """An unsigned number of 64 bits as int64 has it."""
    return number - (1 << 64) if number >= 1 << 63 else number
