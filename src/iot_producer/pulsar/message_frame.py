"""A message inside a batch entry, uncompressed: what stands before its record, and the record.

Promise: ``[size][SingleMessageMetadata][record]``, the metadata byte for byte as the protobuf
library serialises it: properties device_type and customer_id, partition_key, payload_size,
event_time, sequence_id. It must not know entries or compression.

    00 00 00 SS   0A LL  0A 0B device_type  12 NN <type>      the head: constant for a device type
                  0A 1A  0A 0B customer_id  12 0B cust-       (but SS, with the widths below)
                  <6 digits>  12 0B dev-  <7 digits>
                  18 <payload size>  28 <event time>  40 <sequence id>
    {"device_id":"dev-<7 digits>", …
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import Int, inlined, load8, store8
from iot_producer.encoders.device_text import T_CUSTOMER, T_DEVICE, T_TYPE
from iot_producer.encoders.json_rows import MAX_RECORD_BYTES, put_record
from iot_producer.encoders.text_pieces import lit, put
from iot_producer.encoders.words import literal_of
from iot_producer.schema import DEVICE_TYPES

HEAD_ROOM: Final = 64
"""Bytes of a row of :data:`HEADS`."""
CUSTOMER_BYTES: Final = 6  # digits
KEY_BYTES: Final = 11  # dev- and 7 digits
L_KEY: Final = literal_of("\x12\x0bdev-")
PAYLOAD_BYTES: Final = 3  # tag and a varint of two bytes: records are of 128 … 16383 bytes
MAX_METADATA_BYTES: Final = HEAD_ROOM + CUSTOMER_BYTES + 2 + KEY_BYTES + PAYLOAD_BYTES + 9 + 10
MAX_MESSAGE_BYTES: Final = MAX_METADATA_BYTES + MAX_RECORD_BYTES
"""No message is longer, counting what is written behind its end."""

LAST_NS: Final = 2**42 * 10**6
"""The last time of a message."""

_PAYLOAD_TAG: Final = 0x18
_TIME_TAG: Final = np.uint64(0x28)
_ID_TAG: Final = np.uint64(0x40)
_MORE: Final = np.uint64(0x8080808080808080)
_LOW7: Final = np.uint64(0x7F)
_MASK_28: Final = np.uint64(0x000000000FFFFFFF)
_MASK_14: Final = np.uint64(0x00003FFF00003FFF)
_MASK_7: Final = np.uint64(0x007F007F007F007F)
_LONG: Final = 1 << 56
_1: Final = np.uint64(1)
_2: Final = np.uint64(2)
_4: Final = np.uint64(4)
_24: Final = np.uint64(24)
_56: Final = np.uint64(56)


def _head(device_type: str) -> bytes:
    """A message up to its customer's digits; its size is still missing."""
    name = device_type.encode()
    return b"".join(
        [
            bytes([0, 0, 0, 0, 0x0A, 15 + len(name), 0x0A, 11]),
            b"device_type",
            bytes([0x12, len(name)]),
            name,
            bytes([0x0A, 26, 0x0A, 11]),
            b"customer_id",
            bytes([0x12, 11]),
            b"cust-",
        ]
    )


def _heads() -> NDArray[np.uint8]:
    rows = [_head(name).ljust(HEAD_ROOM, b"\0") for name in DEVICE_TYPES]
    return np.frombuffer(b"".join(rows), dtype=np.uint8)


HEADS: Final = _heads()
"""uint8[n types · HEAD_ROOM]: each device type's head."""
HEAD_BYTES: Final = np.array([len(_head(name)) for name in DEVICE_TYPES], dtype=np.int64)
"""int64[n types]: their lengths."""


@inlined
def all_inside(n_devices: Int, numbers: Any, intended_ns: Any) -> bool:
    """Whether all devices are of the fleet and all times in 0 … 2**42 ms since the epoch."""
    outside = False
    for i in range(len(numbers)):
        at = np.uint64(i)
        outside |= numbers[at] < 0 or numbers[at] >= n_devices
        outside |= intended_ns[at] < 0 or intended_ns[at] > LAST_NS
    return not outside


@inlined
def varint_width(value: Int) -> Int:
    """How many bytes a varint takes, for 0 … 2**63 − 1."""
    if value >= _LONG:
        return np.int64(9)
    width = np.int64(1)
    while value >= 128:
        value >>= 7
        width += 1
    return width


@inlined
def varint_word(value: Int, width: Int) -> Any:
    """The first 8 bytes of a varint of ``width`` bytes; the ninth is ``value >> 56``."""
    word = np.uint64(value) & ((_1 << _56) - _1)
    word = (word & _MASK_28) | ((word & ~_MASK_28) << _4)
    word = (word & _MASK_14) | ((word & ~_MASK_14) << _2)
    word = (word & _MASK_7) | ((word & ~_MASK_7) << _1)
    if width >= 9:
        return word | _MORE
    return word | (_MORE & ((_1 << np.uint64(8 * (width - 1))) - _1))


@inlined
def time_word(milliseconds: Int) -> tuple[Any, Int]:
    """The event time (0 … 2**49 − 1) with the tag behind it, and the bytes of both: up to 8."""
    width = varint_width(milliseconds)
    tag = _ID_TAG << np.uint64(8 * width)
    return varint_word(milliseconds, width) | tag, width + 1


@inlined
def put_head(out: Any, p: Int, kind: Int, n_bytes: Int) -> Int:
    """The head of a message of a device type with ``n_bytes`` of metadata."""
    start = np.int64(kind) * HEAD_ROOM
    for i in range(0, HEAD_ROOM, 8):
        store8(out, p + i, load8(HEADS, start + i))
    out[np.uint64(p + 3)] = n_bytes
    return p + HEAD_BYTES[np.uint64(kind)]


@inlined
def metadata_bytes(kind: Int, n_time: Int, n_id: Int) -> Int:
    """The size of a message's metadata; ``n_time`` counts the tag behind it, as `time_word`."""
    # The head but its size, the customer's digits, the key, and the tags of time and id.
    constant = -4 + CUSTOMER_BYTES + 2 + KEY_BYTES + PAYLOAD_BYTES + 1
    return HEAD_BYTES[np.uint64(kind)] + constant + n_time + n_id


@inlined
def put_size(out: Any, p: Int, size: Int) -> None:
    """A record's size as a varint of two bytes, 128 … 16383."""
    out[np.uint64(p)] = (size & 0x7F) | 0x80
    out[np.uint64(p + 1)] = size >> 7


@inlined
def put_message(
    out: Any,
    p: Int,
    texts: Any,
    own: Int,
    time: Any,
    n_time: Int,
    sequence_id: Int,
    year_month: Any,
    clock: Any,
    seconds: Any,
    millisecond: Int,
    values: Any,
) -> tuple[Int, Int]:
    """One message.

    Args:
        out: where to.
        p: place in it.
        texts: all devices' text, flat.
        own: where the device's begins in it.
        time, n_time: the event time, see :func:`time_word`.
        sequence_id: 0 … 2**63 − 1.
        year_month, clock, seconds, millisecond, values: see json_rows.put_record.

    Returns:
        the place behind the message, and the size of its record.
    """
    kind = np.int64(texts[np.uint64(own + T_TYPE)])
    n_id = varint_width(sequence_id)
    p = put_head(out, p, kind, metadata_bytes(kind, n_time, n_id))
    p = put(out, p, load8(texts, own + T_CUSTOMER))
    p = lit(out, p, L_KEY)
    p = put(out, p, load8(texts, own + T_DEVICE))
    size_at = p + 1
    store8(out, p, np.uint64(_PAYLOAD_TAG) | _TIME_TAG << _24)
    store8(out, p + 4, time)
    p += 4 + n_time
    store8(out, p, varint_word(sequence_id, n_id))
    out[np.uint64(p + 8)] = sequence_id >> 56
    start = p + n_id
    p = put_record(out, start, texts, own, year_month, clock, seconds, millisecond, values)
    put_size(out, size_at, p - start)
    return p, p - start
