"""The payload of a batch entry, uncompressed: a compiled kernel that writes whole blocks.

Promise: what any decoder must restore from a compressed entry, byte for byte. It must not know
compression.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, entry, prefetch_row
from iot_producer.encoders.device_text import TEXT_BYTES
from iot_producer.encoders.text_pieces import clock_word, date_words, second_word
from iot_producer.pulsar.message_frame import all_inside, put_message, time_word
from iot_producer.signals import TILE, fill_tile, new_tile, readings

_NS_PER_MS: Final = 1_000_000
_AHEAD: Final = 8


@entry
def write_entry(
    out: Any,
    start: Int,
    text: Any,
    devices: Any,
    sites: Any,
    conditions: Any,
    numbers: Any,
    intended_ns: Any,
) -> tuple[Int, Int]:
    """Write the messages of n (device, time) pairs one behind the other.

    Args:
        out: uint8[≥ start + n·MAX_MESSAGE_BYTES].
        start: where the first one begins.
        text: device texts, see device_text.device_texts.
        devices, sites: the fleet's tables.
        conditions: the caller's memory of conditions.
        numbers: int32[n], device numbers.
        intended_ns: int64[n], ns since the epoch, 0 … message_frame.LAST_NS.

    Returns:
        the place behind the last message, and the bytes of the records alone; these are 0, and
        nothing is written, where a device or a time is outside.
    """
    n = len(numbers)
    if not all_inside(len(devices), numbers, intended_ns):
        return start, 0
    tile = new_tile()
    texts = text.reshape(-1)
    p = np.int64(start)
    n_raw = np.int64(0)
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
        t = np.int64(np.uint64(intended_ns[i]) // np.uint64(_NS_PER_MS))
        if t != last_t:
            last_t = t
            time, n_time = time_word(t)
            second = t // 1_000
            millisecond = t - second * 1_000
            if second != last_second:
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
        p, size = put_message(
            out,
            p,
            texts,
            own,
            time,
            n_time,
            intended_ns[i],
            year_month,
            clock,
            seconds,
            millisecond,
            values,
        )
        n_raw += size
    return p, n_raw
