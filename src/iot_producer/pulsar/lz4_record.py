"""A record as sequences of an LZ4 block: place, time and readings, up to its last number.

Promise: decoded behind another record, they are what json_rows.put_record writes between the
site's label and the last number. It must not know the metadata around a record.

A value is literals; the constant text behind it is a match with the place where it was last, one
record before. Motion, and status with errors, are of few kinds: such a piece was written before,
value and all, and is repeated whole.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, inlined, load8, store8
from iot_producer.encoders.device_text import (
    T_ALTITUDE,
    T_LATITUDE,
    T_LONGITUDE,
    T_LONGITUDE_LENGTH,
    T_SITE,
)
from iot_producer.encoders.text_pieces import (
    L_ALTITUDE,
    L_BATTERY,
    L_BYTES_RECEIVED,
    L_BYTES_SENT,
    L_CO2,
    L_CPU,
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
    Literal,
)
from iot_producer.pulsar.lz4_sequences import (
    LONGEST_NIBBLE,
    MAX_DISTANCE,
    low_nibble,
    put_chars,
    put_match,
    put_number,
)
from iot_producer.signals import (
    BATTERY,
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
)


def length_of(literal: Literal) -> np.int64:
    """The length of a constant piece."""
    return literal[0]


# Places in the text where a piece was last: that behind a value, by field; some by kind.
_ALTITUDE: Final = np.uint64(0)
_TIME: Final = np.uint64(1)
_HUMIDITY: Final = np.uint64(2)
_PRESSURE: Final = np.uint64(3)
_CO2: Final = np.uint64(4)
_NOISE: Final = np.uint64(5)
_LIGHT: Final = np.uint64(6)
_SIGNAL: Final = np.uint64(7)
_MEMORY: Final = np.uint64(8)
_CPU: Final = np.uint64(9)
_STATUS: Final = np.uint64(10)
_SENT: Final = np.uint64(11)
_RECEIVED: Final = np.uint64(12)
_BYTES_SENT: Final = np.uint64(13)
_BYTES_RECEIVED: Final = np.uint64(14)
_MOTION: Final = 15  # by motion: 0, 1
_STATES: Final = 17  # by 32 · status + errors
N_RECORD_PLACES: Final = _STATES + 5 * 32

# Lengths of constant text.
_N_LATITUDE_LABEL: Final = length_of(L_LATITUDE)
_N_LONGITUDE_LABEL: Final = length_of(L_LONGITUDE) + 1  # with the minus, which all have
_N_ALTITUDE_LABEL: Final = length_of(L_ALTITUDE)
_N_SITE: Final = length_of(L_SITE) + 5
_N_LATITUDE: Final = np.int64(9)
_N_DATE: Final = np.int64(23)
_N_SECOND: Final = np.int64(20)  # of the date, up to the full second and its point
_N_MILLISECOND: Final = np.int64(3)
_N_TIME: Final = length_of(L_TIME)
_N_TEMPERATURE: Final = length_of(L_TEMPERATURE)
_N_HUMIDITY: Final = length_of(L_HUMIDITY)
_N_PRESSURE: Final = length_of(L_PRESSURE)
_N_CO2: Final = length_of(L_CO2)
_N_NOISE: Final = length_of(L_NOISE)
_N_LIGHT: Final = length_of(L_LIGHT)
_N_MOTION: Final = length_of(L_MOTION)
_N_BATTERY: Final = length_of(L_BATTERY)
_N_SIGNAL: Final = length_of(L_SIGNAL)
_N_MEMORY: Final = length_of(L_MEMORY)
_N_CPU: Final = length_of(L_CPU)
_N_STATUS: Final = length_of(L_STATUS)
_N_ERRORS: Final = length_of(L_ERRORS)
_N_PACKETS_SENT: Final = length_of(L_PACKETS_SENT)
_N_PACKETS_RECEIVED: Final = length_of(L_PACKETS_RECEIVED)
_N_BYTES_SENT: Final = length_of(L_BYTES_SENT)
_N_BYTES_RECEIVED: Final = length_of(L_BYTES_RECEIVED)
_N_STATE: Final = _N_STATUS + 1 + _N_ERRORS + _N_PACKETS_SENT
_N_MOVING: Final = _N_MOTION + 1 + _N_BATTERY
_N_DIGIT: Final = np.int64(1)

_8: Final = np.uint64(8)
_32: Final = np.uint64(32)
_56: Final = np.uint64(56)
_LOW32: Final = np.uint64(0xFFFFFFFF)


@inlined
def _value(
    out: Any, p: Int, u: Int, where: Any, place: Int, word: Any, n_match: Int
) -> tuple[Int, Int]:
    """A value's word and the constant piece behind it; returns where both go on."""
    n = np.int64(word >> _56)
    u += n
    p = put_chars(out, p, word, n, u - where[place], n_match)
    where[place] = u
    return p, u + n_match


@inlined
def _number(
    out: Any, p: Int, u: Int, where: Any, place: Int, value: Int, n_match: Int
) -> tuple[Int, Int]:
    """A whole number and the constant piece behind it; returns where both go on."""
    p, n = put_number(out, p, value, u - where[place], n_match)
    where[place] = u + n
    return p, u + n + n_match


@inlined
def match_record(
    out: Any,
    p: Int,
    site_at: Int,
    where: Any,
    texts: Any,
    own: Int,
    z_site: Int,
    before_site: Int,
    same_time: Any,
    same_second: Any,
    year_month: Any,
    clock: Any,
    seconds: Any,
    millisecond: Int,
    values: Any,
) -> tuple[Int, Int, Int]:
    """A record from its site's digits on, up to the label of its last number.

    Args:
        out: where to.
        p: place in it.
        site_at: place of the site's label in the text.
        where: places where pieces were last; receives those of this record.
        texts: all devices' text, flat.
        own: where the device's begins in it.
        z_site: leading zeros of the site's number that the label's match has taken.
        before_site: distance to the label in the record before.
        same_time, same_second: how much of the time the record before has, too.
        year_month, clock, seconds, millisecond, values: see json_rows.put_record.

    Returns:
        the places behind, in the block and in its text, and that of the last sequence's token.
    """
    # Place.
    digits = load8(texts, own + T_SITE) >> np.uint64(8 * z_site)
    p = put_chars(out, p, digits, 5 - z_site, before_site, _N_LATITUDE_LABEL)
    u = site_at + _N_SITE + _N_LATITUDE_LABEL + _N_LATITUDE
    token = np.uint64(_N_LATITUDE << 4 | low_nibble(_N_LONGITUDE_LABEL))
    store8(out, p, load8(texts, own + T_LATITUDE) << _8 | token)
    store8(out, p + 8, load8(texts, own + T_LATITUDE + 7))
    p = put_match(out, p + 1 + _N_LATITUDE, before_site, _N_LONGITUDE_LABEL)
    n_longitude = np.int64(texts[np.uint64(own + T_LONGITUDE_LENGTH)])
    u += _N_LONGITUDE_LABEL + n_longitude - 1
    token = np.uint64((n_longitude - 1) << 4 | low_nibble(_N_ALTITUDE_LABEL))
    store8(out, p, load8(texts, own + T_LONGITUDE + 1) << _8 | token)
    store8(out, p + 8, load8(texts, own + T_LONGITUDE + 8))
    p = put_match(out, p + n_longitude, u - where[_ALTITUDE], _N_ALTITUDE_LABEL)
    where[_ALTITUDE] = u
    u += _N_ALTITUDE_LABEL

    # Time: as much of it as the message before has too.
    altitude = load8(texts, own + T_ALTITUDE)
    n_altitude = np.int64(altitude >> _56)
    u += n_altitude
    before = u - where[_TIME]
    where[_TIME] = u
    u += _N_TIME + _N_DATE + _N_TEMPERATURE
    if same_time:
        n_match = _N_TIME + _N_DATE + _N_TEMPERATURE
        p = put_chars(out, p, altitude, n_altitude, before, n_match)
    elif same_second:
        n_match = _N_TIME + _N_SECOND
        p = put_chars(out, p, altitude, n_altitude, before, n_match)
        p = put_chars(
            out, p, PADDED[np.uint64(millisecond)] >> _8, _N_MILLISECOND, before, _N_TEMPERATURE
        )
    else:
        p = put_chars(out, p, altitude, n_altitude, before, _N_TIME)
        out[np.uint64(p)] = LONGEST_NIBBLE << 4 | low_nibble(_N_TEMPERATURE)
        out[np.uint64(p + 1)] = _N_DATE - LONGEST_NIBBLE
        store8(out, p + 2, year_month)
        store8(out, p + 10, clock)
        store8(out, p + 18, seconds | (PADDED[np.uint64(millisecond)] & _LOW32) >> _8 << _32)
        p = put_match(out, p + 2 + _N_DATE, before, _N_TEMPERATURE)

    # Readings.
    word = DECIMAL_2[np.uint64(values[TEMPERATURE] - LOW_2)]
    p, u = _value(out, p, u, where, _HUMIDITY, word, _N_HUMIDITY)
    word = DECIMAL_2[np.uint64(values[HUMIDITY] - LOW_2)]
    p, u = _value(out, p, u, where, _PRESSURE, word, _N_PRESSURE)
    word = PRESSURE_2[np.uint64(values[PRESSURE] - LOW_PRESSURE)]
    p, u = _value(out, p, u, where, _CO2, word, _N_CO2)
    word = DECIMAL_1[np.uint64(values[CO2] - LOW_1)]
    p, u = _value(out, p, u, where, _NOISE, word, _N_NOISE)
    word = DECIMAL_1[np.uint64(values[NOISE] - LOW_1)]
    p, u = _value(out, p, u, where, _LIGHT, word, _N_LIGHT)
    word = DECIMAL_1[np.uint64(values[LIGHT] - LOW_1)]
    motion = np.int64(values[MOTION])
    moving = np.uint64(_MOTION + motion)
    here = u + np.int64(word >> _56)
    last = max(where[np.uint64(_MOTION)], where[np.uint64(_MOTION + 1)])
    if here - where[moving] <= MAX_DISTANCE:
        p, u = _value(out, p, u, where, moving, word, _N_MOVING)
    else:
        p = put_chars(out, p, word, here - u, here - last, _N_MOTION)
        p = put_chars(out, p, WHOLE[np.uint64(motion)], _N_DIGIT, here - last, _N_BATTERY)
        where[moving] = here
        u = here + _N_MOVING
    word = DECIMAL_2[np.uint64(values[BATTERY] - LOW_2)]
    p, u = _value(out, p, u, where, _SIGNAL, word, _N_SIGNAL)
    word = DECIMAL_1[np.uint64(values[SIGNAL] - LOW_1)]
    p, u = _value(out, p, u, where, _MEMORY, word, _N_MEMORY)
    word = DECIMAL_1[np.uint64(values[MEMORY] - LOW_1)]
    p, u = _value(out, p, u, where, _CPU, word, _N_CPU)

    # Status and errors.
    word = DECIMAL_1[np.uint64(values[CPU] - LOW_1)]
    here = u + np.int64(word >> _56)
    errors = WHOLE[np.uint64(values[ERRORS])]
    n_errors = np.int64(errors >> _56)
    state = np.uint64(_STATES + 32 * values[STATUS] + values[ERRORS])
    before_status = here - where[_STATUS]
    before_sent = here + _N_STATUS + 1 + _N_ERRORS + n_errors - where[_SENT]
    where[_STATUS] = here
    where[_SENT] = here + _N_STATE - _N_PACKETS_SENT + n_errors
    before = here - where[state]
    where[state] = here
    if before <= MAX_DISTANCE:
        p = put_chars(out, p, word, here - u, before, _N_STATE + n_errors)
    else:
        p = put_chars(out, p, word, here - u, before_status, _N_STATUS)
        p = put_chars(out, p, WHOLE[np.uint64(values[STATUS])], _N_DIGIT, before_status, _N_ERRORS)
        p = put_chars(out, p, errors, n_errors, before_sent, _N_PACKETS_SENT)
    u = here + _N_STATE + n_errors

    # Counters.
    number = values[PACKETS_SENT]
    p, u = _number(out, p, u, where, _RECEIVED, number, _N_PACKETS_RECEIVED)
    number = values[PACKETS_RECEIVED]
    p, u = _number(out, p, u, where, _BYTES_SENT, number, _N_BYTES_SENT)
    sent_at = p
    number = values[BYTES_SENT]
    p, u = _number(out, p, u, where, _BYTES_RECEIVED, number, _N_BYTES_RECEIVED)
    return p, u, sent_at
