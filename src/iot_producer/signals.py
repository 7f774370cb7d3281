"""The integers of a record: compiled functions of (fleet, device, time).

Promise: nothing that decides a value is carried from record to record; any order of evaluation
gives the same integers, in counts of each field's resolution, on every machine. It must not know
how values are written or sent. The physics is described in docs/explanation/signals.md.

Times are in milliseconds since the epoch, shares in 1/65536.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import Int, entry, inlined, prefetch_row
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
    TRAFFIC,
    new_conditions,
    update_conditions,
)
from iot_producer.fleet import (
    D_BATTERY_PACE,
    D_BATTERY_START,
    D_BOOT_HOURS,
    D_CO2_BIAS,
    D_CPU_MEMORY,
    D_HUMIDITY_BIAS,
    D_KEY_HIGH,
    D_KEY_LOW,
    D_LAMPS,
    D_NOISE_BIAS,
    D_PLACE,
    D_PRESSURE_BIAS,
    D_RECEIVED_PER_HOUR,
    D_SENT_PER_HOUR,
    D_SIGNAL,
    D_TEMPERATURE_BIAS,
    S_LOCAL_MS,
    Fleet,
)
from iot_producer.lattice import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    SMOOTH_SIGMA,
    clamped,
    quotient,
    share,
    smooth,
    word,
)

# Places of the readings in a row of values; the order of schema.FIELDS from temperature on.
TEMPERATURE: Final = 0
HUMIDITY: Final = 1
PRESSURE: Final = 2
CO2: Final = 3
NOISE: Final = 4
LIGHT: Final = 5
MOTION: Final = 6
BATTERY: Final = 7
SIGNAL: Final = 8
MEMORY: Final = 9
CPU: Final = 10
STATUS: Final = 11
ERRORS: Final = 12
PACKETS_SENT: Final = 13
PACKETS_RECEIVED: Final = 14
BYTES_SENT: Final = 15
BYTES_RECEIVED: Final = 16
N_READINGS: Final = 17

ONLINE: Final = 1
OFFLINE: Final = 2
MAINTENANCE: Final = 3
ERROR: Final = 4

# Streams of words under a device's key: random constants, never used twice.
_FADING: Final = np.uint64(0x3F84D5B5B5470917)
_FINE_1: Final = np.uint64(0x9216D5D98979FB1B)
_FINE_2: Final = np.uint64(0xD1310BA698DFB5AC)
_MOVES: Final = np.uint64(0x2FFD72DBD01ADFB7)
_FAULT: Final = np.uint64(0xB8E1AFED6A267E96)
_OUTAGE: Final = np.uint64(0xBA7C9045F12C7F99)
_SERVICE: Final = np.uint64(0x24A19947B3916CF7)
_BOOT: Final = np.uint64(0x0801F2E2858EFC16)

_0: Final = np.uint64(0)
_1: Final = np.uint64(1)
_16: Final = np.uint64(16)
_32: Final = np.uint64(32)
_48: Final = np.uint64(48)
_LOW32: Final = np.uint64(0xFFFFFFFF)

_AHEAD: Final = 8  # records; far enough for a row to arrive from memory (100 ns at 15 ns a step)

_TRAFFIC_BEFORE: Final = np.concatenate(([0], np.cumsum(TRAFFIC)))[:24].astype(np.int64) * HOUR
_TRAFFIC_OF_DAY: Final = int(TRAFFIC.sum()) * HOUR

# A battery's charge (0.01 %) by the share of its life that is used (1/1024), linear between.
_BATTERY_CURVE: Final = np.array(
    [
        (10_000 - 700 * i // 80) if i < 80
        else (9_300 - 3_700 * (i - 80) // 770) if i < 850
        else (5_600 - 1_600 * (i - 850) // 120) if i < 970
        else (4_000 - 2_000 * (i - 970) // 28) if i < 998
        else (2_000 - 1_800 * (i - 998) // 26)
        for i in range(1_026)
    ],
    dtype=np.int64,
)  # fmt: skip


@inlined
def _centred(random: Any, shift: Any, reach: Int) -> Int:
    """Uniform in −reach … reach, from 16 bits of a word."""
    return (share(random, shift) - 32_768) * reach >> 15


@inlined
def _within(value: Int, length: Int) -> Any:
    """Whether 0 ≤ value < length (not negative), in one comparison."""
    return np.uint64(value) < np.uint64(length)


@inlined
def _traffic_until(local_ms: Int) -> Int:
    """Activity since the epoch: grows by 33 … 86 every millisecond, so it never falls."""
    day = quotient(local_ms, DAY)
    of_day = local_ms - day * DAY
    hour = quotient(of_day, HOUR)
    place = np.uint64(hour)
    return day * _TRAFFIC_OF_DAY + _TRAFFIC_BEFORE[place] + TRAFFIC[place] * (of_day - hour * HOUR)


@inlined
def readings(devices: Any, d: Int, sites: Any, conditions: Any, t: Int) -> Any:
    """The readings of device ``d`` at ``t``.

    Args:
        devices: ``Fleet.device``.
        d: device number.
        sites: ``Fleet.site``.
        conditions: the caller's memory, see conditions.new_conditions.
        t: milliseconds since the epoch, 0 … 2**42.

    Returns:
        N_READINGS int64, in counts of each field's resolution.
    """
    # Unsigned indices and no views of rows: no test for a sign, no counting of references.
    own = np.uint64(d)
    here = np.uint64(devices[own, D_PLACE])
    key = np.uint64(devices[own, D_KEY_LOW]) & _LOW32 | np.uint64(devices[own, D_KEY_HIGH]) << _32
    tick = t >> TICK_BITS
    if conditions[here, C_TICK] != tick:
        update_conditions(conditions[here], sites, np.int64(here), tick)
    fine_1 = word(key, _FINE_1, t)
    fine_2 = word(key, _FINE_2, t)

    # Sensors: the conditions, the sensor's own bias, and noise.
    air = conditions[here, C_AIR] + devices[own, D_TEMPERATURE_BIAS] + _centred(fine_1, _0, 173)
    temperature = clamped((air + 5) // 10, -3_000, 5_000)
    humidity = clamped(
        conditions[here, C_HUMIDITY] + devices[own, D_HUMIDITY_BIAS] + _centred(fine_1, _16, 60),
        300,
        10_000,
    )
    pressure = clamped(
        conditions[here, C_PRESSURE] + devices[own, D_PRESSURE_BIAS] + _centred(fine_1, _32, 10),
        98_000,
        103_000,
    )
    carbon = clamped(
        conditions[here, C_CARBON] + devices[own, D_CO2_BIAS] + _centred(fine_2, _0, 60),
        4_000,
        20_000,
    )
    loud = clamped(
        conditions[here, C_LOUD] + devices[own, D_NOISE_BIAS] + _centred(fine_2, _16, 35), 300, 900
    )
    lux = conditions[here, C_DAYLIGHT] + (devices[own, D_LAMPS] * conditions[here, C_LAMPS] >> 16)
    light = clamped(lux + (lux * _centred(fine_2, _32, 1_310) >> 16), 0, 10_000)
    moves = share(word(key, _MOVES, quotient(t, 15 * SECOND)), _32)
    motion = np.int64(moves < conditions[here, C_RESTLESS])

    # Battery: a life of 30 … 400 days with a plateau and a cliff, as a phase of 2**52; mains do not
    # move from its start.
    phase = quotient(t, SECOND) * devices[own, D_BATTERY_PACE] + (
        np.int64(devices[own, D_BATTERY_START]) << 22
    )
    used = (phase >> 32) & 0xFFFFF
    step = np.uint64(used >> 10)
    full = _BATTERY_CURVE[step]
    battery = full + ((_BATTERY_CURVE[step + _1] - full) * (used & 0x3FF) >> 10)

    # Radio: distance and walls (fixed), slow fading (σ 2 dB), fast fading (±2 dB).
    fading = smooth(key, _FADING, t, 10 * MINUTE) * 20 // SMOOTH_SIGMA + _centred(fine_2, _48, 20)
    signal = clamped(devices[own, D_SIGNAL] + fading, -1_100, -200)

    # Status: an epoch of a week may hold a service of hours, of a day an outage, of 4 h a fault. A
    # device's epochs start at its own time.
    shifted = t + (np.int64(key >> _32) * (7 * DAY) >> 32)
    week = quotient(shifted, 7 * DAY)
    service = word(key, _SERVICE, week)
    length = 2 * HOUR + (share(service, _16) * (64 * HOUR // 5) >> 16)
    at = shifted - week * (7 * DAY) - (share(service, _32) * (7 * DAY - length) >> 16)
    status = ONLINE
    errors = np.int64(0)
    if _within(at, length):
        status = MAINTENANCE
    else:
        day = quotient(shifted, DAY)
        outage = word(key, _OUTAGE, day)
        length = 20 * MINUTE + (share(outage, _16) * (5 * HOUR) >> 16)
        at = shifted - day * DAY - (share(outage, _32) * (DAY - length) >> 16)
        if _within(at, length) and share(outage, _48) < 29_200:
            status = OFFLINE
            errors = share(outage, _0) % 6 * (at + HOUR) // (length + HOUR)
        else:
            turn = quotient(shifted, 4 * HOUR)
            fault = word(key, _FAULT, turn)
            length = 3 * MINUTE + (share(fault, _16) * (27 * MINUTE) >> 16)
            at = shifted - turn * (4 * HOUR) - (share(fault, _32) * (4 * HOUR - length) >> 16)
            if _within(at, length) and share(fault, _48) < 52_800:
                status = ERROR
                errors = 1 + (1 + share(fault, _0) % 20) * at // length

    # Counters since the last boot: boots are epochs of days, each somewhere in the first half.
    boot_hours = np.int64(devices[own, D_BOOT_HOURS])
    between = boot_hours * HOUR
    lag = np.int64(key & _LOW32) * (between >> 4) >> 28  # an hour is a multiple of 16 ms
    epoch = quotient(t + lag, between)
    # Both epochs are computed: which of them it is cannot be predicted.
    this, before = word(key, _BOOT, epoch), word(key, _BOOT, epoch - 1)
    booted_this = epoch * between - lag + (share(this, _16) * between >> 17)
    booted_before = (epoch - 1) * between - lag + (share(before, _16) * between >> 17)
    in_this = booted_this <= t
    boot = this if in_this else before
    booted = booted_this if in_this else booted_before
    local_ms = sites[here >> _1, S_LOCAL_MS] + 100 * DAY
    traffic = (_traffic_until(t + local_ms) - _traffic_until(booted + local_ms)) >> 16
    sent = quotient(traffic * devices[own, D_SENT_PER_HOUR], 64 * HOUR >> 16)
    received = quotient(traffic * devices[own, D_RECEIVED_PER_HOUR], 64 * HOUR >> 16)
    bytes_sent = sent * (200 + (share(boot, _32) * 1_001 >> 16))
    bytes_received = received * (200 + (share(boot, _48) * 1_001 >> 16))

    # Memory creeps up from boot to boot; the processor follows people and packets.
    presence = np.int64(conditions[here, C_PRESENCE])
    creep = quotient(quotient(t - booted, HOUR) * 125, boot_hours)
    base = devices[own, D_CPU_MEMORY]
    memory = (base & 0xFFFF) + creep + (presence * 60 >> 16) + (share(fine_1, _48) >> 11)
    load = (base >> 16) + (presence * 220 >> 16)
    load += conditions[here, C_TRAFFIC] * devices[own, D_SENT_PER_HOUR] >> 10
    load += share(fine_1 ^ fine_2, _16) >> 10
    return (
        temperature,
        humidity,
        pressure,
        carbon,
        loud,
        light,
        motion,
        battery,
        signal,
        clamped(memory, 100, 950),
        clamped(load + 150 if status == ERROR else load, 0, 1_000),
        status,
        errors,
        sent,
        received,
        bytes_sent,
        bytes_received,
    )


@entry
def _fill(out: Any, devices: Any, sites: Any, conditions: Any, numbers: Any, times_ms: Any) -> None:
    n = len(numbers)
    for i in range(n):
        prefetch_row(devices, numbers[min(i + _AHEAD, n - 1)])
        values = readings(devices, numbers[i], sites, conditions, times_ms[i])
        for j in range(N_READINGS):
            out[j, i] = values[j]


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
