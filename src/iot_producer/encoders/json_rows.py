"""Records as JSON text: a compiled kernel that writes whole blocks.

Promise: the text of a record is the schema's fields in order, no spaces, each number with exactly
the decimals of its resolution; it is rendered from the integers of signals.py and equals what any
other encoder says. It must not know where the text goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import Int, entry, inlined, load8, prefetch_row, store8
from iot_producer.conditions import new_conditions
from iot_producer.encoders.device_text import (
    T_ALTITUDE,
    T_CUSTOMER,
    T_DEVICE,
    T_LATITUDE,
    T_LONGITUDE,
    T_LONGITUDE_LENGTH,
    T_SITE,
    T_TYPE,
    TEXT_BYTES,
    device_texts,
)
from iot_producer.encoders.text_pieces import (
    L_ALTITUDE,
    L_BATTERY,
    L_BYTES_RECEIVED,
    L_BYTES_SENT,
    L_CO2,
    L_CPU,
    L_CUSTOMER,
    L_DEVICE,
    L_ERRORS,
    L_HUMIDITY,
    L_LATITUDE,
    L_LIGHT,
    L_LONGITUDE,
    L_MEMORY,
    L_MOTION,
    L_NOISE,
    L_PACKETS_RECEIVED,
    L_PACKETS_SENT,
    L_PRESSURE,
    L_SIGNAL,
    L_SITE,
    L_STATUS,
    L_TEMPERATURE,
    L_TIME,
    L_TYPE,
    LOW32,
    TYPE_LITERALS,
    clock_word,
    date_words,
    lit,
    put,
    put_whole,
    second_word,
)
from iot_producer.encoders.words import (
    DECIMAL_1,
    DECIMAL_2,
    LOW_1,
    LOW_2,
    LOW_PRESSURE,
    PADDED,
    PRESSURE_2,
    WHOLE,
)
from iot_producer.fleet import Fleet
from iot_producer.signals import (
    BATTERY,
    BYTES_RECEIVED,
    BYTES_SENT,
    CO2,
    CPU,
    ERRORS,
    HUMIDITY,
    LIGHT,
    MEMORY,
    MOTION,
    NOISE,
    PACKETS_RECEIVED,
    PACKETS_SENT,
    PRESSURE,
    SIGNAL,
    STATUS,
    TEMPERATURE,
    TILE,
    fill_tile,
    new_tile,
    readings,
)

MAX_RECORD_BYTES: Final = 672
"""No record's text is longer, counting what a store of 8 bytes writes behind its end."""

_BRACE: Final = 0x7D
_NEWLINE: Final = 0x0A
_AHEAD: Final = 8
_8: Final = np.uint64(8)
_32: Final = np.uint64(32)


@inlined
def put_record(
    out: Any,
    p: Int,
    texts: Any,
    own: Int,
    year_month: Any,
    clock: Any,
    seconds: Any,
    millisecond: Int,
    values: Any,
) -> Int:
    """One record.

    Args:
        out: where to.
        p: place in it.
        texts: all devices' text, flat.
        own: where the device's begins in it.
        year_month, clock, seconds: words of its time, see text_pieces.py.
        millisecond: of the second.
        values: its readings.

    Returns:
        the place behind the record; one byte behind it is a line feed already.
    """
    p = lit(out, p, L_DEVICE)
    p = put(out, p, load8(texts, own + T_DEVICE))
    p = lit(out, p, L_TYPE)
    kind = texts[own + T_TYPE]
    store8(out, p, TYPE_LITERALS[kind, 1])
    store8(out, p + 8, TYPE_LITERALS[kind, 2])
    store8(out, p + 16, TYPE_LITERALS[kind, 3])
    p += np.int64(TYPE_LITERALS[kind, 0])
    p = lit(out, p, L_CUSTOMER)
    p = put(out, p, load8(texts, own + T_CUSTOMER))
    p = lit(out, p, L_SITE)
    p = put(out, p, load8(texts, own + T_SITE))
    p = lit(out, p, L_LATITUDE)
    store8(out, p, load8(texts, own + T_LATITUDE))
    store8(out, p + 8, load8(texts, own + T_LATITUDE + 8))
    p = lit(out, p + 9, L_LONGITUDE)
    store8(out, p, load8(texts, own + T_LONGITUDE))
    store8(out, p + 8, load8(texts, own + T_LONGITUDE + 8))
    p = lit(out, p + np.int64(texts[own + T_LONGITUDE_LENGTH]), L_ALTITUDE)
    p = put(out, p, load8(texts, own + T_ALTITUDE))
    p = lit(out, p, L_TIME)
    store8(out, p, year_month)
    store8(out, p + 8, clock)
    store8(out, p + 16, seconds | (PADDED[np.uint64(millisecond)] & LOW32) >> _8 << _32)
    p = lit(out, p + 23, L_TEMPERATURE)
    p = put(out, p, DECIMAL_2[np.uint64(values[TEMPERATURE] - LOW_2)])
    p = lit(out, p, L_HUMIDITY)
    p = put(out, p, DECIMAL_2[np.uint64(values[HUMIDITY] - LOW_2)])
    p = lit(out, p, L_PRESSURE)
    p = put(out, p, PRESSURE_2[np.uint64(values[PRESSURE] - LOW_PRESSURE)])
    p = lit(out, p, L_CO2)
    p = put(out, p, DECIMAL_1[np.uint64(values[CO2] - LOW_1)])
    p = lit(out, p, L_NOISE)
    p = put(out, p, DECIMAL_1[np.uint64(values[NOISE] - LOW_1)])
    p = lit(out, p, L_LIGHT)
    p = put(out, p, DECIMAL_1[np.uint64(values[LIGHT] - LOW_1)])
    p = lit(out, p, L_MOTION)
    p = put(out, p, WHOLE[np.uint64(values[MOTION])])
    p = lit(out, p, L_BATTERY)
    p = put(out, p, DECIMAL_2[np.uint64(values[BATTERY] - LOW_2)])
    p = lit(out, p, L_SIGNAL)
    p = put(out, p, DECIMAL_1[np.uint64(values[SIGNAL] - LOW_1)])
    p = lit(out, p, L_MEMORY)
    p = put(out, p, DECIMAL_1[np.uint64(values[MEMORY] - LOW_1)])
    p = lit(out, p, L_CPU)
    p = put(out, p, DECIMAL_1[np.uint64(values[CPU] - LOW_1)])
    p = lit(out, p, L_STATUS)
    p = put(out, p, WHOLE[np.uint64(values[STATUS])])
    p = lit(out, p, L_ERRORS)
    p = put(out, p, WHOLE[np.uint64(values[ERRORS])])
    p = lit(out, p, L_PACKETS_SENT)
    p = put_whole(out, p, values[PACKETS_SENT])
    p = lit(out, p, L_PACKETS_RECEIVED)
    p = put_whole(out, p, values[PACKETS_RECEIVED])
    p = lit(out, p, L_BYTES_SENT)
    p = put_whole(out, p, values[BYTES_SENT])
    p = lit(out, p, L_BYTES_RECEIVED)
    p = put_whole(out, p, values[BYTES_RECEIVED])
    out[p] = _BRACE
    out[p + 1] = _NEWLINE
    return p + 1


@entry
def write_rows(
    out: Any,
    ends: Any,
    text: Any,
    devices: Any,
    sites: Any,
    conditions: Any,
    numbers: Any,
    times_ms: Any,
    newline: Int,
) -> Int:
    """Write the records of n (device, time) pairs one behind the other.

    Args:
        out: uint8[≥ n·MAX_RECORD_BYTES].
        ends: int64[n], receives where each record ends.
        text: device texts, see :func:`device_texts`.
        devices, sites: the fleet's tables.
        conditions: the caller's memory of conditions.
        numbers: int32[n], device numbers.
        times_ms: int64[n].
        newline: 1 to end each record with a line feed, which counts to the record's end.

    Returns:
        how many bytes were written.
    """
    n = len(numbers)
    tile = new_tile()
    texts = text.reshape(-1)
    p = np.int64(0)
    last_second = np.int64(-1)
    last_day = np.int64(-1)
    year_month = np.uint64(0)
    day_digits = np.uint64(0)
    clock = np.uint64(0)
    seconds = np.uint64(0)
    for i in range(n):
        ahead = numbers[min(i + _AHEAD, n - 1)]
        prefetch_row(text, ahead)
        d = numbers[i]
        t = times_ms[i]
        second = t // 1_000
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
            fill_tile(tile, devices, sites, conditions, numbers, times_ms, i, 1)
        values = readings(tile, k)
        own = np.int64(d) * TEXT_BYTES
        millisecond = t - second * 1_000
        p = put_record(out, p, texts, own, year_month, clock, seconds, millisecond, values)
        p += newline
        ends[i] = p
    return p


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Records as text, one behind the other.

    Attributes:
        buffer: uint8[n_bytes]; valid until the encoder's next call.
        ends: int64[n], where each record ends.
    """

    buffer: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def split(self) -> list[bytes]:
        """Each record's text."""
        whole = self.buffer.tobytes()
        return [whole[start:end] for start, end in pairwise([0, *self.ends.tolist()])]


class JsonEncoder:
    """Encodes blocks of one fleet; for one thread at a time.

    Args:
        fleet: whose records.
        newline: end each record with a line feed.
    """

    def __init__(self, fleet: Fleet, *, newline: bool = False) -> None:
        self._fleet = fleet
        self._text = device_texts(fleet)
        self._conditions = new_conditions(fleet)
        self._newline = int(newline)
        self._out = np.empty(0, dtype=np.uint8)

    def encode(self, devices: NDArray[np.int32], times_ms: NDArray[np.int64]) -> JsonRows:
        """The records of n (device, time) pairs, in their order.

        Args:
            devices: int32[n], device numbers.
            times_ms: int64[n], milliseconds since the epoch, 0 … 2**42.
        """
        # Always read-only, as a lane's slices are: the other kind would be compiled a second time.
        devices = devices.view()
        devices.flags.writeable = False
        n = len(devices)
        if len(self._out) < n * MAX_RECORD_BYTES:
            self._out = np.empty(n * MAX_RECORD_BYTES, dtype=np.uint8)
        ends = np.empty(n, dtype=np.int64)
        with np.errstate(over="ignore"):
            n_bytes = write_rows(
                self._out,
                ends,
                self._text,
                self._fleet.device,
                self._fleet.site,
                self._conditions,
                devices,
                times_ms,
                self._newline,
            )
        return JsonRows(self._out[:n_bytes], ends)
