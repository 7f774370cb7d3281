"""Lanes that tell of themselves: what one would publish after so many messages."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from found_records import SMALL, START_NS
from iot_producer.blocks import DATA_VERSION, Plan
from iot_producer.feed import MaxFeed
from iot_producer.fleet import FleetSpec
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.lane_report import LaneReport
from iot_producer.report import RunReport, iso_time
from iot_producer.run_journal import LaneEntry, LaneHead, settled
from iot_producer.schedule import ConstantSchedule, MaxRate, Schedule
from iot_producer.tally import LaneTally

RATE = ConstantSchedule(Fraction(1000))
S = 10**9
MS = 10**6


def head_of(
    schedule: Schedule | MaxRate = RATE,
    *,
    name: str = "iot-producer-0",
    index: int = 0,
    n_lanes: int = 1,
    start_ns: int = START_NS,
    claimed_ns: int = START_NS - 10 * MS,
    last_ids: tuple[int, ...] = (-1,),
    spec: FleetSpec = SMALL,
    **more: Any,
) -> LaneHead:
    run = RunReport(
        data_version=DATA_VERSION,
        tool_version="0.2.0",
        machine={"cpu": "x"},
        config={"--rate": ["1000", "default"]},
        fleet=spec.to_dict(),
        schedule=schedule.to_spec(),
        start_ns=start_ns,
        n_lanes=n_lanes,
        lanes=(),
        started_at=iso_time(claimed_ns),
        ended_at=iso_time(claimed_ns),
        stop_reason="",
        destination="pulsar://127.0.0.1:6650 persistent://public/default/t",
        lane=0,
    )
    return LaneHead(name, index, run, claimed_ns, last_ids, **more)


def plan_of(head: LaneHead, schedule: Schedule = RATE) -> Plan:
    return Plan(
        SMALL, LaneSpec(head.index, head.run.n_lanes, head.run.offset), schedule, head.run.start_ns
    )


def report_of(tally: LaneTally, head: LaneHead, blocks: Any = None) -> LaneReport:
    return LaneReport(head.index, *settled(tally), blocks=blocks)


def entry_of(head: LaneHead, n_confirmed: int, n_open: int = 0, **more: Any) -> LaneEntry:
    """A lane that sent blocks of ten: so many messages are confirmed, so many more are not."""
    tally = LaneTally()
    tally.schedule_to(n_confirmed + n_open + 3)
    for first in range(0, n_confirmed + n_open, 10):
        stop = min(first + 10, n_confirmed + n_open)
        tally.sent(first, stop)
        if stop <= n_confirmed:
            tally.confirmed(first, stop, None, stop - first)
    return LaneEntry(head, report_of(tally, head), START_NS + S, **more)


def max_entry_of(
    head: LaneHead, n_blocks: int, n_open_blocks: int = 0, size: int = 10
) -> LaneEntry:
    """A lane at the maximum rate: its blocks are 2 ms apart; the last ones are not confirmed."""
    members = lane_of(SMALL.devices, LaneSpec(head.index, head.run.n_lanes, head.run.offset))
    feed = MaxFeed(members, head.run.start_ns, size, None, None)
    tally = LaneTally()
    now_ns = head.run.start_ns
    for place in range(n_blocks):
        now_ns = max(now_ns + 2 * MS, feed.wake_ns(tally.next))
        block = feed.next_block(tally.next, now_ns)
        assert block is not None
        tally.schedule_to(block.stop)
        tally.sent(block.first, block.stop)
        if place < n_blocks - n_open_blocks:
            tally.confirmed(block.first, block.stop, None, block.n)
    return LaneEntry(head, report_of(tally, head, feed.blocks()), START_NS + S)


def without_lanes(run: RunReport) -> RunReport:
    """What is kept of a run's head."""
    return replace(run, machine={}, config={})


def by_two(devices: Any, n_partitions: int) -> Any:
    """Partitions that can be told by hand: by the device's number."""
    return np.asarray(devices, dtype=np.int64) % n_partitions
