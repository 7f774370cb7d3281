from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from found_records import (
    SMALL,
    START_NS,
    Record,
    Run,
    chunks_of,
    run_of,
    with_text,
)
from iot_producer.blocks import Block, Plan
from iot_producer.clock import ManualClock
from iot_producer.errors import ReportError
from iot_producer.feed import PlannedFeed
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.report import LaneReport
from iot_producer.schedule import ConstantSchedule, MaxRate, limit
from iot_producer.sinks.memory import MemorySink
from iot_producer.verification import Verification
from iot_producer.verify_report import Counts, Difference, Fault, LostRange, VerifyReport
from iot_producer.worker import Worker, WorkerConfig

RUN = run_of(ConstantSchedule(Fraction(900)), n_lanes=2, n_per_lane=200)
ALL = RUN.records
WHOLE = Counts(expected=400, found=400)


def verified(
    records: list[Record], run: Run = RUN, *, around: bool = True, **options: Any
) -> VerifyReport:
    verification = Verification(run.report, **options)
    for chunk in chunks_of(records, around=around):
        verification.add(chunk)
    return verification.result("memory", 2.0)


def place_of(device: int, nth: int) -> int:
    """Where the device's nth record is."""
    return [i for i, record in enumerate(ALL) if record.device == device][nth]


@pytest.mark.parametrize("around", [True, False])
def test_an_untouched_run_has_no_difference(around: bool):
    report = verified(ALL, around=around)
    assert report.totals == WHOLE
    assert report.ok
    assert (report.n_read, report.n_foreign, report.offenders) == (400, 0, ())
    assert (report.n_lanes, report.n_lanes_of_plan) == (2, 2)
    assert report.per_s == 200.0
    (minute,) = report.minutes
    assert minute.counts == WHOLE
    assert minute.start_ms == START_NS // 60_000_000_000 * 60_000


@pytest.mark.parametrize("around", [True, False])
def test_one_record_removed_is_named(around: bool):
    gone = ALL[123]
    report = verified(ALL[:123] + ALL[124:], around=around)
    assert report.totals == Counts(expected=400, found=399, lost=1)
    assert not report.ok
    assert report.lost_ranges == (LostRange(gone.lane, gone.message, gone.message + 1),)
    assert report.n_lost_ranges == 1
    (offender,) = report.offenders
    assert offender.fault is Fault.LOST
    assert (offender.device_id, offender.lane, offender.message) == (
        gone.key,
        gone.lane,
        gone.message,
    )
    assert offender.time == json.loads(gone.text)["time"]
    assert offender.position is None


@pytest.mark.parametrize("around", [True, False])
@pytest.mark.parametrize("behind", [1, 200])
def test_one_record_duplicated_is_named(behind: int, around: bool):
    at = 100 + behind
    report = verified([*ALL[:at], ALL[100], *ALL[at:]], around=around)
    assert report.totals == replace(WHOLE, duplicated=1)
    (offender,) = report.offenders
    assert offender.fault is Fault.DUPLICATED
    assert (offender.device_id, offender.message) == (ALL[100].key, ALL[100].message)
    assert (offender.partition, offender.position) == (0, at)


def test_two_records_of_one_device_swapped_are_out_of_order_once():
    first, second = place_of(17, 1), place_of(17, 2)
    swapped = list(ALL)
    swapped[first], swapped[second] = ALL[second], ALL[first]
    report = verified(swapped)
    assert report.totals == replace(WHOLE, out_of_order=1)
    (offender,) = report.offenders
    assert offender.fault is Fault.OUT_OF_ORDER
    assert (offender.device_id, offender.message) == ("dev-0000017", ALL[first].message)
    assert offender.position == second


def test_devices_that_moved_to_a_partition_that_was_read_first_are_in_order():
    verification = Verification(RUN.report)
    for partition, records in ((2, ALL[200:]), (0, ALL[:200])):
        for chunk in chunks_of(records):
            verification.add(replace(chunk, partition=partition))
    assert verification.result("memory", 2.0).totals == WHOLE


def test_records_of_other_devices_may_change_places():
    moved = [*ALL[1:20], ALL[0], *ALL[20:]]
    assert len({record.device for record in ALL[:20]}) == 20
    assert verified(moved).totals == WHOLE


def changed_once(record: Record, at: int = 77) -> VerifyReport:
    report = verified([*ALL[:at], record, *ALL[at + 1 :]])
    assert report.totals == replace(WHOLE, changed=1)
    assert report.n_foreign == 0
    (offender,) = report.offenders
    assert offender.fault is Fault.CHANGED
    assert (offender.lane, offender.message) == (ALL[at].lane, ALL[at].message)
    assert offender.position == at
    return report


def test_every_digit_of_a_record_counts():
    """Each of as many records as a record has digits has another one of them changed."""
    changed = []
    for nth, record in enumerate(ALL):
        digits = [i for i, byte in enumerate(record.text) if chr(byte).isdigit()]
        if nth >= len(digits):
            break
        at = digits[nth]
        digit = (record.text[at] - ord("0") + 1) % 10 + ord("0")
        text = record.text[:at] + bytes([digit]) + record.text[at + 1 :]
        changed.append(replace(record, text=text))
    assert len(changed) > 100
    report = verified([*changed, *ALL[len(changed) :]])
    assert report.totals == replace(WHOLE, changed=len(changed))
    assert report.n_foreign == 0


def test_a_changed_value_is_told_field_by_field():
    record = ALL[77]
    value = json.loads(record.text)["pressure"]
    report = changed_once(with_text(record, f'"pressure":{value:.2f}'.encode(), b'"pressure":1.50'))
    (offender,) = report.offenders
    assert offender.differences == (Difference("pressure", f"{value:.2f}", "1.50"),)


@pytest.mark.parametrize(
    ("old", "new", "differences"),
    [
        (b'"status":', b'"state":', ["status", "state"]),
        (b'"customer_id":"cust', b'"customer_id":"Cust', ["customer_id"]),
        (b',"status":', b', "status":', ["text"]),
        (b"}", b"", ["text"]),
        (b"{", b"[{", ["text"]),
        (b'"time":"2', b'"time":"x', ["time"]),
        (b'{"device_id":"dev', b'{"device_id":"Dev', ["device_id"]),
    ],
)
def test_damage_of_all_kinds_is_a_change(old: bytes, new: bytes, differences: list[str]):
    report = changed_once(with_text(ALL[77], old, new))
    assert [each.field for each in report.offenders[0].differences] == differences


def test_an_emptied_record_is_a_change_of_the_one_that_its_message_speaks_of():
    report = changed_once(replace(ALL[77], text=b""))
    (difference,) = report.offenders[0].differences
    assert (difference.field, difference.found) == ("text", "")
    assert difference.expected.startswith('{"device_id":"' + ALL[77].key)


def test_a_changed_message_around_the_record_is_a_change():
    record = ALL[77]
    for other, field, found in (
        (replace(record, key="dev-0000099"), "key", "dev-0000099"),
        (replace(record, key=ALL[78].key), "key", ALL[78].key),
        (replace(record, key=""), "key", ""),
        (replace(record, time_ms=record.time_ms + 1), "event time", None),
        (replace(record, time_ms=0), "event time", "1970-01-01 00:00:00.000"),
        (
            replace(record, properties={**record.properties, "customer_id": "cust-999999"}),
            "property customer_id",
            "cust-999999",
        ),
        (replace(record, properties={}), "property device_type", "(missing)"),
        (replace(record, properties={**record.properties, "a": "b"}), "property a", "b"),
    ):
        differences = changed_once(other).offenders[0].differences
        assert differences[0].field == field
        assert found is None or differences[0].found == found


def test_in_a_file_a_digit_of_the_identity_makes_one_lost_and_one_foreign():
    record = with_text(ALL[77], ALL[77].key.encode(), b"dev-0009999")
    report = verified([*ALL[:77], record, *ALL[78:]], around=False)
    assert report.totals == Counts(expected=400, found=399, lost=1)
    assert (report.n_foreign, report.n_unreadable) == (1, 0)
    lost, foreign = report.offenders
    assert (lost.fault, lost.message) == (Fault.LOST, ALL[77].message)
    assert (foreign.fault, foreign.device_id) == (Fault.FOREIGN, "dev-0009999")
    assert foreign.position == 77
    assert foreign.note.startswith('{"device_id":"dev-0009999"')


def test_foreign_records_are_counted_and_are_no_fault():
    later = run_of(ConstantSchedule(Fraction(900)), start_ns=START_NS + 3600 * 10**9).records
    other_fleet = [replace(later[0], text=b'{"a":1}', key="x"), replace(later[1], text=b"")]
    other_fleet[1] = replace(other_fleet[1], key="")
    report = verified([*later[:50], *ALL[:200], *other_fleet, *later[50:], *ALL[200:]])
    assert report.totals == WHOLE
    assert report.ok
    assert (report.n_read, report.n_foreign, report.n_unreadable) == (602, 202, 2)
    assert {offender.fault for offender in report.offenders} == {Fault.FOREIGN}
    assert len(report.offenders) == 5


def test_lanes_that_the_report_does_not_cover_are_foreign():
    part = run_of(ConstantSchedule(Fraction(900)), n_lanes=2, n_per_lane=200, lanes=[1])
    report = verified(ALL, part)
    assert report.totals == Counts(expected=200, found=200)
    assert (report.n_foreign, report.n_lanes, report.n_lanes_of_plan) == (200, 1, 2)


def test_a_duplicate_counts_however_late_it_comes_and_memory_stays_bounded():
    run = run_of(ConstantSchedule(Fraction(2000)), n_per_lane=6000, block_records=500)
    verification = Verification(run.report, page_bits=8)
    for chunk in chunks_of(run.records, 100):
        verification.add(chunk)
    assert verification.n_bookkeeping_bytes == 4 * 256 - (24 * 256 - 6000)
    for chunk in chunks_of([run.records[5], run.records[5], run.records[3000]]):
        verification.add(chunk)
    report = verification.result("memory", 0)
    assert report.totals == Counts(expected=6000, found=6000, duplicated=3)
    assert report.per_s == 0.0
    assert [offender.message for offender in report.offenders] == [5, 5, 3000]


@pytest.mark.parametrize("schedule", [limit(ConstantSchedule(Fraction(900)), 210), MaxRate(210)])
def test_fates_other_than_confirmed(schedule: Any):
    run = run_of(
        schedule, n_per_lane=210, fates={0: "failed", 3: "unconfirmed", 4: "not sent", 9: "failed"}
    )
    sent = [r for r in run.records if not (r.message < 7 or 28 <= r.message < 35)]
    sent = [r for r in sent if not 63 <= r.message < 70]
    without = [r for r in sent if not 21 <= r.message < 28]
    report = verified(without, run)
    assert report.totals == Counts(expected=182, found=182)
    assert report.n_unconfirmed == 7
    assert report.ok
    some = [r for r in sent if r.message != 22]
    report = verified(some, run)
    assert report.totals == Counts(expected=182, found=182, unconfirmed_found=6)
    assert report.ok
    twice = [*sent, next(r for r in sent if r.message == 22)]
    report = verified(twice, run)
    assert report.totals == Counts(expected=182, found=182, unconfirmed_found=7, duplicated=1)
    report = verified(run.records, run)
    assert report.totals == Counts(expected=182, found=182, unconfirmed_found=7, unexpected=21)
    assert not report.ok
    assert {offender.fault for offender in report.offenders} == {Fault.UNEXPECTED}


def even_or_odd(devices: np.ndarray) -> np.ndarray:
    return devices.astype(np.int64) % 2


def test_blocks_whose_partitions_met_different_fates():
    """A real lane, on a topic with two partitions of which one failed twice."""
    schedule = limit(ConstantSchedule(Fraction(900)), 100)
    plan = Plan(SMALL, LaneSpec(), schedule, START_NS)

    def failure(block: Block, partition: int | None) -> str:
        return "no" if partition == 1 and block.first in (20, 50) else ""

    clock = ManualClock(START_NS + 10**9)
    sink = MemorySink(fleet_of(SMALL), clock, partition_of=even_or_odd, failure_of=failure)
    worker = Worker(WorkerConfig(0, START_NS), PlannedFeed(plan, 10, 0), sink, clock)
    lane, error = worker.run()
    assert error is None
    n_failed = lane.tally.failed
    assert len(lane.ranges.partial) == 4
    run = run_of(schedule, n_per_lane=100)
    run = Run(replace(run.report, lanes=[lane]), run.records)
    by_text = {record.text: record for record in run.records}
    arrived = [
        replace(by_text[text], partition=partition)
        for partition, texts in sink.partitions.items()
        for text in texts
    ]
    assert len(arrived) == 100 - n_failed
    whole = Counts(expected=100 - n_failed, found=100 - n_failed)
    for partition_of in (even_or_odd, None):
        report = verified(arrived, run, partition_of=partition_of)
        assert report.totals == whole
    gone = next(r for r in arrived if 20 <= r.message < 30)
    rest = [r for r in arrived if r is not gone]
    known = verified(rest, run, partition_of=even_or_odd)
    assert known.totals == replace(whole, found=whole.found - 1, lost=1)
    assert known.lost_ranges == (LostRange(0, gone.message, gone.message + 1),)
    unknown = verified(rest, run)
    assert unknown.totals == known.totals
    assert unknown.lost_ranges == ()


def test_every_minute_has_its_own_counts():
    run = run_of(ConstantSchedule(Fraction(2)), n_per_lane=400)
    gone, twice = run.records[3], run.records[300]
    report = verified([*(r for r in run.records if r is not gone), twice], run)
    edges = {record.time_ms // 60_000 for record in run.records}
    assert [minute.start_ms // 60_000 for minute in report.minutes] == sorted(edges)
    for minute in report.minutes:
        inside = [r for r in run.records if r.time_ms // 60_000 * 60_000 == minute.start_ms]
        lost, duplicated = inside.count(gone), inside.count(twice)
        assert minute.counts == Counts(
            expected=len(inside), found=len(inside) - lost, lost=lost, duplicated=duplicated
        )
    assert report.totals == Counts(expected=400, found=399, lost=1, duplicated=1)


def test_many_lost_ranges_are_counted_and_the_first_are_listed():
    run = run_of(ConstantSchedule(Fraction(2000)), n_per_lane=6000, block_records=500)
    report = verified([r for r in run.records if r.message % 4], run, page_bits=8)
    assert report.totals == Counts(expected=6000, found=4500, lost=1500)
    assert report.n_lost_ranges == 1500
    assert len(report.lost_ranges) == 1000
    assert report.lost_ranges[999] == LostRange(0, 3996, 3997)
    nothing = verified([], run, page_bits=8)
    assert nothing.lost_ranges == (LostRange(0, 0, 6000),)
    assert nothing.n_lost_ranges == 1
    assert [offender.message for offender in nothing.offenders] == [0, 1, 2, 3, 4]


def test_a_long_chunk_is_cut():
    spec = FleetSpec(devices=5000, customers=7, sites=5, seed=3)
    run = run_of(
        ConstantSchedule(Fraction(50_000)), n_per_lane=20_000, block_records=1000, spec=spec
    )
    verification = Verification(run.report)
    (chunk,) = chunks_of(run.records, 20_000)
    verification.add(chunk)
    report = verification.result("memory", 1.0)
    assert report.totals == Counts(expected=20_000, found=20_000)


def test_a_run_that_sent_nothing_expects_nothing():
    run = run_of(MaxRate(10), n_per_lane=10)
    empty = replace(run.report, lanes=[])
    report = verified(run.records, replace(run, report=empty))
    assert report.totals == Counts()
    assert report.n_foreign == 10
    assert report.minutes == ()


def test_reports_that_cannot_be_used():
    def refusal(**changes: Any) -> str:
        with pytest.raises(ReportError) as caught:
            Verification(replace(RUN.report, **changes))
        assert caught.value.hint
        return caught.value.message

    assert "data version 9" in refusal(data_version=9)
    assert "n_devices" in refusal(fleet={"n_devices": 5})
    assert "DEVICES is 0" in refusal(fleet={"devices": 0})
    assert "kind" in refusal(schedule={"kind": "nonsense"})
    assert "calendars" in refusal(start_ns=-(10**18))
    assert "cannot be made again" in refusal(start_ns=2**70)
    assert "blocks of lane 0 are missing" in refusal(schedule=MaxRate(5).to_spec())
    assert "2 lanes for 1 devices" in refusal(
        fleet={"devices": 1, "customers": 1, "sites": 1, "seed": 1}
    )
    long = LaneReport(0, RUN.report.lanes[0].tally, RUN.report.lanes[0].ranges)
    message = refusal(
        lanes=[long], schedule=limit(ConstantSchedule(Fraction(900)), 10).to_spec(), n_lanes=1
    )
    assert "lane 0 has 200 messages, its plan 10" in message
