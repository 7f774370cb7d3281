"""What stands around the messages of a batch entry, read by compiled code, whole entries at a time.

Promise: any bytes end in places and numbers, or in the place where they stop being a batch; nothing
is read outside of them. A number is given only where key, property or time is exactly in the form
of our records, else −1. It must not know compression, nor which messages are expected.

A message of a batch is ``[size][SingleMessageMetadata][payload]``; the fields of the metadata may
come in any order, unknown ones among them, and of a field that comes again the last one counts, as
protobuf has it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, entry, inlined
from iot_producer.record_scan import device_of_key, number_at, starts_with
from iot_producer.schema import DEVICE_TYPES, FIELD_NAMES

_TYPE_NAME: Final = np.frombuffer(FIELD_NAMES[1].encode(), dtype=np.uint8)
_CUSTOMER_NAME: Final = np.frombuffer(FIELD_NAMES[2].encode(), dtype=np.uint8)
_CUSTOMER_PREFIX: Final = np.frombuffer(b"cust-", dtype=np.uint8)
_CUSTOMER_DIGITS: Final = 6
_TYPES: Final = np.frombuffer("".join(DEVICE_TYPES).encode(), dtype=np.uint8)
_TYPE_EDGES: Final = np.cumsum([0, *map(len, DEVICE_TYPES)])

# Numbers of SingleMessageMetadata's fields, and of KeyValue's.
_PROPERTY: Final = 1
_KEY: Final = 2
_SIZE: Final = 3
_COMPACTED_OUT: Final = 4
_EVENT_TIME: Final = 5
_SEQUENCE_ID: Final = 8
_NULL_KEY: Final = 10
_NAME: Final = 1
_VALUE: Final = 2

_VARINT: Final = 0
_FIXED_8: Final = 1
_BYTES: Final = 2
_FIXED_4: Final = 5
_MOST_SHIFT: Final = 63
_LEAST_TAG: Final = 8  # of field 1
_MOST_TAG: Final = 0xFFFFFFFF


@inlined
def _varint(buffer: Any, p: Int, end: Int) -> tuple[Int, Int]:
    """A varint (as int64), and the place behind it; −1 where there is none."""
    value = np.uint64(0)
    shift = np.int64(0)
    while p < end and shift <= _MOST_SHIFT:
        byte = np.int64(buffer[p])
        p += 1
        value |= np.uint64(byte & 0x7F) << np.uint64(shift)
        if byte < 0x80:
            return np.int64(value), p
        shift += 7
    return np.int64(0), np.int64(-1)


@inlined
def _tag(buffer: Any, p: Int, end: Int) -> tuple[Int, Int]:
    """A field's number and type, and the place behind them; −1 where they cannot be."""
    tag, p = _varint(buffer, p, end)
    if tag < _LEAST_TAG or tag > _MOST_TAG:
        return tag, np.int64(-1)
    return tag, p


@inlined
def _extent(buffer: Any, p: Int, end: Int) -> tuple[Int, Int]:
    """Where the bytes of a field begin and end, from its length on; (−1, −1): not within."""
    n, p = _varint(buffer, p, end)
    if p < 0 or n < 0 or n > end - p:
        return np.int64(-1), np.int64(-1)
    return p, p + n


@inlined
def _behind(buffer: Any, p: Int, end: Int, wire: Int) -> Int:
    """The place behind a field's value of a wire type; −1 where it cannot be."""
    if wire == _VARINT:
        return _varint(buffer, p, end)[1]
    if wire == _BYTES:
        return _extent(buffer, p, end)[1]
    if wire == _FIXED_8:
        p += 8
    elif wire == _FIXED_4:
        p += 4
    else:
        return np.int64(-1)
    return p if p <= end else np.int64(-1)


@inlined
def _kind_of(buffer: Any, at: Int, end: Int) -> Int:
    """The number of a device type's name; −1 where it is none."""
    n = end - at
    for kind in range(len(_TYPE_EDGES) - 1):
        first = _TYPE_EDGES[kind]
        if _TYPE_EDGES[kind + 1] - first == n:
            k = np.int64(0)
            while k < n and buffer[at + k] == _TYPES[first + k]:
                k += 1
            if k == n:
                return np.int64(kind)
    return np.int64(-1)


@inlined
def _customer_of(buffer: Any, at: Int, end: Int) -> Int:
    """The number in a customer's name; −1 where it is none."""
    skip = len(_CUSTOMER_PREFIX)
    if end - at != skip + _CUSTOMER_DIGITS or not starts_with(buffer, at, end, _CUSTOMER_PREFIX):
        return np.int64(-1)
    return number_at(buffer, at + skip, _CUSTOMER_DIGITS)


@inlined
def _property(buffer: Any, p: Int, end: Int) -> tuple[Int, Int, Int, Int, Int]:
    """Where a property's name and value begin and end, and whether it is one (1 or 0)."""
    name = name_end = value = value_end = np.int64(0)
    while p < end:
        tag, p = _tag(buffer, p, end)
        if p < 0:
            return name, name_end, value, value_end, np.int64(0)
        if tag == _NAME << 3 | _BYTES:
            name, name_end = _extent(buffer, p, end)
            p = name_end
        elif tag == _VALUE << 3 | _BYTES:
            value, value_end = _extent(buffer, p, end)
            p = value_end
        else:
            p = _behind(buffer, p, end, tag & 7)
        if p < 0:
            return name, name_end, value, value_end, np.int64(0)
    return name, name_end, value, value_end, np.int64(1)


@entry
def scan_batch(
    buffer: Any,
    at: Int,
    end: Int,
    n: Int,
    first: Int,
    heads: Any,
    starts: Any,
    ends: Any,
    times_ms: Any,
    sequence_ids: Any,
    devices: Any,
    kinds: Any,
    customers: Any,
) -> tuple[Int, Int]:
    """The messages of one batch, uncompressed.

    Args:
        buffer: uint8[…], has the batch in ``[at, end)``.
        at, end: places in it.
        n: how many messages the entry says there are.
        first: where the first of them goes in the arrays that follow, all int64[≥ first + n].
        heads: receives where each message's metadata begin; they end where its payload starts.
        starts, ends: receive where each payload begins and ends.
        times_ms: event times, 0 where there is none.
        sequence_ids: −1 where there is none.
        devices: the devices in the keys, −1 where that is none.
        kinds, customers: numbers of the type and the customer in the properties; −1 both where
            the properties are not exactly these two.

    Returns:
        how many messages were found (compacted ones are left out), and the place where reading
        stopped: ``end`` when all is well.
    """
    p = np.int64(at)
    found = np.int64(first)
    for _ in range(n):
        if end - p < 4:
            return found - first, p
        size = np.int64(0)
        for k in range(4):
            size = size << 8 | np.int64(buffer[p + k])
        if size > end - p - 4:
            return found - first, p
        message = p
        p += 4
        head = p
        stop = p + size
        n_bytes = np.int64(-1)
        time_ms = np.int64(0)
        sequence_id = np.int64(-1)
        device = kind = customer = np.int64(-1)
        n_types = n_customers = n_others = np.int64(0)
        hidden = has_no_key = False
        while 0 <= p < stop:
            tag, p = _tag(buffer, p, stop)
            if p < 0:
                break
            if tag == _PROPERTY << 3 | _BYTES:
                inside, p = _extent(buffer, p, stop)
                if p < 0:
                    break
                name, name_end, value, value_end, is_one = _property(buffer, inside, p)
                if is_one == 0:
                    p = np.int64(-1)
                elif name_end - name == len(_TYPE_NAME) and starts_with(
                    buffer, name, name_end, _TYPE_NAME
                ):
                    n_types += 1
                    kind = _kind_of(buffer, value, value_end)
                elif name_end - name == len(_CUSTOMER_NAME) and starts_with(
                    buffer, name, name_end, _CUSTOMER_NAME
                ):
                    n_customers += 1
                    customer = _customer_of(buffer, value, value_end)
                else:
                    n_others += 1
            elif tag == _KEY << 3 | _BYTES:
                inside, p = _extent(buffer, p, stop)
                if p >= 0:
                    device = device_of_key(buffer, inside, p)
            elif tag == _SIZE << 3 | _VARINT:
                n_bytes, p = _varint(buffer, p, stop)
            elif tag == _EVENT_TIME << 3 | _VARINT:
                time_ms, p = _varint(buffer, p, stop)
            elif tag == _SEQUENCE_ID << 3 | _VARINT:
                sequence_id, p = _varint(buffer, p, stop)
            elif tag == _COMPACTED_OUT << 3 | _VARINT:
                flag, p = _varint(buffer, p, stop)
                hidden = flag != 0
            elif tag == _NULL_KEY << 3 | _VARINT:
                flag, p = _varint(buffer, p, stop)
                has_no_key = flag != 0
            else:
                p = _behind(buffer, p, stop, tag & 7)
        if p != stop or n_bytes < 0 or n_bytes > end - p:
            return found - first, message
        p += n_bytes
        if hidden:
            continue
        if n_types != 1 or n_customers != 1 or n_others != 0 or kind < 0 or customer < 0:
            kind = customer = np.int64(-1)
        heads[found] = head
        starts[found] = stop
        ends[found] = p
        times_ms[found] = time_ms
        sequence_ids[found] = sequence_id
        devices[found] = np.int64(-1) if has_no_key else device
        kinds[found] = kind
        customers[found] = customer
        found += 1
    return found - first, p
