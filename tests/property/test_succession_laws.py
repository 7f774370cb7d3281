"""However a lane dies, what its entries and its successor say explains exactly what is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from found_records import SMALL, Record, chunks_of, encoder_of, records_of
from iot_producer.blocks import Block
from iot_producer.feed import MaxFeed, PlannedFeed
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.lane_succession import known_runs
from iot_producer.run_journal import LaneEntry, LaneHead, entries_of, entry_bytes, key_of
from iot_producer.schedule import MaxRate
from iot_producer.tally import LaneTally
from iot_producer.verification import Verification
from iot_producer.verify_report import VerifyReport
from lane_journals import MS, RATE, START_NS, S, by_two, head_of, plan_of, report_of


@dataclass
class Lane:
    """A lane that sends until it dies: what it published, and what the broker has of it."""

    entry: LaneEntry
    stored: list[Record]
    last_ids: tuple[int, ...]


def lived(draw: st.DrawFn, head: LaneHead, is_max: bool, n_partitions: int, name: int) -> Lane:
    """Each partition stores a beginning of what was sent to it; receipts are for stored ones."""
    spec = LaneSpec(0, 1)
    members = lane_of(SMALL.devices, spec)
    start_ns = head.run.start_ns
    feed: Any = (
        MaxFeed(members, start_ns, 7, None, None)
        if is_max
        else PlannedFeed(plan_of(head), 7, 2 * MS)
    )
    n_blocks = draw(st.integers(0, 12))
    last_word = draw(st.integers(0, n_blocks))
    cut = [draw(st.integers(0, n_blocks)) for _ in range(n_partitions)]
    late = draw(st.integers(0, n_blocks))
    tally = LaneTally()
    blocks: list[tuple[Block, np.ndarray[Any, Any]]] = []
    now_ns = start_ns
    entry = None
    owed: list[tuple[Block, int, int]] = []
    for number in range(n_blocks + 1):
        if number == last_word:
            lane = report_of(tally, head, feed.blocks() if is_max else None)
            entry = LaneEntry(head, lane, now_ns)
        if number == n_blocks:
            break
        now_ns = max(now_ns + MS, feed.wake_ns(tally.next))
        block = feed.next_block(tally.next, now_ns)
        assert block is not None
        tally.schedule_to(feed.n_due(now_ns))
        if head.may_skip and draw(st.integers(0, 9)) == 0:
            tally.skip(block.first, block.stop, "too late")
            blocks.append((block, np.full(block.n, -1)))
            continue
        places = by_two(block.devices, n_partitions)
        blocks.append((block, places))
        counts = {p: int((places == p).sum()) for p in range(n_partitions)}
        tally.sent(block.first, block.stop, counts)
        owed += [(block, p, n) for p, n in counts.items() if n and number < cut[p]]
        while owed and number >= late:
            paid, p, n = owed.pop(0)
            tally.confirmed(paid.first, paid.stop, p, n)
    assert entry is not None
    stored: list[Record] = []
    ids = [-1] * n_partitions
    encoder = encoder_of(SMALL)
    for number, (block, places) in enumerate(blocks):
        for record, place, id_ in zip(
            records_of(SMALL, encoder, name, block),
            places.tolist(),
            block.intended_ns.tolist(),
            strict=True,
        ):
            if place >= 0 and number < cut[place]:
                stored.append(replace(record, partition=place))
                ids[place] = id_
    return Lane(entry, stored, tuple(ids))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Lane], bool, int]:
    """Claims of one lane, one after the other; those of a plan at one rate, or at the maximum."""
    is_max = draw(st.booleans())
    may_skip = not is_max and draw(st.booleans())
    n_partitions = draw(st.integers(1, 3))
    lanes: list[Lane] = []
    last_ids = (-1,) * n_partitions
    for number in range(draw(st.integers(1, 4))):
        head = head_of(
            MaxRate() if is_max else RATE,
            start_ns=START_NS + number * S,
            claimed_ns=START_NS + number * S - 10 * MS,
            last_ids=last_ids,
            may_skip=may_skip,
        )
        lane = lived(draw, head, is_max, n_partitions, number)
        lanes.append(lane)
        last_ids = tuple(map(max, last_ids, lane.last_ids))
    return lanes, is_max, n_partitions


def verified(lanes: list[Lane], n_partitions: int) -> VerifyReport:
    kept = {key_of(lane.entry.head): entry_bytes(lane.entry) for lane in lanes}
    entries, problems = entries_of(kept)
    assert problems == []
    runs = known_runs(entries, START_NS + 100 * S, by_two)
    verification = Verification(runs, lambda devices: by_two(devices, n_partitions), page_bits=4)
    for lane in lanes:
        for chunk in chunks_of(lane.stored, 11):
            verification.add(chunk)
    return verification.result("memory", 1.0)


@settings(deadline=None, max_examples=30)
@given(histories())
def test_what_is_stored_is_explained_and_nothing_else_is_expected(
    history: tuple[list[Lane], bool, int],
):
    lanes, is_max, n_partitions = history
    report = verified(lanes, n_partitions)
    totals = report.totals
    n_stored = sum(len(lane.stored) for lane in lanes)
    assert report.ok, report
    assert report.n_foreign == 0
    assert totals.found + totals.unconfirmed_found + totals.unreported == n_stored
    if n_partitions == 1 and not is_max and not lanes[0].entry.head.may_skip:
        # All is certain, but what the last lane did: it has nobody to close it.
        assert totals.found >= sum(len(lane.stored) for lane in lanes[:-1])


@settings(deadline=None, max_examples=20)
@given(histories(), st.data())
def test_a_record_that_was_confirmed_and_is_gone_is_lost(
    history: tuple[list[Lane], bool, int], data: st.DataObject
):
    lanes, _, n_partitions = history
    certain = [
        (lane, record)
        for lane in lanes
        for record in lane.stored
        if record.message in lane.entry.lane.ranges.confirmed
    ]
    if not certain:
        return
    lane, gone = data.draw(st.sampled_from(certain))
    before = verified(lanes, n_partitions)
    lane.stored.remove(gone)
    after = verified(lanes, n_partitions)
    assert after.totals.lost == 1
    assert after.totals.found == before.totals.found - 1
    (part,) = after.lost_ranges
    assert (part.first, part.stop) == (gone.message, gone.message + 1)
    assert part.run.startswith("iot-producer-0 of ")


@settings(deadline=None, max_examples=20)
@given(histories(), st.data())
def test_a_record_that_is_there_twice_is_found(
    history: tuple[list[Lane], bool, int], data: st.DataObject
):
    lanes, is_max, n_partitions = history
    stored = [(lane, record) for lane in lanes for record in lane.stored]
    if is_max:  # of what the lane had not told, nobody knows how often it must be there
        stored = [
            (lane, record)
            for lane, record in stored
            if record.message < lane.entry.lane.tally.scheduled
        ]
    if not stored:
        return
    lane, twice = data.draw(st.sampled_from(stored))
    lane.stored.append(twice)
    assert verified(lanes, n_partitions).totals.duplicated == 1
