"""What a device lives through: its radio, battery, status, boots and counters.

Promise: fills its readings' columns of a tile (tile.py) as pure functions of device and time, by
loops without branches but for errors. It must not know sensors. The physics is described in
docs/explanation/signals.md.

Times are in milliseconds, shares in 1/65536.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, inlined, pasted
from iot_producer.conditions import C_LOCAL_MS, TRAFFIC
from iot_producer.fleet import (
    D_BATTERY_PACE,
    D_BATTERY_START,
    D_BOOTS,
    D_RECEIVED_PER_HOUR,
    D_SENT_PER_HOUR,
)
from iot_producer.lattice import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    SMOOTH_SIGMA,
    bell,
    clamped,
    reciprocal,
    share,
    word,
)
from iot_producer.tile import (
    BATTERY,
    BYTES_RECEIVED,
    BYTES_SENT,
    CPU,
    ERROR,
    ERRORS,
    MAINTENANCE,
    MEMORY,
    OFFLINE,
    ONLINE,
    PACKETS_RECEIVED,
    PACKETS_SENT,
    SIGNAL,
    STATUS,
    V_AGE,
    V_DAY,
    V_DRAWN,
    V_LENGTH,
    V_OF_DAY,
    V_OF_DAY_S,
    at,
    key_of,
)

# Streams of words under a device's key: random constants, never used twice.
_FADING: Final = np.uint64(0x3F84D5B5B5470917)
_FAULT: Final = np.uint64(0xB8E1AFED6A267E96)
_OUTAGE: Final = np.uint64(0xBA7C9045F12C7F99)
_SERVICE: Final = np.uint64(0x24A19947B3916CF7)
_BOOT: Final = np.uint64(0x0801F2E2858EFC16)

_0: Final = np.uint64(0)
_16: Final = np.uint64(16)
_32: Final = np.uint64(32)
_48: Final = np.uint64(48)
_LOW32: Final = np.uint64(0xFFFFFFFF)

_WEEK: Final = 7 * DAY
_TURN: Final = 4 * HOUR
_FADE: Final = 10 * MINUTE
_BEFORE: Final = 50 * DAY  # longer than any device runs without a boot

# Divisions are multiplications; each is exact in the range of its values (a test tries all).
_DAY_BITS: Final = 45
_PER_DAY: Final = reciprocal(DAY >> 10, _DAY_BITS)
_TURN_BITS: Final = 54
_PER_TURN: Final = reciprocal(_TURN, _TURN_BITS)
_HOUR_BITS: Final = 49
_PER_HOUR: Final = reciprocal(HOUR, _HOUR_BITS)
_FADE_BITS: Final = 40
_WEEK_BITS: Final = 30
_PER_FADE: Final = reciprocal(_FADE >> 6, _FADE_BITS)
_PER_WEEK: Final = reciprocal(7, _WEEK_BITS)

# Activity by hour of the day: what was before it (in hours, above 8 bits), and its own.
_BY_HOUR: Final = np.concatenate(([0], np.cumsum(TRAFFIC)))[:24].astype(np.int64) << 8 | TRAFFIC
_TRAFFIC_OF_DAY: Final = int(TRAFFIC.sum()) * HOUR
# Packets by activity (2**16 · 64 a ms is 1) and packets an hour, 30 fraction bits.
_PACKETS: Final = (1 << 46) // (64 * HOUR)
# Memory that a device loses from boot to boot (0.1 %), by 2**16 ms and 2**-21 of 1/days.
_CREEP: Final = (125 << 36) // DAY
_FADING_STEP: Final = (20 << 21) // SMOOTH_SIGMA  # 2 dB in units of bells, 21 fraction bits


@pasted
def fill_radio_and_battery(values: Any, own: Any, n: Int) -> None:
    """Slow fading, and a battery's life."""
    for i in range(n):
        key = key_of(own, i)
        # Radio: beside distance and walls (fixed) and fast fading (±2 dB), σ 2 dB as lattice noise.
        fade = (values[V_OF_DAY, i] >> 6) * _PER_FADE >> _FADE_BITS
        part = (values[V_OF_DAY, i] - fade * _FADE) * ((1 << 32) // _FADE) >> 16
        fade += values[V_DAY, i] * (DAY // _FADE)
        before = bell(word(key, _FADING, fade))
        after = bell(word(key, _FADING, fade + 1))
        fading = (before + ((after - before) * part >> 16)) * _FADING_STEP >> 21
        values[SIGNAL, i] = clamped(values[SIGNAL, i] + fading, -1_100, -200)

        # Battery: a life of 30 … 400 days as a phase of 2**52; mains do not move from its start.
        # Its charge (0.01 %) falls along four lines: new, a plateau, a slope, a cliff.
        seconds = values[V_DAY, i] * (DAY // SECOND) + values[V_OF_DAY_S, i]
        phase = seconds * at(own, D_BATTERY_PACE, i) + (at(own, D_BATTERY_START, i) << 22)
        used = (phase >> 32) & 0xFFFFF
        early = max(10_000 - (used * 8_960 >> 20), 9_684 - (used * 4_920 >> 20))
        late = min(16_933 - (used * 13_653 >> 20), 72_407 - (used * 72_207 >> 20))
        values[BATTERY, i] = min(early, late)


@pasted
def fill_status(values: Any, own: Any, n: Int) -> None:
    """A week may hold a service of hours, a day an outage, 4 h a fault.

    A device's weeks start at its own time. All three are computed: a branch could not be predicted.
    """
    for i in range(n):
        key = key_of(own, i)
        day = values[V_DAY, i]
        week = day * _PER_WEEK >> _WEEK_BITS
        of_week = (day - week * 7) * DAY + values[V_OF_DAY, i]
        of_week += np.int64(key >> _32) * _WEEK >> 32
        more = 1 if of_week >= _WEEK else 0
        week += more
        of_week -= more * _WEEK

        service = word(key, _SERVICE, week)
        length = 2 * HOUR + (share(service, _16) * (64 * HOUR // 5) >> 16)
        age = of_week - (share(service, _32) * (_WEEK - length) >> 16)
        is_served = (age >= 0) & (age < length)

        day = (of_week >> 10) * _PER_DAY >> _DAY_BITS
        outage = word(key, _OUTAGE, week * 7 + day)
        out_length = 20 * MINUTE + (share(outage, _16) * (5 * HOUR) >> 16)
        out_age = of_week - day * DAY - (share(outage, _32) * (DAY - out_length) >> 16)
        is_out = (out_age >= 0) & (out_age < out_length) & (share(outage, _48) < 29_200)

        turn = of_week * _PER_TURN >> _TURN_BITS
        fault = word(key, _FAULT, week * (_WEEK // _TURN) + turn)
        length = 3 * MINUTE + (share(fault, _16) * (27 * MINUTE) >> 16)
        age = of_week - turn * _TURN - (share(fault, _32) * (_TURN - length) >> 16)
        is_faulty = (age >= 0) & (age < length) & (share(fault, _48) < 52_800)

        broken = OFFLINE if is_out else (ERROR if is_faulty else ONLINE)
        values[STATUS, i] = MAINTENANCE if is_served else broken
        values[V_AGE, i] = out_age + HOUR if is_out else age
        values[V_LENGTH, i] = out_length + HOUR if is_out else length
        values[V_DRAWN, i] = share(outage, _0) if is_out else share(fault, _0)


@inlined
def _traffic_until(ms: Int) -> Int:
    """Activity in the first ``ms`` of local time: grows by 33 … 86 each, so it never falls."""
    day = (ms >> 10) * _PER_DAY >> _DAY_BITS
    of_day = ms - day * DAY
    hour = of_day * _PER_HOUR >> _HOUR_BITS
    packed = _BY_HOUR[np.uint64(hour)]
    since = (packed & 0xFF) * (of_day - hour * HOUR)
    return day * _TRAFFIC_OF_DAY + (packed >> 8) * HOUR + since


@pasted
def fill_counters(values: Any, own: Any, around: Any, n: Int) -> None:
    """Counters since the last boot: boots are epochs of days, each somewhere in the first half."""
    for i in range(n):
        key = key_of(own, i)
        packed = at(own, D_BOOTS, i)
        days = packed & 31
        per_days = packed >> 5
        between = days * DAY
        lag = np.int64(key & _LOW32) * (between >> 4) >> 28  # a day is a multiple of 16 ms
        of_day = values[V_OF_DAY, i] + lag
        later = (of_day >> 10) * _PER_DAY >> _DAY_BITS
        day = values[V_DAY, i] + later
        epoch = day * per_days >> 21
        age = (day - epoch * days) * DAY + of_day - later * DAY
        # Both epochs are computed: which of them it is cannot be predicted.
        this, before = word(key, _BOOT, epoch), word(key, _BOOT, epoch - 1)
        since_this = age - (share(this, _16) * between >> 17)
        since_before = age + between - (share(before, _16) * between >> 17)
        boot = this if since_this >= 0 else before
        since = since_this if since_this >= 0 else since_before

        local_ms = _BEFORE + at(around, C_LOCAL_MS, i) + values[V_OF_DAY, i]
        traffic = (_traffic_until(local_ms) - _traffic_until(local_ms - since)) >> 16
        sent = traffic * at(own, D_SENT_PER_HOUR, i) * _PACKETS >> 30
        received = traffic * at(own, D_RECEIVED_PER_HOUR, i) * _PACKETS >> 30
        values[PACKETS_SENT, i] = sent
        values[PACKETS_RECEIVED, i] = received
        values[BYTES_SENT, i] = sent * (200 + (share(boot, _32) * 1_001 >> 16))
        values[BYTES_RECEIVED, i] = received * (200 + (share(boot, _48) * 1_001 >> 16))

        # Memory creeps up from boot to boot.
        creep = (since >> 16) * per_days * _CREEP >> 41
        values[MEMORY, i] = clamped(values[MEMORY, i] + creep, 100, 950)


@pasted
def fill_errors(values: Any, n: Int) -> None:
    """Errors of the one device in ten that has any: they add up while its state lasts."""
    for i in range(n):
        status = values[STATUS, i]
        errors = np.int64(0)
        load = values[CPU, i]
        if status == OFFLINE:
            errors = values[V_DRAWN, i] % 6 * values[V_AGE, i] // values[V_LENGTH, i]
        elif status == ERROR:
            errors = 1 + (1 + values[V_DRAWN, i] % 20) * values[V_AGE, i] // values[V_LENGTH, i]
            load += 150
        values[ERRORS, i] = errors
        values[CPU, i] = clamped(load, 0, 1_000)
