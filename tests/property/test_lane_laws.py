"""One sequence of messages, filtered: any number of lanes has all of them, each once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iot_producer.lane import LaneSpec, lane_of, order_step

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
