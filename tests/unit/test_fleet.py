from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from iot_producer import fleet as module
from iot_producer.errors import ConfigError
from iot_producer.fleet import (
    D_BATTERY_PACE,
    D_BATTERY_START,
    D_BOOTS,
    D_KEY_HIGH,
    D_KEY_LOW,
    D_LAMPS,
    D_PLACE,
    D_SIGNAL,
    D_TEMPERATURE_BIAS,
    I_ALTITUDE,
    I_CUSTOMER,
    I_LATITUDE,
    I_LONGITUDE,
    I_SITE,
    I_TYPE,
    MAX_SEED,
    S_ALTITUDE,
    S_COS_LATITUDE,
    S_KEY,
    S_KIND,
    S_LATITUDE,
    S_LOCAL_MS,
    S_LONGITUDE,
    S_SIN_LATITUDE,
    S_SOLAR_MS,
    Fleet,
    FleetSpec,
    fleet_of,
)
from iot_producer.schema import DEVICE_TYPES
from iot_producer.signals import readings_of

SEEDS = (0, 1, 2, 3, MAX_SEED)
each_seed = pytest.mark.parametrize("seed", SEEDS)


def of_seed(seed: int) -> Fleet:
    return fleet_of(FleetSpec(seed=seed))


def metres(
    north_1: NDArray[np.int64],
    east_1: NDArray[np.int64],
    north_2: NDArray[np.int64],
    east_2: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Great-circle distance by the haversine formula, from microdegrees."""
    a, b, c, d = (np.radians(x / 1e6) for x in (north_1, east_1, north_2, east_2))
    half = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    return 2 * 6_371_009 * np.arcsin(np.sqrt(half))


@each_seed
def test_every_customer_site_and_type_is_present(seed: int):
    identity = of_seed(seed).identity
    assert np.bincount(identity[:, I_CUSTOMER]).min() >= 1
    assert len(np.unique(identity[:, I_CUSTOMER])) == 10_000
    assert np.bincount(identity[:, I_SITE]).tolist() == [100] * 1_000
    of_type = np.bincount(identity[:, I_TYPE])
    assert len(of_type) == 20
    assert 4_600 < of_type.min() < of_type.max() < 5_400


@each_seed
def test_customers_follow_zipf(seed: int):
    sizes = np.sort(np.bincount(of_seed(seed).identity[:, I_CUSTOMER]))[::-1]
    drawn = sizes[:300] - 1  # each customer owns one device beside the drawn ones
    slope = np.polyfit(np.log(np.arange(1, 301)), np.log(drawn), 1)[0]
    assert abs(slope + 1.1) < 0.05
    expected = np.arange(1, 10_001) ** -1.1
    assert abs(drawn[0] / 90_000 - 1 / expected.sum()) < 0.01


@each_seed
def test_large_customers_are_not_the_low_numbers(seed: int):
    sizes = np.bincount(of_seed(seed).identity[:, I_CUSTOMER])
    assert np.argsort(sizes)[-20:].max() > 5_000
    assert abs(np.corrcoef(np.arange(10_000), sizes)[0, 1]) < 0.05


@each_seed
def test_places_are_in_their_ranges(seed: int):
    identity = of_seed(seed).identity
    for column, low, high in (
        (I_LATITUDE, 25_000_000, 49_000_000),
        (I_LONGITUDE, -125_000_000, -67_000_000),
        (I_ALTITUDE, 0, 30_000),
    ):
        values = identity[:, column]
        assert low <= values.min()
        assert values.max() <= high
        if column != I_ALTITUDE:  # uniform: quarters hold a quarter each
            share = np.histogram(values, 4, (low, high))[0] / len(values)
            assert abs(share - 0.25).max() < 0.06
    below = (identity[:, I_ALTITUDE] < 2_500).mean()
    assert 0.44 < below < 0.56


def test_half_of_all_sites_are_below_250_m():
    fleet = fleet_of(FleetSpec(100_000, 1, 100_000))
    assert abs((fleet.identity[:, I_ALTITUDE] < 2_500).mean() - 0.49) < 0.01
    assert fleet.identity[:, I_ALTITUDE].max() > 29_000


@each_seed
def test_devices_are_within_500_m_of_their_site(seed: int):
    fleet = of_seed(seed)
    site = fleet.site[fleet.identity[:, I_SITE]]
    distance = metres(
        site[:, S_LATITUDE],
        site[:, S_LONGITUDE],
        fleet.identity[:, I_LATITUDE].astype(np.int64),
        fleet.identity[:, I_LONGITUDE].astype(np.int64),
    )
    assert distance.max() <= 500
    assert 200 < distance.mean() < 300
    assert abs(fleet.identity[:, I_ALTITUDE] - site[:, S_ALTITUDE]).max() <= 150  # dm


@each_seed
def test_what_is_fixed_about_a_device(seed: int):
    device = of_seed(seed).device
    assert abs(device[:, D_TEMPERATURE_BIAS].std() - 300) < 5
    assert abs((device[:, D_BATTERY_PACE] == 0).mean() - 0.2) < 0.005
    life_days = (1 << 52) / device[device[:, D_BATTERY_PACE] > 0, D_BATTERY_PACE] / 86_400
    assert 30 <= life_days.min() < 31
    assert 399 < life_days.max() <= 400.1
    assert device[:, D_BATTERY_START].min() == 0
    assert device[:, D_BATTERY_START].max() < 1 << 30
    boots = set(np.unique(device[:, D_BOOTS]).tolist())
    assert boots == {(2**21 // days + 1) * 32 + days for days in range(3, 29)}
    assert device[:, D_SIGNAL].min() >= -860
    assert device[:, D_SIGNAL].max() == -425
    assert device[:, D_LAMPS].min() == 3_200
    assert device[:, D_LAMPS].max() == 4_800


def test_place_says_site_and_whether_outdoors():
    fleet = of_seed(1)
    assert (fleet.device[:, D_PLACE] >> 1 == fleet.identity[:, I_SITE]).all()
    outdoor_types = {
        DEVICE_TYPES[kind]
        for kind in np.unique(fleet.identity[(fleet.device[:, D_PLACE] & 1) == 1, I_TYPE])
    }
    assert outdoor_types == {
        *("air_quality", "water_quality", "soil_moisture", "wind_speed", "rain_gauge", "uv_sensor")
    }
    indoors = fleet.identity[(fleet.device[:, D_PLACE] & 1) == 0, I_TYPE]
    assert len(np.unique(indoors)) == 14


def test_clocks_of_a_site():
    site = of_seed(1).site
    assert site[:, S_LOCAL_MS].min() == -8 * 3_600_000
    assert site[:, S_LOCAL_MS].max() == -4 * 3_600_000
    assert abs(site[:, S_LOCAL_MS] - site[:, S_SOLAR_MS]).max() <= 1_800_000
    assert abs(site[:, S_SOLAR_MS] / 3_600_000 - site[:, S_LONGITUDE] / 15e6).max() < 1e-6
    kinds = np.bincount(site[:, S_KIND]) / len(site)
    assert abs(kinds - [0.35, 0.2, 0.25, 0.2]).max() < 0.06


def test_latitude_of_the_sun():
    site = of_seed(1).site
    radians = np.radians(site[:, S_LATITUDE] / 1e6)
    assert abs(site[:, S_SIN_LATITUDE] - np.sin(radians) * 65_536).max() < 3
    assert abs(site[:, S_COS_LATITUDE] - np.cos(radians) * 65_536).max() < 3


@each_seed
def test_keys_are_all_different(seed: int):
    device = of_seed(seed).device.astype(np.int64)
    assert len(np.unique(device[:, D_KEY_HIGH] << 32 | (device[:, D_KEY_LOW] & 0xFFFFFFFF))) == (
        100_000
    )
    assert len(np.unique(of_seed(seed).site[:, S_KEY])) == 1_000


@pytest.mark.parametrize("first", [0, 1, 1_000_000, MAX_SEED - 1])
def test_neighbouring_seeds_share_nothing(first: int):
    one, other = of_seed(first), of_seed(first + 1)
    limit = 5 / np.sqrt(100_000)
    for table, columns in (
        ("identity", (I_TYPE, I_CUSTOMER)),
        ("device", (D_TEMPERATURE_BIAS, D_BOOTS, D_LAMPS, D_BATTERY_START, D_SIGNAL)),
    ):
        for column in columns:
            a, b = getattr(one, table)[:, column], getattr(other, table)[:, column]
            assert abs(np.corrcoef(a, b)[0, 1]) < limit, (table, column)
    for shift in (0, 1):  # of the devices: neither the same nor the next one's
        a = one.identity[: 100_000 - shift, I_TYPE]
        b = other.identity[shift:, I_TYPE]
        assert abs((a == b).mean() - 0.05) < 0.005
    places = [fleet.site[:, [S_LATITUDE, S_LONGITUDE]] for fleet in (one, other)]
    assert abs(np.corrcoef(places[0][:, 0], places[1][:, 0])[0, 1]) < 5 / np.sqrt(1_000)
    assert len(np.intersect1d(places[0][:, 0], places[1][:, 0])) < 5


def test_readings_of_neighbouring_seeds_share_nothing():
    devices = np.arange(0, 100_000, 20, dtype=np.int32)
    times = np.full(len(devices), 1_800_000_000_000)
    one, other = (readings_of(of_seed(seed), devices, times) for seed in (1, 2))
    for reading in range(13):
        assert abs(np.corrcoef(one[reading], other[reading])[0, 1]) < 0.08, reading


def test_customers_sites_and_places_are_independent():
    identity = of_seed(1).identity
    table = np.corrcoef(identity[:, [I_TYPE, I_SITE, I_CUSTOMER]].T)
    assert abs(table - np.eye(3)).max() < 0.02


@pytest.mark.parametrize("n", [1, 2, 3, 20, 1_000])
def test_small_fleets(n: int):
    fleet = fleet_of(FleetSpec(n, n, n))
    assert sorted(fleet.identity[:, I_SITE].tolist()) == list(range(n))
    assert sorted(fleet.identity[:, I_CUSTOMER].tolist()) == list(range(n))
    assert fleet.device.shape == (n, 16)
    one_site = fleet_of(FleetSpec(n, 1, 1))
    assert (one_site.identity[:, I_SITE] == 0).all()
    assert (one_site.identity[:, I_CUSTOMER] == 0).all()
    values = readings_of(fleet, np.arange(n, dtype=np.int32), np.full(n, 1_800_000_000_000))
    assert values.shape == (17, n)
    assert values[11].min() >= 1


def test_sizes_do_not_change_what_is_fixed_about_a_device():
    small, large = fleet_of(FleetSpec(20, 5, 5)), of_seed(1)
    assert (small.identity[:, I_TYPE] == large.identity[:20, I_TYPE]).all()
    assert (small.device[:, 1:] == large.device[:20, 1:]).all()


def test_a_fleet_is_made_once_and_stays():
    fleet = of_seed(1)
    assert fleet is of_seed(1)
    for table in (fleet.site, fleet.identity, fleet.device):
        with pytest.raises(ValueError, match="read-only"):
            table[0, 0] = 1
    assert fleet.device.ctypes.data % 64 == 0
    again = module.fleet_of.__wrapped__(FleetSpec())
    assert (again.identity == fleet.identity).all()
    assert (again.device == fleet.device).all()
    assert (again.site == fleet.site).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": 0}, "DEVICES is 0"),
        ({"devices": 10_000_001}, "DEVICES is 10000001"),
        ({"customers": 0}, "CUSTOMERS is 0"),
        ({"sites": 100_001}, "SITES is 100001"),
        ({"devices": 10, "customers": 11, "sites": 1}, "CUSTOMERS is 11, more than the 10 DEVICES"),
        ({"devices": 10, "customers": 1, "sites": 11}, "SITES is 11, more than the 10 DEVICES"),
        ({"seed": -1}, "SEED is -1"),
        ({"seed": 2**64}, f"SEED is {2**64}"),
    ],
)
def test_a_spec_out_of_range_is_refused(changes: dict[str, int], message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        FleetSpec(**changes)
    assert caught.value.hint


def test_a_spec_as_in_the_report():
    spec = FleetSpec(seed=MAX_SEED)
    assert spec.to_dict() == {
        "devices": 100_000,
        "customers": 10_000,
        "sites": 1_000,
        "seed": MAX_SEED,
    }
    assert FleetSpec(**spec.to_dict()) == spec
