from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from iot_producer import run_journal
from iot_producer.lane_account import PASSED_OVER
from iot_producer.lane_report import LaneReport
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.run_journal import (
    LaneEntry,
    entries_of,
    entry_bytes,
    key_of,
    newest,
    runs_topic,
    settled,
)
from iot_producer.schedule import MaxRate
from iot_producer.tally import LaneTally
from lane_journals import START_NS, S, entry_of, head_of, max_entry_of, without_lanes


def kept(entry: LaneEntry, **more: Any) -> dict[str, bytes]:
    return {key_of(entry.head): entry_bytes(entry, **more)}


def test_what_is_read_back_is_what_was_said():
    head = head_of(last_ids=(5, -1, 7), may_skip=True, index=1, n_lanes=2, name="iot-producer-3.1")
    entry = entry_of(head, 40, 20, has_ended=True)
    (found,), problems = entries_of(kept(entry))
    assert problems == []
    assert found.report == replace(without_lanes(head.run), lanes=(entry.lane,))
    assert (found.head.name, found.head.index, found.head.claimed_ns) == (
        "iot-producer-3.1",
        1,
        head.claimed_ns,
    )
    assert (found.head.last_ids, found.head.may_skip) == ((5, -1, 7), True)
    assert (found.published_ns, found.has_ended, found.open_until_ns) == (START_NS + S, True, 0)
    assert found.lane.ranges.confirmed.to_list() == [[0, 40]]
    assert found.lane.ranges.unconfirmed.to_list() == [[40, 60]]


def test_an_entry_is_small():
    assert len(entry_bytes(entry_of(head_of(), 100_000, 1000))) < 1_500


def test_the_key_is_the_lane_the_plan_and_the_claim():
    head = head_of()
    assert key_of(head) == key_of(head_of())
    assert key_of(head).startswith("iot-producer-0/")
    assert key_of(head, 2) == key_of(head) + "/2"
    others = [
        head_of(name="iot-producer-1"),
        head_of(start_ns=START_NS + 1),
        head_of(claimed_ns=START_NS),
        replace(head, run=replace(head.run, offset=7)),
    ]
    assert len({key_of(each) for each in (head, *others)}) == 5


def test_the_runs_topic_lies_beside_the_topic():
    assert runs_topic("persistent://a/b/c") == "persistent://a/b/c-runs"


def test_the_newest_entry_of_a_key_counts_and_an_empty_one_removes_it():
    found = newest([("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4"), ("c", b"")])
    assert found == {"b": b"2", "a": b"3"}
    assert newest([]) == {}


def test_entries_come_in_the_order_of_their_claims():
    entries = [
        entry_of(head_of(name=f"iot-producer-{i}", claimed_ns=START_NS + claimed), 10)
        for i, claimed in enumerate((30, 10, 20))
    ]
    found, _ = entries_of({key: text for entry in entries for key, text in kept(entry).items()})
    assert [each.head.name for each in found] == [f"iot-producer-{i}" for i in (1, 2, 0)]


def test_blocks_at_the_maximum_rate_are_packed():
    entry = max_entry_of(head_of(MaxRate()), 5000, 3)
    text = entry_bytes(entry)
    (found,), _ = entries_of({"k": text})
    assert found.lane == entry.lane
    assert found.lane.blocks is not None
    assert found.lane.blocks.tolist() == entry.lane.blocks.tolist()
    assert len(text) < 5000 * 6


def test_a_lane_at_the_maximum_rate_that_has_sent_nothing():
    head = head_of(MaxRate())
    lane = LaneReport(0, TallySnapshot(), LaneRanges(), blocks=np.empty((0, 2), dtype=np.int64))
    (found,), problems = entries_of(kept(LaneEntry(head, lane, START_NS)))
    assert problems == []
    assert found.lane.blocks is not None
    assert found.lane.blocks.shape == (0, 2)


def test_blocks_may_be_spread_over_parts():
    head = head_of(MaxRate())
    said = [max_entry_of(head, n) for n in (100, 150, 250, 251)]
    cuts = [(0, 0), (1, 100), (1, 100), (2, 250)]
    found = newest(
        (key_of(head, part), entry_bytes(entry, part, first))
        for entry, (part, first) in zip(said, cuts, strict=True)
    )
    assert len(found) == 3
    (entry,), problems = entries_of(found)
    assert problems == []
    assert entry.lane == said[-1].lane
    # The same, while the last part is not there yet.
    (entry,), _ = entries_of({key_of(head): found[key_of(head)]})
    assert entry.lane == said[0].lane
    for missing in (0, 1):
        entries, problems = entries_of(
            {key: text for key, text in found.items() if key != key_of(head, missing)}
        )
        assert entries == []
        assert problems == [f"{key_of(head)}: part {missing} of {key_of(head)} is missing"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda body: body.update(published_ns=1), "its checksum does not match"),
        (lambda body: body.update(format_version=9), "it has format 9"),
        (lambda body: body.update(kind="other"), "no entry of a lane's journal"),
    ],
)
def test_what_cannot_be_read_is_named_and_harms_no_other(change: Any, problem: str):
    good, bad = entry_of(head_of(), 10), entry_of(head_of(name="iot-producer-1"), 10)
    body = json.loads(entry_bytes(bad))
    change(body)
    found, problems = entries_of(
        {**kept(good), "x": json.dumps(body).encode(), "y": b"hello", "z": b"\xff\xfe", "u": b"[]"}
    )
    assert [each.head.name for each in found] == ["iot-producer-0"]
    assert len(problems) == 4
    assert problem in problems[0]
    assert problems[0].startswith("x: ")
    assert "no JSON" in problems[1]


def test_an_entry_with_contradictions_is_named():
    body = json.loads(entry_bytes(entry_of(head_of(), 10)))
    body["lane"]["ranges"]["confirmed"] = [[0, 9]]
    del body["checksum"]
    text = json.dumps({**body, "checksum": run_journal.checksum_of(body)}).encode()
    entries, (problem,) = entries_of({"k": text})
    assert entries == []
    assert "the ranges overlap, or leave messages out" in problem


def test_too_many_ranges_are_told_as_one_of_which_nothing_is_certain(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(run_journal, "MOST_BYTES", 1 << 16)
    tally = LaneTally()
    n = 20_000
    tally.schedule_to(n)
    for first in range(0, n, 4):
        tally.sent(first, first + 2)
        tally.confirmed(first, first + 2, None, 2)
        tally.skip(first + 2, first + 4, "too late")
    lane = LaneReport(0, *settled(tally))
    text = entry_bytes(LaneEntry(head_of(), lane, START_NS))
    assert 1 << 14 < len(text) <= 1 << 16
    (found,), _ = entries_of({"k": text})
    ranges = found.lane.ranges
    ((start, cut),) = ranges.unconfirmed
    assert start == 0
    assert cut < n
    assert ranges.confirmed == lane.ranges.confirmed.difference(ranges.unconfirmed)
    assert ranges.not_sent == lane.ranges.not_sent.difference(ranges.unconfirmed)
    assert found.lane.tally.scheduled == n
    assert found.lane.tally.not_sent == ranges.not_sent.count
    assert ranges.not_sent_reasons == {"too late": ranges.not_sent.count}


def test_what_is_overdue_is_not_part_of_a_running_lanes_account():
    tally = LaneTally()
    tally.schedule_to(100)
    tally.sent(0, 10)
    tally.confirmed(0, 10, None, 10)
    tally.skip(10, 20, "too late")
    tally.sent(25, 30, {0: 2, 1: 3})  # 20 … 24 are passed over
    tally.confirmed(25, 30, 1, 3)
    counts, ranges = settled(tally)
    assert counts == TallySnapshot(scheduled=30, sent=15, confirmed=13, failed=0, skipped=10)
    ranges.check(counts)
    assert ranges.not_sent == RangeSet([(10, 25)])
    assert ranges.not_sent_reasons == {"too late": 10, PASSED_OVER: 5}
    assert [(p.partition, p.n_records) for p in ranges.partial] == [(0, 2), (1, 3)]
    assert settled(LaneTally()) == (TallySnapshot(), LaneRanges())
