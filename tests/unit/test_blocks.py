from __future__ import annotations

import numpy as np
import pytest

from iot_producer.blocks import Plan, block_at
from iot_producer.fleet import FleetSpec
from iot_producer.lane import LaneSpec, lane_of, order_step
from iot_producer.schedule import limit, schedule_from_rate

START_NS = 1_790_000_000_123_456_789
FLEET = FleetSpec(1_000, 100, 50)


def plan(rate: str = "3", lane: LaneSpec | None = None, n_messages: int | None = None) -> Plan:
    schedule = limit(schedule_from_rate(rate), n_messages, None)
    return Plan(FLEET, lane or LaneSpec(), schedule, START_NS)


def test_a_block_holds_devices_and_exact_times():
    block = plan().block(1_000, 4)
    assert (block.first, block.n, block.stop) == (1_000, 4, 1_004)
    expected = [START_NS + m * 10**9 // 3 for m in range(1_000, 1_004)]
    assert block.intended_ns.tolist() == expected
    assert block.times_ms.tolist() == [ns // 10**6 for ns in expected]
    assert block.last_ns == expected[-1]
    assert block.offsets_ns[0] == 0
    step = order_step(1_000)
    assert block.devices.tolist() == [0, step, 2 * step % 1_000, 3 * step % 1_000]
    assert block.devices.dtype == np.int32
    assert block.intended_ns.dtype == block.times_ms.dtype == np.int64


def test_a_lane_keeps_the_times_of_its_messages():
    whole = plan().block(0, 1_000)
    mine = whole.devices % 4 == 3
    block = plan(lane=LaneSpec(3, 4)).block(0, int(mine.sum()))
    assert block.devices.tolist() == whole.devices[mine].tolist()
    assert block.intended_ns.tolist() == whole.intended_ns[mine].tolist()


@pytest.mark.parametrize("n", [1, 7, 1_000])
def test_blocks_of_any_size_are_the_same_messages(n: int):
    whole = plan().block(5, 2_000)
    blocks = list(plan().blocks(5, 2_005, n))
    assert [block.n for block in blocks[:-1]] == [n] * (len(blocks) - 1)
    assert np.concatenate([block.devices for block in blocks]).tolist() == whole.devices.tolist()
    times = np.concatenate([block.intended_ns for block in blocks])
    assert times.tolist() == whole.intended_ns.tolist()
    assert [block.first for block in blocks] == list(range(5, 2_005, n))


def test_no_device_has_a_time_twice():
    block = plan("1000000").block(0, 20_000)  # 1000 a second and device: the most there may be
    pairs = set(zip(block.devices.tolist(), block.times_ms.tolist(), strict=True))
    assert len(pairs) == 20_000


def test_due_counts_and_times_agree():
    lane = plan("7/3", LaneSpec(1, 3))
    for n in (0, 1, 2, 50, 333, 10**12):
        due = lane.due_ns(n)
        assert lane.n_due(due) == n + 1
        assert lane.n_due(due - 1) == n
        assert lane.block(n, 1).start_ns == due
    assert lane.n_due(START_NS - 1) == 0


def test_lanes_of_a_limited_plan_have_all_its_messages():
    assert plan(n_messages=2_500).n_messages == 2_500
    lanes = [plan(lane=LaneSpec(i, 7), n_messages=2_500) for i in range(7)]
    assert sum(lane.n_messages or 0 for lane in lanes) == 2_500
    assert plan().n_messages is None


def test_a_plan_that_runs_for_a_century_keeps_its_nanoseconds():
    n = 10**6 * 86_400 * 36_525
    block = plan("1000000").block(n, 3)
    assert block.intended_ns.tolist() == [START_NS + (n + i) * 1_000 for i in range(3)]


def test_a_block_at_the_maximum_rate_starts_when_it_is_made():
    members = lane_of(1_000, LaneSpec(1, 2))
    block = block_at(members, 499, 3, START_NS)
    assert block.first == 499
    assert block.intended_ns.tolist() == [START_NS, START_NS + 1, START_NS + 2]
    assert block.devices.tolist() == [*members.devices[[499, 0, 1]].tolist()]
