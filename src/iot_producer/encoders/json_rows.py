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

from iot_producer.compiled import Int, entry, inlined, load8, prefetch_row, store8, store16
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
    device_texts,
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
    literal_of,
)
from iot_producer.fleet import (
    Fleet,
)
from iot_producer.schema import DEVICE_TYPES, FIELD_NAMES
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
    readings,
)

MAX_RECORD_BYTES: Final = 672
"""No record's text is longer, counting what a store of 8 bytes writes behind its end."""

# The constant pieces, in the order of the fields; a test compares them with the schema.
_N = FIELD_NAMES
_L_DEVICE: Final = literal_of(f'{{"{_N[0]}":"dev-')
_L_TYPE: Final = literal_of(f'","{_N[1]}":"')
_L_CUSTOMER: Final = literal_of(f'","{_N[2]}":"cust-')
_L_SITE: Final = literal_of(f'","{_N[3]}":"site-')
_L_LATITUDE: Final = literal_of(f'","{_N[4]}":')
_L_LONGITUDE: Final = literal_of(f',"{_N[5]}":')
_L_ALTITUDE: Final = literal_of(f',"{_N[6]}":')
_L_TIME: Final = literal_of(f',"{_N[7]}":"')
_L_TEMPERATURE: Final = literal_of(f'","{_N[8]}":')
_L_HUMIDITY: Final = literal_of(f',"{_N[9]}":')
_L_PRESSURE: Final = literal_of(f',"{_N[10]}":')
_L_CO2: Final = literal_of(f',"{_N[11]}":')
_L_NOISE: Final = literal_of(f',"{_N[12]}":')
_L_LIGHT: Final = literal_of(f',"{_N[13]}":')
_L_MOTION: Final = literal_of(f',"{_N[14]}":')
_L_BATTERY: Final = literal_of(f',"{_N[15]}":')
_L_SIGNAL: Final = literal_of(f',"{_N[16]}":')
_L_MEMORY: Final = literal_of(f',"{_N[17]}":')
_L_CPU: Final = literal_of(f',"{_N[18]}":')
_L_STATUS: Final = literal_of(f',"{_N[19]}":')
_L_ERRORS: Final = literal_of(f',"{_N[20]}":')
_L_PACKETS_SENT: Final = literal_of(f',"{_N[21]}":')
_L_PACKETS_RECEIVED: Final = literal_of(f',"{_N[22]}":')
_L_BYTES_SENT: Final = literal_of(f',"{_N[23]}":')
_L_BYTES_RECEIVED: Final = literal_of(f',"{_N[24]}":')

_TYPE_LITERALS: Final = np.array([literal_of(name) for name in DEVICE_TYPES], dtype=np.uint64)

_56: Final = np.uint64(56)
_32: Final = np.uint64(32)
_16: Final = np.uint64(16)
_8: Final = np.uint64(8)
_48: Final = np.uint64(48)
_LOW32: Final = np.uint64(0xFFFFFFFF)
_DASHES: Final = np.uint64(int.from_bytes(b"\0\0\0\0-\0\0-", "little"))
_SPACE_COLON: Final = np.uint64(int.from_bytes(b"\0\0 \0\0:\0\0", "little"))
_COLON_DOT: Final = np.uint64(int.from_bytes(b":\0\0.\0\0\0\0", "little"))
_LOW16: Final = np.uint64(0xFFFF)
_BRACE: Final = 0x7D
_NEWLINE: Final = 0x0A
_AHEAD: Final = 8


@inlined
def _put(out: Any, p: Int, word: Any) -> Int:
    """A value's word; returns where the next piece goes."""
    store8(out, p, word)
    return p + np.int64(word >> _56)


@inlined
def _lit(out: Any, p: Int, literal: Any) -> Int:
    """A constant piece; its length and words are constants of the compiled code."""
    if literal[0] > 8:
        store16(out, p, np.uint64(literal[1]), np.uint64(literal[2]))
    else:
        store8(out, p, np.uint64(literal[1]))
    if literal[0] > 16:
        store8(out, p + 16, np.uint64(literal[3]))
    return p + literal[0]


@inlined
def _put_whole(out: Any, p: Int, value: Int) -> Int:
    """A whole number 0 … 10**16 − 1."""
    if value < 10_000:
        return _put(out, p, WHOLE[value])
    high = value // 10_000
    if high < 10_000:
        p = _put(out, p, WHOLE[high])
    else:
        higher = high // 10_000
        if higher < 10_000:
            p = _put(out, p, WHOLE[higher])
        else:
            p = _put(out, p, WHOLE[higher // 10_000])
            p = _put(out, p, PADDED[higher % 10_000])
        p = _put(out, p, PADDED[high % 10_000])
    return _put(out, p, PADDED[value % 10_000])


@inlined
def _date_words(day: Int) -> tuple[Any, Any]:
    """``YYYY-MM-`` and the two digits of the day of a day since the epoch (Gregorian calendar)."""
    shifted = day + 719_468  # from 1 March of year 0
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * of_year + 2) // 153
    of_month = of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    month_digits = (PADDED[month] >> _16) & _LOW16
    return (PADDED[year] & _LOW32) | _DASHES | (month_digits << np.uint64(40)), (
        PADDED[of_month] >> _16
    ) & _LOW16


@inlined
def _clock_word(of_day_s: Int, day_digits: Any) -> Any:
    """``DD hh:mm`` of a second of the day."""
    hour = (PADDED[of_day_s // 3_600] >> _16) & _LOW16
    minute = (PADDED[of_day_s % 3_600 // 60] >> _16) & _LOW16
    return day_digits | _SPACE_COLON | (hour << np.uint64(24)) | (minute << _48)


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
    p = np.int64(0)
    last_second = np.int64(-1)
    last_day = np.int64(-1)
    year_month = np.uint64(0)
    day_digits = np.uint64(0)
    clock = np.uint64(0)
    seconds = np.uint64(0)
    for i in range(n):
        ahead = numbers[min(i + _AHEAD, n - 1)]
        prefetch_row(devices, ahead)
        prefetch_row(text, ahead)
        d = numbers[i]
        t = times_ms[i]
        second = t // 1_000
        if second != last_second:
            last_second = second
            day = second // 86_400
            if day != last_day:
                last_day = day
                year_month, day_digits = _date_words(day)
            of_day_s = second - day * 86_400
            clock = _clock_word(of_day_s, day_digits)
            seconds = (((PADDED[of_day_s % 60] >> _16) & _LOW16) << _8) | _COLON_DOT
        values = readings(devices, d, sites, conditions, t)
        row = text[d]

        p = _lit(out, p, _L_DEVICE)
        p = _put(out, p, load8(row, T_DEVICE))
        p = _lit(out, p, _L_TYPE)
        kind = row[T_TYPE]
        store8(out, p, _TYPE_LITERALS[kind, 1])
        store8(out, p + 8, _TYPE_LITERALS[kind, 2])
        store8(out, p + 16, _TYPE_LITERALS[kind, 3])
        p += np.int64(_TYPE_LITERALS[kind, 0])
        p = _lit(out, p, _L_CUSTOMER)
        p = _put(out, p, load8(row, T_CUSTOMER))
        p = _lit(out, p, _L_SITE)
        p = _put(out, p, load8(row, T_SITE))
        p = _lit(out, p, _L_LATITUDE)
        store8(out, p, load8(row, T_LATITUDE))
        store8(out, p + 8, load8(row, T_LATITUDE + 8))
        p = _lit(out, p + 9, _L_LONGITUDE)
        store8(out, p, load8(row, T_LONGITUDE))
        store8(out, p + 8, load8(row, T_LONGITUDE + 8))
        p = _lit(out, p + np.int64(row[T_LONGITUDE_LENGTH]), _L_ALTITUDE)
        p = _put(out, p, load8(row, T_ALTITUDE))
        p = _lit(out, p, _L_TIME)
        store8(out, p, year_month)
        store8(out, p + 8, clock)
        store8(out, p + 16, seconds | (PADDED[t - second * 1_000] & _LOW32) >> _8 << _32)
        p = _lit(out, p + 23, _L_TEMPERATURE)
        p = _put(out, p, DECIMAL_2[values[TEMPERATURE] - LOW_2])
        p = _lit(out, p, _L_HUMIDITY)
        p = _put(out, p, DECIMAL_2[values[HUMIDITY] - LOW_2])
        p = _lit(out, p, _L_PRESSURE)
        p = _put(out, p, PRESSURE_2[values[PRESSURE] - LOW_PRESSURE])
        p = _lit(out, p, _L_CO2)
        p = _put(out, p, DECIMAL_1[values[CO2] - LOW_1])
        p = _lit(out, p, _L_NOISE)
        p = _put(out, p, DECIMAL_1[values[NOISE] - LOW_1])
        p = _lit(out, p, _L_LIGHT)
        p = _put(out, p, DECIMAL_1[values[LIGHT] - LOW_1])
        p = _lit(out, p, _L_MOTION)
        p = _put(out, p, WHOLE[values[MOTION]])
        p = _lit(out, p, _L_BATTERY)
        p = _put(out, p, DECIMAL_2[values[BATTERY] - LOW_2])
        p = _lit(out, p, _L_SIGNAL)
        p = _put(out, p, DECIMAL_1[values[SIGNAL] - LOW_1])
        p = _lit(out, p, _L_MEMORY)
        p = _put(out, p, DECIMAL_1[values[MEMORY] - LOW_1])
        p = _lit(out, p, _L_CPU)
        p = _put(out, p, DECIMAL_1[values[CPU] - LOW_1])
        p = _lit(out, p, _L_STATUS)
        p = _put(out, p, WHOLE[values[STATUS]])
        p = _lit(out, p, _L_ERRORS)
        p = _put(out, p, WHOLE[values[ERRORS]])
        p = _lit(out, p, _L_PACKETS_SENT)
        p = _put_whole(out, p, values[PACKETS_SENT])
        p = _lit(out, p, _L_PACKETS_RECEIVED)
        p = _put_whole(out, p, values[PACKETS_RECEIVED])
        p = _lit(out, p, _L_BYTES_SENT)
        p = _put_whole(out, p, values[BYTES_SENT])
        p = _lit(out, p, _L_BYTES_RECEIVED)
        p = _put_whole(out, p, values[BYTES_RECEIVED])
        out[p] = _BRACE
        out[p + 1] = _NEWLINE
        p += 1 + newline
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
