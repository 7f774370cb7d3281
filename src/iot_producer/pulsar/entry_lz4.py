"""The payload of a batch entry as an LZ4 block, written directly: a compiled kernel, no search.

Promise: any LZ4 decoder restores exactly what entry_rows.py writes. The text itself is never built
but for the first message: only the places in it are followed. It must not know frames or sockets.

A message repeats the one before it, but for its values. So a sequence of the block is a value, as
literals, and the constant text up to the next value, as a match: its distance is the place in the
text now minus the place where the same piece was last (lz4_record.py). What differs between device
types only is remembered by type, and repeated with the type's name. Identifiers stand twice in a
message: those of the record are matches to those of its metadata. docs/explanation/transport.md
shows one message.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, entry, load8, prefetch_row, store8
from iot_producer.encoders.device_text import T_CUSTOMER, T_DEVICE, T_TYPE, TEXT_BYTES
from iot_producer.encoders.text_pieces import (
    L_CUSTOMER,
    L_DEVICE,
    L_SITE,
    L_TYPE,
    clock_word,
    date_words,
    put,
    put_whole,
    second_word,
)
from iot_producer.pulsar.lz4_record import N_RECORD_PLACES, length_of, match_record
from iot_producer.pulsar.lz4_sequences import (
    LONGEST_NIBBLE,
    MAX_DISTANCE,
    low_nibble,
    put_bare,
    put_chars,
    put_match,
    put_run,
)
from iot_producer.pulsar.message_frame import (
    CUSTOMER_BYTES,
    HEAD_BYTES,
    KEY_BYTES,
    L_KEY,
    MAX_MESSAGE_BYTES,
    MAX_METADATA_BYTES,
    PAYLOAD_BYTES,
    all_inside,
    metadata_bytes,
    put_head,
    put_message,
    put_size,
    time_word,
    varint_width,
    varint_word,
)
from iot_producer.schema import DEVICE_TYPES
from iot_producer.signals import BYTES_RECEIVED, TILE, fill_tile, new_tile, readings

# Places in the text where a piece was last, behind those of the record.
_KEY: Final = np.uint64(N_RECORD_PLACES)
_JSON: Final = np.uint64(N_RECORD_PLACES + 1)
_SITE: Final = np.uint64(N_RECORD_PLACES + 2)
_HEADS: Final = N_RECORD_PLACES + 3  # by device type
_TYPES: Final = _HEADS + len(DEVICE_TYPES)  # by device type
_N_PLACES: Final = _TYPES + len(DEVICE_TYPES)
_NOWHERE: Final = -1_000_000  # farther than a match reaches

# Lengths of constant text.
_N_DEV: Final = np.int64(4)  # dev-
_N_CUST: Final = np.int64(5)  # cust-
_N_DEVICE: Final = np.int64(KEY_BYTES)  # dev-0000000
_N_OWNER: Final = CUSTOMER_BYTES + _N_CUST  # cust-000000
_N_KEY: Final = length_of(L_KEY)
_N_OPEN: Final = length_of(L_DEVICE) - _N_DEV  # {"device_id":"
_N_TYPE: Final = length_of(L_TYPE)  # ","device_type":"
_N_CUSTOMER: Final = length_of(L_CUSTOMER) - _N_CUST  # ","customer_id":"
_N_SITE: Final = length_of(L_SITE)  # ","site_id":"site-
_N_HEAD: Final = HEAD_BYTES[0] - len(DEVICE_TYPES[0])  # a head but its name
_NAME_AT: Final = 21  # in the head
_N_KEPT: Final = 4  # of the last label, to be literals at the end: ``ed":``

_KEPT: Final = np.uint64(int.from_bytes(b'ed":', "little"))
_BRACE: Final = 0x7D
_PAYLOAD_TAGS: Final = np.uint64(0x28_00_00_18)
_TWO_TOKENS: Final = np.uint64(0x0F_00_00_07)  # matches of 11 bytes, and of 19 or more
_NS_PER_MS: Final = 1_000_000
_AHEAD: Final = 8
_8: Final = np.uint64(8)
_32: Final = np.uint64(32)
_48: Final = np.uint64(48)


@entry
def write_lz4_entry(
    out: Any,
    start: Int,
    text: Any,
    devices: Any,
    sites: Any,
    conditions: Any,
    numbers: Any,
    intended_ns: Any,
    zeros: Any,
) -> tuple[Int, Int, Int]:
    """Write the messages of n ≥ 1 (device, time) pairs as an LZ4 block.

    Args:
        out: uint8[≥ start + n·MAX_MESSAGE_BYTES + 64].
        start: where the block begins.
        text: device texts, see device_text.device_texts.
        devices, sites: the fleet's tables.
        conditions: the caller's memory of conditions.
        numbers: int32[n], device numbers.
        intended_ns: int64[n], ns since the epoch, 0 … LAST_NS.
        zeros: how many digits are 0 in the numbers of all devices, customers and sites.

    Returns:
        the place behind the block, the bytes of its text, and those of the records alone; these are
        0, and nothing is written, where a device or a time is outside.
    """
    n = len(numbers)
    if not all_inside(len(devices), numbers, intended_ns):
        return start, 0, 0
    tile = new_tile()
    texts = text.reshape(-1)
    z_device, z_customer, z_site = zeros
    shift_device = np.uint64(8 * z_device)
    shift_customer = np.uint64(8 * z_customer)
    n_device = KEY_BYTES - _N_DEV - z_device
    n_key = _N_KEY + z_device
    where = np.full(_N_PLACES, _NOWHERE, dtype=np.int64)
    scratch = np.empty(MAX_MESSAGE_BYTES + MAX_METADATA_BYTES + 64, dtype=np.uint8)
    n_scratch = np.int64(0)

    p = np.int64(start)
    u = np.int64(-1)  # place in the text: the brace that ends the message before
    n_raw = np.int64(0)
    open_at = p  # the last number of a message: literals still without a token
    n_open = np.int64(0)
    total = np.int64(0)
    sent_at = p
    last_id = np.int64(-1)
    last_widths = np.int64(0)
    last_t = np.int64(-1)
    last_second = np.int64(-1)
    last_day = np.int64(-1)
    millisecond = np.int64(0)
    n_time = np.int64(0)
    time = year_month = day_digits = clock = seconds = np.uint64(0)
    for i in range(n):
        ahead = numbers[min(i + _AHEAD, n - 1)]
        prefetch_row(text, ahead)
        d = numbers[i]
        sequence_id = intended_ns[i]
        t = np.int64(np.uint64(sequence_id) // np.uint64(_NS_PER_MS))
        same_time = t == last_t and t >= 128  # shorter ones are no match
        same_second = True
        if t != last_t:
            last_t = t
            time, n_time = time_word(t)
            second = t // 1_000
            millisecond = t - second * 1_000
            same_second = second == last_second
            if not same_second:
                last_second = second
                day = second // 86_400
                if day != last_day:
                    last_day = day
                    year_month, day_digits = date_words(day)
                of_day_s = second - day * 86_400
                clock = clock_word(of_day_s, day_digits)
                seconds = second_word(of_day_s)
        k = i % TILE
        if k == 0:
            fill_tile(tile, devices, sites, conditions, numbers, intended_ns, i, _NS_PER_MS)
        values = readings(tile, k)
        own = np.int64(d) * TEXT_BYTES
        kind = np.int64(texts[np.uint64(own + T_TYPE)])
        n_head = HEAD_BYTES[np.uint64(kind)]
        head, of_type = np.uint64(_HEADS + kind), np.uint64(_TYPES + kind)
        n_id = varint_width(sequence_id)
        if n_time + n_id != last_widths:
            last_widths = n_time + n_id
            where[_HEADS:_TYPES] = _NOWHERE  # their metadata had another size

        # Metadata: head and customer.
        key_at = u + 1 + n_head + CUSTOMER_BYTES
        before_key = key_at - where[_KEY]
        where[_KEY] = key_at
        before = u - where[head]
        where[head] = u
        customer = load8(texts, own + T_CUSTOMER)
        if before <= MAX_DISTANCE and n_open < LONGEST_NIBBLE:
            out[np.uint64(open_at)] = n_open << 4 | LONGEST_NIBBLE
            p = put_match(out, p, before, 1 + n_head + z_customer)
            n_digits = CUSTOMER_BYTES - z_customer
            p = put_chars(out, p, customer >> shift_customer, n_digits, before_key, n_key)
        else:
            if i > 1:
                n_scratch = put_whole(scratch, 0, total)
                scratch[n_scratch] = _BRACE
                n_scratch += 1
            n_meta = metadata_bytes(kind, n_time, n_id)
            if i == 0:
                where[head] = _NOWHERE  # no brace before it
                n_scratch, _ = put_message(
                    scratch,
                    0,
                    texts,
                    own,
                    time,
                    n_time,
                    sequence_id,
                    year_month,
                    clock,
                    seconds,
                    millisecond,
                    values,
                )
            else:
                n_scratch = put_head(scratch, n_scratch, kind, n_meta)
                n_scratch = put(scratch, n_scratch, customer)
                p = put_run(out, open_at, scratch, n_scratch, low_nibble(n_key))
                p = put_match(out, p, before_key, n_key)

        # Key, size of the record, event time, sequence id, and the record's first bytes.
        json_at = key_at + _N_KEY - _N_DEV + KEY_BYTES + PAYLOAD_BYTES + 1 + n_time + n_id
        before_json = json_at - where[_JSON]
        where[_JSON] = json_at
        digits = load8(texts, own + T_DEVICE) >> shift_device
        low = varint_word(sequence_id, n_id)
        change = np.uint64(sequence_id ^ last_id)
        last_id = sequence_id
        n_low = n_id
        if change < np.uint64(1 << 28) and n_id == 9:
            n_low = np.int64(1) + np.int64(change >= np.uint64(1 << 7))
            n_low += np.int64(change >= np.uint64(1 << 14)) + np.int64(change >= np.uint64(1 << 21))
        n_match = _N_OPEN + n_id - n_low
        n_literals = n_device + PAYLOAD_BYTES
        if same_time:
            token = np.uint64(n_literals << 4 | (n_time + 1 - 4))
            store8(out, p, digits << _8 | token)
            size_at = p + n_device + 2
            store8(out, size_at - 1, _PAYLOAD_TAGS)
            store8(out, p + 1 + n_literals, np.uint64(before_key))
            p += 1 + n_literals + 2
            out[np.uint64(p)] = n_low << 4 | low_nibble(n_match)
            p += 1
        else:
            n_literals += 1 + n_time + n_low
            out[np.uint64(p)] = min(n_literals, LONGEST_NIBBLE) << 4 | low_nibble(n_match)
            p += 1
            if n_literals >= LONGEST_NIBBLE:
                out[np.uint64(p)] = n_literals - LONGEST_NIBBLE
                p += 1
            store8(out, p, digits)
            size_at = p + n_device + 1
            store8(out, size_at - 1, _PAYLOAD_TAGS)
            store8(out, size_at + 3, time)
            p = size_at + 3 + n_time
        store8(out, p, low)
        out[np.uint64(p + 8)] = sequence_id >> 56
        p = put_match(out, p + n_low, before_json, n_match)

        # Device, type and customer: text that stands in this message or at its type's last.
        type_at = json_at + _N_OPEN + KEY_BYTES
        n_name = n_head - _N_HEAD
        customer_at = type_at + _N_TYPE + n_name + _N_CUSTOMER
        site_at = customer_at + _N_OWNER
        before_site = site_at - where[_SITE]
        where[_SITE] = site_at
        before_type = type_at - where[of_type]
        where[of_type] = type_at
        before_device = json_at + _N_OPEN - (key_at + _N_KEY - _N_DEV)
        if before_type <= MAX_DISTANCE:
            n_match = _N_TYPE + n_name + _N_CUSTOMER
            two = _TWO_TOKENS | np.uint64(before_device) << _8 | np.uint64(before_type) << _32
            store8(out, p, two | np.uint64(n_match - 4 - LONGEST_NIBBLE) << _48)
            p += 7
        else:
            p = put_bare(out, p, before_device, _N_DEVICE)
            p = put_bare(out, p, before_json, _N_TYPE)
            name_at = u + 1 + _NAME_AT
            p = put_bare(out, p, type_at + _N_TYPE - name_at, n_name)
            p = put_bare(out, p, before_site, _N_CUSTOMER)
        p = put_bare(out, p, customer_at - (key_at - _N_OWNER), _N_OWNER)
        p = put_bare(out, p, before_site, _N_SITE + z_site)
        p, u, sent_at = match_record(
            out,
            p,
            site_at,
            where,
            texts,
            own,
            z_site,
            before_site,
            same_time,
            same_second,
            year_month,
            clock,
            seconds,
            millisecond,
            values,
        )
        # The last number's token comes with the next message, or at the end.
        open_at = p
        total = values[BYTES_RECEIVED]
        p = put_whole(out, p + 1, total)
        n_open = p - open_at - 1
        u += n_open
        size = u + 1 - json_at
        put_size(out, size_at, size)
        n_raw += size
        if i == 0:
            open_at = np.int64(start)  # all that was written is text that no match has seen

    if n > 1:
        # The end must be literals: a part of the last match becomes some.
        out[np.uint64(sent_at)] -= _N_KEPT
        store8(scratch, 0, _KEPT)
        n_scratch = put_whole(scratch, _N_KEPT, total)
        scratch[n_scratch] = _BRACE
        n_scratch += 1
    p = put_run(out, open_at, scratch, n_scratch, 0)
    return p, u + 1, n_raw
