from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from iot_producer.errors import ReportError
from iot_producer.gap import STORED_BEFORE, Gap
from iot_producer.latency import Histogram, Latencies, empty_counts
from iot_producer.latency_counts import count_latencies
from iot_producer.report import LaneReport, RunReport, iso_time, without_secrets
from iot_producer.report_text import checksum_of
from iot_producer.sink_counters import SinkCounters
from iot_producer.tally import LaneTally

START_NS = 1_795_363_200_123_456_789


def lane(index: int, **changes: Any) -> LaneReport:
    tally = LaneTally()
    tally.schedule_to(1000)
    tally.sent(0, 400)
    tally.sent(400, 800, {0: 150, 1: 250})
    tally.skip(800, 900, "overload")
    tally.confirmed(0, 400, None, 400)
    tally.confirmed(400, 800, 1, 250)
    tally.failed(400, 800, 0, 50, "too large")
    tally.close()
    counts = empty_counts()
    count_latencies(counts, 5_000_000, np.arange(0, 4_000_000, 5000, dtype=np.int64))
    histogram = Histogram.of_counts(counts)
    latencies = Latencies(histogram, histogram, Histogram.empty())
    return replace(LaneReport(index, tally.snapshot(), tally.ranges(), latencies), **changes)


def blocks(*pairs: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(pairs, np.int64).reshape(-1, 2)


REPORT = RunReport(
    data_version=3,
    tool_version="0.1.0",
    machine={"platform": "Linux", "n_cpus": 2},
    config={"rate": {"value": "1000", "from": "default"}, "note": "µs"},
    fleet={"n_devices": 100_000, "seed": 1},
    schedule={"kind": "constant", "rate": "1000"},
    start_ns=START_NS,
    n_lanes=4,
    lanes=[
        lane(2),
        lane(1, blocks=blocks((600, START_NS), (400, START_NS + 5)), error="connection lost"),
    ],
    started_at=iso_time(START_NS),
    ended_at=iso_time(START_NS + 10**9),
    stop_reason="SIGTERM",
    destination="pulsar://user:hunter2@broker:6650/public/default/t?token=abc&x=1",
    n_warm_up=100,
    raw_bytes=5_000_000,
)
TEXT = REPORT.to_json()


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    """The report with a change that someone made on purpose: the checksum is right again."""
    body = json.loads(TEXT)
    del body["checksum"]
    change(body)
    return json.dumps({**body, "checksum": checksum_of(body)})


def test_reads_back_what_was_written():
    report = RunReport.from_json(TEXT, data_version=3)
    assert report == REPORT
    assert report.to_json() == TEXT
    assert [each.index for each in report.lanes] == [1, 2]
    assert report.lanes[0].blocks is not None
    assert report.lanes[0].blocks.tolist() == [[600, START_NS], [400, START_NS + 5]]
    assert RunReport.from_json(TEXT).start_ns == START_NS


def test_totals_are_sums_of_lanes():
    assert REPORT.tally.to_dict() == {
        "scheduled": 2000,
        "sent": 1600,
        "confirmed": 1300,
        "failed": 100,
        "unconfirmed": 200,
        "not_sent": 400,
        "skipped": 200,
    }
    assert REPORT.latencies.lag.n == 1600
    assert json.loads(TEXT)["tally"] == REPORT.tally.to_dict()
    summary = json.loads(TEXT)["summary"]["lag"]
    assert summary["n"] == 1600
    assert summary["p50_ms"] == pytest.approx(3.0, rel=0.003)
    assert summary["max_ms"] == 5.0


class TestSinks:
    COUNTED = replace(
        REPORT,
        lanes=[
            lane(0, sink=SinkCounters(5000, 1, 10, False)),
            lane(1, sink=SinkCounters(7000, 2, 0, False)),
        ],
    )

    def test_what_they_counted_is_read_back_and_added_up(self):
        report = RunReport.from_json(self.COUNTED.to_json(), data_version=3)
        assert report == self.COUNTED
        assert report.sink == SinkCounters(12_000, 3, 10, False)
        assert json.loads(self.COUNTED.to_json())["sink"] == report.sink.to_dict()
        both = replace(self.COUNTED, earlier=[replace(self.COUNTED, lane=0)])
        assert both.sink == SinkCounters(24_000, 6, 20, False)

    def test_a_report_of_before_they_counted_is_read(self):
        def without(body: dict[str, Any]) -> None:
            del body["sink"]
            for each in body["lanes"]:
                del each["sink"]

        report = RunReport.from_json(changed(without), data_version=3)
        assert report == REPORT
        assert report.sink == SinkCounters()

    def test_damage_is_found(self):
        def damage(body: dict[str, Any]) -> None:
            body["lanes"][0]["sink"]["wire_bytes"] = -1

        with pytest.raises(ReportError, match="damaged"):
            RunReport.from_json(changed(damage))


class TestClaimedLanes:
    GAP = Gap(START_NS - 10**9, START_NS, 1000, ((START_NS - 10**9, -1), (START_NS,)))
    LOST = replace(REPORT, lane=0, offset=70, stop_reason="lane 0 was lost", lanes=[lane(3)])
    WHOLE = replace(REPORT, lane=2, offset=7, gap=GAP, earlier=[LOST])

    def test_a_lane_its_gap_and_earlier_episodes_are_read_back(self):
        text = self.WHOLE.to_json()
        report = RunReport.from_json(text, data_version=3)
        assert report == self.WHOLE
        assert report.to_json() == text
        assert (report.lane, report.offset, report.gap) == (2, 7, self.GAP)
        (earlier,) = report.earlier
        assert earlier == self.LOST
        assert json.loads(text)["plan"]["lane"] == 2

    def test_episodes_are_reports_of_their_own(self):
        first, second = self.WHOLE.episodes
        assert first == self.LOST
        assert second == replace(self.WHOLE, earlier=())
        assert [len(each.lanes) for each in (first, second)] == [1, 2]
        assert RunReport.from_json(first.to_json()) == first
        assert REPORT.episodes == (REPORT,)

    def test_totals_are_those_of_all_episodes(self):
        assert self.WHOLE.tally.scheduled == 3000
        assert self.WHOLE.latencies.lag.n == 2400
        assert self.WHOLE.total_raw_bytes == 2 * 5_000_000
        assert json.loads(self.WHOLE.to_json())["tally"]["scheduled"] == 3000

    def test_what_was_stored_before_is_no_debt(self):
        tally = LaneTally()
        tally.schedule_to(100)
        tally.skip(0, 30, STORED_BEFORE)
        tally.sent(30, 90)
        tally.confirmed(30, 90, None, 60)
        tally.skip(90, 100, STORED_BEFORE)
        ranges = tally.ranges()
        report = replace(REPORT, lanes=[LaneReport(0, tally.snapshot(), ranges)])
        assert report.n_stored_before == 40
        assert report.is_complete
        assert not report.tally.complete
        other = replace(ranges, not_sent_reasons={STORED_BEFORE: 39, "overload": 1})
        assert not replace(report, lanes=[LaneReport(0, tally.snapshot(), other)]).is_complete
        assert not replace(report, earlier=[self.LOST]).is_complete

    def test_a_report_of_before_there_were_any_is_read(self):
        def as_format_1(body: dict[str, Any]) -> None:
            body["format_version"] = 1
            del body["earlier"], body["gap"], body["plan"]["lane"], body["plan"]["offset"]

        report = RunReport.from_json(changed(as_format_1), data_version=3)
        assert report == REPORT
        assert (report.lane, report.offset, report.gap, report.earlier) == (None, 0, None, ())

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (lambda b: b["plan"].update(offset=-1), "place -1 of the devices"),
            (lambda b: b["plan"].update(offset="5"), "'offset'"),
            (lambda b: b["plan"].update(lane="5"), "'lane'"),
            (lambda b: b.update(gap=5), "'gap'"),
            (lambda b: b["gap"].update(until_ns=0), "not a gap"),
            (lambda b: b.update(earlier=5), "earlier episodes are not objects"),
            (lambda b: b.update(earlier=[5]), "earlier episodes are not objects"),
            (lambda b: b["earlier"][0].pop("lanes"), "'lanes' is missing"),
            (lambda b: b["earlier"].clear(), "sum of its lanes"),
        ],
    )
    def test_what_contradicts_itself_is_refused(
        self, change: Callable[[dict[str, Any]], object], problem: str
    ):
        body = json.loads(self.WHOLE.to_json())
        del body["checksum"]
        change(body)
        with pytest.raises(ReportError, match=problem):
            RunReport.from_json(json.dumps({**body, "checksum": checksum_of(body)}))

    def test_an_earlier_episode_has_none_itself(self):
        with pytest.raises(ValueError, match="has earlier episodes"):
            replace(REPORT, earlier=[self.WHOLE])


def test_holds_no_secret():
    assert REPORT.destination == "pulsar://broker:6650/public/default/t?token=…&x=1"
    assert "hunter2" not in TEXT
    assert "abc" not in json.loads(TEXT)["destination"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("pulsar://a:6650,b:6651/public/default/t", "pulsar://a:6650,b:6651/public/default/t"),
        ("chdb:///data/dir", "chdb:///data/dir"),
        ("clickhouse://u:p@h:8123/db.t?password=x", "clickhouse://h:8123/db.t?password=…"),
        ("clickhouse://h/db.t?Access_Key=x&y=", "clickhouse://h/db.t?Access_Key=…&y="),
        ("pulsar://[::1/t", "pulsar://…"),
        ("out/a@b.jsonl", "out/a@b.jsonl"),
        ("-", "-"),
        ("null:", "null:"),
    ],
)
def test_urls_without_secrets(url: str, shown: str):
    assert without_secrets(url) == shown
    assert without_secrets(shown) in (shown, shown.replace("…", "%E2%80%A6"))


def test_times_are_utc():
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(1_795_363_200_123_999_999) == "2026-11-22T16:00:00.123Z"


def test_is_a_line_a_member():
    lines = TEXT.splitlines()
    assert lines[0] == "{"
    assert '    "start_ns": 1795363200123456789,' in lines
    assert '        "confirmed": [[0,400]],' in lines
    assert f'      "blocks": [[600,{START_NS}],[400,{START_NS + 5}]],' in lines
    assert max(len(line) for line in lines) < 3000


@pytest.mark.slow
def test_many_blocks_stay_compact():
    n = 300_000
    starts = START_NS + np.arange(n, dtype=np.int64) * 1_000_000
    tally = LaneTally()
    tally.schedule_to(1000 * n)
    tally.sent(0, 1000 * n)
    tally.confirmed(0, 1000 * n, None, 1000 * n)
    tally.close()
    one = LaneReport(
        0,
        tally.snapshot(),
        tally.ranges(),
        blocks=np.stack([np.full(n, 1000, np.int64), starts], axis=1),
    )
    text = replace(REPORT, lanes=[one]).to_json()
    assert len(text) < 30 * n
    assert text.count("\n") < 200
    again = RunReport.from_json(text).lanes[0].blocks
    assert again is not None
    assert np.array_equal(again[:, 1], starts)


class TestRefuses:
    def refused(self, text: str, **options: Any) -> ReportError:
        with pytest.raises(ReportError) as caught:
            RunReport.from_json(text, **options)
        assert caught.value.hint
        return caught.value

    def test_another_data_version(self):
        error = self.refused(TEXT, data_version=4)
        assert "data version 3" in error.message
        assert "version 4" in error.message
        assert "0.1.0" in error.hint

    def test_another_format(self):
        error = self.refused(changed(lambda body: body.update(format_version=99)))
        assert "format 99" in error.message

    @pytest.mark.parametrize("text", ["", "  \n", "hello", "[1, 2]", "5", "{}", '{"kind": "x"}'])
    def test_files_from_elsewhere(self, text: str):
        assert "report" in self.refused(text).message

    def test_deep_nesting(self):
        assert "JSON" in self.refused("[" * 100_000).message

    def test_every_kind_of_cut(self):
        for length in range(0, len(TEXT) - 2, 97):
            assert "report" in self.refused(TEXT[:length]).message

    def test_every_digit_that_changed(self):
        digits = [i for i, character in enumerate(TEXT) if character.isdigit()]
        for i in random.Random(5).sample(digits, 200):
            damaged = TEXT[:i] + str((int(TEXT[i]) + 1) % 10) + TEXT[i + 1 :]
            self.refused(damaged, data_version=3)

    def test_a_changed_digit_is_told_as_such(self):
        error = self.refused(TEXT.replace(str(START_NS), str(START_NS + 1)))
        assert "checksum" in error.message

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (lambda b: b["tally"].update(confirmed=1299, failed=101), "sum of its lanes"),
            (lambda b: b["lanes"][0]["tally"].update(confirmed=651), "does not balance"),
            (
                lambda b: b["lanes"][0]["tally"].update(confirmed=649, unconfirmed=101),
                "confirmed: the ranges hold 650",
            ),
            (lambda b: b["lanes"][0]["ranges"].update(confirmed=[[0, 399]]), "leave messages"),
            (lambda b: b["lanes"][0]["ranges"].update(confirmed=5), "not a list of ranges"),
            (lambda b: b["lanes"][0]["ranges"]["partial"][0].pop(), "not a part of a block"),
            (lambda b: b["lanes"][0]["latencies"].pop("lag"), "lag is missing"),
            (lambda b: b["lanes"][0]["latencies"]["lag"].update(n=5), "histogram of 5 values"),
            (lambda b: b["lanes"][0]["blocks"].pop(), "blocks are not the 1000 messages"),
            (lambda b: b["lanes"][0]["blocks"][0].pop(), "blocks are not pairs"),
            (lambda b: b["lanes"][0].update(blocks=[[600.5, 1]]), "blocks are not pairs"),
            (lambda b: b["lanes"][0].update(blocks=[[1000, 2**64]]), "blocks are not pairs"),
            (lambda b: b["lanes"][0].update(blocks=[600, 400]), "blocks are not pairs"),
            (lambda b: b["lanes"][0]["blocks"].reverse(), "one after the other"),
            (lambda b: b["lanes"][0].update(index=2), "not lanes of 4"),
            (lambda b: b["lanes"][0].update(index=4), "not lanes of 4"),
            (lambda b: b["lanes"][0].update(index=True), "'index' is missing or not of type int"),
            (lambda b: b["lanes"][0].update(error=5), "'error'"),
            (lambda b: b["lanes"].append(5), "a lane is not an object"),
            (lambda b: b.pop("lanes"), "'lanes' is missing"),
            (lambda b: b["plan"].pop("schedule"), "'schedule' is missing"),
            (lambda b: b["plan"].update(start_ns=1.5), "'start_ns'"),
            (lambda b: b.update(ended_at="yesterday"), "yesterday"),
            (lambda b: b.update(plan=[]), "'plan'"),
            (lambda b: b.update(config=None), "'config'"),
        ],
    )
    def test_contents_that_contradict_each_other(
        self, change: Callable[[dict[str, Any]], object], problem: str
    ):
        assert problem in self.refused(changed(change)).message

    def test_only_what_was_changed(self):
        assert RunReport.from_json(changed(lambda body: None)) == REPORT


def test_a_lane_that_contradicts_itself_cannot_be():
    with pytest.raises(ValueError, match="the ranges"):
        LaneReport(0, lane(0).tally, LaneTally().ranges())
    with pytest.raises(ValueError, match="the blocks"):
        lane(0, blocks=blocks((999, START_NS)))
    assert lane(0, blocks=blocks((1000, START_NS))) != lane(0)
