from __future__ import annotations

from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from iot_producer.blocks import Block, Plan
from iot_producer.clock import ManualClock
from iot_producer.command import Command
from iot_producer.feed import Feed, MaxFeed, PlannedFeed
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.outcome import State
from iot_producer.report import LaneReport
from iot_producer.schedule import ConstantSchedule, limit
from iot_producer.sinks.memory import MemorySink
from iot_producer.sinks.sink import Receipt, Sent
from iot_producer.worker import Worker, WorkerConfig

START = 1_780_000_000_000_000_000
MS = 1_000_000
FLEET = FleetSpec(devices=20, customers=5, sites=2, seed=5)


class MoodySink(MemorySink):
    """Slow, forgetful, partitioned, failing: as its dice fall."""

    def __init__(self, clock: ManualClock, dice: Random, partitions: int, gone_at: int | None):
        super().__init__(
            fleet_of(FLEET),
            clock,
            partition_of=(lambda devices: devices % partitions) if partitions else None,
            failure_of=lambda block, part: "no" if dice.random() < 0.2 else "",
            gone_at=gone_at,
            holding=True,
        )
        self.dice, self.manual = dice, clock
        self.confirmed = self.failed = 0
        self.last_ns = 0

    def send(self, block: Block) -> Sent:
        assert self.last_ns <= block.start_ns <= block.last_ns <= self.manual.now_ns()
        self.last_ns = block.last_ns
        self.manual.advance(self.dice.choice([0, 0, 1000, MS, 30 * MS]))
        return super().send(block)

    def receipts(self, timeout_s: float = 0.0) -> list[Receipt]:
        self.dice.shuffle(self._held)
        self.release(self.dice.randrange(4))
        found = list(super().receipts(timeout_s))
        self.failed += sum(r.n_records for r in found if r.error)
        self.confirmed += sum(r.n_records for r in found if not r.error)
        return found


class PreparingMoodySink(MoodySink):
    """One that is told what comes."""

    def prepare(self, block: Block) -> None:
        assert self.last_ns < block.start_ns
        self.manual.advance(self.dice.choice([0, 0, 1000, MS // 2]))


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    per_s=st.sampled_from([100, 1000, 7777, 20_000, 0]),
    n=st.integers(1, 300),
    partitions=st.integers(0, 4),
    gone_at=st.none() | st.integers(0, 300),
    on_overload=st.sampled_from(["catch-up", "drop", "fail"]),
    command=st.sampled_from(Command),
    after_ms=st.integers(0, 300),
    block_records=st.sampled_from([1, 7, 100]),
    warm_up_ms=st.sampled_from([0, 10]),
    prepares=st.booleans(),
)
def test_every_message_that_was_due_has_one_fate(
    seed: int,
    per_s: int,
    n: int,
    partitions: int,
    gone_at: int | None,
    on_overload: str,
    command: Command,
    after_ms: int,
    block_records: int,
    warm_up_ms: int,
    prepares: bool,
) -> None:
    clock = ManualClock(START)
    kind = PreparingMoodySink if prepares else MoodySink
    sink = kind(clock, Random(seed), partitions, gone_at)
    feed: Feed
    if per_s:
        schedule = limit(ConstantSchedule(Fraction(per_s)), n)
        feed = PlannedFeed(
            Plan(FLEET, LaneSpec(), schedule, START), block_records, linger_ns=2 * MS
        )
    else:
        feed = MaxFeed(lane_of(FLEET.devices, LaneSpec()), START, block_records, n, None)
    config = WorkerConfig(
        0,
        START,
        warm_up_ms * MS,
        on_overload,
        max_lag_ns=20 * MS,
        drain_timeout_ns=500 * MS,
        snapshot_interval_ns=50 * MS,
    )
    worker = Worker(
        config,
        feed,
        sink,
        clock,
        lambda: command if clock.now_ns() >= START + after_ms * MS else Command.GO_ON,
    )
    report, error = worker.run()  # LaneReport checks ranges against counts

    tally = report.tally
    fates = (tally.confirmed, tally.failed, tally.unconfirmed, tally.not_sent)
    assert tally.scheduled == sum(fates)
    assert tally.scheduled <= n
    assert LaneReport.from_dict(report.to_dict()) == report
    assert (tally.confirmed, tally.failed) == (sink.confirmed, sink.failed)
    assert report.ranges.count(State.CONFIRMED) == tally.confirmed
    assert len(sink.records) >= tally.confirmed
    if not warm_up_ms:
        assert report.latencies.response.n == report.latencies.service.n == tally.confirmed
        assert report.latencies.lag.n <= tally.sent
    if error is None and command is Command.GO_ON:
        assert tally.scheduled == n
