from __future__ import annotations

import numpy as np
import pytest

from iot_producer.blocks import Block, block_at
from iot_producer.clock import ManualClock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import UnreachableError
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.sinks.memory import MemorySink

FLEET = fleet_of(FleetSpec(devices=60, customers=6, sites=3))


def block(first: int, n: int) -> Block:
    return block_at(lane_of(60, LaneSpec()), first, n, 1_780_000_000_000_000_000 + first)


def texts(one: Block) -> list[bytes]:
    return JsonEncoder(FLEET).encode(one.devices, one.times_ms).split()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_held_receipts_come_when_they_are_released_with_the_time_of_release(clock):
    sink = MemorySink(FLEET, clock, holding=True)
    for first in (0, 10, 20):
        sink.send(block(first, 10))
    assert sink.receipts() == []
    clock.advance(5)
    sink.release(2)
    assert [(r.first, r.at_ns) for r in sink.receipts()] == [
        (0, clock.now_ns()),
        (10, clock.now_ns()),
    ]
    clock.advance(5)
    sink.release()
    assert [(r.first, r.at_ns) for r in sink.receipts()] == [(20, clock.now_ns())]


def test_draining_what_is_held_takes_the_whole_time_out(clock):
    sink = MemorySink(FLEET, clock, holding=True)
    sink.send(block(0, 10))
    before_ns = clock.now_ns()
    sink.drain(2.5)
    assert clock.now_ns() - before_ns == 2_500_000_000
    assert sink.receipts() == []


def test_waiting_for_a_receipt_that_is_there_takes_no_time(clock):
    sink = MemorySink(FLEET, clock)
    sink.send(block(0, 10))
    before_ns = clock.now_ns()
    assert len(sink.receipts(1.0)) == 1
    assert clock.now_ns() == before_ns
    assert sink.receipts(1.0) == []
    assert clock.now_ns() - before_ns == 1_000_000_000


def test_a_failed_block_gets_a_receipt_that_says_so_and_is_not_kept(clock):
    sink = MemorySink(
        FLEET, clock, failure_of=lambda one, _: "too large" if one.first == 10 else ""
    )
    sink.send(block(0, 10))
    sink.send(block(10, 10))
    assert [(r.first, r.n_records, r.error) for r in sink.receipts()] == [
        (0, 10, ""),
        (10, 10, "too large"),
    ]
    assert sink.records == texts(block(0, 10))


def test_one_partition_may_fail_alone(clock):
    sink = MemorySink(
        FLEET,
        clock,
        partition_of=lambda devices: devices % 2,
        failure_of=lambda _, partition: "fenced" if partition == 1 else "",
    )
    one = block(0, 20)
    sent = sink.send(one)
    assert sent.n_by_partition == {0: 10, 1: 10}
    good, bad = sink.receipts()
    assert (good.partition, good.error, bad.partition, bad.error) == (0, "", 1, "fenced")
    even = np.flatnonzero(one.devices % 2 == 0).tolist()
    assert good.members.tolist() == even
    assert sink.partitions == {0: [texts(one)[i] for i in even]}
    assert sink.records == sink.partitions[0]


def test_a_destination_that_is_gone_keeps_what_it_had(clock):
    sink = MemorySink(FLEET, clock, gone_at=15)
    sink.send(block(0, 10))
    with pytest.raises(UnreachableError, match="15"):
        sink.send(block(10, 10))
    assert len(sink.records) == 10
    assert [(r.first, r.stop) for r in sink.receipts()] == [(0, 10)]


def test_closing_drops_what_is_held(clock):
    sink = MemorySink(FLEET, clock, holding=True)
    sink.send(block(0, 10))
    sink.close()
    sink.release()
    assert sink.receipts() == []
    assert sink.closed
