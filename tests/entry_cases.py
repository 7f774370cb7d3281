"""What entries are compared with: protobuf's own bytes, and LZ4 blocks read by the book."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
import lz4.block
import numpy as np
from numpy.typing import NDArray

from iot_producer.fleet import Fleet
from iot_producer.pulsar.commands import SingleMessageMetadata
from iot_producer.record_sums import columns_of
from plain_record import TYPES, plain_json

Restore = Callable[[bytes, int], bytes]

LZ4_DECODERS: dict[str, Restore] = {
    "lz4": lambda block, n: lz4.block.decompress(block, uncompressed_size=n),
    "cramjam": lambda block, n: bytes(cramjam.lz4.decompress_block(block, output_len=n)),
}
RESTORE: dict[str, Restore] = {
    "lz4": LZ4_DECODERS["lz4"],
    "lz4-library": LZ4_DECODERS["lz4"],
    "zstd": lambda block, n: bytes(cramjam.zstd.decompress(block)),
    "zlib": lambda block, n: bytes(cramjam.zlib.decompress(block)),
    "snappy": lambda block, n: bytes(cramjam.snappy.decompress_raw(block)),
    "none": lambda block, n: block,
}


def message(record: Sequence[int], sequence_id: int) -> bytes:
    """A message of a batch, from its record's 25 integers, as the protobuf library writes it."""
    text = plain_json(record).encode()
    metadata: Any = SingleMessageMetadata()
    for key, value in (
        ("device_type", TYPES[record[1]]),
        ("customer_id", f"cust-{record[2]:06d}"),
    ):
        entry = metadata.properties.add()
        entry.key, entry.value = key, value
    metadata.partition_key = f"dev-{record[0]:07d}"
    metadata.payload_size = len(text)
    metadata.event_time = sequence_id // 10**6
    metadata.sequence_id = sequence_id
    head = metadata.SerializeToString()
    return len(head).to_bytes(4, "big") + head + text


def plain_entry(fleet: Fleet, devices: NDArray[np.int32], intended_ns: NDArray[np.int64]) -> bytes:
    """An entry's uncompressed payload."""
    records = columns_of(fleet, devices, intended_ns // 10**6).T.tolist()
    return joined(records, intended_ns.tolist())


def joined(records: Iterable[Sequence[int]], sequence_ids: Iterable[int]) -> bytes:
    """Messages one behind the other."""
    return b"".join(
        message(record, number) for record, number in zip(records, sequence_ids, strict=True)
    )


@dataclass(frozen=True)
class Match:
    """One sequence of an LZ4 block: where its match begins in the text, and what it repeats."""

    n_literals: int
    at: int
    distance: int
    n_match: int


def read_block(block: bytes) -> tuple[bytes, list[Match]]:
    """The text of an LZ4 block and its matches; an AssertionError for anything out of the book.

    The block format's rules: distances 1 … 65535 and not before the start, matches of 4 bytes at
    least; the last sequence has literals only, 5 at least where there is a match; the last match
    begins 12 bytes or more before the end. Nothing is behind it.
    """
    text = bytearray()
    found: list[Match] = []
    p = 0

    def longer(nibble: int) -> int:
        nonlocal p
        total = nibble
        if nibble == 15:
            while True:
                step = block[p]
                p += 1
                total += step
                if step != 255:
                    break
        return total

    while True:
        token = block[p]
        p += 1
        n_literals = longer(token >> 4)
        literals = block[p : p + n_literals]
        assert len(literals) == n_literals, "literals beyond the block's end"
        p += n_literals
        text += literals
        if p == len(block):
            assert token & 15 == 0, "the last token has no match"
            break
        assert p + 2 <= len(block), "half a distance"
        distance = int.from_bytes(block[p : p + 2], "little")
        p += 2
        n_match = longer(token & 15) + 4
        assert 1 <= distance <= len(text), f"distance {distance} at {len(text)}"
        found.append(Match(n_literals, len(text), distance, n_match))
        for _ in range(n_match):
            text.append(text[-distance])
    if found:
        assert n_literals >= 5
        assert found[-1].at <= len(text) - 12
    return bytes(text), found
