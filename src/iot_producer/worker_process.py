"""A worker in a process of its own: it connects, runs its lane, and tells how it went.

Promise: the process does what the parent says and nothing of its own accord; it ignores the
terminal's and the system's signals (the parent has them), and when the parent is gone it drains,
and ends in any case. All it has to tell comes back over the pipe (worker_messages.py), an
error too. It must not print.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import select
import signal
import threading
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import TYPE_CHECKING, Final

from iot_producer.clock import Clock, SystemClock
from iot_producer.command import Command
from iot_producer.errors import DestinationError, ExitCode, IotProducerError
from iot_producer.fleet import FleetSpec
from iot_producer.run_config import RunConfig
from iot_producer.snapshot import Snapshot
from iot_producer.worker_messages import INTERRUPT, Go, News, Open, Order, Ready, Result, Warm

if TYPE_CHECKING:  # what a lane needs is imported where it is used: an end must not wait for it
    from iot_producer.lane_journal import LaneJournal
    from iot_producer.sinks.sink import Sink
    from iot_producer.worker import Worker

_POLL_NS: Final = 5_000_000
_OURS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, INTERRUPT)
_GRACE_S: Final = 5.0
_JOURNAL_S: Final = 3.0


def main(pipe: Connection, config: RunConfig, worker: int) -> None:
    """The life of a worker process.

    Args:
        pipe: to the parent.
        config: the run.
        worker: number of the worker in this pod, from 0.
    """
    for number in _OURS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)  # see stop_requests.sheltered_children
    orphan = _Orphan()
    life = _Life(pipe, config, worker)
    try:
        result = life.run(orphan)
    except IotProducerError as error:
        result = Result(None, 0, error)
    except (BrokenPipeError, ConnectionResetError, EOFError):
        return  # the parent is gone: nobody is left to tell
    except MemoryError:
        result = Result(None, 0, IotProducerError("out of memory", "lower --max-pending"))
    try:
        pipe.send(result)
        # Not before: it waits for the destination, and what is known must not be lost with it.
        life.end_journal()
        pipe.close()
    except ConnectionError:
        return


class _Life:
    """From the start of the process to the result of its lane."""

    def __init__(self, pipe: Connection, config: RunConfig, worker: int) -> None:
        self._pipe = pipe
        self._config = config
        self._worker = worker
        self._clock = SystemClock()
        self._journal: LaneJournal | None = None

    def run(self, orphan: _Orphan) -> Result:
        """Connect when told to, run the lane when told to, and say what came of it."""
        from iot_producer.lane import lane_of
        from iot_producer.lane_start import is_native, lane_spec_of

        config = self._config
        lane_of(config.fleet.devices, lane_spec_of(config, self._worker))
        warm_up(config.fleet, config.compression if is_native(config) else None)
        self._pipe.send(Warm())
        order = self._pipe.recv()
        if not isinstance(order, Open):
            return Result(None, 0, None)
        sink = self._opened(order)
        try:
            go = self._ready(sink)
            if go is None:
                sink.close()
                return Result(None, 0, None)
            # To send what is due, and to wait for confirmations: the drain time-out, twice.
            orphan.patience_s = 2 * config.drain_timeout_ns / 1e9 + _GRACE_S
            loop = self._loop(go, sink)
        except BaseException:
            sink.close()
            raise

        def interrupted(_number: int, _frame: FrameType | None) -> None:
            if loop.in_sink:
                raise DestinationError("stopped while the destination did not answer")

        signal.signal(INTERRUPT, interrupted)
        # What is there now stays to the end. Where collections pass it over, they come as soon as a
        # few thousand objects have been made and dropped, and cost little.
        gc.collect()
        gc.freeze()
        report, error = loop.run()
        signal.signal(INTERRUPT, signal.SIG_IGN)
        return Result(report, loop.raw_bytes, error)

    def end_journal(self) -> None:
        """Keep what the lane's journal has still to keep."""
        if self._journal is not None:
            self._journal.end()

    def _opened(self, order: Open) -> Sink:
        """The sink of this worker; from now on the configuration has the claimed lane's number."""
        from iot_producer.lane_start import claims_lane, is_native
        from iot_producer.sinks.opening import claim_lane, open_free, open_sink, producer_name

        config, clock = self._config, self._clock
        if not is_native(config):
            return open_sink(config, self._worker, clock, self._say)
        if not claims_lane(config) or order.lane is not None:
            self._config = replace(config, lane=order.lane)
            return open_free(self._config, self._worker, clock, self._say)
        lane, sink = claim_lane(config, order.first, clock, self._say)
        self._config = replace(config, lane=lane)
        name = producer_name(self._config, 0)
        self._pipe.send(News("info", f"claimed lane {lane} ({name}){_taken_words(lane)}"))
        return sink

    def _ready(self, sink: Sink) -> Go | None:
        """Say that the sink is connected, and what it knows of the lane; None: do not begin."""
        from iot_producer.lane_start import is_native, lane_spec_of

        config, worker = self._config, self._worker
        claimed_ns = self._clock.now_ns()
        last_ids = tuple(getattr(sink, "last_ids", ()))
        predecessor = None
        if is_native(config):
            from iot_producer.lane_journal import LaneJournal, last_plan

            known = getattr(sink, "deduplication", None)
            self._journal = LaneJournal(config, worker, self._clock, self._say, known)
            if config.on_gap == "catch-up" and worker == 0 and max(last_ids) >= 0:
                predecessor = last_plan(config, worker, self._clock, self._say)
            # The plan begins soon after this, and a first use of the topic takes its time.
            self._journal.wait(_JOURNAL_S)
        self._pipe.send(Ready(config.lane, last_ids, predecessor))
        go = self._pipe.recv()
        if not isinstance(go, Go):
            return None
        if self._journal is not None:
            index = lane_spec_of(go.config, worker).index
            skips = config.on_overload == "drop" or bool(go.stored)
            self._journal.claimed(go.plan, index, claimed_ns, last_ids, skips)
        return go

    def _loop(self, go: Go, sink: Sink) -> Worker:
        """The lane's loop, before its first turn."""
        from iot_producer.blocks import Plan
        from iot_producer.feed import MaxFeed, PlannedFeed
        from iot_producer.lane import lane_of
        from iot_producer.lane_start import lane_spec_of
        from iot_producer.schedule import MaxRate
        from iot_producer.stored_before import StoredBefore
        from iot_producer.worker import Worker, WorkerConfig

        config, start_ns, schedule = go.config, go.start_ns, go.config.schedule
        spec = lane_spec_of(config, self._worker)
        members = lane_of(config.fleet.devices, spec)
        feed: MaxFeed | PlannedFeed
        if isinstance(schedule, MaxRate):
            total = schedule.n_messages
            lane_total = None if total is None else members.n_before(total)
            duration_ns = schedule.duration_ns
            feed = MaxFeed(members, start_ns, config.block_records, lane_total, duration_ns)
        else:
            plan = Plan(config.fleet, spec, schedule, start_ns)
            feed = PlannedFeed(plan, config.block_records, config.linger_ns)

        def target_per_s(now_ns: int) -> float:
            if isinstance(schedule, MaxRate):
                return 0.0
            of_plan = float(schedule.rate_at(max(now_ns - start_ns, 0)))
            return of_plan * members.n_per_cycle / members.n_devices

        orders = _Orders(self._pipe, self._clock)
        return Worker(
            WorkerConfig(
                spec.index,
                start_ns,
                config.warm_up_ns,
                config.on_overload,
                config.max_lag_ns,
                config.drain_timeout_ns,
            ),
            feed,
            sink,
            self._clock,
            orders.command,
            orders.tell,
            target_per_s,
            self._journal,
            StoredBefore(go.stored),
        )

    def _say(self, text: str) -> None:
        with suppress(OSError):  # nobody is left to tell, as will be found out elsewhere
            self._pipe.send(News("warning", text))


def _taken_words(lane: int) -> str:
    """Which lanes were not free."""
    match lane:
        case 0:
            return ""
        case 1:
            return "; lane 0 is taken"
        case 2:
            return "; lanes 0 and 1 are taken"
        case _:
            return f"; lanes 0 to {lane - 1} are taken"


def warm_up(fleet: FleetSpec, entry_compression: str | None = None) -> None:
    """Compile or load every kernel that a lane needs, before the clock runs.

    Args:
        fleet: whose records.
        entry_compression: for lanes whose entries are made here, with what they are compressed.
    """
    import numpy as np

    from iot_producer.encoders.json_rows import JsonEncoder
    from iot_producer.fleet import fleet_of
    from iot_producer.latency import empty_counts
    from iot_producer.latency_counts import count_latencies, count_latency

    count_latencies(empty_counts(), 1, np.zeros(1, dtype=np.int64))
    count_latency(empty_counts(), 1, 1)
    if entry_compression is not None:
        from iot_producer.pulsar.entry import warm_up_entry
        from iot_producer.pulsar.routing import warm_up_routing

        warm_up_entry(fleet, entry_compression)
        warm_up_routing()
        return
    encoder = JsonEncoder(fleet_of(fleet))
    encoder.encode(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int64))


class _Orphan:
    """Ends the process some time after its parent did, also where a sink never comes back.

    Attributes:
        patience_s: how long after it; 0 as long as there is nothing to finish.
    """

    def __init__(self) -> None:
        self.patience_s = 0.0
        threading.Thread(target=self._watch, name="orphan", daemon=True).start()

    def _watch(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            wait([parent.sentinel])
            threading.Event().wait(self.patience_s)
            os._exit(ExitCode.FAILED)


class _Orders:
    """The parent's commands and the way back to it; a parent that is gone means drain."""

    def __init__(self, pipe: Connection, clock: Clock) -> None:
        self._pipe = pipe
        self._clock = clock
        self._command = Command.GO_ON
        self._gone = False
        self._next_poll_ns = 0
        # True while three quarters of the socket's buffer are free: enough for any snapshot.
        self._writable = select.poll()
        self._writable.register(pipe, select.POLLOUT)
        # The pipe's own poll makes a selector each time, which costs more than a block.
        self._readable = select.poll()
        self._readable.register(pipe, select.POLLIN)

    def command(self) -> Command:
        """The highest command so far."""
        now_ns = self._clock.now_ns()
        if now_ns < self._next_poll_ns or self._gone:
            return self._command
        self._next_poll_ns = now_ns + _POLL_NS
        try:
            while self._readable.poll(0):
                order = self._pipe.recv()
                if isinstance(order, Order):
                    self._command = max(self._command, order.command)
        except (EOFError, OSError):
            self._lost()
        return self._command

    def tell(self, snapshot: Snapshot) -> None:
        """Send a snapshot, unless the parent is too busy to read: the next one says it all."""
        if self._gone or not self._writable.poll(0):
            return
        try:
            self._pipe.send(snapshot)
        except OSError:
            self._lost()

    def _lost(self) -> None:
        self._gone = True
        self._command = max(self._command, Command.DRAIN)
