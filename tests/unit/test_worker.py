from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest

from iot_producer.blocks import Block, Plan, block_at
from iot_producer.clock import ManualClock
from iot_producer.command import Command
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import DataError, IotProducerError, RefusedError, UnreachableError
from iot_producer.feed import MaxFeed, PlannedFeed
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.outcome import State, TallySnapshot
from iot_producer.report import LaneReport
from iot_producer.schedule import ConstantSchedule, Schedule, limit
from iot_producer.sinks.memory import MemorySink
from iot_producer.sinks.sink import Receipt, Sent
from iot_producer.snapshot import Snapshot
from iot_producer.stored_before import StoredBefore
from iot_producer.worker import Worker, WorkerConfig

START = 1_780_000_000_000_000_000
MS = 1_000_000
S = 1_000_000_000
SPEC = FleetSpec(devices=50, customers=10, sites=5, seed=11)
FLEET = fleet_of(SPEC)


class SlowSink(MemorySink):
    """Takes its time to send; a function of the number of the block, nanoseconds."""

    def __init__(self, clock: ManualClock, takes_ns: Callable[[int], int], **options: Any) -> None:
        super().__init__(FLEET, clock, **options)
        self.manual = clock
        self.takes_ns = takes_ns
        self.blocks: list[Block] = []

    def send(self, block: Block) -> Sent:
        assert block.last_ns <= self.manual.now_ns(), "sent before it was due"
        self.manual.advance(self.takes_ns(len(self.blocks)))
        self.blocks.append(block)
        return super().send(block)


class Lane:
    """A worker on a manual clock, with what it published."""

    def __init__(
        self,
        *,
        per_s: int = 1000,
        n: int | None = 100,
        takes_ns: Callable[[int], int] = lambda _: 0,
        block_records: int = 10,
        linger_ns: int = 2 * MS,
        command: Callable[[int], Command] = lambda _: Command.GO_ON,
        now_ns: int = START,
        sink: Callable[[ManualClock], MemorySink] | None = None,
        sink_options: dict[str, Any] | None = None,
        n_stored: int = 0,
        **config: Any,
    ) -> None:
        self.clock = ManualClock(now_ns)
        schedule: Schedule = limit(ConstantSchedule(Fraction(per_s)), n)
        self.plan = Plan(SPEC, LaneSpec(), schedule, START)
        self.sink = (
            sink(self.clock) if sink else SlowSink(self.clock, takes_ns, **(sink_options or {}))
        )
        self.snapshots: list[Snapshot] = []
        self.worker = Worker(
            WorkerConfig(0, START, **config),
            PlannedFeed(self.plan, block_records, linger_ns),
            self.sink,
            self.clock,
            lambda: command(self.clock.now_ns()),
            self.snapshots.append,
            lambda _: float(per_s),
            stored=StoredBefore((self.plan.due_ns(n_stored - 1),)) if n_stored else None,
        )

    def run(self) -> tuple[LaneReport, IotProducerError | None]:
        report, error = self.worker.run()
        report.ranges.check(report.tally)
        assert self.sink.closed
        assert self.snapshots[-1].tally == report.tally
        return report, error

    def texts(self, first: int, stop: int) -> list[bytes]:
        """What the plan says the messages are."""
        encoder = JsonEncoder(FLEET)
        blocks = self.plan.blocks(first, stop, 7)
        return [t for b in blocks for t in encoder.encode(b.devices, b.times_ms).split()]


def after(ns: int, command: Command) -> Callable[[int], Command]:
    return lambda now_ns: command if now_ns >= START + ns else Command.GO_ON


class TestWithoutTrouble:
    def test_every_message_is_confirmed_once_and_is_that_of_the_plan(self):
        lane = Lane(n=1234, per_s=5000)
        report, error = lane.run()
        assert error is None
        assert report.error is None
        assert report.tally == TallySnapshot(1234, 1234, 1234)
        assert report.ranges.confirmed.to_list() == [[0, 1234]]
        assert lane.sink.records == lane.texts(0, 1234)
        assert lane.worker.raw_bytes == sum(map(len, lane.sink.records))
        assert report.blocks is None

    def test_blocks_are_cut_by_linger_at_a_low_rate_and_by_size_at_a_high_one(self):
        slow, fast = Lane(per_s=1000, n=9), Lane(per_s=1_000_000, n=95)
        slow.run()
        fast.run()
        assert [b.n for b in slow.sink.blocks] == [3, 3, 3]
        assert [b.n for b in fast.sink.blocks] == [10] * 9 + [5]
        assert fast.clock.now_ns() == START + 94_000

    def test_stamps_are_exact(self):
        # Messages 0 … 5 are due every ms; blocks of 3 leave when the third is due; sending takes
        # 4 ms, and a receipt is there when the call returns.
        lane = Lane(n=6, takes_ns=lambda _: 4 * MS)
        report, _ = lane.run()
        # sent at 6 and 10 ms: lag 6, 5, 4 and 7, 6, 5 ms
        lag = report.latencies.lag
        assert (lag.n, lag.min_ns, lag.max_ns, lag.sum_ns) == (6, 4 * MS, 7 * MS, 33 * MS)
        assert report.latencies.service.max_ns == 0
        assert report.latencies.response.sum_ns == lag.sum_ns

    def test_response_counts_from_the_intended_time_and_service_from_sending(self):
        lane = Lane(n=3, sink_options={"holding": True})
        timeouts = []

        def drain(timeout_s: float) -> None:
            timeouts.append(timeout_s)
            if len(timeouts) == 1:
                lane.clock.advance(round(timeout_s * S))
            else:
                lane.clock.advance(10 * MS)
                lane.sink.release()

        lane.sink.drain = drain  # type: ignore[method-assign]
        report, _ = lane.run()
        # sent at 2 ms, confirmed at 262 ms
        assert timeouts == [0.25, 0.25]
        service, response = report.latencies.service, report.latencies.response
        assert (service.n, service.min_ns, service.max_ns) == (3, 260 * MS, 260 * MS)
        assert (response.n, response.min_ns, response.max_ns) == (3, 260 * MS, 262 * MS)
        assert response.sum_ns == 783 * MS

    def test_a_stall_shows_in_the_lag_of_all_that_was_due_meanwhile(self):
        lane = Lane(n=100, takes_ns=lambda i: 50 * MS if i == 1 else 0)
        report, _ = lane.run()
        # Block 1 (messages 3, 4, 5) was cut at 5 ms and left at 55 ms; 6 … 55 waited for it.
        waited = [52, 51, 50] + [55 - due for due in range(6, 56)]
        others = [2, 1, 0]
        lag = report.latencies.lag
        assert lag.max_ns == 52 * MS
        assert lag.sum_ns >= MS * (sum(waited) + sum(others))
        assert report.tally.complete

    def test_the_past_is_caught_up_with(self):
        lane = Lane(n=1000, now_ns=START + 10 * S)
        report, _ = lane.run()
        assert report.tally.complete
        assert lane.clock.now_ns() == START + 10 * S
        assert report.latencies.lag.max_ns == 10 * S

    def test_snapshots_tell_rate_lag_and_debt(self):
        lane = Lane(n=1000, takes_ns=lambda i: 300 * MS if i == 2 else 0)
        lane.run()
        assert {s.target_per_s for s in lane.snapshots} == {1000.0}
        late = max(lane.snapshots, key=lambda s: s.lag_now_ns)
        assert late.lag_now_ns == late.at_ns - lane.plan.due_ns(9)
        assert late.tally.overdue == (late.at_ns - START) // MS + 1 - 9
        ats = [s.at_ns for s in lane.snapshots]
        assert ats == sorted(ats)

    def test_the_warm_up_is_tallied_and_left_out_of_the_histograms(self):
        lane = Lane(n=30, warm_up_ns=10 * MS, takes_ns=lambda _: MS)
        report, _ = lane.run()
        assert report.tally == TallySnapshot(30, 30, 30)
        for histogram in (
            report.latencies.lag,
            report.latencies.service,
            report.latencies.response,
        ):
            assert histogram.n == 20

    def test_the_warm_up_may_end_inside_a_block_of_several_partitions(self):
        lane = Lane(
            n=30,
            per_s=1_000_000,
            warm_up_ns=15_000,
            block_records=30,
            sink_options={"partition_of": lambda devices: devices % 3},
        )
        report, _ = lane.run()
        assert report.tally.complete
        assert report.latencies.response.n == report.latencies.service.n == 15
        assert report.latencies.lag.sum_ns == sum((29 - i) * 1000 for i in range(15, 30))


class TestOverload:
    def test_catch_up_sends_everything_late(self):
        lane = Lane(n=500, takes_ns=lambda _: 20 * MS, max_lag_ns=50 * MS)
        report, error = lane.run()
        assert error is None
        assert report.tally.complete
        assert lane.sink.records == lane.texts(0, 500)

    def test_drop_leaves_out_what_is_too_late_and_says_so(self):
        lane = Lane(
            n=500,
            takes_ns=lambda i: 100 * MS if i == 3 else 0,
            on_overload="drop",
            max_lag_ns=20 * MS,
        )
        report, error = lane.run()
        assert error is None
        # Block 3 (messages 9, 10, 11) was cut at 11 ms and left at 111 ms: by then 12 … 91 were
        # more than 20 ms late (message 91 was due exactly 20 ms before, which is late enough).
        assert report.ranges.not_sent.to_list() == [[12, 92]]
        assert report.ranges.not_sent_reasons == {"dropped: more than 0.02 s late": 80}
        assert report.tally == TallySnapshot(500, 420, 420, 0, 80)
        assert lane.sink.records == lane.texts(0, 12) + lane.texts(92, 500)

    def test_fail_ends_the_run_there(self):
        lane = Lane(
            n=500,
            takes_ns=lambda i: 100 * MS if i == 3 else 0,
            on_overload="fail",
            max_lag_ns=20 * MS,
        )
        report, error = lane.run()
        assert isinstance(error, DataError)
        assert "more than 0.02 s behind" in error.message
        assert "--on-overload catch-up" in error.hint
        assert report.error == error.message
        assert report.ranges.confirmed.to_list() == [[0, 12]]
        assert report.ranges.not_sent.to_list() == [[12, 112]]
        assert report.ranges.not_sent_reasons == {error.message: 100}

    def test_fail_waits_for_what_was_sent(self):
        lane = Lane(
            takes_ns=lambda i: 100 * MS if i == 3 else 0,
            on_overload="fail",
            max_lag_ns=20 * MS,
            sink_options={"holding": True},
        )
        lane.sink.drain = lambda timeout_s: lane.sink.release()  # type: ignore[method-assign]
        report, error = lane.run()
        assert isinstance(error, DataError)
        assert report.tally.confirmed == 12


class TestCommands:
    def test_drain_sends_what_is_due_and_schedules_no_more(self):
        lane = Lane(n=None, command=after(500 * MS, Command.DRAIN))
        report, error = lane.run()
        assert error is None
        n = report.tally.scheduled
        assert 500 <= n <= 504
        assert report.tally == TallySnapshot(n, n, n)
        assert lane.sink.records == lane.texts(0, n)

    def test_drain_of_a_debt_sends_it_all(self):
        lane = Lane(
            n=None,
            takes_ns=lambda i: S if i == 3 else MS,
            command=after(900 * MS, Command.DRAIN),
        )
        report, error = lane.run()
        assert error is None
        assert report.tally.complete
        assert report.tally.scheduled == 1012  # those of 0 … 1011 ms

    def test_a_debt_that_takes_longer_than_the_time_out_is_not_sent(self):
        lane = Lane(
            n=None,
            takes_ns=lambda _: 100 * MS,  # blocks of 10 at 1000 a second: ten times too slow
            command=after(S, Command.DRAIN),
            drain_timeout_ns=S,
        )
        report, error = lane.run()
        assert error is None
        tally = report.tally
        assert 1000 <= tally.scheduled <= 1100
        assert tally.sent == tally.confirmed
        assert 180 <= tally.sent <= 213
        assert report.ranges.not_sent_reasons == {"stopped before it was sent": tally.not_sent}

    def test_abort_ends_at_once(self):
        lane = Lane(
            n=None,
            takes_ns=lambda _: 100 * MS,
            command=after(S, Command.ABORT),
            sink_options={"holding": True},
        )
        report, error = lane.run()
        assert error is None
        tally = report.tally
        assert lane.clock.now_ns() <= START + S + 100 * MS
        assert tally.confirmed == 0
        assert tally.unconfirmed == tally.sent
        assert tally.not_sent == tally.scheduled - tally.sent > 700

    def test_abort_ends_a_drain(self):
        lane = Lane(
            n=10, command=after(2 * S, Command.ABORT), sink_options={"holding": True},
            drain_timeout_ns=60 * S,
        )  # fmt: skip
        report, _ = lane.run()
        assert report.tally == TallySnapshot(10, 10)
        assert lane.clock.now_ns() <= START + 2 * S + 300 * MS

    def test_before_the_start_nothing_is_due(self):
        lane = Lane(now_ns=START - 10 * S, command=after(-5 * S, Command.DRAIN))
        report, error = lane.run()
        assert error is None
        assert report.tally == TallySnapshot()
        assert lane.clock.now_ns() < START - 4 * S

    def test_commands_are_looked_at_often_while_nothing_is_due(self):
        lane = Lane(per_s=1, n=2, command=after(300 * MS, Command.DRAIN), linger_ns=10 * S)
        report, _ = lane.run()
        assert report.tally == TallySnapshot(1, 1, 1)
        assert lane.clock.now_ns() <= START + 320 * MS


class Raising(SlowSink):
    """Raises in one of its methods, at the n-th call of it."""

    def __init__(self, clock: ManualClock, method: str, at: int, error: Exception, **options: Any):
        super().__init__(clock, lambda _: 0, **options)
        self.method, self.left, self.error = method, at, error

    def _maybe(self, method: str) -> None:
        if method == self.method:
            if not self.left:
                raise self.error
            self.left -= 1

    def send(self, block: Block) -> Sent:
        self._maybe("send")
        sent = super().send(block)
        self._maybe("send late")
        return sent

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        self._maybe("receipts")
        return super().receipts(timeout_s)

    def drain(self, timeout_s: float) -> None:
        self._maybe("drain")
        super().drain(timeout_s)

    def close(self) -> None:
        super().close()
        self._maybe("close")


def raising(method: str, at: int, error: Exception, **options: Any) -> Lane:
    return Lane(drain_timeout_ns=S, sink=lambda clock: Raising(clock, method, at, error, **options))


class TestSinksThatRaise:
    GONE = UnreachableError("the broker is gone", "look at it")

    def test_in_send(self):
        lane = raising("send", 5, self.GONE)
        report, error = lane.run()
        assert error is self.GONE
        assert report.error == "the broker is gone"
        assert report.ranges.confirmed.to_list() == [[0, 15]]
        assert report.ranges.unconfirmed.to_list() == [[15, 18]]
        assert report.tally.scheduled == 18

    def test_in_send_with_a_debt_behind_it(self):
        lane = raising("send", 5, self.GONE)
        lane.clock.advance(S)
        report, _ = lane.run()
        assert report.tally == TallySnapshot(100, 60, 50)
        assert report.ranges.not_sent_reasons == {"the broker is gone": 40}

    @pytest.mark.parametrize("partitions", [None, lambda devices: devices % 2])
    def test_in_send_after_part_of_the_block_left(self, partitions):
        lane = raising("send late", 5, self.GONE, partition_of=partitions)
        report, error = lane.run()
        assert error is self.GONE
        assert report.ranges.confirmed.to_list() == [[0, 15]]
        assert report.ranges.unconfirmed.to_list() == [[15, 18]]

    def test_in_receipts(self):
        lane = raising("receipts", 1, RefusedError("the disk is full"))
        report, error = lane.run()
        assert isinstance(error, RefusedError)
        assert report.tally.confirmed <= report.tally.sent < 100

    def test_in_drain(self):
        lane = raising("drain", 1, self.GONE, holding=True)
        report, error = lane.run()
        assert error is self.GONE
        assert report.tally == TallySnapshot(100, 100)

    def test_in_close(self):
        lane = raising("close", 0, RefusedError("the disk is full"))
        report, error = lane.run()
        assert isinstance(error, RefusedError)
        assert report.error == "the disk is full"
        assert report.tally == TallySnapshot(100, 100, 100)

    def test_in_two_places_the_first_counts(self):
        lane = raising("send", 2, self.GONE)
        lane.sink.close = _close_and_raise(lane.sink)  # type: ignore[method-assign]
        report, error = lane.run()
        assert error is self.GONE
        assert report.error == "the broker is gone"

    def test_what_the_sink_confirms_while_it_closes_counts(self):
        lane = Lane(n=10, sink_options={"holding": True}, drain_timeout_ns=S)
        close = lane.sink.close

        def closing() -> None:
            lane.sink.release()
            close()

        lane.sink.close = closing  # type: ignore[method-assign]
        report, _ = lane.run()
        assert report.tally.complete

    def test_the_sink_has_the_word_only_inside_its_calls(self):
        seen = []
        lane = Lane(n=10, sink_options={"holding": True}, drain_timeout_ns=S)
        for name in ("send", "drain", "close"):
            method = getattr(lane.sink, name)

            def spy(*args: Any, method: Any = method, name: str = name) -> Any:
                seen.append((name, lane.worker.in_sink))
                return method(*args)

            setattr(lane.sink, name, spy)
        lane.run()
        assert set(seen) == {("send", True), ("drain", True), ("close", True)}
        assert not lane.worker.in_sink


def _close_and_raise(sink: MemorySink) -> Callable[[], None]:
    close = sink.close

    def closing() -> None:
        close()
        raise RefusedError("cannot close")

    return closing


class ReadySink(SlowSink):
    """Keeps what it was told to make ready."""

    def __init__(self, clock: ManualClock, takes_ns: Callable[[int], int]) -> None:
        super().__init__(clock, takes_ns)
        self.ready: list[Block] = []
        self.making_takes_ns = 0

    def prepare(self, block: Block) -> None:
        self.manual.advance(self.making_takes_ns)
        self.ready.append(block)


class TestStuckSinks:
    def test_something_is_told_before_the_first_block_is_sent(self):
        told: list[int] = []
        lane = Lane(n=1, takes_ns=lambda _: told.append(len(lane.snapshots)) or 0)
        lane.run()
        assert told == [1]


class TestMakingReady:
    def test_what_was_made_ready_is_what_is_sent_and_when_is_the_same(self):
        lane = Lane(n=1000, sink=lambda clock: ReadySink(clock, lambda _: 0))
        report, error = lane.run()
        assert error is None
        assert report.tally == TallySnapshot(1000, 1000, 1000)
        assert isinstance(lane.sink, ReadySink)
        n_ready = sum(any(b is ready for ready in lane.sink.ready) for b in lane.sink.blocks)
        assert n_ready == len(lane.sink.blocks) == 334
        assert len(lane.sink.ready) == n_ready
        plain = Lane(n=1000)
        assert plain.run()[0].latencies == report.latencies
        assert [b.stop for b in plain.sink.blocks] == [b.stop for b in lane.sink.blocks]

    def test_not_what_is_stored_already(self):
        lane = Lane(n=1000, n_stored=500, sink=lambda clock: ReadySink(clock, lambda _: 0))
        report, error = lane.run()
        assert error is None
        assert report.tally == TallySnapshot(1000, 500, 500, 0, 500)
        assert isinstance(lane.sink, ReadySink)
        assert len(lane.sink.ready) > 100
        assert all(b.first >= 500 for b in lane.sink.ready)

    def test_stops_in_time_for_the_next_block(self):
        def slow(clock: ManualClock) -> ReadySink:
            sink = ReadySink(clock, lambda _: 0)
            sink.making_takes_ns = 450_000
            return sink

        lane = Lane(n=1000, sink=slow)
        report, error = lane.run()
        assert error is None
        assert report.latencies.lag.max_ns == Lane(n=1000).run()[0].latencies.lag.max_ns
        assert isinstance(lane.sink, ReadySink)
        assert len(lane.sink.ready) > 200

    def test_a_command_between_two_blocks_leaves_what_was_made_ready(self):
        lane = Lane(
            n=None,
            sink=lambda clock: ReadySink(clock, lambda _: 0),
            command=after(50 * MS, Command.DRAIN),
        )
        report, error = lane.run()
        assert error is None
        assert report.tally == TallySnapshot(51, 51, 51)
        assert lane.sink.records == lane.texts(0, 51)


class TestReceipts:
    def test_by_partition(self):
        lane = Lane(n=200, sink_options={"partition_of": lambda devices: devices % 4})
        report, error = lane.run()
        assert error is None
        assert report.tally == TallySnapshot(200, 200, 200)
        assert report.ranges.confirmed.to_list() == [[0, 200]]
        assert report.latencies.response.n == 200
        assert report.latencies.response.sum_ns == report.latencies.lag.sum_ns

    def test_failures_have_their_reason_and_no_latency(self):
        lane = Lane(
            n=9,
            sink_options={"failure_of": lambda block, _: "too large" if block.first == 3 else ""},
        )
        report, error = lane.run()
        assert error is None
        assert report.tally == TallySnapshot(9, 9, 6, 3)
        assert report.ranges.failed.to_list() == [[3, 6]]
        assert report.ranges.failed_reasons == {"too large": 3}
        assert report.latencies.lag.n == 9
        assert report.latencies.service.n == report.latencies.response.n == 6

    def test_a_partition_that_fails_leaves_the_block_partial(self):
        lane = Lane(
            n=10,
            per_s=1_000_000,
            sink_options={
                "partition_of": lambda devices: devices % 2,
                "failure_of": lambda block, partition: "closed" if partition else "",
            },
        )
        report, _ = lane.run()
        odd = int((lane.sink.blocks[0].devices % 2).sum())
        assert report.tally == TallySnapshot(10, 10, 10 - odd, odd)
        assert report.ranges.count(State.FAILED) == odd
        assert report.latencies.response.n == 10 - odd

    def test_a_sink_that_has_no_more_to_say_is_not_asked_in_a_loop(self):
        lane = Lane(n=10, sink_options={"holding": True}, drain_timeout_ns=3 * S)
        timeouts: list[float] = []
        lane.sink.drain = timeouts.append  # type: ignore[method-assign]
        report, _ = lane.run()
        assert report.tally == TallySnapshot(10, 10)
        assert len(timeouts) == 12

    def test_what_is_never_confirmed_is_unconfirmed_after_the_time_out(self):
        lane = Lane(n=10, sink_options={"holding": True}, drain_timeout_ns=3 * S)
        report, error = lane.run()
        assert error is None
        assert report.error is None
        assert report.tally == TallySnapshot(10, 10)
        assert report.ranges.unconfirmed.to_list() == [[0, 10]]
        assert START + 3 * S <= lane.clock.now_ns() <= START + 3 * S + 10 * MS

    @pytest.mark.parametrize(
        "receipt",
        [
            Receipt(0, 3, 3, START),  # again
            Receipt(500, 510, 10, START),  # never sent
            Receipt(4, 5, 1, START),  # a part of a block
            Receipt(3, 6, 2, START),  # for two, but not for which
        ],
        ids=["again", "never sent", "inside", "unnamed"],
    )
    def test_a_receipt_for_anything_else_ends_the_run(self, receipt: Receipt):
        lane = Lane(n=100)
        receipts = lane.sink.receipts
        honest: list[Receipt] = []

        def lying(timeout_s: float = 0.0) -> Sequence[Receipt]:
            found = list(receipts(timeout_s))
            if honest and found:
                return [receipt]
            honest.extend(found)
            return found

        lane.sink.receipts = lying  # type: ignore[method-assign]
        report, error = lane.run()
        assert isinstance(error, DataError)
        assert "receipt" in error.message
        assert report.tally.confirmed == sum(told.n_records for told in honest) > 0


class TestMaxRate:
    @pytest.mark.parametrize("devices", [1, 2, 10, 50])
    def test_the_report_recomputes_the_records(self, devices: int):
        clock = ManualClock(START)
        fleet = FleetSpec(devices=devices, customers=1, sites=1, seed=4)
        sink = MemorySink(fleet_of(fleet), clock)
        sink_send = sink.send

        def send(block: Block) -> Sent:
            clock.advance(37_000 + 7_001 * (block.first % 5))
            return sink_send(block)

        sink.send = send  # type: ignore[method-assign]
        members = lane_of(devices, LaneSpec())
        feed = MaxFeed(members, START, 8, 300, None)
        report, error = Worker(WorkerConfig(0, START), feed, sink, clock).run()
        assert error is None
        assert report.tally == TallySnapshot(300, 300, 300)
        restored = LaneReport.from_dict(report.to_dict())
        assert restored.blocks is not None
        encoder = JsonEncoder(fleet_of(fleet))
        texts, pairs, first = [], [], 0
        for n, start_ns in restored.blocks.tolist():
            block = block_at(members, first, n, start_ns)
            texts += encoder.encode(block.devices, block.times_ms).split()
            pairs += list(zip(block.devices.tolist(), block.times_ms.tolist(), strict=True))
            first = block.stop
        assert texts == sink.records
        assert len(set(pairs)) == 300

    def test_the_lag_is_the_time_that_sending_took(self):
        clock = ManualClock(START)
        sink = SlowSink(clock, lambda _: 5 * MS)
        feed = MaxFeed(lane_of(50, LaneSpec()), START, 10, 100, None)
        report, _ = Worker(WorkerConfig(0, START), feed, sink, clock).run()
        lag = report.latencies.lag
        assert (lag.n, lag.min_ns, lag.max_ns) == (100, 5 * MS, 5 * MS + 9)

    def test_it_ends_after_its_duration_or_by_a_command(self):
        for command, duration_ns in ((Command.GO_ON, 100 * MS), (Command.DRAIN, None)):
            clock = ManualClock(START)
            sink = SlowSink(clock, lambda _: MS)
            feed = MaxFeed(lane_of(50, LaneSpec()), START, 10, None, duration_ns)

            def asked(command: Command = command, clock: ManualClock = clock) -> Command:
                return command if clock.now_ns() >= START + 100 * MS else Command.GO_ON

            report, error = Worker(WorkerConfig(0, START), feed, sink, clock, asked).run()
            assert error is None
            assert report.tally.complete
            assert 900 <= report.tally.scheduled <= 1000

    def test_a_failing_sink_leaves_blocks_and_tally_in_step(self):
        clock = ManualClock(START)
        sink = MemorySink(FLEET, clock, gone_at=95)
        feed = MaxFeed(lane_of(50, LaneSpec()), START, 10, None, None)
        report, error = Worker(WorkerConfig(0, START), feed, sink, clock).run()
        assert isinstance(error, UnreachableError)
        assert report.tally == TallySnapshot(100, 100, 90)
        assert report.blocks is not None
        assert report.blocks[:, 0].tolist() == [10] * 10

    def test_the_warm_up_is_left_out(self):
        clock = ManualClock(START)
        sink = SlowSink(clock, lambda _: MS)
        feed = MaxFeed(lane_of(50, LaneSpec()), START, 10, 100, None)
        report, _ = Worker(WorkerConfig(0, START, warm_up_ns=4 * MS), feed, sink, clock).run()
        assert report.tally.complete
        assert report.latencies.lag.n == report.latencies.response.n == 60
