"""One sequence of messages, filtered: any number of lanes has all of them, each once."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iot_producer.blocks import Plan
from iot_producer.fleet import FleetSpec
from iot_producer.lane import LaneSpec, device_offset, lane_of, least_distance, order_step
from iot_producer.schedule import ConstantSchedule

POOLS = st.integers(1, 300)


@st.composite
def pools_and_lanes(draw: st.DrawFn) -> tuple[int, int]:
    n_devices = draw(POOLS)
    return n_devices, draw(st.integers(1, min(n_devices, 9)))


@given(pools_and_lanes(), st.integers(1, 4))
def test_lanes_partition_the_sequence(pool: tuple[int, int], n_cycles: int):
    n_devices, n_lanes = pool
    found: list[tuple[int, int]] = []
    for index in range(n_lanes):
        lane = lane_of(n_devices, LaneSpec(index, n_lanes))
        first, distances, devices = lane.block(0, n_cycles * lane.n_per_cycle)
        found += zip((first + distances).tolist(), devices.tolist(), strict=True)
        assert all(device % n_lanes == index for device in devices.tolist())
    step = order_step(n_devices)
    expected = [(m, m % n_devices * step % n_devices) for m in range(n_cycles * n_devices)]
    assert sorted(found) == expected


@given(pools_and_lanes(), st.integers(0, 1000), st.integers(0, 2**72))
def test_an_offset_only_turns_the_cycle(pool: tuple[int, int], offset: int, n: int):
    n_devices, n_lanes = pool
    step = order_step(n_devices)
    for index in range(n_lanes):
        lane = lane_of(n_devices, LaneSpec(index, n_lanes, offset))
        first, distances, devices = lane.block(n, lane.n_per_cycle)
        numbers = [first + d for d in distances.tolist()]
        assert devices.tolist() == [(m + offset) % n_devices * step % n_devices for m in numbers]
        assert {device % n_lanes for device in devices.tolist()} == {index}
        assert [lane.n_before(m) for m in numbers] == list(range(n, n + len(numbers)))
        assert (lane.devices[lane.rank[lane.devices]] == lane.devices).all()
        assert (lane.positions[:-1] < lane.positions[1:]).all()


@given(st.integers(1, 10**7), st.integers(1, 200))
def test_lanes_keep_away_from_each_other(n_devices: int, n: int):
    distance = least_distance(n, n_devices)
    n_places = 1 << (n - 1).bit_length()
    assert distance in (n_devices // n_places, -(-n_devices // n_places))
    assert device_offset(0, n_devices) == 0


RATES = st.one_of(
    st.integers(1, 3000).map(Fraction), st.fractions(Fraction(1, 7), 2500, max_denominator=50)
)
TIMES_NS = st.integers(1_700_000_000 * 10**9, 1_900_000_000 * 10**9)


@settings(deadline=None)
@given(st.integers(1, 400), RATES, st.lists(TIMES_NS, min_size=1, max_size=5), st.data())
def test_claimed_lanes_of_one_rate_never_meet(
    n_devices: int, rate: Fraction, starts_ns: list[int], data: st.DataObject
):
    """No (device, millisecond) comes twice over lanes 0 … n − 1, whenever each was started, as long
    as a millisecond has no more messages than the lanes are apart."""
    n = len(starts_ns)
    assume(-(-rate // 1000) <= least_distance(n, n_devices))
    # Started at nearly the same time, lanes meet if they ever do.
    near_ns = data.draw(st.integers(0, 10**9))
    starts_ns = [starts_ns[0] + k * near_ns for k in range(n)]
    seen: set[tuple[int, int]] = set()
    for k, start_ns in enumerate(starts_ns):
        schedule = ConstantSchedule(rate).at(start_ns)
        offset = (schedule.first + device_offset(k, n_devices)) % n_devices
        fleet = FleetSpec(devices=n_devices, customers=1, sites=1)
        plan = Plan(fleet, LaneSpec(0, 1, offset), schedule, schedule.start_ns)
        assert plan.due_ns(0) >= start_ns
        n_messages = 2 * n_devices + 50
        block = plan.block(0, n_messages)
        pairs = set(zip(block.devices.tolist(), block.times_ms.tolist(), strict=True))
        assert len(pairs) == n_messages
        assert not pairs & seen
        seen |= pairs


@settings(deadline=None)
@given(st.integers(1, 300), RATES, TIMES_NS, st.integers(0, 500), st.integers(0, 9))
def test_two_starts_of_a_claimed_lane_lie_on_the_same_grid(
    n_devices: int, rate: Fraction, start_ns: int, later: int, k: int
):
    def messages(at_ns: int, n: int) -> list[tuple[int, int]]:
        schedule = ConstantSchedule(rate).at(at_ns)
        offset = (schedule.first + device_offset(k, n_devices)) % n_devices
        fleet = FleetSpec(devices=n_devices, customers=1, sites=1)
        block = Plan(fleet, LaneSpec(0, 1, offset), schedule, schedule.start_ns).block(0, n)
        return list(zip(block.devices.tolist(), block.intended_ns.tolist(), strict=True))

    whole = messages(start_ns, later + 20)
    # Right after the last one that was sent, the next one begins.
    assert messages(whole[later][1], 20) == whole[later:]
    assert messages(whole[later][1] + 1, 19) == whole[later + 1 :]


@given(pools_and_lanes(), st.data(), st.integers(0, 2**72), st.integers(1, 50))
def test_a_block_is_its_messages_one_by_one(
    pool: tuple[int, int], data: st.DataObject, first: int, n: int
):
    n_devices, n_lanes = pool
    lane = lane_of(n_devices, LaneSpec(data.draw(st.integers(0, n_lanes - 1)), n_lanes))
    start, distances, devices = lane.block(first, n)
    messages = [start + d for d in distances.tolist()]
    assert messages == [lane.message_of(first + i) for i in range(n)]
    assert devices.tolist() == [m % n_devices * order_step(n_devices) % n_devices for m in messages]


@given(pools_and_lanes(), st.data(), st.integers(0, 2**72))
def test_n_before_inverts_message_of(pool: tuple[int, int], data: st.DataObject, n: int):
    n_devices, n_lanes = pool
    lane = lane_of(n_devices, LaneSpec(data.draw(st.integers(0, n_lanes - 1)), n_lanes))
    message = lane.message_of(n)
    assert lane.n_before(message) == n
    assert lane.n_before(message + 1) == n + 1
    assert lane.message_of(n + 1) > message


@given(pools_and_lanes(), st.integers(0, 2**72))
def test_counts_of_lanes_add_up(pool: tuple[int, int], m: int):
    n_devices, n_lanes = pool
    lanes = [lane_of(n_devices, LaneSpec(index, n_lanes)) for index in range(n_lanes)]
    assert sum(lane.n_before(m) for lane in lanes) == m
