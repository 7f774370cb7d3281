"""One lane's loop: feed → block → sink → tally and histograms.

Promise: open loop; a message's latency counts from its intended time whatever the destination did,
and at the end scheduled = confirmed + failed + unconfirmed + not sent. Time comes from a Clock and
commands from a function, so a test steps through it without waiting. It must not know processes,
terminals or which destination it feeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.command import Command
from iot_producer.errors import DataError, DestinationError, IotProducerError
from iot_producer.feed import Feed, MaxFeed
from iot_producer.gap import STORED_BEFORE
from iot_producer.lane_account import settled
from iot_producer.latency import Latencies
from iot_producer.pending_blocks import PendingBlocks
from iot_producer.report import LaneReport
from iot_producer.sinks.sink import PreparingSink, Receipt, Sink
from iot_producer.snapshot import Snapshot
from iot_producer.stored_before import StoredBefore
from iot_producer.tally import LaneTally

NAP_NS: Final = 20_000_000
"""The longest sleep: commands are looked at as often."""
_LOOK_NS: Final = 50_000_000
_MANY_RECORDS: Final = 1000
_SPARE_NS: Final = 500_000


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker paces one lane.

    Attributes:
        lane: index of the lane in its plan.
        start_ns: the plan's start, ns since the epoch.
        warm_up_ns: messages intended before ``start_ns + warm_up_ns`` are left out of histograms.
        on_overload: ``catch-up``, ``drop`` or ``fail``.
        max_lag_ns: the lag at which ``drop`` and ``fail`` act.
        drain_timeout_ns: how long to wait for confirmations at the end.
        snapshot_interval_ns: time between two snapshots.
        journal_interval_ns: time between two reports of what the lane came to so far.
    """

    lane: int
    start_ns: int
    warm_up_ns: int = 0
    on_overload: str = "catch-up"
    max_lag_ns: int = 1_000_000_000
    drain_timeout_ns: int = 20_000_000_000
    snapshot_interval_ns: int = 250_000_000
    journal_interval_ns: int = 5_000_000_000


class Journal(Protocol):
    """Keeps what a lane tells of itself, where it can be read though the lane is gone."""

    def publish(self, report: LaneReport) -> None:
        """Keep a report: it says all that those before it said. Must not wait for anything."""
        ...


class Worker:
    """Runs one lane to its end.

    Args:
        config: how.
        feed: the lane's messages as they come due.
        sink: where they go; the worker closes it.
        clock: the time.
        command: asked between blocks what to do.
        publish: receives a snapshot every interval.
        target_per_s: the lane's target at a time (ns since the epoch), for snapshots.
        journal: keeps what the lane came to so far, and its report at the end.
        stored: what need not be sent, since a run before this one did.
    """

    def __init__(
        self,
        config: WorkerConfig,
        feed: Feed,
        sink: Sink,
        clock: Clock,
        command: Callable[[], Command] = lambda: Command.GO_ON,
        publish: Callable[[Snapshot], None] = lambda _: None,
        target_per_s: Callable[[int], float] = lambda _: 0.0,
        journal: Journal | None = None,
        stored: StoredBefore | None = None,
    ) -> None:
        self._config = config
        self._feed = feed
        self._sink = sink
        self._preparing = sink if isinstance(sink, PreparingSink) else None
        self._clock = clock
        self._command = command
        self._publish = publish
        self._target_per_s = target_per_s
        self._journal = journal
        self._next_journal_ns = config.start_ns
        self._stored = StoredBefore() if stored is None else stored
        self._tally = LaneTally()
        self._pending = PendingBlocks(config.start_ns + config.warm_up_ns)
        self._broken = -1
        self._raw_bytes = 0
        self._next_snapshot_ns = 0
        self._next_look_ns = 0
        self._n_since_look = 0
        self.in_sink = False
        """Whether the sink has the word: only then may a signal handler raise."""

    @property
    def raw_bytes(self) -> int:
        """Bytes of records handed to the destination, before compression."""
        return self._raw_bytes

    def run(self) -> tuple[LaneReport, IotProducerError | None]:
        """Send everything that is due, until the end or a command; then drain and close the sink.

        Returns:
            what became of each message, and what ended the lane early, if anything did.
        """
        error: IotProducerError | None = None
        for step in (self._send_all, self._drain, self._close, self._take_receipts):
            if step == self._drain and isinstance(error, DestinationError):
                continue  # it is gone: nothing that is waited for would come
            try:
                step()
            except IotProducerError as caught:
                error = error or caught
        self._tally.close("stopped before it was sent" if error is None else error.message)
        self._publish(self.snapshot())
        report = LaneReport(
            self._config.lane,
            self._tally.snapshot(),
            self._tally.ranges(),
            self._pending.latencies(),
            self._blocks(),
            None if error is None else error.message,
            self._sink.counters(),
        )
        if self._journal is not None:
            self._journal.publish(report)
        return report, error

    def report_so_far(self) -> LaneReport:
        """What became of the messages that were sent or given up until now.

        Those that are due, and neither, are not in it: the next report has them.
        """
        tally, ranges = settled(self._tally)
        return LaneReport(
            self._config.lane,
            tally,
            ranges,
            Latencies.empty(),
            self._blocks(),
            sink=self._sink.counters(),
        )

    def snapshot(self) -> Snapshot:
        """The state of the lane now."""
        now_ns = self._clock.now_ns()
        return Snapshot(
            now_ns,
            1,
            self._target_per_s(now_ns),
            self._tally.snapshot(),
            self._raw_bytes,
            self._lag_ns(now_ns),
            self._pending.latencies(),
            sink=self._sink.counters(),
        )

    def _send_all(self) -> None:
        try:
            self._send_until_done()
        finally:
            self._schedule(self._clock.now_ns())

    def _send_until_done(self) -> None:
        closed = False
        deadline_ns = 0
        self._look_around(self._clock.now_ns())  # a first send may never come back
        while not self._feed.is_done(self._tally.next):
            now_ns = self._clock.now_ns()
            command = self._command()
            if command is Command.ABORT or (closed and now_ns >= deadline_ns):
                self._feed.close(now_ns)
                return
            if command is Command.DRAIN and not closed:
                self._feed.close(now_ns)
                closed = True
                deadline_ns = now_ns + self._config.drain_timeout_ns
            block = self._feed.next_block(self._tally.next, now_ns)
            if block is not None:
                if now_ns - block.start_ns > self._config.max_lag_ns and self._gives_up(now_ns):
                    continue
                self._tally.schedule_to(block.stop)
                if self._stored.may_have(block):
                    self._send_rest_of(block)
                else:
                    self._send(block)
                now_ns = self._clock.now_ns()
            if self._n_since_look >= _MANY_RECORDS or now_ns >= self._next_look_ns:
                self._look_around(now_ns)
                now_ns = self._clock.now_ns()
            self._rest(now_ns)

    def _look_around(self, now_ns: int) -> None:
        """What need not be done after each block: a few receipts at once cost little more than one.

        What costs most is to come back to code that the processor's caches have forgotten.
        """
        self._n_since_look = 0
        self._take_receipts()
        self._keep_journal(now_ns)
        if now_ns >= self._next_snapshot_ns:
            self._next_snapshot_ns = now_ns + self._config.snapshot_interval_ns
            self._schedule(now_ns)
            self._publish(self.snapshot())
        self._next_look_ns = min(now_ns + _LOOK_NS, self._next_snapshot_ns)
        if self._journal is not None:
            self._next_look_ns = min(self._next_look_ns, self._next_journal_ns)

    def _send_rest_of(self, block: Block) -> None:
        """Send what of a block is not stored already."""
        for part, is_stored in self._stored.runs(block):
            if is_stored:
                self._tally.skip(part.first, part.stop, STORED_BEFORE)
            else:
                self._send(part)

    def _schedule(self, now_ns: int) -> None:
        """Count what has come due; a block is counted when it is sent, the rest now and then."""
        self._tally.schedule_to(self._feed.n_due(now_ns))

    def _rest(self, now_ns: int) -> None:
        """Sleep until the next block is complete, or it is time to look at commands."""
        first = self._tally.next
        if not self._feed.is_done(first):
            wake_ns = min(self._feed.wake_ns(first), now_ns + NAP_NS)
            if wake_ns > now_ns:
                if self._preparing is not None and wake_ns > now_ns + 2 * _SPARE_NS:
                    self._prepare(self._preparing, first, wake_ns - _SPARE_NS)
                self._clock.sleep_until(wake_ns)

    def _prepare(self, sink: PreparingSink, first: int, until_ns: int) -> None:
        """Make what will be sent next, while there is time."""
        for block in self._feed.ahead(first):
            if not self._stored.may_have(block):
                sink.prepare(block)
            if self._clock.now_ns() >= until_ns:
                return

    def _gives_up(self, now_ns: int) -> bool:
        """What is later than the largest lag: dropped, or the end of the run."""
        if self._config.on_overload == "catch-up":
            return False
        limit_s = self._config.max_lag_ns / 1e9
        if self._config.on_overload == "fail":
            raise DataError(
                f"lane {self._config.lane} is more than {limit_s:g} s behind its schedule",
                "lower the rate, add WORKERS, or let it catch up with --on-overload catch-up",
            )
        self._schedule(now_ns)
        stop = self._feed.n_due(now_ns - self._config.max_lag_ns)
        first = self._tally.next
        if stop <= first:
            return False
        self._tally.skip(first, stop, f"dropped: more than {limit_s:g} s late")
        return True

    def _send(self, block: Block) -> None:
        try:
            self.in_sink = True
            sent = self._sink.send(block)
        except IotProducerError:
            # Part of it may have left: it counts as sent, and stays unconfirmed.
            self._broken = block.first
            self._tally.sent(block.first, block.stop)
            raise
        finally:
            self.in_sink = False
        self._n_since_look += block.n
        self._tally.sent(block.first, block.stop, sent.n_by_partition or None)
        self._raw_bytes += sent.raw_bytes
        self._pending.add(block, sent.at_ns)

    def _take_receipts(self) -> None:
        for receipt in self._sink.receipts():
            if receipt.first != self._broken:  # the block that could not be sent as a whole
                self._take(receipt)

    def _take(self, receipt: Receipt) -> None:
        self._pending.take(receipt)
        span = (receipt.first, receipt.stop, receipt.partition, receipt.n_records)
        if receipt.error:
            self._tally.failed(*span, receipt.error)
        else:
            self._tally.confirmed(*span)

    def _drain(self) -> None:
        """Wait for the receipts of what was sent: in slices, so that an abort is seen."""
        deadline_ns = self._clock.now_ns() + self._config.drain_timeout_ns
        while self._pending:
            now_ns = self._clock.now_ns()
            if now_ns >= deadline_ns or self._command() is Command.ABORT:
                return
            until_ns = min(deadline_ns, now_ns + self._config.snapshot_interval_ns)
            self.in_sink = True
            try:
                self._sink.drain((until_ns - now_ns) / 1e9)
            finally:
                self.in_sink = False
            n_pending = len(self._pending)
            self._take_receipts()
            self._publish(self.snapshot())
            self._keep_journal(self._clock.now_ns())
            if len(self._pending) == n_pending:
                # A sink that has no more to say returns at once: then do not ask in a loop.
                self._clock.sleep_until(until_ns)

    def _close(self) -> None:
        """Take what came, and close the sink: what it confirms at its end can be taken then."""
        try:
            self._take_receipts()
        finally:
            self.in_sink = True
            try:
                self._sink.close()
            finally:
                self.in_sink = False

    def _keep_journal(self, now_ns: int) -> None:
        if self._journal is not None and now_ns >= self._next_journal_ns:
            self._next_journal_ns = now_ns + self._config.journal_interval_ns
            self._journal.publish(self.report_so_far())

    def _blocks(self) -> NDArray[np.int64] | None:
        """At the maximum rate, the blocks that were made; nobody else knows of them."""
        return self._feed.blocks() if isinstance(self._feed, MaxFeed) else None

    def _lag_ns(self, now_ns: int) -> int:
        """How long the oldest message that is due and not sent has waited."""
        first = self._tally.next
        if self._tally.snapshot().scheduled <= first:
            return 0
        return max(now_ns - self._feed.due_ns(first), 0)
