from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from iot_producer import conditions as module
from iot_producer.compiled import entry
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
    CONDITION_COLUMNS,
    TICK_BITS,
    TRAFFIC,
    new_conditions,
    update_conditions,
)
from iot_producer.fleet import S_KIND, S_LOCAL_MS, FleetSpec, fleet_of

HOUR, DAY = 3_600_000, 86_400_000
FLEET = fleet_of(FleetSpec(seed=4))
MONDAY = 1_893_456_000_000 - 1_893_456_000_000 % (7 * DAY) + 4 * DAY  # the epoch was a Thursday


@entry
def conditions_at(rows, sites, places, ticks):  # type: ignore[no-untyped-def]
    for i in range(len(places)):
        update_conditions(rows[i], sites, places[i], ticks[i])


def at(places: NDArray[np.int64], times_ms: NDArray[np.int64]) -> NDArray[np.int32]:
    """int32[n, CONDITION_COLUMNS] of n (place, time) pairs."""
    places, times_ms = np.broadcast_arrays(places, times_ms)
    rows = np.full((places.size, CONDITION_COLUMNS), -1, dtype=np.int32)
    with np.errstate(over="ignore"):
        conditions_at(rows, FLEET.site, places.ravel(), times_ms.ravel() >> TICK_BITS)
    return rows.reshape(*places.shape, CONDITION_COLUMNS)


PLACES = np.arange(2_000)


def test_everything_is_in_its_range_at_any_time():
    rng = np.random.default_rng(8)
    for _ in range(20):
        rows = at(PLACES, rng.integers(0, 2**42, 2_000))
        for column, low, high in (
            (C_AIR, -29_000, 49_000),
            (C_HUMIDITY, 300, 10_000),
            (C_PRESSURE, 98_000, 103_000),
            (C_CARBON, 4_200, 17_000),
            (C_LOUD, 375, 645),
            (C_DAYLIGHT, 0, 11_000),
            (C_LAMPS, 0, 65_536),
            (C_RESTLESS, 1_200, 65_536),
            (C_PRESENCE, 0, 65_536),
            (C_TRAFFIC, TRAFFIC.min(), TRAFFIC.max()),
        ):
            assert low <= rows[:, column].min(), column
            assert rows[:, column].max() <= high, column


def test_a_row_says_which_tick_it_is_of():
    rows = at(PLACES, np.full(2_000, 4_096 * 77 + 5))
    assert (rows[:, C_TICK] == 77).all()
    assert (new_conditions(FLEET)[:, C_TICK] == -1).all()
    assert new_conditions(FLEET).shape == (2_000, CONDITION_COLUMNS)


def test_a_tick_changes_less_than_a_sensor_resolves():
    start = MONDAY + 15 * HOUR
    one, next_one = at(PLACES, np.array([[start], [start + 4_096]]))
    change = abs(next_one.astype(np.int64) - one).max(axis=0)
    assert change[C_AIR] <= 10  # 0.01 °C
    assert change[C_PRESSURE] <= 1
    assert change[C_CARBON] <= 15  # 1.5 ppm
    assert change[C_LOUD] <= 2


def test_presence_by_kind_of_site_and_hour():
    kinds = FLEET.site[:, S_KIND]
    local = FLEET.site[:, S_LOCAL_MS]

    def presence(kind: int, day: int, hour: int) -> float:
        sites = np.flatnonzero(kinds == kind)
        rows = at(2 * sites, MONDAY + day * DAY + hour * HOUR - local[sites])
        return float(rows[:, C_PRESENCE].mean() / 65_536)

    office, shop, home, plant = 0, 1, 2, 3
    assert presence(office, 1, 10) > 0.8
    assert presence(office, 1, 3) < 0.05
    assert presence(office, 5, 10) < 0.2  # Saturday
    assert presence(office, 6, 10) < 0.2
    assert presence(office, 4, 10) > 0.8  # Friday
    assert presence(shop, 5, 16) > 0.6
    assert presence(home, 1, 20) > 0.7
    assert presence(home, 1, 11) < 0.3
    assert presence(home, 5, 11) > 0.45
    assert presence(plant, 1, 3) > 0.25


def test_outdoors_is_a_street_and_has_no_lamps():
    times = MONDAY + 17 * HOUR - FLEET.site[:, S_LOCAL_MS]
    rows = at(2 * np.arange(1_000) + 1, times)
    assert (rows[:, C_LAMPS] == 0).all()
    assert rows[:, C_PRESENCE].min() > 0.6 * 65_536
    assert rows[:, C_CARBON].max() < 4_350


def test_stale_air_is_an_exponential_mean_of_presence():
    presence, stale = module._PRESENCE, module._STALE_AIR
    for kind in range(4):
        level, expected = float(presence[kind].mean()), []
        for _ in range(3):
            expected = []
            for hour in range(168):
                level += (presence[kind, hour] - level) * (1 - np.exp(-1))
                expected.append(level)
        assert abs(stale[kind, :168] - np.array(expected)).max() < 5
    assert (presence[:, 168] == presence[:, 0]).all()


@pytest.mark.parametrize(("air", "dew"), [(20.0, 10.0), (35.0, 5.0), (-10.0, -12.0), (3.0, 3.0)])
def test_humidity_is_that_of_magnus(air: float, dew: float):
    def vapour(celsius: float) -> float:
        return float(np.exp(17.625 * celsius / (243.04 + celsius)))

    found = module._relative_humidity(int(air * 1_000), int(dew * 1_000)) / 100
    assert abs(found - 100 * vapour(dew) / vapour(air)) < 0.05


def test_the_first_moments_of_the_epoch_have_weather_too():
    rows = at(PLACES, np.zeros(2_000, dtype=np.int64))
    assert rows[:, C_AIR].std() > 500
    assert len(np.unique(rows[:, C_HUMIDITY])) > 500
