"""Whatever the plan: an untouched run has no difference, and each tampering is found exactly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from found_records import Record, Run, chunks_of, run_of
from iot_producer.fleet import FleetSpec
from iot_producer.schedule import ConstantSchedule, MaxRate, Schedule, limit, schedule_from_toml
from iot_producer.verification import Verification
from iot_producer.verify_report import Counts, Fault, VerifyReport

MOST_PER_DEVICE = 1000  # a second; the settings allow no more


def toml(**items: object) -> Schedule:
    schedule = schedule_from_toml({key.rstrip("_"): value for key, value in items.items()})
    assert not isinstance(schedule, MaxRate)
    return schedule


@st.composite
def runs(draw: st.DrawFn) -> Run:
    devices = draw(st.integers(1, 40))
    spec = FleetSpec(devices, min(devices, 3), min(devices, 2), draw(st.integers(0, 2)))
    most = MOST_PER_DEVICE * devices
    rates = st.one_of(
        st.fractions(Fraction(1, 50), most, max_denominator=1000),
        st.integers(1, most).map(Fraction),
    )
    schedule = draw(
        st.one_of(
            rates.map(ConstantSchedule),
            st.just(ConstantSchedule(Fraction(most))),
            st.builds(lambda a, b: toml(kind="ramp", from_=a, to=b, over="1s"), rates, rates),
            st.builds(
                lambda a, b: toml(kind="bursts", base=a, burst=b, every="900ms", for_="100ms"),
                rates,
                rates,
            ),
            st.builds(
                lambda a, b: limit(
                    toml(kind="steps", steps=[{"rate": a, "for": "1s"}, {"rate": b, "for": "1s"}]),
                    150,
                ),
                rates,
                rates,
            ),
            st.just(MaxRate()),
        )
    )
    return run_of(
        schedule,
        n_lanes=draw(st.integers(1, min(3, devices))),
        n_per_lane=draw(st.integers(1, 120)),
        block_records=draw(st.sampled_from([1, 7, 50])),
        spec=spec,
        start_ns=draw(st.integers(10**18, 2 * 10**18)),
    )


def verified(run: Run, records: list[Record], around: bool = True) -> VerifyReport:
    verification = Verification(run.report, page_bits=4)
    for chunk in chunks_of(records, 33, around=around):
        verification.add(chunk)
    return verification.result("memory", 1.0)


def found(run: Run, **faults: int) -> Counts:
    n = len(run.records)
    lost = faults.get("lost", 0)
    return Counts(expected=n, found=n - lost, **faults)


@settings(deadline=None, max_examples=25)
@given(runs(), st.booleans())
def test_an_untouched_run_has_no_difference(run: Run, around: bool):
    report = verified(run, run.records, around)
    assert report.totals == found(run)
    assert (report.n_foreign, report.n_lost_ranges, report.offenders) == (0, 0, ())
    by_minute = Counter(record.time_ms // 60_000 * 60_000 for record in run.records)
    assert {m.start_ms: m.counts.expected for m in report.minutes} == by_minute


@settings(deadline=None, max_examples=25)
@given(runs(), st.data(), st.booleans())
def test_removed_and_duplicated_records_are_found(run: Run, data: st.DataObject, around: bool):
    places = st.lists(st.integers(0, len(run.records) - 1), max_size=5, unique=True)
    gone, twice = data.draw(places), data.draw(places)
    kept = [record for place, record in enumerate(run.records) if place not in gone]
    copies = [run.records[place] for place in twice if place not in gone]
    report = verified(run, kept + copies, around)
    assert report.totals == found(run, lost=len(gone), duplicated=len(copies))
    lost = {
        (part.lane, message)
        for part in report.lost_ranges
        for message in range(part.first, part.stop)
    }
    assert lost == {(run.records[place].lane, run.records[place].message) for place in gone}


@settings(deadline=None, max_examples=25)
@given(runs(), st.data())
def test_a_changed_digit_is_found_on_a_topic(run: Run, data: st.DataObject):
    place = data.draw(st.integers(0, len(run.records) - 1))
    record = run.records[place]
    # Not the 2 in the name of co2_level: it makes a field missing and another one too many.
    digits = [i for i, byte in enumerate(record.text) if chr(byte).isdigit()]
    digits.remove(record.text.index(b"co2_level") + 2)
    at = data.draw(st.sampled_from(digits))
    other = (record.text[at] - ord("0") + data.draw(st.integers(1, 9))) % 10 + ord("0")
    text = record.text[:at] + bytes([other]) + record.text[at + 1 :]
    changed = [*run.records[:place], replace(record, text=text), *run.records[place + 1 :]]
    report = verified(run, changed)
    assert report.totals == found(run, changed=1)
    (offender,) = report.offenders
    assert (offender.fault, offender.lane, offender.message, offender.position) == (
        Fault.CHANGED,
        record.lane,
        record.message,
        place,
    )
    assert len(offender.differences) == 1
    # In a file a changed identity may be another record's; it never goes unseen.
    assert not verified(run, changed, around=False).ok


@settings(deadline=None, max_examples=25)
@given(runs(), st.data())
def test_two_swapped_records_of_a_device_are_found(run: Run, data: st.DataObject):
    by_device: dict[int, list[int]] = {}
    for place, record in enumerate(run.records):
        by_device.setdefault(record.device, []).append(place)
    pairs = [pair for p in by_device.values() for pair in pairwise(p)]
    if not pairs:
        return
    first, second = data.draw(st.sampled_from(pairs))
    swapped = list(run.records)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    report = verified(run, swapped)
    assert report.totals == found(run, out_of_order=1)
    (offender,) = report.offenders
    assert (offender.message, offender.position) == (run.records[first].message, second)


@settings(deadline=None, max_examples=25)
@given(runs(), runs(), st.randoms(use_true_random=False))
def test_records_of_another_run_are_foreign_and_no_fault(run: Run, other: Run, random):
    mine = {(record.device, record.time_ms) for record in run.records}
    foreign = [r for r in other.records if (r.device, r.time_ms) not in mine]
    mixed = list(run.records)
    for record in foreign:
        mixed.insert(random.randint(0, len(mixed)), record)
    report = verified(run, mixed)
    assert report.totals == found(run)
    assert (report.n_foreign, report.n_unreadable) == (len(foreign), 0)
    assert report.ok
