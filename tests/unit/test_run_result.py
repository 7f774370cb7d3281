from __future__ import annotations

import numpy as np

from iot_producer.blocks import DATA_VERSION
from iot_producer.config import resolve_run
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.report import LaneReport, RunReport
from iot_producer.run_config import RunConfig
from iot_producer.run_result import lane_without_word, run_report
from iot_producer.sink_counters import SinkCounters

START = 1_780_000_000_000_000_000
MS = 1_000_000


def config(**flags: str) -> RunConfig:
    return resolve_run({"to": "null:", "devices": "100", **flags}, {})


def confirmed(index: int, n: int, blocks: list[list[int]] | None = None) -> LaneReport:
    return LaneReport(
        index,
        TallySnapshot(n, n, n),
        LaneRanges(confirmed=RangeSet([(0, n)])),
        blocks=None if blocks is None else np.array(blocks, dtype=np.int64),
    )


def report(run: RunConfig, lanes: list[LaneReport], **changes: object) -> RunReport:
    facts = {
        "start_ns": START,
        "started_ns": START - 10 * MS,
        "ended_ns": START + 1_500 * MS,
        "stop_reason": "the end of the plan",
        "raw_bytes": 123,
        "error": None,
    }
    return run_report(run, lanes, **(facts | changes))  # type: ignore[arg-type]


def test_the_plan_and_all_settings_are_in_it():
    run = config(rate="500", seed="9", workers="2", messages="1000")
    found = RunReport.from_json(report(run, [confirmed(0, 500)]).to_json(), DATA_VERSION)
    assert found.fleet == run.fleet.to_dict()
    assert found.schedule == run.schedule.to_spec()
    assert (found.start_ns, found.n_lanes) == (START, 2)
    assert found.config["--seed"] == ["9", "--seed"]
    assert found.config["--sites"] == ["1000, or DEVICES if that is less", "default"]
    assert found.destination == "null:"
    assert found.ended_at == "2026-05-28T20:26:41.500Z"


def test_the_warm_up_is_counted_by_lane():
    run = config(rate="1000", workers="2", warm_up="100ms")
    lanes = [confirmed(0, 500), confirmed(1, 500)]
    assert report(run, lanes).n_warm_up == 100
    alone = report(run, lanes[:1]).n_warm_up
    assert 40 <= alone <= 60
    assert report(run, [confirmed(0, 10), confirmed(1, 0)]).n_warm_up == 10
    assert report(config(), lanes[:1]).n_warm_up == 0


def test_the_warm_up_of_a_run_at_the_maximum_rate_is_counted_by_block():
    run = config(rate="max", warm_up="10ms")
    end = START + 10 * MS
    blocks = [[10, START], [10, end - 4], [10, end + 100]]
    assert report(run, [confirmed(0, 30, blocks)]).n_warm_up == 10 + 4


def test_of_a_worker_that_died_nothing_counts_as_confirmed():
    run = config(rate="1000", workers="2", messages="1000")
    counted = SinkCounters(5000, 1)
    lane = lane_without_word(run, 1, START, START + 99 * MS, "worker 1 died", counted)
    other = lane_without_word(run, 0, START, START + 99 * MS, "worker 0 died")
    assert lane is not None
    assert other is not None
    assert lane.index == 1
    assert lane.error == "worker 1 died"
    assert (lane.sink, other.sink) == (counted, SinkCounters())
    assert lane.tally.scheduled + other.tally.scheduled == 100
    assert lane.tally.unconfirmed == lane.tally.scheduled
    late = lane_without_word(run, 1, START, START + 10**12, "")
    assert late is not None
    assert late.tally.scheduled == 500
    early = lane_without_word(run, 1, START, START - MS, "")
    assert early is not None
    assert early.tally == TallySnapshot()


def test_at_the_maximum_rate_only_the_worker_knew_what_was_due():
    assert lane_without_word(config(rate="max"), 0, START, START + MS, "") is None
