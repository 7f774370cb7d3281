from __future__ import annotations

import json
from dataclasses import replace

from iot_producer.verify_report import (
    Counts,
    Difference,
    Fault,
    LostRange,
    Minute,
    Offender,
    VerifyReport,
)
from iot_producer.verify_text import MOST_MINUTES, render

NOON_MS = 1_795_348_800_000  # 2026-11-22 12:00 UTC


def report(*counts: Counts, **changes: object) -> VerifyReport:
    minutes = tuple(Minute(NOON_MS + 60_000 * i, each) for i, each in enumerate(counts))
    totals = sum(counts, Counts())
    whole = VerifyReport("persistent://public/default/t", minutes, totals, totals.found)
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_a_clean_run_is_a_table_and_one_sentence():
    text = render(report(Counts(1200, 1200), Counts(60_000, 60_000), seconds=2.0))
    assert text.splitlines() == [
        "persistent://public/default/t: 61,200 records read back in 2.0 s (30,600/s)",
        "",
        "minute (UTC)      expected   found  lost  duplicated  changed  out of order",
        "2026-11-22 12:00     1,200   1,200     0           0        0             0",
        "2026-11-22 12:01    60,000  60,000     0           0        0             0",
        "total               61,200  61,200     0           0        0             0",
        "",
        "OK: all 61,200 confirmed records are there, once, byte for byte, "
        "and in order for each device.",
    ]


def test_one_minute_needs_no_total():
    lines = render(report(Counts(5, 5))).splitlines()
    assert len([line for line in lines if line.startswith(("2026", "total"))]) == 1
    assert "in 0" not in lines[0]


def test_differences_are_named():
    text = render(
        report(
            Counts(100, 97, 3, 1, 2, 4, 5, 6),
            n_unconfirmed=7,
            n_foreign=8,
            n_unreadable=1,
            n_lanes=1,
            n_lanes_of_plan=3,
            lost_ranges=(LostRange(0, 1000, 1002), LostRange(1, 7, 8)),
            n_lost_ranges=12,
            offenders=(
                Offender(Fault.LOST, "dev-0000001", "2026-11-22 12:00:00.000", 0, 1000),
                Offender(
                    Fault.CHANGED,
                    "dev-0000002",
                    "2026-11-22 12:00:00.001",
                    0,
                    5,
                    2,
                    17,
                    (Difference("pressure", "1013.25", "1013.26"),),
                ),
                Offender(Fault.FOREIGN, "", "", None, None, 0, 3, (), "hello"),
            ),
        )
    )
    assert "unconfirmed, found  failed or not sent, found" in text
    assert (
        "DIFFERENCES: 3 lost, 1 duplicated, 2 changed, 4 out of order, "
        "6 there though failed or not sent; of 100 records expected."
    ) in text
    assert "7 records stayed unconfirmed; 5 of them arrived all the same." in text
    assert (
        "8 foreign records: not of this run, 1 of them without a readable device and time." in text
    )
    assert "covers 1 of the plan's 3 lanes" in text
    assert "Lost messages: 1,000…1,001 of lane 0, 7…7 of lane 1, and 10 more ranges." in text
    assert text.endswith(
        """
First lost:
  dev-0000001, 2026-11-22 12:00:00.000, message 1,000 of lane 0

First changed:
  dev-0000002, 2026-11-22 12:00:00.001, message 5 of lane 0, record 17 read of partition 2
    pressure: expected 1013.25, found 1013.26

First foreign:
  (no device), (no time), record 3 read of partition 0
    hello"""
    )


def test_of_a_long_run_only_minutes_with_a_difference_are_listed():
    counts = [Counts(10, 10)] * 100
    counts[30] = Counts(10, 9, 1)
    lines = render(report(*counts)).splitlines()
    table = lines[2 : lines.index("", 2)]
    assert [line.split()[0] for line in table] == ["minute", "2026-11-22", "99", "total"]
    assert table[1].split()[1:] == ["12:30", "10", "9", "1", "0", "0", "0"]
    assert table[2].split()[3:] == ["990", "990", "0", "0", "0", "0"]
    assert table[3].split()[1:] == ["1,000", "999", "1", "0", "0", "0"]
    worst = render(report(*[Counts(10, 9, 1)] * 100)).splitlines()
    assert len(worst[2 : worst.index("", 2)]) == MOST_MINUTES + 3


def test_a_run_that_confirmed_nothing_is_no_success_story():
    assert "nothing was expected" in render(report())


def test_an_empty_source_is_pointed_out():
    assert "Nothing was read" in render(report(Counts(5, 0, 5)))
    assert "Nothing was read" not in render(report(Counts(5, 4, 1)))
    assert "Nothing was read" not in render(report())


def test_of_several_runs_each_is_called_by_its_name():
    text = render(
        report(
            Counts(100, 98, 2, unreported=7),
            n_runs=3,
            n_foreign=4,
            n_outside=5,
            n_lanes=2,
            n_lanes_of_plan=3,
            lost_ranges=(LostRange(1, 7, 9, "pod-1.json"),),
            n_lost_ranges=1,
            offenders=(Offender(Fault.LOST, "dev-0000001", "t", 1, 7, run="pod-1.json"),),
        )
    )
    assert text.splitlines()[0].endswith("98 records read back, compared with 3 runs")
    assert "not reported, found" in text
    assert "7 records are of lanes that still run, or that ended without a word" in text
    assert "4 foreign records: not of these runs." in text
    assert "5 records are of another time, and were left out." in text
    assert "The reports cover 2 of the plan's 3 lanes" in text
    assert "Lost messages: 7…8 of lane 1 (pod-1.json)." in text
    assert "  dev-0000001, t, message 7 of lane 1 (pod-1.json)" in text


def test_a_report_that_cannot_be_read_leaves_the_proof_incomplete():
    found = report(Counts(5, 5), problems=("x: it is not text",))
    assert not found.ok
    lines = render(found).splitlines()
    assert "INCOMPLETE: 1 report could not be read; else there is no difference." in lines
    assert "Not verified: x: it is not text" in lines
    lost = render(report(Counts(5, 4, 1), problems=("x: it is not text",)))
    assert "DIFFERENCES: 1 lost" in lost
    assert found.to_dict()["problems"] == ["x: it is not text"]


def test_as_json():
    offender = Offender(Fault.CHANGED, "d", "t", 0, 0, 0, 3, (Difference("a", "1", "2"),))
    found = report(
        Counts(10, 9, 1),
        seconds=2.0,
        lost_ranges=(LostRange(1, 3, 4),),
        n_lost_ranges=1,
        offenders=(offender,),
    )
    table = json.loads(json.dumps(found.to_dict()))
    assert table["ok"] is False
    assert table["records_per_s"] == 4.5
    assert table["totals"] == {
        "expected": 10,
        "found": 9,
        "lost": 1,
        "duplicated": 0,
        "changed": 0,
        "out_of_order": 0,
        "unconfirmed_found": 0,
        "unexpected": 0,
        "unreported": 0,
    }
    assert table["minutes"] == [{"minute": "2026-11-22T12:00:00.000Z", **table["totals"]}]
    assert table["lost_ranges"] == [[1, 3, 4]]
    assert (table["lost_ranges_of"], table["problems"], table["n_outside"]) == ([], [], 0)
    several = report(Counts(10, 9, 1), n_runs=2, lost_ranges=(LostRange(1, 3, 4, "a"),))
    assert several.to_dict()["lost_ranges_of"] == ["a"]
    assert table["offenders"] == [
        {
            "fault": "changed",
            "device_id": "d",
            "time": "t",
            "lane": 0,
            "message": 0,
            "partition": 0,
            "position": 3,
            "differences": [{"field": "a", "expected": "1", "found": "2"}],
        }
    ]
