"""Divisions by multiplication are exact in the whole range of their values."""

from __future__ import annotations

import numpy as np
import pytest

from iot_producer import device_life, signals
from iot_producer.fleet import D_BOOTS, FleetSpec, fleet_of

SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000
LAST_DAY = 2**42 // DAY
LONGEST_EPOCH = 28 * DAY

DIVISIONS = {
    # name: divisor, largest value, shift before, multiplier, bits
    "days of a boot's lag": (DAY, LONGEST_EPOCH + DAY, 10, "_PER_DAY", "_DAY_BITS"),
    "days of local time": (DAY, 51 * DAY, 10, "_PER_DAY", "_DAY_BITS"),
    "turns of a week": (4 * HOUR, 7 * DAY, 0, "_PER_TURN", "_TURN_BITS"),
    "hours of a day": (HOUR, DAY, 0, "_PER_HOUR", "_HOUR_BITS"),
    "fadings of a day": (600 * SECOND, DAY, 6, "_PER_FADE", "_FADE_BITS"),
    "weeks of days": (7, LAST_DAY + 1, 0, "_PER_WEEK", "_WEEK_BITS"),
    "seconds of a day": (SECOND, DAY, 0, "_PER_SECOND", "_SECOND_BITS"),
    "moves of a day's seconds": (15, 86_400, 0, "_PER_MOVE", "_MOVE_BITS"),
}


@pytest.mark.parametrize("name", DIVISIONS)
def test_a_division_is_exact_on_both_sides_of_every_step(name: str):
    divisor, last, shift, multiplier, bits = DIVISIONS[name]
    module = device_life if hasattr(device_life, multiplier) else signals
    per, n_bits = getattr(module, multiplier), getattr(module, bits)
    steps = np.arange(0, last + 1, divisor, dtype=np.int64)
    values = np.concatenate((steps, steps[1:] - 1, [last]))
    assert int((values >> shift).max()) * per < 2**63
    assert ((values >> shift) * per >> n_bits == values // divisor).all()


def test_a_boot_epoch_is_exact_on_every_day():
    packed = np.unique(fleet_of(FleetSpec()).device[:, D_BOOTS]).astype(np.int64)
    days_of_time = np.arange(LAST_DAY + 30)
    assert sorted((packed & 31).tolist()) == list(range(3, 29))
    for one in packed:
        days, per_days = int(one) & 31, int(one) >> 5
        assert (days_of_time * per_days >> 21 == days_of_time // days).all()


def test_the_day_of_a_time_is_at_most_one_too_small():
    # What fill_tile corrects: it never is too large, nor two too small.
    days = np.arange(LAST_DAY + 1, dtype=np.int64) * DAY
    for times in (days, days + DAY - 1, days + 1):
        times = times[times <= 2**42]
        found = (times >> 16) * signals._PER_DAY_OF_TIME >> signals._TIME_BITS - 16
        assert set(np.unique(times // DAY - found).tolist()) <= {0, 1}


@pytest.mark.parametrize("t", [0, 1, DAY - 1, DAY, 20_000 * DAY - 1, 20_000 * DAY, 2**42])
def test_the_same_record_at_each_place_of_a_tile(t: int):
    fleet = fleet_of(FleetSpec(500, 50, 20))
    devices = np.arange(100, dtype=np.int32)
    times = t - np.minimum(np.arange(100) % 7, t)  # neighbours of one place differ in their tick
    times[::3] = t // 2
    together = signals.readings_of(fleet, devices, times)
    for n in (1, 15, 16, 17, 31, 32, 33, 64, 99):
        assert (signals.readings_of(fleet, devices[:n], times[:n]) == together[:, :n]).all(), n
        assert (signals.readings_of(fleet, devices[n:], times[n:]) == together[:, n:]).all(), n
