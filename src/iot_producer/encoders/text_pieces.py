"""The pieces that a record's text is put together from: constant ones, values, dates.

Promise: whoever writes records (as lines, or into an entry for Pulsar) writes these pieces, so the
texts are the same. It must not know how records are framed.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, inlined, store8, store16, store32
from iot_producer.encoders.words import PADDED, WHOLE, literal_of
from iot_producer.schema import DEVICE_TYPES, FIELD_NAMES

# The constant pieces, in the order of the fields; a test compares them with the schema.
_N = FIELD_NAMES
L_DEVICE: Final = literal_of(f'{{"{_N[0]}":"dev-')
L_TYPE: Final = literal_of(f'","{_N[1]}":"')
L_CUSTOMER: Final = literal_of(f'","{_N[2]}":"cust-')
L_SITE: Final = literal_of(f'","{_N[3]}":"site-')
L_LATITUDE: Final = literal_of(f'","{_N[4]}":')
L_LONGITUDE: Final = literal_of(f',"{_N[5]}":')
L_ALTITUDE: Final = literal_of(f',"{_N[6]}":')
L_TIME: Final = literal_of(f',"{_N[7]}":"')
L_TEMPERATURE: Final = literal_of(f'","{_N[8]}":')
L_HUMIDITY: Final = literal_of(f',"{_N[9]}":')
L_PRESSURE: Final = literal_of(f',"{_N[10]}":')
L_CO2: Final = literal_of(f',"{_N[11]}":')
L_NOISE: Final = literal_of(f',"{_N[12]}":')
L_LIGHT: Final = literal_of(f',"{_N[13]}":')
L_MOTION: Final = literal_of(f',"{_N[14]}":')
L_BATTERY: Final = literal_of(f',"{_N[15]}":')
L_SIGNAL: Final = literal_of(f',"{_N[16]}":')
L_MEMORY: Final = literal_of(f',"{_N[17]}":')
L_CPU: Final = literal_of(f',"{_N[18]}":')
L_STATUS: Final = literal_of(f',"{_N[19]}":')
L_ERRORS: Final = literal_of(f',"{_N[20]}":')
L_PACKETS_SENT: Final = literal_of(f',"{_N[21]}":')
L_PACKETS_RECEIVED: Final = literal_of(f',"{_N[22]}":')
L_BYTES_SENT: Final = literal_of(f',"{_N[23]}":')
L_BYTES_RECEIVED: Final = literal_of(f',"{_N[24]}":')

TYPE_LITERALS: Final = np.array([literal_of(name) for name in DEVICE_TYPES], dtype=np.uint64)

_0: Final = np.uint64(0)
_56: Final = np.uint64(56)
_32: Final = np.uint64(32)
_16: Final = np.uint64(16)
_8: Final = np.uint64(8)
_48: Final = np.uint64(48)
LOW32: Final = np.uint64(0xFFFFFFFF)
_DASHES: Final = np.uint64(int.from_bytes(b"\0\0\0\0-\0\0-", "little"))
_SPACE_COLON: Final = np.uint64(int.from_bytes(b"\0\0 \0\0:\0\0", "little"))
_COLON_DOT: Final = np.uint64(int.from_bytes(b":\0\0.\0\0\0\0", "little"))
_LOW16: Final = np.uint64(0xFFFF)


@inlined
def put(out: Any, p: Int, word: Any) -> Int:
    """A value's word; returns where the next piece goes."""
    store8(out, p, word)
    return p + np.int64(word >> _56)


@inlined
def lit(out: Any, p: Int, literal: Any) -> Int:
    """A constant piece; its length and words are constants of the compiled code."""
    first, second, third = np.uint64(literal[1]), np.uint64(literal[2]), np.uint64(literal[3])
    if literal[0] > 16:
        store32(out, p, first, second, third, _0)
    elif literal[0] > 8:
        store16(out, p, first, second)
    else:
        store8(out, p, first)
    return p + literal[0]


@inlined
def put_whole(out: Any, p: Int, value: Int) -> Int:
    """A whole number 0 … 10**16 − 1."""
    if value < 10_000:
        return put(out, p, WHOLE[np.uint64(value)])
    high = value // 10_000
    if high < 10_000:
        p = put(out, p, WHOLE[np.uint64(high)])
    else:
        higher = high // 10_000
        if higher < 10_000:
            p = put(out, p, WHOLE[np.uint64(higher)])
        else:
            p = put(out, p, WHOLE[np.uint64(higher // 10_000)])
            p = put(out, p, PADDED[np.uint64(higher % 10_000)])
        p = put(out, p, PADDED[np.uint64(high % 10_000)])
    return put(out, p, PADDED[np.uint64(value % 10_000)])


@inlined
def date_words(day: Int) -> tuple[Any, Any]:
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
    return (PADDED[year] & LOW32) | _DASHES | (month_digits << np.uint64(40)), (
        PADDED[of_month] >> _16
    ) & _LOW16


@inlined
def clock_word(of_day_s: Int, day_digits: Any) -> Any:
    """``DD hh:mm`` of a second of the day."""
    hour = (PADDED[of_day_s // 3_600] >> _16) & _LOW16
    minute = (PADDED[of_day_s % 3_600 // 60] >> _16) & _LOW16
    return day_digits | _SPACE_COLON | (hour << np.uint64(24)) | (minute << _48)


@inlined
def second_word(of_day_s: Int) -> Any:
    """``:ss.`` of a second of the day; the milliseconds go into its upper half."""
    return (((PADDED[of_day_s % 60] >> _16) & _LOW16) << _8) | _COLON_DOT
