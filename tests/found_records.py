"""Runs for the tests of verification: a report, and every record with the message around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from iot_producer.blocks import DATA_VERSION, Block, Plan
from iot_producer.chunk import Chunk
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.feed import MaxFeed
from iot_producer.fleet import I_CUSTOMER, I_TYPE, FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.report import LaneReport, RunReport, iso_time
from iot_producer.schedule import MaxRate, Schedule
from iot_producer.schema import DEVICE_TYPES
from iot_producer.tally import LaneTally

START_NS = 1_780_000_000_123_456_789
SMALL = FleetSpec(devices=50, customers=7, sites=5, seed=3)


@dataclass(frozen=True)
class Record:
    """One record as it lies on a topic."""

    lane: int
    message: int
    device: int
    text: bytes
    time_ms: int
    key: str
    properties: dict[str, str]
    partition: int = 0


@dataclass(frozen=True)
class Run:
    """What a run said, and what it sent, in the order of sending."""

    report: RunReport
    records: list[Record]


def blocks_of_lane(
    spec: FleetSpec,
    schedule: Schedule | MaxRate,
    lane: LaneSpec,
    n: int,
    block_records: int,
    start_ns: int,
) -> tuple[list[Block], np.ndarray[Any, np.dtype[np.int64]] | None]:
    """The first ``n`` messages of a lane (fewer, where the schedule ends)."""
    members = lane_of(spec.devices, lane)
    if isinstance(schedule, MaxRate):
        feed = MaxFeed(members, start_ns, block_records, n, None)
        made: list[Block] = []
        while not feed.is_done(first := made[-1].stop if made else 0):
            # The destination is slow now and then.
            now_ns = feed.wake_ns(first) + (first * 7919) % 3_000_000
            block = feed.next_block(first, now_ns)
            assert block is not None
            made.append(block)
        return made, feed.blocks()
    plan = Plan(spec, lane, schedule, start_ns)
    total = plan.n_messages
    return list(plan.blocks(0, n if total is None else min(n, total), block_records)), None


def run_of(
    schedule: Schedule | MaxRate,
    *,
    n_lanes: int = 1,
    n_per_lane: int = 200,
    block_records: int = 7,
    spec: FleetSpec = SMALL,
    start_ns: int = START_NS,
    lanes: list[int] | None = None,
    fates: dict[int, str] | None = None,
) -> Run:
    """A run of which everything arrived.

    Args:
        lanes: those that the run produced; None: all of the plan.
        fates: of blocks of lane 0, by their place: ``failed``, ``unconfirmed`` or ``not sent``;
            all others are confirmed. Records that failed or were not sent are among the records.
    """
    encoder = encoder_of(spec)
    reports = []
    arrived: list[tuple[int, int, list[Record]]] = []
    for index in range(n_lanes) if lanes is None else lanes:
        made, starts = blocks_of_lane(
            spec, schedule, LaneSpec(index, n_lanes), n_per_lane, block_records, start_ns
        )
        tally = LaneTally()
        for place, block in enumerate(made):
            tally.schedule_to(block.stop)
            fate = (fates or {}).get(place, "confirmed") if index == 0 else "confirmed"
            if fate == "not sent":
                tally.skip(block.first, block.stop, "overload")
            else:
                tally.sent(block.first, block.stop)
            if fate == "confirmed":
                tally.confirmed(block.first, block.stop, None, block.n)
            elif fate == "failed":
                tally.failed(block.first, block.stop, None, block.n, "too large")
            arrived.append((block.last_ns, index, records_of(spec, encoder, index, block)))
        tally.close()
        reports.append(LaneReport(index, tally.snapshot(), tally.ranges(), blocks=starts))
    arrived.sort(key=lambda each: each[:2])
    report = RunReport(
        data_version=DATA_VERSION,
        tool_version="0.1.0",
        machine={},
        config={},
        fleet=spec.to_dict(),
        schedule=schedule.to_spec(),
        start_ns=start_ns,
        n_lanes=n_lanes,
        lanes=reports,
        started_at=iso_time(start_ns),
        ended_at=iso_time(start_ns),
        stop_reason="the end of the plan",
        destination="pulsar://127.0.0.1:6650",
    )
    return Run(
        RunReport.from_json(report.to_json(), DATA_VERSION),
        [record for _, _, records in arrived for record in records],
    )


@lru_cache(maxsize=8)
def encoder_of(spec: FleetSpec) -> JsonEncoder:
    return JsonEncoder(fleet_of(spec))


def records_of(spec: FleetSpec, encoder: JsonEncoder, lane: int, block: Block) -> list[Record]:
    identity = fleet_of(spec).identity
    texts = encoder.encode(block.devices, block.times_ms).split()
    return [
        Record(
            lane,
            block.first + place,
            device,
            text,
            time_ms,
            f"dev-{device:07d}",
            {
                "device_type": DEVICE_TYPES[identity[device, I_TYPE]],
                "customer_id": f"cust-{identity[device, I_CUSTOMER]:06d}",
            },
        )
        for place, (device, time_ms, text) in enumerate(
            zip(block.devices.tolist(), block.times_ms.tolist(), texts, strict=True)
        )
    ]


def chunks_of(records: list[Record], size: int = 64, *, around: bool = True) -> list[Chunk]:
    """The records as a source gives them.

    Args:
        around: with the message around each, as from a topic; else as from a file.
    """
    chunks = []
    for partition in sorted({record.partition for record in records}):
        mine = [record for record in records if record.partition == partition]
        for start in range(0, len(mine), size):
            part = mine[start : start + size]
            texts = [record.text for record in part]
            chunks.append(
                Chunk.of_texts(
                    texts,
                    [record.time_ms for record in part],
                    [record.key for record in part],
                    [record.properties for record in part],
                    partition,
                )
                if around
                else Chunk.of_texts(texts, partition=partition)
            )
    return chunks


def with_text(record: Record, old: bytes, new: bytes) -> Record:
    """The record with a change in its text."""
    assert record.text.count(old) >= 1
    return replace(record, text=record.text.replace(old, new, 1))
