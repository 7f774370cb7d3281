"""The conditions at a site, indoors and outdoors, at a time: weather, sun, people.

Promise: a pure function of (fleet, place, tick). All devices of a place share it, and within a tick
of 4.096 s it changes by less than a sensor's resolution, so it is computed once a tick and place
and kept in a row of int32 that the caller owns (:func:`new_conditions`). It must not know devices.

The physics is described in docs/explanation/signals.md. Temperatures are in 0.001 °C, shares in
1/65536, times in milliseconds.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import Int, inlined
from iot_producer.fixedpoint import EXP2, LOG2_VAPOUR
from iot_producer.fleet import (
    N_SITE_KINDS,
    S_COS_LATITUDE,
    S_KEY,
    S_KIND,
    S_LOCAL_MS,
    S_MEAN_MILLI,
    S_REGION_KEY,
    S_SEASON_MILLI,
    S_SIN_LATITUDE,
    S_SOLAR_MS,
    Fleet,
    cache_lines,
)
from iot_producer.lattice import DAY, HOUR, MINUTE, SMOOTH_SIGMA, clamped, share, sine, smooth, word

TICK_BITS: Final = 12
"""log2 of a tick's length in milliseconds."""
YEAR: Final = 31_556_952_000  # the mean Gregorian year, ms

# Columns of a row of conditions. A place is 2·site + (1 when outdoors).
C_TICK: Final = 0
C_AIR: Final = 1  # 0.001 °C
C_HUMIDITY: Final = 2  # 0.01 %
C_PRESSURE: Final = 3  # 0.01 hPa
C_CARBON: Final = 4  # 0.1 ppm
C_LOUD: Final = 5  # 0.1 dB
C_DAYLIGHT: Final = 6  # 0.1 lux
C_LAMPS: Final = 7  # share of a device's lamp light
C_RESTLESS: Final = 8  # probability of motion, 1/65536
C_PRESENCE: Final = 9
C_TRAFFIC: Final = 10  # activity of the network this hour, mean 64
C_LOCAL_MS: Final = 11  # as S_LOCAL_MS
CONDITION_COLUMNS: Final = 16

# Streams of words under a site's or a region's key: random constants, never used twice.
_WEATHER_SLOW: Final = np.uint64(0x243F6A8885A308D3)
_WEATHER_FAST: Final = np.uint64(0x13198A2E03707344)
_DEW: Final = np.uint64(0xA4093822299F31D0)
_PRESSURE_SLOW: Final = np.uint64(0x082EFA98EC4E6C89)
_PRESSURE_FAST: Final = np.uint64(0x452821E638D01377)
_CLOUD: Final = np.uint64(0xBE5466CF34E90C6C)
_CROWD: Final = np.uint64(0xC0AC29B7C97C50DD)
_16: Final = np.uint64(16)

# Presence by hour of the local day, percent.
_OFFICE_DAY = (2, 2, 2, 2, 2, 4, 12, 40, 75, 90, 92, 85, 60, 80, 90, 88, 75, 50, 28, 15, 8, 5, 3, 2)
_OFFICE_REST = (2, 2, 2, 2, 2, 2, 3, 4, 8, 12, 14, 14, 12, 12, 12, 10, 8, 6, 5, 4, 3, 2, 2, 2)
_SHOP = (2, 2, 2, 2, 2, 4, 8, 18, 40, 60, 70, 78, 82, 78, 72, 72, 78, 82, 70, 48, 25, 10, 4, 2)
_HOME_DAY = (
    *(60, 60, 60, 60, 60, 62, 68, 55, 30, 20, 18, 20),
    *(25, 20, 18, 22, 35, 55, 75, 85, 88, 85, 75, 65),
)
_HOME_REST = (
    *(62, 60, 60, 60, 60, 60, 62, 66, 70, 68, 60, 55),
    *(60, 58, 52, 52, 56, 66, 78, 86, 88, 86, 78, 68),
)
_PLANT = (
    *(35, 35, 32, 32, 34, 45, 75, 85, 88, 88, 85, 78),
    *(80, 86, 82, 72, 68, 66, 64, 62, 58, 50, 42, 38),
)
_STREET: Final = 1  # outdoors people move as in the shops


def _presence_table() -> NDArray[np.int64]:
    """int64[kinds, 169]: presence at each full hour of the week, from Thursday 0 h (the epoch)."""
    table = np.zeros((N_SITE_KINDS, 169), dtype=np.int64)
    for hour in range(168):
        rest = hour // 24 in (2, 3)  # Saturday, Sunday
        of_day = hour % 24
        percents = (
            (_OFFICE_REST if rest else _OFFICE_DAY)[of_day],
            _SHOP[of_day],
            (_HOME_REST if rest else _HOME_DAY)[of_day],
            _PLANT[of_day] - (25 if rest else 0),
        )
        table[:, hour] = [percent * 65_536 // 100 for percent in percents]
    table[:, 168] = table[:, 0]
    return table


def _stale_air_table(presence: NDArray[np.int64]) -> NDArray[np.int64]:
    """Presence as the air remembers it: an exponential mean with a time constant of 1 h."""
    table = np.zeros_like(presence)
    level = presence[:, 0].copy()
    for turn in range(2):  # the second turn of the week starts from a settled level
        for hour in range(168):
            level += (presence[:, hour] - level) * 41_427 >> 16  # 1 − exp(−1)
            if turn:
                table[:, hour] = level
    table[:, 168] = table[:, 0]
    return table


_PRESENCE: Final = _presence_table()
_STALE_AIR: Final = _stale_air_table(_PRESENCE)

# Activity of a device's network by hour of the local day, mean 64, and what has gone before the
# hour.
TRAFFIC: Final = np.array(
    [
        40,
        36,
        34,
        33,
        34,
        38,
        48,
        62,
        76,
        84,
        86,
        85,
        80,
        83,
        86,
        85,
        82,
        79,
        76,
        74,
        70,
        64,
        55,
        46,
    ],
    dtype=np.int64,
)


def new_conditions(fleet: Fleet) -> NDArray[np.int32]:
    """An empty memory of conditions: int32[2·sites, CONDITION_COLUMNS], for one thread a time."""
    memory = cache_lines(2 * len(fleet.site))
    memory[:] = -1
    return memory


@inlined
def _by_hour(table: Any, kind: Int, local_ms: Int) -> Int:
    """A weekly table at a local time, linear between the full hours."""
    of_week = local_ms % (7 * DAY)
    hour = of_week // HOUR
    low = table[kind, hour]
    return low + (table[kind, hour + 1] - low) * (of_week - hour * HOUR) // HOUR


@inlined
def _log2_vapour(milli: Int) -> Int:
    """log2 of the saturation vapour pressure, 16 fraction bits, at −64.0 … 66.0 °C."""
    place = (milli + 64_000) >> 8
    low = LOG2_VAPOUR[place]
    return low + ((LOG2_VAPOUR[place + 1] - low) * ((milli + 64_000) & 0xFF) >> 8)


@inlined
def _relative_humidity(air_milli: Int, dew_milli: Int) -> Int:
    """In 0.01 %, from the temperatures of the air and of its dew point (not above it)."""
    exponent = _log2_vapour(dew_milli) - _log2_vapour(air_milli)
    part = exponent & 0xFFFF
    low = EXP2[part >> 8]
    mantissa = low + ((EXP2[(part >> 8) + 1] - low) * (part & 0xFF) >> 8)
    return (mantissa * 10_000 >> 30) >> min(-(exponent >> 16), 31)


@inlined
def update_conditions(row: Any, sites: Any, place: Int, tick: Int) -> None:
    """Write the conditions of a place at a tick into ``row`` (int32[CONDITION_COLUMNS])."""
    s = place >> 1
    outdoor = (place & 1) != 0
    t = (tick << TICK_BITS) + (1 << (TICK_BITS - 1))
    key = np.uint64(sites[s, S_KEY])
    local = t + sites[s, S_LOCAL_MS] + 7 * DAY
    solar = t + sites[s, S_SOLAR_MS] + DAY

    # Presence: the hour of the week, and how busy this half-day is here (0.8 … 1.1).
    busy = 52_429 + share(word(key, _CROWD, local // (DAY // 2)), _16) * 3 // 10
    kind = _STREET if outdoor else sites[s, S_KIND]
    presence = clamped(_by_hour(_PRESENCE, kind, local) * busy >> 16, 0, 65_536)
    stale = clamped(_by_hour(_STALE_AIR, kind, local) * busy >> 16, 0, 65_536)

    # Temperature: mean of the place, season (warmest 20 July), day (warmest 15 h), weather (σ 1.5,
    # about 3 h). Indoors the same 2.5 h later, damped to 0.3 around 22 °C.
    late = 0 if outdoor else 9_000_000
    season_turn = ((t - late) % YEAR) * 4_096 // (YEAR // 4_096)
    season = sites[s, S_SEASON_MILLI] * sine(season_turn - 5_036_000) >> 16
    day_turn = (solar - late) % DAY * 4_096 // (DAY // 4_096)
    day = 5_000 * sine(day_turn - 6_291_456) >> 16
    weather = (
        smooth(key, _WEATHER_SLOW, t - late, 6 * HOUR) * 1_330
        + smooth(key, _WEATHER_FAST, t - late, 90 * MINUTE) * 690
    ) // SMOOTH_SIGMA
    slow = sites[s, S_MEAN_MILLI] + season + weather
    air = slow + day if outdoor else 22_000 + (slow + day - 20_000) * 3 // 10
    ground = slow if outdoor else 22_000 + (slow - 20_000) * 3 // 10
    air = clamped(air, -29_000, 49_000)

    # Humidity: a dew point that is slow (11.7 °C below a mean of 20 °C, more where it is hot),
    # by Magnus.
    dew = ground - 11_700 - (ground - 20_000) * 16 // 100
    dew += smooth(key, _DEW, t, 12 * HOUR) * 1_300 // SMOOTH_SIGMA
    humidity = _relative_humidity(air, clamped(dew, -60_000, air))

    # Pressure: regional weather (σ 7 hPa, about 2 days; highs are flatter than lows), and the tide.
    region_key = np.uint64(sites[s, S_REGION_KEY])
    front = (
        smooth(region_key, _PRESSURE_SLOW, t, 4 * DAY) * 640
        + smooth(region_key, _PRESSURE_FAST, t, DAY) * 340
    ) // SMOOTH_SIGMA
    front = front if front < 700 else 700 + (front - 700) * 45 // 100
    solar_turn = (solar % DAY) * 4_096 // (DAY // 4_096)
    tide = 100 * sine(2 * solar_turn - 10_485_760) >> 16

    # The sun: sin(elevation) = sin φ·sin δ + cos φ·cos δ·cos h, δ = 23.44°·sin, noon at h = 0.
    declination = 26_083 * sine(season_turn - 3_691_000) >> 16
    cos_declination = 65_536 - (declination * declination * 34_500 >> 32)
    elevation = (
        sites[s, S_SIN_LATITUDE] * declination
        + (sites[s, S_COS_LATITUDE] * cos_declination >> 16) * sine(solar_turn - 4_194_304)
    ) >> 16
    cloud = smooth(key, _CLOUD, t, 3 * HOUR) * 20_000 // SMOOTH_SIGMA
    sun = max(elevation, 0) * clamped(45_000 + cloud, 19_660, 65_536) >> 16

    row[C_AIR] = air
    row[C_HUMIDITY] = humidity
    row[C_PRESSURE] = 101_325 + front + tide
    row[C_PRESENCE] = presence
    row[C_TRAFFIC] = TRAFFIC[local % DAY // HOUR]
    row[C_LOCAL_MS] = sites[s, S_LOCAL_MS]
    if outdoor:
        row[C_CARBON] = 4_200 + (presence * 120 >> 16)
        row[C_LOUD] = 430 + (presence * 170 >> 16)
        row[C_DAYLIGHT] = sun * 11_000 >> 16
        row[C_LAMPS] = 0
        row[C_RESTLESS] = 1_500 + (presence * 18_000 >> 16)
    else:
        row[C_CARBON] = 4_350 + (stale * 10_500 >> 16)
        row[C_LOUD] = 375 + (presence * 270 >> 16)
        row[C_DAYLIGHT] = sun * 900 >> 16
        row[C_LAMPS] = 65_536 if presence > 13_107 else presence
        row[C_RESTLESS] = 1_200 + ((presence * presence >> 16) * 57_000 >> 16)
    row[C_TICK] = tick
