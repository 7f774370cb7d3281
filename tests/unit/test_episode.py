"""A pod's workers and their lane; the end of processes is in tests/integration/test_run.py."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing.connection import Connection

from scripted_workers import (
    SECOND_NS,
    Broker,
    Pod,
    all_confirmed,
    lane_report,
    orders,
)

from iot_producer.blocks import DATA_VERSION
from iot_producer.command import Command
from iot_producer.errors import ExitCode, LaneLostError, UnreachableError
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.report import LaneReport, RunReport
from iot_producer.sink_counters import SinkCounters
from iot_producer.snapshot import Snapshot
from iot_producer.worker_messages import Go, Open, Result

LOST = LaneLostError("lane 0 is somebody else's now")


class TestClaiming:
    def test_worker_0_claims_and_the_others_are_told(self):
        broker = Broker()
        broker.elsewhere = {"0.0", "1.0"}
        pod = Pod(broker, all_confirmed, workers="3", messages="1000")
        outcome = pod.run()
        assert pod.opened[0] == (0, Open(None, 0))
        assert sorted(pod.opened[1:], key=lambda each: each[0]) == [(1, Open(2)), (2, Open(2))]
        assert outcome.exit_code is ExitCode.OK
        assert outcome.report is not None
        assert outcome.report.lane == 2
        assert outcome.report.tally.confirmed == 1000
        assert outcome.report.earlier == ()
        # All begin one plan: with lane 2's place among the devices, on the epoch's grid.
        assert {(go.start_ns, go.config.lane) for _, go in pod.began} == {
            (outcome.report.start_ns, 2)
        }
        first = pod.began[0][1].config.schedule.to_spec()["first"]
        assert first == outcome.report.start_ns // 1_000_000
        assert outcome.report.offset == (first + 25) % 100
        assert broker.taken == set()

    def test_without_a_claim_all_connect_at_once(self):
        pod = Pod(Broker(), all_confirmed, shard="1/2", messages="100")
        outcome = pod.run()
        assert pod.opened == [(0, Open(None, 0))]
        assert outcome.report is not None
        assert (outcome.report.lane, outcome.report.offset) == (None, 0)

    def test_a_lane_of_which_a_part_is_taken_is_passed_over(self):
        """As when a pod lost its worker 0, and its worker 1 is still waiting for confirmations."""
        broker = Broker()
        broker.elsewhere = {"0.1"}
        pod = Pod(broker, all_confirmed, workers="2", messages="1000")
        outcome = pod.run()
        assert outcome.report is not None
        assert outcome.report.lane == 1
        assert outcome.report.earlier == ()
        assert pod.said == [("warning", "0.1 is taken; looking for another lane")]
        assert pod.opened[2] == (0, Open(None, 1))
        assert broker.taken == set()

    def test_the_gap_is_from_the_last_id_of_all_workers(self):
        broker = Broker()
        ids = (1_780_000_000 * SECOND_NS, 1_780_000_000 * SECOND_NS - 5)
        broker.last_ids = {"0.0": ids[:1], "0.1": ids[1:]}
        pod = Pod(broker, all_confirmed, workers="2", messages="1000")
        outcome = pod.run()
        assert outcome.report is not None
        gap = outcome.report.gap
        assert gap is not None
        assert (gap.since_ns, gap.until_ns) == (ids[1], outcome.report.start_ns)
        assert gap.last_ids == (ids[:1], ids[1:])
        assert [go.stored for _, go in pod.began] == [(), ()]
        assert RunReport.from_json(outcome.report.to_json(), DATA_VERSION).gap == gap
        assert "not sent: what was due" in pod.said[0][1]

    def test_the_view_hears_a_heartbeat_before_there_is_anything_to_draw(self):
        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            seen.append((pod.n_beats, len(pod.drawn)))
            return all_confirmed(number, n_begun, go, pipe)

        seen: list[tuple[int, int]] = []
        pod = Pod(Broker(), run, messages="10")
        pod.run()
        ((n_beats, n_drawn),) = seen
        assert (n_beats > 0, n_drawn) == (True, 0)

    def test_the_view_is_told_at_once_that_the_run_is_to_end(self):
        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            pipe.send(Snapshot(go.start_ns))
            pod.command = Command.DRAIN
            next(orders(pipe))
            pipe.send(Snapshot(go.start_ns))
            return Result(lane_report(number, 7), 10, None)

        pod = Pod(Broker(), run, messages="1000")
        pod.run()
        assert pod.drawn[-1].is_draining

    def test_the_view_knows_the_lane(self):
        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            pipe.send(Snapshot(go.start_ns))
            return all_confirmed(number, n_begun, go, pipe)

        pod = Pod(Broker(), run, messages="10")
        pod.run()
        assert [each.lane for each in pod.drawn] == [0] * len(pod.drawn) != []


class TestALostLane:
    def test_the_run_goes_on_under_another_for_what_is_left(self):
        """Worker 1 loses the lane after 100 messages; worker 0 is told to drain."""
        seen: list[Command] = []

        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            if n_begun == 2:
                pipe.send(Snapshot(go.start_ns))
                return all_confirmed(number, n_begun, go, pipe)
            broker.elsewhere.add("0.0")
            if number:
                return Result(lane_report(1, 100), 1000, LOST)
            seen.append(next(orders(pipe)))
            return Result(lane_report(0, 120), 1200, None)

        broker = Broker()
        pod = Pod(broker, run, workers="2", messages="1000")
        outcome = pod.run()
        assert seen == [Command.DRAIN]
        assert ("warning", f"{LOST.message}; looking for another lane") in pod.said
        report = outcome.report
        assert report is not None
        (lost,) = report.earlier
        assert (lost.lane, report.lane) == (0, 1)
        assert (lost.error, report.error) == (LOST.message, None)
        assert lost.stop_reason == LOST.message
        assert lost.tally.scheduled == 220
        assert sum(lane.tally.scheduled for lane in report.lanes) == 780
        assert report.tally.confirmed == 1000
        assert report.total_raw_bytes == 2200 + 7800
        assert report.start_ns >= lost.start_ns
        assert outcome.exit_code is ExitCode.OK
        assert outcome.error is None
        # The view goes on counting.
        last = pod.drawn[-1]
        assert (last.lane, last.n_lanes) == (1, 2)
        assert last.tally.confirmed == 220
        assert last.raw_bytes == 2200

    def test_that_messages_may_be_there_twice_is_said_once_for_all_lanes(self):
        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            pipe.send(Snapshot(go.start_ns, sink=SinkCounters(deduplicates=False)))
            if n_begun == 2:
                return all_confirmed(number, n_begun, go, pipe)
            broker.elsewhere.add("0.0")
            return Result(lane_report(number, 100), 1000, LOST if number == 0 else None)

        broker = Broker()
        pod = Pod(broker, run, workers="2", messages="1000")
        assert pod.run().exit_code is ExitCode.OK
        assert len(pod.began) == 4  # two workers, on two lanes
        (told,) = [text for level, text in pod.said if "deduplicate" in text and level == "warning"]
        assert told.startswith("public/default does not deduplicate: ")

    def test_without_anything_left_the_run_is_over(self):
        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            return Result(lane_report(0, 1000), 10, LOST)

        outcome = Pod(Broker(), run, messages="1000").run()
        assert outcome.report is not None
        assert outcome.report.earlier == ()
        assert outcome.report.error == LOST.message
        assert outcome.report.tally.confirmed == 1000
        assert outcome.exit_code is ExitCode.OK

    def test_what_views_are_shown_never_falls(self):
        """Counters of metrics are totals of the run, whatever becomes of its lanes."""

        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            n = 120 if n_begun == 1 else 30
            tally, sink = TallySnapshot(n, n, n - 10), SinkCounters(100 * n, n_begun)
            pipe.send(Snapshot(go.start_ns, tally=tally, raw_bytes=10 * n, sink=sink))
            if n_begun == 2:
                result = all_confirmed(number, n_begun, go, pipe)
                assert result.report is not None
                return replace(result, report=replace(result.report, sink=sink))
            broker.elsewhere.add("0.0")
            # It had 5 more in its last words, and 20 that it could not send.
            tally = TallySnapshot(145, 125, 125)
            ranges = LaneRanges(
                confirmed=RangeSet([(0, 125)]),
                not_sent=RangeSet([(125, 145)]),
                not_sent_reasons={"lost": 20},
            )
            return Result(LaneReport(0, tally, ranges, sink=SinkCounters(12_500, 1)), 1250, LOST)

        broker = Broker()
        pod = Pod(broker, run, messages="1000")
        outcome = pod.run()
        drawn = pod.drawn
        for name in ("scheduled", "sent", "confirmed", "skipped"):
            counts = [getattr(each.tally, name) for each in drawn]
            assert counts == sorted(counts), name
        for counts in (
            [each.raw_bytes for each in drawn],
            [each.sink.wire_bytes for each in drawn],
            [each.sink.n_reconnects for each in drawn],
        ):
            assert counts == sorted(counts)
        last = drawn[-1]
        assert (last.tally.scheduled, last.tally.confirmed, last.tally.skipped) == (175, 145, 20)
        assert last.tally.overdue == 0
        assert (last.raw_bytes, last.sink) == (1550, SinkCounters(15_500, 3))
        # It was draining under the lane that it lost, and is not under the next.
        assert [each.is_draining for each in drawn if each.lane == 1] != []
        assert not any(each.is_draining for each in drawn if each.lane == 1)
        assert outcome.report is not None
        assert outcome.report.sink == SinkCounters(15_500, 3)

    def test_a_run_that_is_to_end_looks_for_no_other(self):
        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            pod.command = Command.DRAIN
            return Result(lane_report(0, 7), 10, LOST)

        pod = Pod(Broker(), run, messages="1000")
        outcome = pod.run()
        assert len(pod.opened) == 1
        assert outcome.report is not None
        assert outcome.report.tally.confirmed == 7
        assert outcome.error is not None
        assert outcome.error.message == LOST.message

    def test_another_error_ends_the_run(self):
        def run(number: int, n_begun: int, go: Go, pipe: Connection) -> Result:
            error = UnreachableError("gone") if number else LOST
            return Result(lane_report(number, 7), 10, error)

        pod = Pod(Broker(), run, workers="2", messages="1000")
        outcome = pod.run()
        assert outcome.exit_code is ExitCode.DESTINATION
        assert outcome.report is not None
        assert outcome.report.error == "gone"
        assert len(pod.opened) == 2
