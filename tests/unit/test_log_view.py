from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fake_run import START_NS, S, broken_lane, latencies, report, snapshot, steady
from iot_producer.clock import ManualClock
from iot_producer.gap import STORED_BEFORE
from iot_producer.latency import Latencies
from iot_producer.log_view import LogView, QuietView
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.report import LaneReport
from iot_producer.sink_counters import SinkCounters


def lines_of(json: bool = False, interval_s: float = 10) -> tuple[list[str], LogView]:
    lines: list[str] = []
    return lines, LogView(lines.append, json=json, interval_ns=round(interval_s * S))


def test_a_line_every_interval() -> None:
    lines, view = lines_of()
    for each in steady(25):
        view.draw(each)
    assert lines == [
        "16:00:10Z 1,000 msg/s confirmed (target 1,000) | lag p99 1.0 ms | "
        "response p50 4.0 ms p99 4.0 ms max 40.0 ms | "
        "10,000 of 10,000 scheduled confirmed, 0 failed, 0 unconfirmed, 0 not sent | 0.54 MB/s",
        "16:00:20Z 1,000 msg/s confirmed (target 1,000) | lag p99 1.0 ms | "
        "response p50 4.0 ms p99 4.0 ms max 40.0 ms | "
        "20,000 of 20,000 scheduled confirmed, 0 failed, 0 unconfirmed, 0 not sent | 0.54 MB/s",
    ]
    view.close(report())
    assert lines[2].startswith("16:00:25Z 1,000 msg/s confirmed (target 1,000) | ")
    assert len(lines) == 3
    view.close(report())
    assert len(lines) == 3


def test_lines_keep_to_their_grid() -> None:
    lines, view = lines_of(interval_s=1)
    for at_s in (0, 1.25, 2.0, 2.25, 5.5, 5.75, 6.0):
        view.draw(snapshot(at_s, round(1000 * at_s)))
    assert [line[:9] for line in lines] == ["16:00:01Z", "16:00:02Z", "16:00:05Z", "16:00:06Z"]


def test_failures_make_a_line_a_warning() -> None:
    lines, view = lines_of(interval_s=1)
    view.draw(snapshot(0, 0))
    tally = TallySnapshot(2000, 1500, 1200, 100, 200)
    view.draw(snapshot(1, 1200, tally=tally))
    assert lines[0].startswith("16:00:01Z warning: 1,200 msg/s confirmed (target 1,000) | ")
    assert "1,200 of 2,000 scheduled confirmed, 100 failed, 200 unconfirmed, 500 not" in lines[0]
    view.draw(snapshot(2, 1300, tally=TallySnapshot(2100, 1600, 1300, 100, 200)))
    assert lines[1].startswith("16:00:02Z 100 msg/s confirmed")


def test_when_nothing_leaves_the_lag_of_the_moment_is_told() -> None:
    lines, view = lines_of(interval_s=1)
    stuck = TallySnapshot(1000, 0, 0)
    view.draw(snapshot(0, 0))
    view.draw(snapshot(1, 0, 0.0, tally=stuck, lag_now_ns=S, latencies=Latencies.empty()))
    assert lines == [
        "16:00:01Z warning: 0 msg/s confirmed | lag now 1.0 s | "
        "0 of 1,000 scheduled confirmed, 0 failed, 0 unconfirmed, 1,000 not sent | 0.00 MB/s"
    ]


def test_the_lane_is_told_where_it_was_claimed() -> None:
    lines, view = lines_of()
    for each in steady(10):
        view.draw(replace(each, lane=2))
    assert lines[0].endswith(" | 0.54 MB/s | lane 2")
    lines, view = lines_of(json=True)
    for each in steady(10):
        view.draw(replace(each, lane=2))
    assert json.loads(lines[0])["lane"] == 2
    lines, view = lines_of(json=True)
    view.close(report(lane=2))
    assert json.loads(lines[0])["lane"] == 2


def test_what_was_stored_before_is_no_failure() -> None:
    lane = LaneReport(
        0,
        TallySnapshot(100, 60, 60, 0, 40),
        LaneRanges(
            confirmed=RangeSet([(40, 100)]),
            not_sent=RangeSet([(0, 40)]),
            not_sent_reasons={STORED_BEFORE: 40},
        ),
    )
    lines, view = lines_of(json=True)
    view.close(report(lanes=[lane]))
    found = json.loads(lines[0])
    assert (found["level"], found["complete"], found["not_sent"]) == ("info", True, 40)
    lines = []
    quiet = QuietView(lines.append)
    quiet.close(report(lanes=[lane]))
    assert lines == []


def test_json_lines() -> None:
    lines, view = lines_of(json=True)
    for each in steady(10):
        view.draw(replace(each, sink=SinkCounters(2_100_000, 3, 20)))
    (line,) = lines
    found = json.loads(line)
    assert found == {
        "time": "2026-11-22T16:00:10.000Z",
        "level": "info",
        "event": "stats",
        "interval_s": 10.0,
        "n_lanes": 1,
        "lane": None,
        "target_per_s": 1000.0,
        "sent_per_s": 1000.0,
        "confirmed_per_s": 1000.0,
        "raw_bytes_per_s": 540_000,
        "scheduled": 10_000,
        "sent": 10_000,
        "confirmed": 10_000,
        "failed": 0,
        "unconfirmed": 0,
        "not_sent": 0,
        "skipped": 0,
        "raw_bytes": 5_400_000,
        "wire_bytes": 2_100_000,
        "reconnects": 3,
        "maybe_duplicated": 20,
        "lag_now_ms": 1.0,
        "lag_p50_ms": 1.0,
        "lag_p99_ms": 1.0,
        "lag_max_ms": 10.0,
        "service_p50_ms": pytest.approx(3.0, rel=0.001),
        "service_p99_ms": pytest.approx(3.0, rel=0.001),
        "service_max_ms": 30.0,
        "response_p50_ms": pytest.approx(4.0, rel=0.001),
        "response_p99_ms": pytest.approx(4.0, rel=0.001),
        "response_max_ms": 40.0,
    }
    assert "\n" not in line


def test_json_says_null_where_nothing_is_known() -> None:
    lines, view = lines_of(json=True, interval_s=1)
    view.say("info", "compiling")
    view.draw(snapshot(0, 0, 0.0))
    view.draw(snapshot(1, 0, 0.0))
    message, stats = (json.loads(line) for line in lines)
    assert message == {"time": None, "level": "info", "event": "message", "message": "compiling"}
    assert stats["target_per_s"] is None
    assert stats["response_p99_ms"] is None
    assert stats["confirmed_per_s"] == 0.0


def test_the_end_in_json() -> None:
    lines, view = lines_of(json=True)
    view.draw(snapshot(0, 0))
    view.close(report())
    (found,) = map(json.loads, lines)
    assert found["time"] == "2026-11-22T16:00:20.000Z"
    assert (found["level"], found["event"], found["complete"]) == ("info", "end", True)
    assert (found["stop_reason"], found["error"]) == ("the end of the plan", None)
    assert (found["scheduled"], found["confirmed"]) == (20_000, 20_000)
    assert found["response_max_ms"] == 40.0


def test_a_bad_end_in_json() -> None:
    lines, view = lines_of(json=True)
    view.close(report(lanes=[broken_lane()], error="connection lost"))
    (found,) = map(json.loads, lines)
    assert (found["level"], found["complete"]) == ("error", False)
    assert found["error"] == "connection lost"
    law = [found[key] for key in ("confirmed", "failed", "unconfirmed", "not_sent")]
    assert sum(law) == found["scheduled"] == 20_000


def test_news() -> None:
    lines, view = lines_of()
    view.say("info", "compiling")
    view.draw(snapshot(3, 0))
    view.say("warning", "connection lost;\ntrying again")
    view.say("error", "broken")
    assert lines == [
        "compiling",
        "16:00:03Z warning: connection lost; trying again",
        "16:00:03Z error: broken",
    ]


def test_news_have_the_time_of_a_clock() -> None:
    lines: list[str] = []
    clock = ManualClock(START_NS)
    view = LogView(lines.append, json=True, interval_ns=S, now_ns=clock.now_ns)
    view.say("info", "one")
    clock.advance(2 * S)
    view.say("info", "two\nlines")
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [each["time"] for each in found] == [
        "2026-11-22T16:00:00.000Z",
        "2026-11-22T16:00:02.000Z",
    ]
    assert found[1]["message"] == "two\nlines"
    assert len(lines) == 2


def test_other_lanes_begin_a_new_interval() -> None:
    lines, view = lines_of(interval_s=1)
    view.draw(snapshot(0, 0))
    view.draw(snapshot(1, 500, n_lanes=2))
    assert lines == []
    view.draw(snapshot(2, 900, n_lanes=2, latencies=latencies(3)))
    assert lines == []
    view.draw(snapshot(3, 1900, n_lanes=2, latencies=latencies(1003)))
    assert lines[0].startswith("16:00:03Z 1,000 msg/s confirmed")


def test_the_quiet_view_tells_only_what_is_bad() -> None:
    lines: list[str] = []
    view = QuietView(lines.append)
    view.say("info", "compiling")
    for each in steady(20):
        view.draw(each)
    view.close(report())
    assert lines == []
    view.say("warning", "slow")
    view.close(report(lanes=[broken_lane()]))
    view.close(None)
    assert lines == [
        "16:00:20Z warning: slow",
        "16:00:20Z error: 6,000 of 20,000 messages not confirmed: "
        "400 failed, 1,600 unconfirmed, 4,000 not sent",
    ]


def test_the_quiet_view_in_json() -> None:
    lines: list[str] = []
    view = QuietView(lines.append, json=True, now_ns=lambda: START_NS)
    view.say("error", "broken")
    assert json.loads(lines[0]) == {
        "time": "2026-11-22T16:00:00.000Z",
        "level": "error",
        "event": "message",
        "message": "broken",
    }
