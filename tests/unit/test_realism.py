"""Simulated days of 2,000 devices look like the world: ranges, shares, couplings, lags.

Each bound is checked for several seeds, at both solstices and an equinox where the day matters. The
measured figures are in docs/explanation/signals.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from iot_producer import signals
from iot_producer.conditions import C_PRESENCE, TICK_BITS, new_conditions
from iot_producer.fleet import (
    D_BATTERY_PACE,
    D_PLACE,
    I_ALTITUDE,
    I_LATITUDE,
    I_SITE,
    S_KIND,
    S_LOCAL_MS,
    S_SOLAR_MS,
    Fleet,
    FleetSpec,
    fleet_of,
)
from iot_producer.schema import FIELDS

SEEDS = (1, 2, 2**64 - 1)
EQUINOX, SUMMER, WINTER = (2029, 3, 20), (2029, 6, 21), (2029, 12, 21)  # Tuesday to Friday
DATES = (EQUINOX, SUMMER, WINTER)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SCALES = np.array([10**field.decimals for field in FIELDS[8:]], dtype=np.float64)
N_DEVICES = 2_000

each_seed = pytest.mark.parametrize("seed", SEEDS)
each_date = pytest.mark.parametrize("date", DATES, ids=lambda date: f"{date[1]:02d}-{date[2]:02d}")


@dataclass(frozen=True)
class World:
    """Readings of some devices at some times: ``values[field]`` is float64[times, devices]."""

    fleet: Fleet
    devices: NDArray[np.int32]
    times: NDArray[np.int64]
    counts: NDArray[np.int64] | NDArray[np.int32]

    def __getitem__(self, reading: int) -> NDArray[np.float64]:
        return self.counts[reading] / SCALES[reading]

    @property
    def outdoor(self) -> NDArray[np.bool_]:
        return (self.fleet.device[self.devices, D_PLACE] & 1) == 1

    @property
    def site(self) -> NDArray[np.int64]:
        return self.fleet.site[self.fleet.identity[self.devices, I_SITE]]

    def hours(self, shift: int) -> NDArray[np.float64]:
        """Hour of the day by the sun or by the clock of the people: float64[times, devices]."""
        return (self.times[:, None] + self.site[:, shift][None, :]) % DAY / HOUR


def simulate(seed: int, devices: NDArray[np.int32], times: NDArray[np.int64]) -> World:
    fleet = fleet_of(FleetSpec(seed=seed))
    counts = signals.readings_of(
        fleet, np.tile(devices, len(times)), np.repeat(times, len(devices))
    )
    return World(fleet, devices, times, counts.reshape(-1, len(times), len(devices)))


def start_of(date: tuple[int, int, int]) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 1000


def every(n: int) -> NDArray[np.int32]:
    """``n`` devices out of the 100,000."""
    return np.arange(n, dtype=np.int32) * (100_000 // n)


@cache
def day(seed: int, date: tuple[int, int, int]) -> World:
    world = simulate(seed, every(N_DEVICES), start_of(date) + np.arange(0, DAY, 10 * MINUTE))
    # Without the counters, and half as wide: nine days stay in memory.
    return replace(world, counts=world.counts[: signals.PACKETS_SENT].astype(np.int32))


@cache
def year(seed: int) -> World:
    """Each second hour of every 15th day, 1,000 devices."""
    days = start_of((2026, 1, 3)) + np.arange(0, 365, 15) * DAY
    times = (days[:, None] + np.arange(0, DAY, 2 * HOUR)[None, :]).ravel()
    return simulate(seed, every(1_000), times)


@cache
def month(seed: int) -> World:
    """30 days of 300 devices, every 30 minutes."""
    return simulate(seed, every(300), start_of((2026, 9, 1)) + np.arange(0, 30 * DAY, HOUR // 2))


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def by_column(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation over time, for each device."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return (a * b).mean(axis=0) / (a.std(axis=0) * b.std(axis=0))


def wave(
    hours: NDArray[np.float64], value: NDArray[np.float64], per_day: int
) -> tuple[float, float]:
    """Amplitude of a daily wave, and the hour of its (first) crest."""
    turn = 2 * np.pi * per_day * hours / 24
    part = 2 * (value * np.exp(1j * turn)).mean()
    return float(abs(part)), float(np.angle(part) % (2 * np.pi) / (2 * np.pi) * 24 / per_day)


def share(condition: NDArray[np.bool_]) -> float:
    return float(condition.mean())


@each_seed
@each_date
def test_every_reading_is_in_its_range(seed: int, date: tuple[int, int, int]):
    for reading, counts in enumerate(day(seed, date).counts):
        field = FIELDS[8 + reading]
        assert field.low <= counts.min(), field.name
        assert counts.max() <= field.high, field.name


@each_seed
def test_readings_use_their_range(seed: int):
    world = year(seed)
    widest = {
        signals.TEMPERATURE: (0, 36),
        signals.HUMIDITY: (30, 75),
        signals.PRESSURE: (994, 1026),
        signals.CO2: (420, 1350),
        signals.NOISE: (34, 64),
        signals.LIGHT: (0, 900),
        signals.BATTERY: (5, 100),
        signals.SIGNAL: (-75, -40),
        signals.MEMORY: (22, 60),
        signals.CPU: (8, 65),
    }
    for reading, (low, high) in widest.items():
        assert world[reading].min() <= low, FIELDS[8 + reading].name
        assert world[reading].max() >= high, FIELDS[8 + reading].name


@each_seed
def test_ends_of_ranges_do_not_collect_values(seed: int):
    world = year(seed)
    for reading in (
        signals.TEMPERATURE,
        signals.PRESSURE,
        signals.CO2,
        signals.NOISE,
        signals.SIGNAL,
        signals.MEMORY,
        signals.CPU,
    ):
        field = FIELDS[8 + reading]
        at_end = (world.counts[reading] == field.low) | (world.counts[reading] == field.high)
        assert share(at_end) < 0.002, field.name


@each_seed
def test_temperature_over_a_year(seed: int):
    temperature = year(seed)[signals.TEMPERATURE]
    assert 0.93 < share((temperature >= 10) & (temperature <= 40)) < 0.985
    assert temperature.min() > -30
    assert temperature.max() < 50


@each_seed
@each_date
def test_humidity_is_within_20_and_80_in_all_but_1_percent(seed: int, date: tuple[int, int, int]):
    humidity = day(seed, date)[signals.HUMIDITY]
    assert share((humidity < 20) | (humidity > 80)) < 0.01


@each_seed
def test_pressure_varies_by_7_hpa_within_two_days(seed: int):
    pressure = year(seed)[signals.PRESSURE]
    assert abs(pressure.mean() - 1013) < 1.5
    assert 6.3 < pressure.std() < 7.7
    series = month(seed)[signals.PRESSURE]
    within_month = series - series.mean(axis=0)
    variance = (within_month**2).mean()
    for lag_h, low, high in ((12, 0.78, 0.97), (48, 0.2, 0.6), (120, -0.4, 0.2)):
        steps = 2 * lag_h
        found = (within_month[:-steps] * within_month[steps:]).mean() / variance
        assert low < found < high, lag_h


@each_seed
def test_pressure_has_a_half_daily_wave_of_1_hpa(seed: int):
    # Differences of neighbouring 6 h keep the wave (doubled), and remove most of the weather.
    world = month(seed)
    pressure = world[signals.PRESSURE]
    steps = 12
    difference = (2 * pressure[steps:-steps] - pressure[: -2 * steps] - pressure[2 * steps :]) / 4
    amplitude, crest = wave(world.hours(S_SOLAR_MS)[steps:-steps], difference, 2)
    assert 0.85 < amplitude < 1.15
    assert 9.3 < crest < 10.7


@each_seed
@each_date
def test_motion_and_co2_follow_people(seed: int, date: tuple[int, int, int]):
    world = day(seed, date)
    assert 0.18 < world[signals.MOTION].mean() < 0.25  # each date is a working day
    assert correlation(world[signals.MOTION], world[signals.CO2]) > 0.3


@each_seed
def test_one_reading_in_five_has_motion_over_a_week(seed: int):
    times = start_of(EQUINOX) + np.arange(0, 7 * DAY, HOUR // 2)
    world = simulate(seed, every(500), times)
    motion = world[signals.MOTION]
    assert 0.17 < motion.mean() < 0.23
    of_day = motion.reshape(7, -1).mean(axis=1)  # from a Tuesday on
    assert max(of_day[4:6]) < min(of_day[[0, 1, 2, 3, 6]])  # less on Saturday and Sunday


@each_seed
@each_date
def test_co2_lags_people(seed: int, date: tuple[int, int, int]):
    world = day(seed, date)
    # Noise follows people at once; indoors, by the mean over all sites of one kind.
    chosen = ~world.outdoor & (world.site[:, S_KIND] == 0)
    tens = (world.hours(S_LOCAL_MS)[:, chosen] * 6).astype(np.int64)  # of minutes
    profiles = []
    for reading in (signals.NOISE, signals.CO2):
        total = np.bincount(tens.ravel(), world[reading][:, chosen].ravel(), 144)
        profile = total / np.bincount(tens.ravel(), minlength=144)
        profiles.append(profile - profile.mean())
    noise, carbon = profiles
    match = [float((noise * np.roll(carbon, -lag)).sum()) for lag in range(-12, 13)]
    lag_minutes = (int(np.argmax(match)) - 12) * 10
    assert 30 <= lag_minutes <= 90


@each_seed
@each_date
def test_light_by_day_and_night(seed: int, date: tuple[int, int, int]):
    world = day(seed, date)
    light, hour = world[signals.LIGHT], world.hours(S_SOLAR_MS)
    outdoor = np.broadcast_to(world.outdoor, light.shape)
    assert light[outdoor & ((hour < 3.5) | (hour > 20.5))].max() == 0
    noon = light[outdoor & (abs(hour - 12) < 1)]
    assert noon.min() > 60
    assert noon.mean() > {EQUINOX: 500, SUMMER: 600, WINTER: 250}[date]


@each_seed
def test_light_indoors_is_300_to_500_lux_when_people_are_there(seed: int):
    world = day(seed, WINTER)
    offices = ~world.outdoor & (world.site[:, S_KIND] == 0)
    clock = world.hours(S_LOCAL_MS)[:, offices]
    sun = world.hours(S_SOLAR_MS)[:, offices]
    light = world[signals.LIGHT][:, offices]
    after_sunset = light[(sun > 17) & (abs(clock - 17) < 0.5)]
    assert after_sunset.min() >= 300
    assert after_sunset.max() <= 520
    busy = light[abs(clock - 10) < 1]
    assert share((busy >= 300) & (busy <= 560)) > 0.97
    assert light[(clock > 1) & (clock < 4)].max() < 40


@each_seed
@each_date
def test_temperature_and_humidity_oppose_each_other_outdoors(seed: int, date: tuple[int, int, int]):
    world = day(seed, date)
    temperature = world[signals.TEMPERATURE][:, world.outdoor]
    humidity = world[signals.HUMIDITY][:, world.outdoor]
    of_devices = by_column(temperature, humidity)
    assert of_devices.mean() < -0.9
    assert share(of_devices < -0.5) > 0.99
    assert correlation(temperature, humidity) < -0.5


@each_seed
@each_date
def test_warmest_at_15_hours_and_indoors_later_and_less(seed: int, date: tuple[int, int, int]):
    world = day(seed, date)
    hours = world.hours(S_SOLAR_MS)
    swing, warmest = wave(hours[:, world.outdoor], world[signals.TEMPERATURE][:, world.outdoor], 1)
    assert 4.6 < swing < 5.4
    assert 14.6 < warmest < 15.4
    swing_indoors, warmest_indoors = wave(
        hours[:, ~world.outdoor], world[signals.TEMPERATURE][:, ~world.outdoor], 1
    )
    assert 0.27 < swing_indoors / swing < 0.33
    assert 2 < warmest_indoors - warmest < 3


@each_seed
def test_temperature_falls_with_latitude_and_height(seed: int):
    world = year(seed)
    outdoor = world.outdoor
    mean = world[signals.TEMPERATURE][:, outdoor].mean(axis=0)
    identity = world.fleet.identity[world.devices[outdoor]]
    km = identity[:, I_ALTITUDE] / 1e4
    north = identity[:, I_LATITUDE] / 1e6
    fit, *_ = np.linalg.lstsq(np.stack([km, north, np.ones_like(km)], axis=1), mean, rcond=None)
    assert abs(fit[0] + 6.5) < 0.3
    assert abs(fit[1] + 0.35) < 0.02


@each_seed
def test_july_is_warmer_than_january(seed: int):
    outdoor = day(seed, SUMMER).outdoor
    north = day(seed, SUMMER).site[outdoor][:, 0] > 42_000_000
    warmer = (
        day(seed, SUMMER)[signals.TEMPERATURE][:, outdoor][:, north].mean()
        - day(seed, WINTER)[signals.TEMPERATURE][:, outdoor][:, north].mean()
    )
    assert 9 < warmer < 15


@each_seed
def test_weather_of_a_site_lasts_hours(seed: int):
    world = month(seed)
    temperature = world[signals.TEMPERATURE][:, world.outdoor]
    hours = world.hours(S_SOLAR_MS)[:, world.outdoor]
    rest = np.empty_like(temperature)
    for j in range(temperature.shape[1]):  # without level, season and day
        turn = 2 * np.pi * hours[:, j] / 24
        slow = np.linspace(-1, 1, len(turn))
        terms = np.stack([np.ones_like(turn), slow, slow**2, np.sin(turn), np.cos(turn)], axis=1)
        fit, *_ = np.linalg.lstsq(terms, temperature[:, j], rcond=None)
        rest[:, j] = temperature[:, j] - terms @ fit
    assert 1.3 < rest.std() < 1.7
    after = {
        lag_h: (rest[: -2 * lag_h] * rest[2 * lag_h :]).mean() / rest.var() for lag_h in (1, 3, 12)
    }
    assert after[1] > 0.75
    assert 0.25 < after[3] < 0.65
    assert abs(after[12]) < 0.1


@each_seed
def test_temperature_changes_slowly(seed: int):
    times = start_of(SUMMER) + np.arange(0, DAY, MINUTE)
    temperature = simulate(seed, every(100), times)[signals.TEMPERATURE]
    assert by_column(temperature[:-1], temperature[1:]).min() > 0.95
    assert abs(np.diff(temperature, axis=0)).max() < 0.8


@each_seed
def test_sensors_of_a_place_differ_by_bias_and_noise(seed: int):
    fleet = fleet_of(FleetSpec(seed=seed))
    place = fleet.device[:, D_PLACE]
    chosen = np.argsort(place, kind="stable")
    pairs = np.flatnonzero(place[chosen][1:] == place[chosen][:-1])[::60]
    times = start_of(EQUINOX) + np.arange(0, DAY, 30 * MINUTE)
    one = simulate(seed, chosen[pairs].astype(np.int32), times)[signals.TEMPERATURE]
    other = simulate(seed, chosen[pairs + 1].astype(np.int32), times)[signals.TEMPERATURE]
    difference = one - other
    assert abs(difference.mean(axis=0).std() / np.sqrt(2) - 0.3) < 0.03
    assert abs((difference - difference.mean(axis=0)).std() / np.sqrt(2) - 0.1) < 0.01


@each_seed
def test_batteries(seed: int):
    world = year(seed)
    level = world[signals.BATTERY]
    mains = world.fleet.device[world.devices, D_BATTERY_PACE] == 0
    assert 0.16 < mains.mean() < 0.24
    assert (level[:, mains] == 100).all()
    assert 0.013 < share(level < 20) < 0.027
    on_battery = level[:, ~mains]
    assert 0.6 < share((on_battery > 50) & (on_battery < 94)) < 0.9  # the plateau
    lives = (np.diff(on_battery, axis=0) > 20).sum(axis=0)
    assert lives.min() <= 1
    assert lives.max() >= 8


@each_seed
@each_date
def test_radio(seed: int, date: tuple[int, int, int]):
    signal = day(seed, date)[signals.SIGNAL]
    assert 0.001 < share((signal < -90) | (signal > -40)) < 0.015
    assert 6 < signal.mean(axis=0).std() < 9  # distance and shadowing, fixed
    assert 1.8 < (signal - signal.mean(axis=0)).std() < 3  # fading


@each_seed
@each_date
def test_status_shares_and_errors(seed: int, date: tuple[int, int, int]):
    counts = day(seed, date).counts
    status, errors = counts[signals.STATUS], counts[signals.ERRORS]
    assert abs(share(status == signals.ONLINE) - 0.85) < 0.012
    for kind in (signals.OFFLINE, signals.MAINTENANCE, signals.ERROR):
        assert abs(share(status == kind) - 0.05) < 0.009
    assert errors[(status == signals.ONLINE) | (status == signals.MAINTENANCE)].max() == 0
    assert set(errors[status == signals.OFFLINE].tolist()) == set(range(5))
    assert set(errors[status == signals.ERROR].tolist()) == set(range(1, 21))


@each_seed
def test_states_last(seed: int):
    times = start_of(SUMMER) + np.arange(0, 14 * DAY, 2 * MINUTE)
    status = simulate(seed, every(150), times).counts[signals.STATUS]
    minutes: dict[int, list[int]] = {2: [], 3: [], 4: []}
    for series in status.T:
        cuts = np.flatnonzero(np.diff(series)) + 1
        for part in np.split(series, cuts)[1:-1]:
            if part[0] != signals.ONLINE:
                minutes[int(part[0])].append(2 * len(part))
    # Two of a kind may follow each other without a gap, so the ends are not exact.
    for kind, shortest, mean, longest in (
        (signals.OFFLINE, 20, 170, 320),
        (signals.MAINTENANCE, 120, 504, 888),
        (signals.ERROR, 3, 16.5, 30),
    ):
        lengths = np.array(minutes[kind])
        assert abs(np.mean(lengths) / mean - 1) < 0.2, kind
        assert np.quantile(lengths, 0.985) <= longest, kind
        assert np.quantile(lengths, 0.9) > mean * 1.25, kind
        if kind != signals.ERROR:  # a fault may begin or end under an outage
            assert np.quantile(lengths, 0.05) >= shortest * 0.9, kind


@each_seed
def test_counters_grow_between_boots(seed: int):
    world = month(seed)
    counts = world.counts
    sent, received = counts[signals.PACKETS_SENT], counts[signals.PACKETS_RECEIVED]
    booted = np.diff(sent, axis=0) < 0
    assert 0.04 < booted.sum() / (len(world.devices) * 30) < 0.15  # every 3 to 28 days
    for reading in (
        signals.PACKETS_RECEIVED,
        signals.BYTES_SENT,
        signals.BYTES_RECEIVED,
    ):
        assert (np.diff(counts[reading], axis=0)[~booted] >= 0).all()
    for packets, reading in ((sent, signals.BYTES_SENT), (received, signals.BYTES_RECEIVED)):
        size = counts[reading][packets > 0] / packets[packets > 0]
        assert size.min() >= 200
        assert size.max() <= 1200
        assert abs(size.mean() - 700) < 60
        assert (size == np.round(size)).all()
        same = ~booted & (packets[:-1] > 0)
        before = counts[reading][:-1][same] / packets[:-1][same]
        after = counts[reading][1:][same] / packets[1:][same]
        assert (before == after).all()
    ratio = received[sent > 1000] / sent[sent > 1000]
    assert 0.15 < ratio.min() < ratio.max() < 1.2


@each_seed
def test_load_follows_people_and_memory_creeps(seed: int):
    world = day(seed, SUMMER)
    fleet = world.fleet
    conditions = new_conditions(fleet)
    at = 50  # the conditions that devices share, at one time of the day
    signals.readings_of(
        fleet, world.devices, np.full(len(world.devices), world.times[at]), conditions
    )
    rows = conditions[fleet.device[world.devices, D_PLACE]]
    assert (rows[:, 0] == world.times[at] >> TICK_BITS).all()
    assert correlation(rows[:, C_PRESENCE].astype(float), world[signals.CPU][at]) > 0.3
    noon = abs(world.hours(S_LOCAL_MS) - 12) < 3
    assert world[signals.CPU][noon].mean() > world[signals.CPU][~noon].mean() + 5
    days = month(seed)
    booted = (np.diff(days.counts[signals.PACKETS_SENT], axis=0) < 0)[2:-48]
    memory = days[signals.MEMORY]
    change = (memory[51:] - memory[3:-48])[booted[: len(memory) - 51]]
    before, after = memory[1:-50], memory[3:-48]
    assert (after - before)[booted].mean() < -8  # a boot frees it
    assert change.mean() > 0.3  # within the day after it grows


@each_seed
@each_date
def test_alerts_are_a_few_percent(seed: int, date: tuple[int, int, int]):
    world = day(seed, date)
    alert = (
        (world[signals.TEMPERATURE] > 35)
        | (world[signals.HUMIDITY] > 80)
        | (world[signals.BATTERY] < 20)
    )
    assert 0.01 < share(alert) < 0.08
