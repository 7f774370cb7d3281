"""A worker in a process of its own: what the parent and it say to each other over a pipe.

Promise: the process does what the parent says and nothing of its own accord; it ignores the
terminal's and the system's signals (the parent has them), and drains when the parent is gone. All
it has to tell comes back over the pipe, an error too. It must not print.

    parent → child: ``Go``, ``Order``
    child → parent: ``News``, ``Ready``, ``Snapshot``, ``Result``
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final

from iot_producer.clock import Clock, SystemClock
from iot_producer.errors import DestinationError, IotProducerError
from iot_producer.report import LaneReport
from iot_producer.run_config import RunConfig

INTERRUPT: Final = signal.SIGUSR1
"""Breaks off a call into a sink that hangs, when the parent has waited long enough."""
_POLL_NS: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class Go:
    """Begin.

    Attributes:
        start_ns: the plan's start, ns since the epoch.
    """

    start_ns: int


@dataclass(frozen=True, slots=True)
class Order:
    """A command to the running worker; ``level`` is a ``worker.Command``."""

    level: int


@dataclass(frozen=True, slots=True)
class News:
    """A sentence for the user; ``level`` as in ``View.say``."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Kernels are compiled and the destination is connected."""


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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    result = Result(None, 0, None)
    try:
        result = _work(pipe, config, worker)
    except IotProducerError as error:
        result = Result(None, 0, error)
    except (BrokenPipeError, EOFError):
        return  # the parent is gone: nobody is left to tell
    except MemoryError:
        result = Result(None, 0, IotProducerError("out of memory", "lower --max-pending"))
    try:
        pipe.send(result)
        pipe.close()
    except (BrokenPipeError, ConnectionResetError):
        return


def _work(pipe: Connection, config: RunConfig, worker: int) -> Result:
    from iot_producer.blocks import Plan
    from iot_producer.feed import MaxFeed, PlannedFeed
    from iot_producer.lane import LaneSpec, lane_of
    from iot_producer.schedule import MaxRate
    from iot_producer.sinks.opening import open_sink
    from iot_producer.worker import Command, Worker, WorkerConfig

    clock = SystemClock()
    spec = LaneSpec(config.lane_index(worker), config.n_lanes)
    members = lane_of(config.fleet.devices, spec)
    _warm_up(config)
    sink = open_sink(config, worker, clock, lambda text: pipe.send(News("warning", text)))
    try:
        pipe.send(Ready())
        first = pipe.recv()
    except (BrokenPipeError, EOFError):
        sink.close()
        raise
    if not isinstance(first, Go):
        sink.close()
        return Result(None, 0, None)

    schedule, start_ns = config.schedule, first.start_ns
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
        lambda: Command(orders.level()),
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


def _warm_up(config: RunConfig) -> None:
    """Compile or load every kernel that the lane needs, before the clock runs."""
    import numpy as np

    from iot_producer.encoders.json_rows import JsonEncoder
    from iot_producer.fleet import fleet_of
    from iot_producer.latency import empty_counts
    from iot_producer.latency_counts import count_latencies, count_latency

    encoder = JsonEncoder(fleet_of(config.fleet))
    encoder.encode(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int64))
    count_latencies(empty_counts(), 1, np.zeros(1, dtype=np.int64))
    count_latency(empty_counts(), 1, 1)


class _Orders:
    """The parent's commands and the way back to it; a parent that is gone means drain."""

    def __init__(self, pipe: Connection, clock: Clock) -> None:
        self._pipe = pipe
        self._clock = clock
        self._level = 0
        self._gone = False
        self._next_poll_ns = 0

    def level(self) -> int:
        now_ns = self._clock.now_ns()
        if now_ns < self._next_poll_ns or self._gone:
            return self._level
        self._next_poll_ns = now_ns + _POLL_NS
        try:
            while self._pipe.poll():
                order = self._pipe.recv()
                if isinstance(order, Order):
                    self._level = max(self._level, order.level)
        except (EOFError, ConnectionResetError):
            self._lost()
        return self._level

    def tell(self, thing: object) -> None:
        if self._gone:
            return
        try:
            self._pipe.send(thing)
        except (BrokenPipeError, ConnectionResetError):
            self._lost()

    def _lost(self) -> None:
        self._gone = True
        self._level = max(self._level, 1)
