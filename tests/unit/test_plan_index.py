from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from found_records import SMALL, START_NS
from iot_producer.blocks import Plan
from iot_producer.errors import ConfigError
from iot_producer.lane import LaneSpec
from iot_producer.plan_index import LanePart, PlanIndex
from iot_producer.schedule import ConstantSchedule, limit

RATE = ConstantSchedule(Fraction(700))


def find(index: PlanIndex, *pairs: tuple[int, int]) -> list[tuple[int, int]]:
    devices, times_ms = np.array(pairs, dtype=np.int64).T
    slots, messages = index.find(devices, times_ms)
    return list(zip(slots.tolist(), messages.tolist(), strict=True))


def test_finds_each_message_of_the_lanes_it_knows_and_of_no_other():
    parts = [LanePart(2, 90), LanePart(0, 100)]
    index = PlanIndex(SMALL, RATE, START_NS, 3, parts)
    for lane in range(3):
        block = Plan(SMALL, LaneSpec(lane, 3), RATE, START_NS).block(0, 110)
        slots, messages = index.find(block.devices.astype(np.int64), block.times_ms)
        n = {0: 100, 1: 0, 2: 90}[lane]
        slot = {0: 1, 1: -1, 2: 0}[lane]
        assert slots.tolist() == [slot] * n + [-1] * (110 - n)
        assert messages.tolist() == [*range(n), *[-1] * (110 - n)]


def test_finds_the_messages_of_a_claimed_lane():
    """A grid from the epoch on, with a rate that shares no unit with it; any place of the cycle."""
    schedule = ConstantSchedule(Fraction(7000, 9)).at(START_NS)
    for offset in (1, 17, 49):
        index = PlanIndex(
            SMALL, schedule, schedule.start_ns, 2, [LanePart(0, 300), LanePart(1, 280)], offset
        )
        for lane, n in ((0, 300), (1, 280)):
            plan = Plan(SMALL, LaneSpec(lane, 2, offset), schedule, schedule.start_ns)
            block = plan.block(0, 310)
            slots, messages = index.find(block.devices.astype(np.int64), block.times_ms)
            assert slots.tolist() == [lane] * n + [-1] * (310 - n)
            assert messages.tolist() == [*range(n), *[-1] * (310 - n)]
            assert [index.device(lane, i) for i in range(n)] == block.devices[:n].tolist()
            assert [index.intended_ns(lane, i) for i in range(n)] == block.intended_ns[:n].tolist()
            edges = block.intended_ns[:n:13]
            assert index.n_before(lane, edges).tolist() == list(range(0, n, 13))


def test_what_is_off_by_a_millisecond_or_a_device_is_found_nowhere():
    index = PlanIndex(SMALL, RATE, START_NS, 1, [LanePart(0, 500)])
    block = Plan(SMALL, LaneSpec(), RATE, START_NS).block(0, 500)
    pairs = list(zip(block.devices.tolist(), block.times_ms.tolist(), strict=True))
    planned = set(pairs)
    for device, time_ms in pairs[::17]:
        for other in (
            (device, time_ms + 1),
            (device, time_ms - 1),
            (device + 1, time_ms),
            (device + SMALL.devices, time_ms),
            (-1, time_ms),
            (device, -1),
            (device, 2**62),
        ):
            assert (find(index, other) == [(-1, -1)]) is (other not in planned)


def test_gives_device_time_and_counts_before_a_time_as_the_plan_does():
    schedule = limit(RATE, 1000)
    index = PlanIndex(SMALL, schedule, START_NS, 3, [LanePart(1, 333)])
    plan = Plan(SMALL, LaneSpec(1, 3), schedule, START_NS)
    block = plan.block(0, 333)
    assert [index.device(0, n) for n in range(333)] == block.devices.tolist()
    assert [index.intended_ns(0, n) for n in range(333)] == block.intended_ns.tolist()
    assert (index.first_ms, index.last_ms) == (block.times_ms[0], block.times_ms[-1])
    edges = np.array([0, START_NS, START_NS + 1, START_NS + 10**8, block.last_ns, 2**62])
    before = [int((block.intended_ns < edge).sum()) for edge in edges.tolist()]
    assert index.n_before(0, edges).tolist() == before


def test_blocks_say_which_message_is_meant_at_the_maximum_rate():
    blocks = np.array([[3, START_NS], [2, START_NS + 5_000_000]], dtype=np.int64)
    index = PlanIndex(SMALL, None, START_NS, 1, [LanePart(0, 5, blocks)])
    devices = [index.device(0, n) for n in range(5)]
    first_ms, second_ms = START_NS // 10**6, (START_NS + 5_000_000) // 10**6
    assert [index.intended_ns(0, n) - START_NS for n in range(5)] == [0, 1, 2, 5 * 10**6, 5000001]
    assert find(index, *((d, first_ms) for d in devices)) == [
        (0, 0), (0, 1), (0, 2), (-1, -1), (-1, -1)
    ]  # fmt: skip
    assert find(index, *((d, second_ms) for d in devices)) == [
        (-1, -1), (-1, -1), (-1, -1), (0, 3), (0, 4)
    ]  # fmt: skip
    assert find(index, (devices[0], first_ms + 1)) == [(-1, -1)]
    edges = np.array([START_NS, START_NS + 2, START_NS + 10**6, START_NS + 5_000_001, 2**62])
    assert index.n_before(0, edges).tolist() == [0, 2, 3, 4, 5]


@pytest.mark.parametrize("schedule", [RATE, None])
def test_a_lane_without_messages_explains_nothing(schedule: ConstantSchedule | None):
    empty = np.empty((0, 2), dtype=np.int64)
    index = PlanIndex(SMALL, schedule, START_NS, 1, [LanePart(0, 0, empty)])
    assert index.last_ms < index.first_ms
    assert find(index, (0, START_NS // 10**6), (0, 0)) == [(-1, -1), (-1, -1)]
    assert index.n_before(0, np.array([0, 2**62])).tolist() == [0, 0]


def test_contradictions_are_told():
    with pytest.raises(ValueError, match="lane 0 has 11 messages, its plan 10"):
        PlanIndex(SMALL, limit(RATE, 10), START_NS, 1, [LanePart(0, 11)])
    with pytest.raises(ValueError, match="neither a schedule nor blocks"):
        PlanIndex(SMALL, None, START_NS, 1, [LanePart(0, 11)])
    long = np.array([[51, START_NS]], dtype=np.int64)
    with pytest.raises(ValueError, match="longer than its cycle"):
        PlanIndex(SMALL, None, START_NS, 1, [LanePart(0, 51, long)])
    with pytest.raises(ConfigError, match="51 lanes for 50 devices"):
        PlanIndex(SMALL, RATE, START_NS, 51, [LanePart(0, 1)])
