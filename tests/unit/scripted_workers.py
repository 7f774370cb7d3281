"""Workers that are threads with a script, and a broker that is a dictionary: for the protocol."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest

from iot_producer import episode
from iot_producer.blocks import Plan
from iot_producer.clock import SystemClock
from iot_producer.command import Command
from iot_producer.config import resolve_run
from iot_producer.errors import NameTakenError
from iot_producer.lane_start import lane_spec_of
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.report import LaneReport, RunReport
from iot_producer.run_config import RunConfig
from iot_producer.snapshot import Snapshot
from iot_producer.supervisor import Outcome, Supervisor
from iot_producer.worker_messages import Go, Open, Order, Ready, Result, Warm

SECOND_NS = 1_000_000_000


def config(**flags: str) -> RunConfig:
    return resolve_run({"to": "pulsar://h", "devices": "100", **flags}, {})


def lane_report(index: int, n: int) -> LaneReport:
    return LaneReport(
        index, TallySnapshot(n, n, n), LaneRanges(confirmed=RangeSet([(0, n)] if n else []))
    )


class Broker:
    """Who has which lane's name, here or in other pods; and what is stored under it."""

    def __init__(self) -> None:
        self.elsewhere: set[str] = set()
        self.taken: set[str] = set()
        self.last_ids: dict[str, tuple[int, ...]] = {}

    def claim(self, name: str) -> tuple[int, ...]:
        if name in self.taken | self.elsewhere:
            raise NameTakenError(f"{name} is taken")
        self.taken.add(name)
        return self.last_ids.get(name, (-1,))


class Pod:
    """A supervisor over scripted workers.

    Args:
        broker: where they claim.
        run: what a worker does from Go on: (its number, how often it began, Go, the pipe) → its
            result.
    """

    def __init__(
        self,
        broker: Broker,
        run: Callable[[int, int, Go, Connection], Result],
        **flags: str,
    ) -> None:
        self.broker = broker
        self.config = config(**flags)
        self.said: list[tuple[str, str]] = []
        self.drawn: list[Snapshot] = []
        self.n_beats = 0
        self.opened: list[tuple[int, Open]] = []
        self.began: list[tuple[int, Go]] = []
        self._run = run
        self._lock = threading.Lock()
        # What the supervisor asks of StopRequests:
        self.command = Command.GO_ON
        self.name = "SIGTERM"
        self.n_interrupts = 0

    def run(self) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(episode.multiprocessing, "get_context", lambda _: self)
            return Supervisor(self.config, self, self, SystemClock()).run()  # type: ignore[arg-type]

    # The view

    def say(self, level: str, text: str) -> None:
        self.said.append((level, text))

    def beat(self) -> None:
        self.n_beats += 1

    def draw(self, snapshot: Snapshot) -> None:
        self.drawn.append(snapshot)

    def close(self, report: RunReport | None) -> None:
        raise AssertionError("run_load closes the view")

    # The context of multiprocessing

    def Pipe(self) -> tuple[Connection, Connection]:  # noqa: N802 - multiprocessing's name
        return multiprocessing.Pipe()

    def Process(self, *, target: Any, args: Any, name: str) -> _Thread:  # noqa: N802 - as above
        pipe, _, number = args
        own = Connection(os.dup(pipe.fileno()))  # the parent closes its copy of the child's end
        return _Thread(lambda: self._worker(own, number), name)

    def _worker(self, pipe: Connection, number: int) -> None:
        names: list[str] = []
        try:
            pipe.send(Warm())
            order = pipe.recv()
            if not isinstance(order, Open):
                return
            with self._lock:
                self.opened.append((number, order))
            try:
                pipe.send(self._open(number, order, names))
            except NameTakenError as error:
                pipe.send(Result(None, 0, error))
                return
            go = pipe.recv()
            if not isinstance(go, Go):
                pipe.send(Result(None, 0, None))
                return
            with self._lock:
                self.began.append((number, go))
                n_begun = sum(each == number for each, _ in self.began)
            pipe.send(self._run(number, n_begun, go, pipe))
        except (OSError, EOFError):
            return
        finally:
            self.broker.taken -= set(names)
            pipe.close()

    def _open(self, number: int, order: Open, names: list[str]) -> Ready:
        def claim(lane: int) -> Ready:
            name = f"{lane}.{number}"
            last_ids = self.broker.claim(name)
            names.append(name)
            return Ready(lane, last_ids)

        if order.lane is not None:
            return claim(order.lane)
        lane = order.first
        while True:
            try:
                return claim(lane)
            except NameTakenError:
                lane += 1


class _Thread:
    """A thread that looks like a process."""

    pid = 0
    exitcode = 0

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._thread = threading.Thread(target=work, name=name, daemon=True)
        self.start = self._thread.start
        self.join = self._thread.join
        self.is_alive = self._thread.is_alive

    def kill(self) -> None:
        """It has nothing to lose, and ends with its pipe."""


def orders(pipe: Connection) -> Iterator[Command]:
    """The commands that a running worker gets."""
    while True:
        order = pipe.recv()
        assert isinstance(order, Order)
        yield order.command


def all_confirmed(number: int, _n_begun: int, go: Go, _pipe: Connection) -> Result:
    """A worker that does its part of the plan at once."""
    plan = Plan(go.config.fleet, lane_spec_of(go.config, number), go.config.schedule, go.start_ns)  # type: ignore[arg-type]
    assert plan.n_messages is not None
    return Result(lane_report(number, plan.n_messages), 10 * plan.n_messages, None)
