from __future__ import annotations

from math import gcd

import numpy as np
import pytest

from iot_producer.errors import ConfigError
from iot_producer.lane import LaneSpec, lane_of, order_step


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 20, 97, 1_000, 99_991, 100_000, 10_000_000])
def test_the_order_is_a_permutation(n: int):
    step = order_step(n)
    assert gcd(step, n) == 1
    assert 1 <= step <= max(n, 1)


@pytest.mark.parametrize("n", [1_000, 100_000])
def test_devices_do_not_report_in_the_order_of_their_ids(n: int):
    devices = lane_of(n, LaneSpec()).devices[:200].astype(np.int64)
    assert (abs(np.diff(devices)) > n // 10).all()
    # Next to the golden section any run of them is spread evenly: no gap is far above the average.
    gaps = np.diff(np.sort(devices[:100]))
    assert gaps.max() < 5 * n / 100


def test_one_lane_has_every_message():
    lane = lane_of(1_000, LaneSpec())
    assert lane.n_per_cycle == 1_000
    assert sorted(lane.devices.tolist()) == list(range(1_000))
    assert lane.positions.tolist() == list(range(1_000))
    assert [lane.message_of(n) for n in (0, 999, 1_000, 2**80)] == [0, 999, 1_000, 2**80]


def test_a_lane_has_the_devices_of_its_remainder():
    lane = lane_of(1_000, LaneSpec(2, 7))
    assert sorted(lane.devices.tolist()) == list(range(2, 1_000, 7))
    assert (lane.devices[lane.rank[lane.devices]] == lane.devices).all()
    assert (lane.rank[np.arange(1_000) % 7 != 2] == -1).all()


def test_numbers_beyond_64_bits():
    lane = lane_of(1_000, LaneSpec(1, 3))
    n = 2**70 + 1
    message = lane.message_of(n)
    assert lane.n_before(message) == n
    first, distances, devices = lane.block(n, 5)
    assert first == message
    assert [first + d for d in distances.tolist()] == [lane.message_of(n + i) for i in range(5)]
    messages = [first + d for d in distances.tolist()]
    assert devices.tolist() == [m * order_step(1_000) % 1_000 for m in messages]


@pytest.mark.parametrize(("index", "n_lanes"), [(1, 1), (-1, 2), (0, 0), (7, 7)])
def test_a_lane_that_does_not_exist(index: int, n_lanes: int):
    with pytest.raises(ConfigError, match=f"lane {index} of {n_lanes}"):
        LaneSpec(index, n_lanes)


def test_more_lanes_than_devices():
    with pytest.raises(ConfigError, match="4 lanes for 3 devices"):
        lane_of(3, LaneSpec(0, 4))
    assert lane_of(3, LaneSpec(2, 3)).n_per_cycle == 1


def test_arrays_of_a_lane_are_shared_and_stay():
    lane = lane_of(1_000, LaneSpec(0, 2))
    assert lane is lane_of(1_000, LaneSpec(0, 2))
    with pytest.raises(ValueError, match="read-only"):
        lane.devices[0] = 1
