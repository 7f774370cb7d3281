"""What a worker tells of its lane while it runs, and what it does not send again."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from iot_producer.blocks import Block, Plan
from iot_producer.clock import ManualClock
from iot_producer.command import Command
from iot_producer.feed import Feed, MaxFeed, PlannedFeed
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.gap import STORED_BEFORE
from iot_producer.lane import LaneSpec
from iot_producer.outcome import TallySnapshot
from iot_producer.pulsar.message_keys import partition_of
from iot_producer.report import LaneReport
from iot_producer.schedule import ConstantSchedule, Schedule, limit
from iot_producer.sinks.memory import MemorySink
from iot_producer.sinks.sink import Sent
from iot_producer.stored_before import StoredBefore
from iot_producer.worker import Worker, WorkerConfig

START = 1_780_000_000_000_000_000
MS = 1_000_000
S = 1_000_000_000
SPEC = FleetSpec(devices=50, customers=10, sites=5, seed=11)


def plan_of(per_s: int, n: int | None) -> Plan:
    schedule: Schedule = limit(ConstantSchedule(Fraction(per_s)), n)
    return Plan(SPEC, LaneSpec(), schedule, START)


class Journal:
    """Keeps reports, with the time."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.kept: list[tuple[int, LaneReport]] = []

    def publish(self, report: LaneReport) -> None:
        report.ranges.check(report.tally)
        self.kept.append((self.clock.now_ns() - START, report))


class Sink(MemorySink):
    """Takes 20 ms a block."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(fleet_of(SPEC), clock)
        self.manual = clock
        self.blocks: list[Block] = []

    def send(self, block: Block) -> Sent:
        self.manual.advance(20 * MS)
        self.blocks.append(block)
        return super().send(block)


def run(
    feed: Feed, clock: ManualClock, stored: StoredBefore | None = None, **config: int
) -> tuple[LaneReport, Journal, Sink]:
    journal, sink = Journal(clock), Sink(clock)
    worker = Worker(
        WorkerConfig(0, START, **config), feed, sink, clock, lambda: Command.GO_ON,
        journal=journal, stored=stored,
    )  # fmt: skip
    report, error = worker.run()
    assert error is None
    return report, journal, sink


class TestJournal:
    def test_has_what_was_sent_so_far_and_at_last_everything(self):
        clock = ManualClock(START)
        feed = PlannedFeed(plan_of(1000, 12_500), 10, 2 * MS)
        report, journal, sink = run(feed, clock, journal_interval_ns=5 * S)
        times = [at_ns for at_ns, _ in journal.kept]
        assert [at_ns // MS for at_ns in times[:-1]] == [0, 5002, 10_002, 15_002, 20_002, 25_002]
        # 10 messages leave in 20 ms where 20 come due, so half of them wait: they are not in it.
        sent = [each.tally for _, each in journal.kept[:-1]]
        assert sent == [TallySnapshot(n, n, n) for n in (0, 2493, 4993, 7493, 9993, 12_493)]
        assert journal.kept[-1][1] == report
        assert report.tally == TallySnapshot(12_500, 12_500, 12_500)
        assert sum(b.n for b in sink.blocks) == 12_500

    def test_knows_the_blocks_of_the_maximum_rate(self):
        clock = ManualClock(START)
        feed = MaxFeed(plan_of(1, None).members, START, 10, 1000, None)
        report, journal, sink = run(feed, clock, journal_interval_ns=S)
        assert report.blocks is not None
        starts = [[b.n, b.start_ns] for b in sink.blocks]
        assert report.blocks.tolist() == starts
        for _, each in journal.kept:
            assert each.blocks is not None
            assert each.blocks.tolist() == starts[: each.tally.scheduled // 10]
        assert len(journal.kept) == 4


class TestWhatWasStoredBefore:
    def test_is_not_sent_again_and_named(self):
        plan = plan_of(1000, 100)
        clock = ManualClock(START + S)
        stored = StoredBefore((plan.due_ns(24),))
        report, _, sink = run(PlannedFeed(plan, 10, 2 * MS), clock, stored)
        assert [(b.first, b.n) for b in sink.blocks] == [
            (25, 5), *((first, 10) for first in range(30, 100, 10))
        ]  # fmt: skip
        assert report.tally == TallySnapshot(100, 75, 75, 0, 25)
        assert report.ranges.not_sent.to_list() == [[0, 25]]
        assert report.ranges.not_sent_reasons == {STORED_BEFORE: 25}

    def test_is_another_on_each_partition(self):
        plan = plan_of(1000, 100)
        block = plan.block(0, 100)
        places = partition_of(block.devices, 3)
        last_ids = (plan.due_ns(40), plan.due_ns(5), plan.due_ns(60))
        is_stored = block.intended_ns <= np.array(last_ids)[places]
        report, _, sink = run(
            PlannedFeed(plan, 10, 2 * MS), ManualClock(START + S), StoredBefore(last_ids)
        )
        sent = [n for b in sink.blocks for n in range(b.first, b.stop)]
        assert sent == np.flatnonzero(~is_stored).tolist()
        devices = [d for b in sink.blocks for d in b.devices.tolist()]
        assert devices == block.devices[~is_stored].tolist()
        assert report.tally.not_sent == int(is_stored.sum())
        assert 30 < report.tally.not_sent < 60
