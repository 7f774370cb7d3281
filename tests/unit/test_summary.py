from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from fake_run import START_NS, S, broken_lane, report
from iot_producer.gap import STORED_BEFORE, Gap
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.report import LaneReport, RunReport, iso_time
from iot_producer.sink_counters import SinkCounters
from iot_producer.summary import styled_summary, summary
from iot_producer.tally import LaneTally


def row(text: str, label: str) -> str:
    """The line of a label."""
    (found,) = (line[13:] for line in text.splitlines() if line[:13].strip() == label)
    return found


def test_a_run_in_which_all_went_well() -> None:
    assert summary(report(), "run.json").splitlines() == [
        "✓ All 20,000 messages that were due are confirmed.",
        "To           pulsar://127.0.0.1:6650 persistent://public/default/t",
        "Plan         1,000 msg/s; 100,000 devices, seed 7, 1 lane",
        "Ran          20 s from 2026-11-22 16:00:00 UTC, until the end of the plan",
        "Rate         1,000 msg/s confirmed of 1,000 planned (100 %), 0.54 MB/s, 10.8 MB",
        "Scheduled    20,000 = 20,000 confirmed + 0 failed + 0 unconfirmed + 0 not sent",
        "Latency             p50       p99     p99.9       max",
        "  lag            1.0 ms    1.0 ms   10.0 ms   10.0 ms   sent − intended",
        "  service        3.0 ms    3.0 ms   30.0 ms   30.0 ms   confirmed − sent",
        "  response       4.0 ms    4.0 ms   40.0 ms   40.0 ms   confirmed − intended",
        "Report       run.json; check what arrived: iot-producer verify --report run.json",
    ]


def test_a_run_in_which_much_went_wrong() -> None:
    text = summary(
        report(
            lanes=[broken_lane()], error="connection lost", stop_reason="connection lost", n_lanes=1
        )
    )
    assert len(text.splitlines()) <= 15
    assert text.splitlines()[0] == "✗ 6,000 of 20,000 messages that came due are not confirmed."
    assert row(text, "Ran") == "20 s from 2026-11-22 16:00:00 UTC, until the error below"
    assert row(text, "Rate") == ("700 msg/s confirmed of 1,000 planned (70 %), 0.54 MB/s, 10.8 MB")
    assert row(text, "Scheduled") == (
        "20,000 = 14,000 confirmed + 400 failed + 1,600 unconfirmed + 4,000 not sent"
    )
    assert row(text, "Failed") == "400: the topic is terminated"
    assert row(text, "Unconfirmed").startswith("1,600: sent, but no confirmation came")
    assert row(text, "Not sent") == "4,000: later than 1 s (2,000), connection lost (2,000)"
    assert row(text, "Error") == "connection lost"
    assert row(text, "Report") == "not kept; --report FILE keeps it, and verify needs it"


def test_a_claimed_lane_that_had_a_run_before() -> None:
    since_ns = START_NS - 12 * S
    gap = Gap(since_ns, START_NS, 11_999, ((since_ns,),))
    text = summary(report(lane=2, offset=5, gap=gap))
    assert row(text, "Plan") == "1,000 msg/s; 100,000 devices, seed 7, lane 2"
    assert row(text, "Lane") == (
        "not sent: the 12 s (11,999 messages) after the lane's last message, "
        "2026-11-22 15:59:48 UTC"
    )
    filled = replace(gap, n_messages=0)
    assert "Lane " not in summary(report(lane=2, gap=filled))
    unknown = replace(gap, n_messages=None)
    assert row(summary(report(lane=2, gap=unknown)), "Lane").startswith("not sent: the 12 s after")


def test_a_lane_that_was_lost_counts_with_the_next_one() -> None:
    lost = report(lane=0, error="lane 0 is somebody else's", stop_reason="x")
    later = {"start_ns": START_NS + 20 * S, "ended_at": iso_time(START_NS + 40 * S)}
    text = summary(report(lane=1, earlier=[lost], **later))
    assert text.splitlines()[0] == "✓ All 40,000 messages that were due are confirmed."
    assert row(text, "Lane") == "lane 0 until 2026-11-22 16:00:20 UTC, then it was lost"
    assert row(text, "Ran") == "40 s from 2026-11-22 16:00:00 UTC, until the end of the plan"
    assert row(text, "Rate") == (
        "1,000 msg/s confirmed of 1,000 planned (100 %), 0.54 MB/s, 21.6 MB"
    )
    broken = summary(report(lane=1, earlier=[replace(lost, lanes=[broken_lane()])], **later))
    assert row(broken, "Failed") == "400: the topic is terminated"
    assert row(broken, "Not sent") == "4,000: later than 1 s (2,000), connection lost (2,000)"


def test_what_was_stored_before_is_well() -> None:
    lane = LaneReport(
        0,
        TallySnapshot(100, 60, 60, 0, 40),
        LaneRanges(
            confirmed=RangeSet([(40, 100)]),
            not_sent=RangeSet([(0, 40)]),
            not_sent_reasons={STORED_BEFORE: 40},
        ),
    )
    text = summary(report(lanes=[lane]))
    assert text.splitlines()[0] == (
        "✓ All 100 messages that were due are confirmed; 40 of them were stored before."
    )
    assert "Not sent" not in text


def test_only_the_most_frequent_reasons_are_told() -> None:
    tally = LaneTally()
    tally.schedule_to(100)
    for k, n in enumerate((5, 30, 40, 25)):
        tally.skip(tally.next, tally.next + n, f"reason\n{k}")
    tally.close()
    lane = LaneReport(0, tally.snapshot(), tally.ranges())
    assert row(summary(report(lanes=[lane])), "Not sent") == (
        "100: reason 2 (40), reason 1 (30), 2 other reasons"
    )


def test_what_went_over_the_wire_and_what_may_be_there_twice() -> None:
    (lane,) = report().lanes
    counted = replace(lane, sink=SinkCounters(4_200_000, 2))
    text = summary(report(lanes=[counted]))
    assert row(text, "Rate").endswith("0.54 MB/s, 10.8 MB (4.20 MB on the wire)")
    assert "May be twice" not in text
    text = summary(report(lanes=[replace(lane, sink=SinkCounters(0, 1, 1_500, False))]))
    assert row(text, "May be twice") == (
        "1,500: sent again, without deduplication on the topic; they may be there twice"
    )
    assert "on the wire" not in text


def test_verdicts() -> None:
    nothing = LaneReport(0, TallySnapshot(), LaneRanges())
    text = summary(report(lanes=[nothing]))
    assert text.splitlines()[0] == "✗ Nothing was sent: no message came due."
    assert "Latency" not in text
    assert row(text, "Rate") == "0 msg/s confirmed, 0.54 MB/s, 10.8 MB"
    assert summary(report(error="the disk is full")).splitlines()[0] == (
        "✗ Ended early; all 20,000 messages that were due are confirmed."
    )
    assert summary(report(lanes=[])).splitlines()[0] == "✗ Nothing was sent: no message came due."


def short(end_ns: int) -> RunReport:
    return report(ended_at=iso_time(end_ns))


def test_a_run_that_ended_before_it_began() -> None:
    text = summary(short(START_NS - S))
    assert row(text, "Rate") == "–"
    assert row(text, "Ran") == "0 µs from 2026-11-22 16:00:00 UTC, until the end of the plan"


def test_a_plan_that_began_long_ago_is_measured_from_the_start_of_the_program() -> None:
    text = summary(report(start_ns=START_NS - 3600 * S))
    assert row(text, "Ran") == "22 s from 2026-11-22 15:59:58 UTC, until the end of the plan"
    assert row(text, "Rate").startswith("909 msg/s confirmed of 1,000 planned (90.9 %)")


def test_the_last_confirmations_do_not_lower_the_rate() -> None:
    text = summary(short(START_NS + 20 * S + 999_000_000))
    assert row(text, "Rate").startswith("1,000 msg/s confirmed of 1,000 planned (100 %)")
    text = summary(short(START_NS + 22 * S))
    assert row(text, "Rate").startswith("909 msg/s confirmed of 1,000 planned (90.9 %)")


def test_a_shard_is_compared_with_its_part_of_the_plan() -> None:
    text = summary(report(n_lanes=3, schedule={"kind": "constant", "rate": "3000"}))
    assert row(text, "Plan") == "1,000 msg/s; 100,000 devices, seed 7, 1 lane of 3"
    assert row(text, "Rate").startswith("1,000 msg/s confirmed of 1,000 planned (100 %)")


def test_a_ramp_is_compared_with_its_mean() -> None:
    ramp = {"kind": "ramp", "from": "0", "to": "2000", "over": "20s", "n_messages": 20_000}
    text = summary(report(schedule=ramp))
    assert row(text, "Rate").startswith("1,000 msg/s confirmed of 1,000 planned (100 %)")


def test_at_full_speed_there_is_no_target() -> None:
    text = summary(report(schedule={"kind": "max"}))
    assert row(text, "Plan").startswith("as fast as the destination takes it; 100,000 devices")
    assert row(text, "Rate") == "1,000 msg/s confirmed, 0.54 MB/s, 10.8 MB"


def test_a_schedule_of_another_version() -> None:
    text = summary(report(schedule={"kind": "constant", "speed": 7}, fleet={}))
    assert row(text, "Plan") == "a schedule of another version, 1 lane"
    assert row(text, "Rate") == "1,000 msg/s confirmed, 0.54 MB/s, 10.8 MB"


def test_the_warm_up_is_told() -> None:
    text = summary(report(n_warm_up=5000))
    assert row(text, "Latency").endswith("max   without the first 5,000 messages")


def test_a_file_needs_no_verify() -> None:
    done = replace(report(), destination="out.parquet")
    assert row(summary(done, "run.json"), "Report") == "run.json"


def test_what_comes_from_elsewhere_stays_on_its_line() -> None:
    text = summary(report(error="broken\n\x1b[2J", stop_reason="SIGTERM"))
    assert row(text, "Error") == "broken [2J"
    assert row(text, "Ran").endswith("until SIGTERM")


def test_colours_are_for_terminals_only() -> None:
    done = report(lanes=[broken_lane()])
    assert styled_summary(done).plain == summary(done)

    terminal = Console(
        file=StringIO(), width=120, color_system="standard", force_terminal=True, no_color=False
    )
    terminal.print(styled_summary(done))
    assert "\x1b[31m400: the topic" in terminal.file.getvalue()  # type: ignore[attr-defined]
    pipe = Console(file=StringIO(), width=120, force_terminal=False)
    pipe.print(styled_summary(done))
    assert pipe.file.getvalue() == summary(done) + "\n"  # type: ignore[attr-defined]
