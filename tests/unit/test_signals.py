from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from iot_producer import signals
from iot_producer.fleet import D_BATTERY_PACE, D_BOOTS, FleetSpec, fleet_of
from iot_producer.schema import FIELDS
from iot_producer.signals import N_READINGS, readings_of

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
NOW = 1_800_000_000_000
LAST = 4_102_444_800_000  # 2100-01-01
FLEET = fleet_of(FleetSpec(seed=11))


def series(device: int, times: NDArray[np.int64]) -> NDArray[np.int64]:
    return readings_of(FLEET, np.full(len(times), device, dtype=np.int32), times)


def test_readings_are_the_schema_behind_the_time():
    names = [
        *("TEMPERATURE", "HUMIDITY", "PRESSURE", "CO2", "NOISE", "LIGHT", "MOTION", "BATTERY"),
        *("SIGNAL", "MEMORY", "CPU", "STATUS", "ERRORS", "PACKETS_SENT", "PACKETS_RECEIVED"),
        *("BYTES_SENT", "BYTES_RECEIVED"),
    ]
    assert [getattr(signals, name) for name in names] == list(range(N_READINGS))
    assert len(FIELDS) == 8 + N_READINGS
    for name, field in zip(names, FIELDS[8:], strict=True):
        assert field.name.split("_")[0] in name.lower().replace("errors", "error"), field.name


@pytest.mark.parametrize("seed", [0, 1, 5, 2**64 - 1])
def test_every_value_is_in_the_range_of_the_schema_from_1970_to_2100(seed: int):
    fleet = fleet_of(FleetSpec(seed=seed))
    rng = np.random.default_rng(seed % 1_000)
    devices = rng.integers(0, 100_000, 100_000).astype(np.int32)
    times = rng.integers(0, LAST, 100_000)
    times[:20_000] = rng.integers(0, 60 * DAY, 20_000)  # the first boots, before the epoch
    values = readings_of(fleet, devices, times)
    for reading, field in enumerate(FIELDS[8:]):
        assert field.low <= values[reading].min(), field.name
        assert values[reading].max() <= field.high, field.name


def test_the_first_and_the_last_moment():
    devices = np.arange(100_000, dtype=np.int32)
    for t in (0, 1, LAST, 2**42):
        values = readings_of(FLEET, devices, np.full(100_000, t))
        for reading, field in enumerate(FIELDS[8:]):
            assert field.low <= values[reading].min(), (t, field.name)
            assert values[reading].max() <= field.high, (t, field.name)


@pytest.mark.parametrize("start", [0, NOW, LAST - 90 * DAY])
def test_counters_grow_between_boots(start: int):
    times = start + np.arange(0, 90 * DAY, HOUR)
    for device in range(0, 100_000, 2_500):
        values = series(device, times)
        packets = values[signals.PACKETS_SENT]
        boots = np.flatnonzero(np.diff(packets) < 0) + 1
        for reading in (
            signals.PACKETS_SENT,
            signals.PACKETS_RECEIVED,
            signals.BYTES_SENT,
            signals.BYTES_RECEIVED,
        ):
            for part in np.split(values[reading], boots):
                assert (np.diff(part) >= 0).all(), reading
        hours = 24 * (int(FLEET.device[device, D_BOOTS]) & 31)
        assert 90 * 24 / hours - 1.6 <= len(boots) <= 90 * 24 / hours + 1.6
        # Boots are within the first half of their epoch: 0.5 to 1.5 epochs apart.
        apart = np.diff(boots)
        assert ((apart >= 0.5 * hours - 1) & (apart <= 1.5 * hours + 1)).all()
        assert packets[boots].max(initial=0) <= 2 * 2_500  # a boot starts at zero


def test_counters_never_fall_from_one_millisecond_to_the_next():
    for device in (3, 33_333, 99_999):
        values = series(device, NOW + np.arange(0, 20_000))
        for reading in range(signals.PACKETS_SENT, N_READINGS):
            steps = np.diff(values[reading])
            assert (steps >= 0).all()
        assert np.diff(values[signals.PACKETS_SENT]).max() <= 1


def test_bytes_are_packets_of_a_size_that_is_fixed_per_boot():
    values = series(5, NOW + np.arange(0, 90 * DAY, HOUR))
    packets, sent = values[signals.PACKETS_SENT], values[signals.BYTES_SENT]
    boots = np.flatnonzero(np.diff(packets) < 0) + 1
    sizes = []
    for part_packets, part_bytes in zip(
        np.split(packets, boots), np.split(sent, boots), strict=True
    ):
        some = part_packets > 0
        size = set((part_bytes[some] // part_packets[some]).tolist())
        assert (part_bytes[some] % part_packets[some] == 0).all()
        assert len(size) == 1
        sizes += size
    assert all(200 <= size <= 1_200 for size in sizes)
    assert len(set(sizes)) == len(sizes) > 2


def test_a_battery_only_drains_within_a_life():
    times = NOW + np.arange(0, 900 * DAY, 6 * HOUR)
    on_battery = np.flatnonzero(FLEET.device[:, D_BATTERY_PACE] > 0)[:40]
    for device in on_battery.tolist():
        level = series(device, times)[signals.BATTERY]
        renewed = np.flatnonzero(np.diff(level) > 0) + 1
        life_days = (1 << 52) / int(FLEET.device[device, D_BATTERY_PACE]) / 86_400
        assert len(renewed) in (int(900 / life_days), int(900 / life_days) + 1)
        for before, after in zip(level[renewed - 1], level[renewed], strict=True):
            assert before < 2_000  # it was empty, under 20 %
            assert after > 9_700
        whole_lives = np.split(level, renewed)[1:-1]
        for life in whole_lives:
            assert abs(len(life) / 4 - life_days) < 1
            # A plateau: most of the life is spent between 50 and 95 %.
            assert 0.7 < ((life > 5_000) & (life < 9_500)).mean() < 0.95


def test_mains_are_always_full():
    mains = np.flatnonzero(FLEET.device[:, D_BATTERY_PACE] == 0)[:500].astype(np.int32)
    for t in (0, NOW, LAST):
        assert (readings_of(FLEET, mains, np.full(500, t))[signals.BATTERY] == 10_000).all()


def test_errors_belong_to_a_state():
    times = NOW + np.arange(0, 60 * DAY, MINUTE)
    values = series(77, times)
    status, errors = values[signals.STATUS], values[signals.ERRORS]
    assert set(np.unique(status).tolist()) == {1, 2, 3, 4}
    assert (errors[(status == signals.ONLINE) | (status == signals.MAINTENANCE)] == 0).all()
    assert errors[status == signals.OFFLINE].max() <= 4
    in_error = errors[status == signals.ERROR]
    assert in_error.min() >= 1
    assert in_error.max() <= 20
    for part in np.split(np.arange(len(times)), np.flatnonzero(np.diff(status)) + 1):
        if status[part[0]] == signals.ERROR and len(part) < 29:
            assert (np.diff(errors[part]) >= 0).all()  # they add up while it lasts


def test_an_error_costs_processor_time():
    times = NOW + np.arange(0, 60 * DAY, MINUTE)
    values = series(77, times)
    in_error = values[signals.STATUS] == signals.ERROR
    edges = np.flatnonzero(np.diff(in_error.astype(int)) == 1)
    step = values[signals.CPU][edges + 1] - values[signals.CPU][edges]
    assert abs(step - 150).max() <= 80


def test_motion_holds_for_15_seconds():
    start = NOW - NOW % (15 * SECOND)
    motion = series(8, start + np.arange(0, 6 * HOUR, SECOND))[signals.MOTION].reshape(-1, 15)
    changes = np.diff(motion, axis=1)
    assert (changes != 0).any(axis=1).mean() < 0.01  # the people of a site change in between
    assert 0 < motion.mean() < 1


def test_noise_of_a_sensor_changes_every_millisecond():
    values = series(9, NOW + np.arange(1_000))
    for reading, reach in (
        (signals.TEMPERATURE, 18),
        (signals.HUMIDITY, 60),
        (signals.PRESSURE, 10),
    ):
        assert 0.5 * reach < np.ptp(values[reading]) <= 2 * reach + 2
        after = np.corrcoef(values[reading][:-1], values[reading][1:])[0, 1]
        assert abs(after) < 0.12


def test_a_device_is_not_disturbed_by_others():
    devices = np.arange(1_000, dtype=np.int32)
    times = np.full(1_000, NOW)
    together = readings_of(FLEET, devices, times)
    for device in (0, 17, 999):
        assert (series(device, times[:1])[:, 0] == together[:, device]).all()


def test_no_records_at_all():
    nothing = readings_of(FLEET, np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64))
    assert nothing.shape == (N_READINGS, 0)
