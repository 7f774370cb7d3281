"""Several runs are verified at once: pods, lanes that meet, restarts, other fleets."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from found_records import SMALL, START_NS, Record, Run, chunks_of, run_of
from iot_producer.errors import ReportError
from iot_producer.fleet import FleetSpec
from iot_producer.known_run import KnownRun
from iot_producer.report import RunReport, iso_time
from iot_producer.schedule import ConstantSchedule, MaxRate
from iot_producer.verification import Verification
from iot_producer.verify_report import Counts, Fault, LostRange, VerifyReport
from iot_producer.verify_totals import Span

S = 10**9
FAST = run_of(ConstantSchedule(Fraction(900)), n_per_lane=400)
SLOW = run_of(ConstantSchedule(Fraction(450)), n_per_lane=200)
"""The two meet wherever SLOW comes to the first device of the cycle: in four records."""


def meetings() -> list[Record]:
    both = {(record.device, record.time_ms) for record in FAST.records}
    return [record for record in SLOW.records if (record.device, record.time_ms) in both]


def verified(
    records: list[Record],
    *runs: Run | RunReport | KnownRun,
    around: bool = True,
    span: Span | None = None,
) -> VerifyReport:
    known = [
        run
        if isinstance(run, KnownRun)
        else KnownRun(run.report if isinstance(run, Run) else run, name=f"run {i}")
        for i, run in enumerate(runs)
    ]
    verification = Verification(known, page_bits=6, span=span)
    for chunk in chunks_of(records, around=around):
        verification.add(chunk)
    return verification.result("memory", 1.0)


def in_time(*runs: Run) -> list[Record]:
    return sorted((r for run in runs for r in run.records), key=lambda record: record.time_ms)


@pytest.mark.parametrize("around", [True, False])
@pytest.mark.parametrize("runs", [(FAST, SLOW), (SLOW, FAST)])
def test_what_two_lanes_of_different_rates_sent_has_no_difference(
    runs: tuple[Run, Run], around: bool
):
    assert len(meetings()) == 4
    for records in (in_time(FAST, SLOW), FAST.records + SLOW.records, SLOW.records + FAST.records):
        report = verified(records, *runs, around=around)
        assert report.totals == Counts(expected=600, found=600)
        assert (report.n_foreign, report.n_runs, report.n_lanes) == (0, 2, 2)
        assert report.ok


def test_a_shared_record_that_is_there_once_is_lost_once():
    shared = meetings()[2]
    records = list(FAST.records + SLOW.records)
    records.remove(shared)
    report = verified(records, FAST, SLOW)
    assert report.totals == Counts(expected=600, found=599, lost=1)
    (offender,) = report.offenders
    assert (offender.fault, offender.device_id) == (Fault.LOST, shared.key)
    (lost,) = report.lost_ranges
    assert lost.run == offender.run != ""
    owner = FAST if lost.run == "run 0" else SLOW
    assert owner.records[lost.first].text == shared.text


def test_a_shared_record_that_is_there_three_times_is_duplicated_once():
    records = [*FAST.records, *SLOW.records, meetings()[1]]
    report = verified(records, FAST, SLOW)
    assert report.totals == Counts(expected=600, found=600, duplicated=1)
    (offender,) = report.offenders
    assert (offender.fault, offender.position) == (Fault.DUPLICATED, 600)
    assert offender.run in ("run 0", "run 1")


def test_lost_records_are_told_by_their_run():
    report = verified([*FAST.records, *SLOW.records[:17], *SLOW.records[19:]], FAST, SLOW)
    assert report.lost_ranges == (LostRange(0, 17, 19, "run 1"),)
    assert {offender.run for offender in report.offenders} == {"run 1"}


def test_a_plan_that_was_run_twice_must_be_there_twice():
    both = verified(FAST.records + FAST.records, FAST, FAST)
    assert both.totals == Counts(expected=800, found=800)
    once = verified(FAST.records, FAST, FAST)
    assert once.totals == Counts(expected=800, found=400, lost=400)
    thrice = verified(FAST.records * 3, FAST, FAST)
    assert thrice.totals == Counts(expected=800, found=800, duplicated=400)


def test_who_expects_a_record_has_it_before_who_may_have_sent_it():
    fates = dict.fromkeys(range(29), "unconfirmed")
    perhaps = run_of(ConstantSchedule(Fraction(450)), n_per_lane=200, fates=fates)
    report = verified(FAST.records, FAST, perhaps)
    assert report.totals == Counts(expected=400, found=400)
    assert report.n_unconfirmed == 200
    report = verified(in_time(FAST, perhaps), FAST, perhaps)
    # Of the four records that both are about, FAST has one already: a second one is a copy.
    assert report.totals == Counts(expected=400, found=400, duplicated=4, unconfirmed_found=196)
    never = run_of(
        ConstantSchedule(Fraction(450)), n_per_lane=200, fates=dict.fromkeys(fates, "not sent")
    )
    report = verified(SLOW.records, never, SLOW)
    assert report.totals == Counts(expected=200, found=200)
    report = verified(SLOW.records, never, perhaps)
    assert report.totals == Counts(unconfirmed_found=200)
    report = verified(SLOW.records, never)
    assert report.totals == Counts(unexpected=200)


def moved(run: Run, started_ns: int) -> Run:
    """The same run, begun by the clock at another time."""
    return replace(run, report=replace(run.report, started_at=iso_time(started_ns)))


def test_order_holds_from_one_run_of_a_lane_to_the_next():
    first = FAST
    second = run_of(ConstantSchedule(Fraction(700)), n_per_lane=100, start_ns=START_NS + 2 * S)
    swapped = [*first.records[:-1], *second.records[:-1], first.records[-1], second.records[-1]]
    assert verified(first.records + second.records, first, second).ok
    report = verified(swapped, first, second)
    assert report.totals == Counts(expected=500, found=500, out_of_order=1)
    assert report.offenders[0].message == 399
    # Lanes of different numbers do not wait for each other.
    others = replace(second.report, lane=1), replace(first.report, lane=0)
    assert verified(swapped, *others).ok


def test_order_does_not_hold_between_runs_that_were_made_in_another_order():
    later_plan = run_of(ConstantSchedule(Fraction(700)), n_per_lane=100, start_ns=START_NS + 2 * S)
    made_first = moved(later_plan, START_NS - 60 * S)
    assert verified(made_first.records + FAST.records, FAST, made_first).ok


def test_parts_of_one_plan_make_the_whole():
    whole = run_of(ConstantSchedule(Fraction(900)), n_lanes=3, n_per_lane=100)
    parts = [replace(whole.report, lanes=[lane]) for lane in whole.report.lanes]
    report = verified(whole.records, *parts)
    assert report.totals == Counts(expected=300, found=300)
    assert (report.n_lanes, report.n_lanes_of_plan) == (3, 3)
    two = verified(whole.records, parts[0], parts[2])
    assert two.totals == Counts(expected=200, found=200)
    assert (two.n_foreign, two.n_lanes, two.n_lanes_of_plan) == (100, 2, 3)


def test_runs_of_other_fleets_are_told_apart_by_their_texts():
    fleets = [SMALL, replace(SMALL, seed=4), FleetSpec(devices=80, customers=9, sites=6, seed=3)]
    runs = [run_of(ConstantSchedule(Fraction(900)), n_per_lane=300, spec=spec) for spec in fleets]
    for around in (True, False):
        report = verified(in_time(*runs), *runs, around=around)
        assert report.totals == Counts(expected=900, found=900)
        assert report.n_foreign == 0
    changed = runs[1].records[100]
    text = changed.text.replace(b'"status":', b'"state":')
    records = in_time(*runs)
    records[records.index(changed)] = replace(changed, text=text)
    report = verified(records, *runs)
    assert report.totals.changed == 1
    assert {offender.fault for offender in report.offenders} >= {Fault.CHANGED}


def test_the_same_record_of_another_fleet_is_foreign_where_no_report_has_it():
    other = run_of(ConstantSchedule(Fraction(900)), n_per_lane=60, spec=replace(SMALL, seed=4))
    report = verified(other.records, FAST)
    assert report.totals == Counts(expected=400, found=60, lost=340, changed=60)


def test_episodes_of_a_run_are_runs_of_their_own():
    later = run_of(ConstantSchedule(Fraction(900)), n_per_lane=100, start_ns=START_NS + 5 * S)
    whole = replace(later.report, earlier=(FAST.report,))
    whole = RunReport.from_json(whole.to_json())
    verification = Verification(whole)
    for chunk in chunks_of(FAST.records + later.records):
        verification.add(chunk)
    report = verification.result("memory", 1.0)
    assert report.totals == Counts(expected=500, found=500)
    assert report.n_runs == 2


def test_what_a_running_lane_sent_after_its_last_word_is_not_foreign():
    half = run_of(ConstantSchedule(Fraction(900)), n_per_lane=200)
    until_ns = START_NS + S * 300 // 900
    known = KnownRun(half.report, "lane 0", "iot-producer-0", open_until_ns=until_ns)
    report = verified(FAST.records, known)
    # Message 300 is due at that very moment.
    assert report.totals == Counts(expected=200, found=200, unreported=101)
    assert (report.n_foreign, report.ok) == (99, True)
    report = verified(FAST.records[:200], known)
    assert report.totals == Counts(expected=200, found=200)
    twice = verified([*FAST.records, FAST.records[250]], known)
    assert twice.totals == Counts(expected=200, found=200, unreported=101, duplicated=1)
    gap = verified([*FAST.records[:20], *FAST.records[30:]], known)
    assert gap.totals == Counts(expected=200, found=190, lost=10, unreported=101)


@pytest.mark.parametrize("index", [0, 1])
def test_exact_records_of_a_lane_at_the_maximum_rate_after_its_last_word_count_apart(index: int):
    whole = run_of(MaxRate(), n_lanes=2, n_per_lane=140, lanes=[index])
    published = run_of(MaxRate(), n_lanes=2, n_per_lane=70, lanes=[index])
    mine = whole.records
    last_ns = mine[-1].time_ms * 10**6 + 999_999
    known = KnownRun(published.report, "lane 0", open_until_ns=last_ns)
    report = verified(mine, known)
    assert report.totals == Counts(expected=70, found=70, unreported=70)
    assert report.n_foreign == 0
    # Another lane's devices, a changed byte, or a time beyond: foreign.
    other = run_of(MaxRate(), n_lanes=2, n_per_lane=140, lanes=[1 - index]).records
    damaged = replace(mine[100], text=mine[100].text.replace(b'"status":', b'"state":'))
    late = replace(known, open_until_ns=mine[100].time_ms * 10**6)
    assert verified([*mine[:70], other[100]], known).n_foreign == 1
    assert verified([*mine[:70], damaged], known).n_foreign == 1
    n_late = sum(record.time_ms > mine[100].time_ms for record in mine)
    assert verified(mine, late).n_foreign == n_late > 0


@pytest.mark.parametrize("around", [True, False])
def test_only_a_stretch_of_time_counts(around: bool):
    first_ms, stop_ms = START_NS // 10**6 + 100, START_NS // 10**6 + 300
    inside = [r for r in FAST.records if first_ms <= r.time_ms < stop_ms]
    span = Span(first_ms, stop_ms)
    report = verified(FAST.records, FAST, span=span, around=around)
    n = len(inside)
    assert report.totals == Counts(expected=n, found=n)
    assert (report.n_read, report.n_outside, report.n_foreign) == (400, 400 - n, 0)
    assert 0 < n < 400
    gone = [r for r in FAST.records if r not in (inside[0], inside[-1], FAST.records[0])]
    report = verified(gone, FAST, span=span, around=around)
    assert report.totals == Counts(expected=n, found=n - 2, lost=2)
    assert [(r.first, r.stop) for r in report.lost_ranges] == [
        (inside[0].message, inside[0].message + 1),
        (inside[-1].message, inside[-1].message + 1),
    ]
    nothing = verified(FAST.records, FAST, span=Span(0, 1000))
    assert nothing.totals == Counts()
    assert nothing.n_outside == 400


def test_many_plans_cost_memory_only_while_it_is_their_time():
    runs = [
        run_of(ConstantSchedule(Fraction(900)), n_per_lane=50, start_ns=START_NS + i * S)
        for i in range(100)
    ]
    records = [record for run in runs for record in run.records]
    report = verified(records, *runs)
    assert report.totals == Counts(expected=5000, found=5000)
    assert (report.n_runs, report.n_lanes) == (100, 1)


def test_a_report_that_cannot_be_used_is_named():
    with pytest.raises(ReportError, match="the report run 1 is about records of data version 9"):
        verified([], FAST, replace(FAST.report, data_version=9))
    with pytest.raises(ReportError, match="the report run 1 cannot be made again"):
        verified([], FAST, replace(FAST.report, fleet={"devices": 0}))
