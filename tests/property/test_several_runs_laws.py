"""Several runs that share records: what is found does not depend on the order of reading."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from found_records import START_NS, Record, Run, chunks_of, run_of
from iot_producer.fleet import FleetSpec
from iot_producer.known_run import KnownRun
from iot_producer.schedule import ConstantSchedule
from iot_producer.verification import Verification
from iot_producer.verify_report import VerifyReport

SPEC = FleetSpec(devices=6, customers=3, sites=2, seed=1)
FATES = ("confirmed", "unconfirmed", "failed", "not sent")
BLOCK = 4


@st.composite
def runs(draw: st.DrawFn) -> list[Run]:
    """Runs on the same small grid of times, so that they meet often."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        fates = draw(st.dictionaries(st.integers(0, 12), st.sampled_from(FATES), max_size=6))
        found.append(
            run_of(
                ConstantSchedule(Fraction(draw(st.sampled_from([250, 500, 1000])))),
                n_per_lane=draw(st.integers(1, 50)),
                block_records=BLOCK,
                spec=SPEC,
                start_ns=START_NS + draw(st.integers(0, 3)) * 6_000_000,
                fates=fates,
            )
        )
    return found


def fate_of(run: Run, message: int) -> str:
    ranges = run.report.lanes[0].ranges
    for name in ("confirmed", "unconfirmed", "failed"):
        if message in getattr(ranges, name):
            return name
    return "not sent"


def verified(listed: list[Run], records: list[Record]) -> VerifyReport:
    verification = Verification(
        [KnownRun(run.report, f"run {i}") for i, run in enumerate(listed)], page_bits=3
    )
    for chunk in chunks_of(records, 17):
        verification.add(chunk)
    return verification.result("memory", 1.0)


def counted(listed: list[Run], records: list[Record]) -> dict[str, int]:
    """What must come out, record by record."""
    wanted: dict[tuple[int, int], Counter[str]] = {}
    for run in listed:
        for record in run.records:
            fates = wanted.setdefault((record.device, record.time_ms), Counter())
            fates[fate_of(run, record.message)] += 1
    there = Counter((record.device, record.time_ms) for record in records)
    found: Counter[str] = Counter()
    for pair, fates in wanted.items():
        n, must, may = there[pair], fates["confirmed"], fates["unconfirmed"]
        found["expected"] += must
        found["found"] += min(n, must)
        found["lost"] += max(must - n, 0)
        if must:
            found["duplicated"] += max(n - must, 0)
        elif may:
            found["unconfirmed_found"] += min(n, may)
            found["duplicated"] += max(n - may, 0)
        else:
            found["unexpected"] += min(n, 1)
            found["duplicated"] += max(n - 1, 0)
    return {name: n for name, n in found.items() if n}


@settings(deadline=None, max_examples=60)
@given(runs(), st.data())
def test_the_counts_are_those_of_a_multiset_in_any_order_of_reading(
    listed: list[Run], data: st.DataObject
):
    everything = [record for run in listed for record in run.records]
    records = data.draw(st.lists(st.sampled_from(everything), max_size=80))
    records += data.draw(st.permutations(everything))
    report = verified(listed, records)
    totals = {
        name: getattr(report.totals, name)
        for name in (
            "expected",
            "found",
            "lost",
            "duplicated",
            "unconfirmed_found",
            "unexpected",
        )
        if getattr(report.totals, name)
    }
    assert totals == counted(listed, records)
    assert (report.totals.changed, report.n_foreign) == (0, 0)
    n_named = sum(part.stop - part.first for part in report.lost_ranges)
    assert n_named == report.totals.lost


@settings(deadline=None, max_examples=40)
@given(runs(), st.data())
def test_lanes_that_each_keep_their_order_have_no_difference(
    listed: list[Run], data: st.DataObject
):
    """However the records of the lanes are mixed on the topic."""
    left = [[r for r in run.records if fate_of(run, r.message) == "confirmed"] for run in listed]
    mixed: list[Record] = []
    while any(left):
        lane = data.draw(st.sampled_from([i for i, records in enumerate(left) if records]))
        n = data.draw(st.integers(1, len(left[lane])))
        mixed += left[lane][:n]
        left[lane] = left[lane][n:]
    # Runs of one lane follow each other; these ran at the same time: each is another lane.
    known = [KnownRun(run.report, f"run {i}", lane=f"lane {i}") for i, run in enumerate(listed)]
    verification = Verification(known, page_bits=3)
    for chunk in chunks_of(mixed, 17):
        verification.add(chunk)
    report = verification.result("memory", 1.0)
    assert report.ok, report.totals
    assert report.totals.found == len(mixed)
