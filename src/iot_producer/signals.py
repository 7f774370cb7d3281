"""The integers of a record: compiled functions of (fleet, device, time).

Promise: nothing that decides a value is carried from record to record; any order of evaluation
gives the same integers, in counts of each field's resolution, on every machine. It must not know
how values are written or sent. The physics is described in docs/explanation/signals.md.

Records are computed in tiles of :data:`TILE`, held in columns, by loops without branches, look-ups
or divisions, which the compiler turns into vector instructions (docs/adr/0002). A kernel that goes
through records calls :func:`fill_tile` for each tile, and :func:`readings` for each record in it.

Times are in milliseconds since the epoch, shares in 1/65536.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import Int, copy_row, entry, inlined, pasted, prefetch_row, transpose16
from iot_producer.conditions import (
    C_AIR,
    C_CARBON,
    C_DAYLIGHT,
    C_HUMIDITY,
    C_LAMPS,
    C_LOUD,
    C_PRESENCE,
    C_PRESSURE,
    C_RESTLESS,
    C_TICK,
    C_TRAFFIC,
    TICK_BITS,
    new_conditions,
    update_conditions,
)
from iot_producer.device_life import (
    fill_counters,
    fill_errors,
    fill_radio_and_battery,
    fill_status,
)
from iot_producer.fleet import (
    D_CO2_BIAS,
    D_CPU_MEMORY,
    D_HUMIDITY_BIAS,
    D_LAMPS,
    D_NOISE_BIAS,
    D_PLACE,
    D_PRESSURE_BIAS,
    D_SENT_PER_HOUR,
    D_SIGNAL,
    D_TEMPERATURE_BIAS,
    Fleet,
)
from iot_producer.lattice import DAY, SECOND, clamped, reciprocal, share, word
from iot_producer.tile import (
    BATTERY,
    BYTES_RECEIVED,
    BYTES_SENT,
    CO2,
    CPU,
    ERROR,
    ERRORS,
    HUMIDITY,
    LANES,
    LIGHT,
    MAINTENANCE,
    MEMORY,
    MOTION,
    N_READINGS,
    NOISE,
    OFFLINE,
    ONLINE,
    PACKETS_RECEIVED,
    PACKETS_SENT,
    PRESSURE,
    SIGNAL,
    STATUS,
    TEMPERATURE,
    TILE,
    V_DAY,
    V_OF_DAY,
    V_OF_DAY_S,
    V_TIME,
    at,
    key_of,
    new_tile,
    readings,
)

__all__ = [
    "BATTERY",
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CO2",
    "CPU",
    "ERROR",
    "ERRORS",
    "HUMIDITY",
    "LIGHT",
    "MAINTENANCE",
    "MEMORY",
    "MOTION",
    "NOISE",
    "N_READINGS",
    "OFFLINE",
    "ONLINE",
    "PACKETS_RECEIVED",
    "PACKETS_SENT",
    "PRESSURE",
    "SIGNAL",
    "STATUS",
    "TEMPERATURE",
    "TILE",
    "fill_tile",
    "new_tile",
    "readings",
    "readings_of",
]

# Streams of words under a device's key: random constants, never used twice.
_FINE_1: Final = np.uint64(0x9216D5D98979FB1B)
_FINE_2: Final = np.uint64(0xD1310BA698DFB5AC)
_MOVES: Final = np.uint64(0x2FFD72DBD01ADFB7)

_0: Final = np.uint64(0)
_16: Final = np.uint64(16)
_32: Final = np.uint64(32)
_48: Final = np.uint64(48)

_AHEAD: Final = 16  # records; far enough for a row to arrive from memory
_MOVE_S: Final = 15

# Divisions are multiplications; each is exact in the range of its values (a test tries all).
_TIME_BITS: Final = 56
_PER_DAY_OF_TIME: Final = (1 << _TIME_BITS) // DAY
_SECOND_BITS: Final = 37
_PER_SECOND: Final = reciprocal(SECOND, _SECOND_BITS)
_MOVE_BITS: Final = 30
_PER_MOVE: Final = reciprocal(_MOVE_S, _MOVE_BITS)


@pasted
def fill_tile(
    tile: Any,
    devices: Any,
    sites: Any,
    conditions: Any,
    numbers: Any,
    times: Any,
    first: Int,
    per_ms: Int,
) -> None:
    """Compute the readings of the records from ``first`` on, TILE of them or what is left.

    Args:
        tile: see :func:`new_tile`.
        devices, sites: ``Fleet.device``, ``Fleet.site``.
        conditions: the caller's memory, see conditions.new_conditions.
        numbers: int32[n], device numbers.
        times: int64[n], since the epoch, 0 … 2**42 ms.
        first: which record is the tile's first.
        per_ms: units of ``times`` in a millisecond, a constant.
    """
    values, own, around, rows = tile
    last = len(numbers) - 1
    groups = (min(last + 1 - first, TILE) + LANES - 1) // LANES
    n = groups * LANES
    for i in range(n):
        # Unsigned indices: no test for a sign.
        record = np.uint64(min(first + i, last))
        prefetch_row(devices, numbers[np.uint64(min(first + i + _AHEAD, last))])
        number = np.uint64(numbers[record])
        t = np.int64(np.uint64(times[record]) // np.uint64(per_ms))
        values[V_TIME, i] = t
        place = np.uint64(devices[number, D_PLACE])
        tick = t >> TICK_BITS
        if conditions[place, C_TICK] != tick:
            update_conditions(conditions[place], sites, np.int64(place), tick)
        # Copied now: the next record may change its place's conditions.
        copy_row(rows, i, devices, number)
        copy_row(rows, TILE + i, conditions, place)
    for group in range(groups):
        transpose16(own, group * LANES, rows, group * LANES)
        transpose16(around, group * LANES, rows, TILE + group * LANES)
    _fill_days(values, n)
    _fill_sensors(values, own, around, n)
    fill_radio_and_battery(values, own, n)
    fill_status(values, own, n)
    fill_counters(values, own, around, n)
    fill_errors(values, n)


@inlined
def _centred(random: Any, shift: Any, reach: Int) -> Int:
    """Uniform in −reach … reach, from 16 bits of a word."""
    return (share(random, shift) - 32_768) * reach >> 15


@pasted
def _fill_days(values: Any, n: Int) -> None:
    for i in range(n):
        t = values[V_TIME, i]
        day = (t >> 16) * _PER_DAY_OF_TIME >> _TIME_BITS - 16  # or one less
        of_day = t - day * DAY
        more = 1 if of_day >= DAY else 0
        values[V_DAY, i] = day + more
        of_day -= more * DAY
        values[V_OF_DAY, i] = of_day
        values[V_OF_DAY_S, i] = of_day * _PER_SECOND >> _SECOND_BITS


@pasted
def _fill_sensors(values: Any, own: Any, around: Any, n: Int) -> None:
    """The conditions, the sensor's own bias, and noise; what follows people and packets."""
    for i in range(n):
        key = key_of(own, i)
        fine_1 = word(key, _FINE_1, values[V_TIME, i])
        fine_2 = word(key, _FINE_2, values[V_TIME, i])
        air = at(around, C_AIR, i) + at(own, D_TEMPERATURE_BIAS, i) + _centred(fine_1, _0, 173)
        values[TEMPERATURE, i] = clamped((air + 5) // 10, -3_000, 5_000)
        humidity = (
            at(around, C_HUMIDITY, i) + at(own, D_HUMIDITY_BIAS, i) + _centred(fine_1, _16, 60)
        )
        values[HUMIDITY, i] = clamped(humidity, 300, 10_000)
        pressure = (
            at(around, C_PRESSURE, i) + at(own, D_PRESSURE_BIAS, i) + _centred(fine_1, _32, 10)
        )
        values[PRESSURE, i] = clamped(pressure, 98_000, 103_000)
        carbon = at(around, C_CARBON, i) + at(own, D_CO2_BIAS, i) + _centred(fine_2, _0, 60)
        values[CO2, i] = clamped(carbon, 4_000, 20_000)
        loud = at(around, C_LOUD, i) + at(own, D_NOISE_BIAS, i) + _centred(fine_2, _16, 35)
        values[NOISE, i] = clamped(loud, 300, 900)
        lamps = at(own, D_LAMPS, i) * at(around, C_LAMPS, i) >> 16
        lux = at(around, C_DAYLIGHT, i) + lamps
        values[LIGHT, i] = clamped(lux + (lux * _centred(fine_2, _32, 1_310) >> 16), 0, 10_000)
        values[SIGNAL, i] = at(own, D_SIGNAL, i) + _centred(fine_2, _48, 20)

        presence = at(around, C_PRESENCE, i)
        base = at(own, D_CPU_MEMORY, i)
        values[MEMORY, i] = (base & 0xFFFF) + (presence * 60 >> 16) + (share(fine_1, _48) >> 11)
        load = (base >> 16) + (presence * 220 >> 16) + (share(fine_1 ^ fine_2, _16) >> 10)
        packets = at(around, C_TRAFFIC, i) * at(own, D_SENT_PER_HOUR, i) >> 10
        values[CPU, i] = load + packets

        turn = values[V_DAY, i] * (DAY // SECOND // _MOVE_S)
        turn += values[V_OF_DAY_S, i] * _PER_MOVE >> _MOVE_BITS
        moves = share(word(key, _MOVES, turn), _32)
        values[MOTION, i] = 1 if moves < at(around, C_RESTLESS, i) else 0


@entry
def _fill(out: Any, devices: Any, sites: Any, conditions: Any, numbers: Any, times_ms: Any) -> None:
    n = len(numbers)
    tile = new_tile()
    values = tile[0]
    for first in range(0, n, TILE):
        fill_tile(tile, devices, sites, conditions, numbers, times_ms, first, 1)
        for reading in range(N_READINGS):
            for i in range(min(n - first, TILE)):
                out[reading, np.uint64(first + i)] = values[reading, i]


def readings_of(
    fleet: Fleet,
    devices: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    conditions: NDArray[np.int32] | None = None,
) -> NDArray[np.int64]:
    """The readings of n (device, time) pairs.

    Args:
        fleet: whose devices.
        devices: int32[n], device numbers.
        times_ms: int64[n], milliseconds since the epoch, 0 … 2**42.
        conditions: a memory of conditions to reuse; a new one when left out.

    Returns:
        int64[N_READINGS, n], in counts of each field's resolution, in the order of the schema.
    """
    # Always read-only, as a lane's slices are: the other kind would be compiled a second time.
    devices = devices.view()
    devices.flags.writeable = False
    out = np.empty((N_READINGS, len(devices)), dtype=np.int64)
    memory = new_conditions(fleet) if conditions is None else conditions
    with np.errstate(over="ignore"):
        _fill(out, fleet.device, fleet.site, memory, devices, times_ms)
    return out
