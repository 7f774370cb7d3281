"""A worker in a process of its own: what the parent and it say to each other over a pipe.

Promise: the process does what the parent says and nothing of its own accord; it ignores the
terminal's and the system's signals (the parent has them), and when the parent is gone it drains,
and ends in any case. All it has to tell comes back over the pipe, an error too. It must not print.

    parent → child: ``Open``, ``Go``, then ``Order``s; an ``Order`` in place of one: do not begin
    child → parent: ``Warm``, ``Ready``, ``Snapshot``s, ``Result``; ``News`` at any time
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Final

from iot_producer.clock import Clock, SystemClock
from iot_producer.command import Command
from iot_producer.errors import DestinationError, ExitCode, IotProducerError
from iot_producer.fleet import FleetSpec
from iot_producer.report import LaneReport
from iot_producer.run_config import RunConfig
from iot_producer.snapshot import Snapshot

INTERRUPT: Final = signal.SIGUSR1
"""Breaks off a call into a sink that hangs, when the parent has waited long enough."""
_POLL_NS: Final = 5_000_000
_OURS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, INTERRUPT)
_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Open:
    """Connect to the destination. Until then a worker has nothing that must be closed."""


@dataclass(frozen=True, slots=True)
class Go:
    """Begin.

    Attributes:
        start_ns: the plan's start, ns since the epoch.
    """

    start_ns: int


@dataclass(frozen=True, slots=True)
class Order:
    """Tells the running worker what to do from now on."""

    command: Command


@dataclass(frozen=True, slots=True)
class News:
    """A sentence for the user; ``level`` as in ``View.say``."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Warm:
    """Kernels are compiled."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The destination is connected."""


@dataclass(frozen=True, slots=True)
class Result:
    """The end of the worker.

    Attributes:
        report: what became of each message; None when it never began.
        raw_bytes: bytes of records handed to the destination.
        error: what ended it early, if anything did.
    """

    report: LaneReport | None
    raw_bytes: int
    error: IotProducerError | None


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
    result = Result(None, 0, None)
    try:
        result = _work(pipe, config, worker, orphan)
    except IotProducerError as error:
        result = Result(None, 0, error)
    except (BrokenPipeError, ConnectionResetError, EOFError):
        return  # the parent is gone: nobody is left to tell
    except MemoryError:
        result = Result(None, 0, IotProducerError("out of memory", "lower --max-pending"))
    try:
        pipe.send(result)
        pipe.close()
    except ConnectionError:
        return


def _work(pipe: Connection, config: RunConfig, worker: int, orphan: _Orphan) -> Result:
    from iot_producer.blocks import Plan
    from iot_producer.feed import MaxFeed, PlannedFeed
    from iot_producer.lane import LaneSpec, lane_of
    from iot_producer.schedule import MaxRate
    from iot_producer.sinks.opening import open_sink
    from iot_producer.worker import Worker, WorkerConfig

    clock = SystemClock()
    spec = LaneSpec(config.lane_index(worker), config.n_lanes)
    members = lane_of(config.fleet.devices, spec)
    warm_up(config.fleet)
    pipe.send(Warm())
    if not isinstance(pipe.recv(), Open):
        return Result(None, 0, None)
    sink = open_sink(config, worker, clock, lambda text: pipe.send(News("warning", text)))
    try:
        pipe.send(Ready())
        go = pipe.recv()
    except (BrokenPipeError, ConnectionResetError, EOFError):
        sink.close()
        raise
    if not isinstance(go, Go):
        sink.close()
        return Result(None, 0, None)
    # To send what is due, and to wait for confirmations: the drain time-out, twice.
    orphan.patience_s = 2 * config.drain_timeout_ns / 1e9 + _GRACE_S

    schedule, start_ns = config.schedule, go.start_ns
    feed: MaxFeed | PlannedFeed
    if isinstance(schedule, MaxRate):
        total = schedule.n_messages
        lane_total = None if total is None else members.n_before(total)
        duration_ns = schedule.duration_ns
        feed = MaxFeed(members, start_ns, config.block_records, lane_total, duration_ns)
        target = 0.0
    else:
        plan = Plan(config.fleet, spec, schedule, start_ns)
        feed = PlannedFeed(plan, config.block_records, config.linger_ns)
        target = members.n_per_cycle / members.n_devices

    def target_per_s(now_ns: int) -> float:
        if isinstance(schedule, MaxRate):
            return 0.0
        return float(schedule.rate_at(max(now_ns - start_ns, 0))) * target

    orders = _Orders(pipe, clock)
    loop = Worker(
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
        clock,
        orders.command,
        orders.tell,
        target_per_s,
    )

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if loop.in_sink:
            raise DestinationError("stopped while the destination did not answer")

    signal.signal(INTERRUPT, interrupted)
    report, error = loop.run()
    signal.signal(INTERRUPT, signal.SIG_IGN)
    return Result(report, loop.raw_bytes, error)


def warm_up(fleet: FleetSpec) -> None:
    """Compile or load every kernel that a lane needs, before the clock runs."""
    import numpy as np

    from iot_producer.encoders.json_rows import JsonEncoder
    from iot_producer.fleet import fleet_of
    from iot_producer.latency import empty_counts
    from iot_producer.latency_counts import count_latencies, count_latency

    encoder = JsonEncoder(fleet_of(fleet))
    encoder.encode(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int64))
    count_latencies(empty_counts(), 1, np.zeros(1, dtype=np.int64))
    count_latency(empty_counts(), 1, 1)


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

    def command(self) -> Command:
        """The highest command so far."""
        now_ns = self._clock.now_ns()
        if now_ns < self._next_poll_ns or self._gone:
            return self._command
        self._next_poll_ns = now_ns + _POLL_NS
        try:
            while self._pipe.poll():
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
