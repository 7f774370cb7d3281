"""A stretch of a run under one plan: its worker processes, from their start to their end.

Promise: whatever happens — a worker's error or death, a lane that is lost, SIGTERM, one Ctrl-C or
two, a view that nobody reads any more — it ends with what became of each message, and no process is
left behind. It must not know how a view looks, how a sink sends, or what comes after it.

Where the lane is claimed from the broker, worker 0 claims it, and the others are told its number:
they connect only then, so pods that start at the same time do not take parts of each other's lanes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final

from iot_producer.clock import Clock
from iot_producer.command import Command
from iot_producer.duplicates_warning import DuplicatesWarning
from iot_producer.errors import IotProducerError, NameTakenError
from iot_producer.lane_start import LaneStart, Rest, claims_lane, lane_start
from iot_producer.report import RunReport
from iot_producer.run_config import RunConfig
from iot_producer.run_result import lane_without_word, run_report
from iot_producer.sink_counters import SinkCounters
from iot_producer.snapshot import Snapshot
from iot_producer.stop_requests import StopRequests, sheltered_children
from iot_producer.view import View
from iot_producer.worker_messages import INTERRUPT, Go, News, Open, Order, Ready, Result, Warm
from iot_producer.worker_process import main

DRAW_NS: Final = 250_000_000
GRACE_NS: Final = 1_000_000_000
"""How long a worker may take to end: then its sink is broken off; as long again, it is killed."""
_SILENT_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How an episode ended.

    Attributes:
        report: what became of each message; None when nothing was to begin any more.
        error: what ended it early, and the run with it.
        lost: the lane was lost to somebody else: why; the run may go on under another lane.
        lane: number of the lane that was claimed, if one was.
        is_unwatched: nobody reads the view any more.
    """

    report: RunReport | None
    error: IotProducerError | None = None
    lost: NameTakenError | None = None
    lane: int | None = None
    is_unwatched: bool = False


@dataclass(slots=True)
class _Member:
    """A worker process as the parent sees it."""

    number: int
    process: BaseProcess
    pipe: Connection
    is_warm: bool = False
    may_open: bool = False
    ready: Ready | None = None
    snapshot: Snapshot | None = None
    result: Result | None = None
    command: Command = Command.GO_ON
    is_broken_off: bool = False


class Episode:
    """Runs all lanes of a pod under one plan, once.

    Args:
        config: the run, as it was set.
        view: shows it.
        stops: says when somebody wants it to end.
        clock: the time.
        first_lane: where a lane is claimed, the first number to try.
        rest: what is left, when the run had another lane before.
        before: what the run came to before, for the view.
        duplicates: the run's warning that messages may be stored twice.
    """

    def __init__(
        self,
        config: RunConfig,
        view: View,
        stops: StopRequests,
        clock: Clock,
        *,
        first_lane: int = 0,
        rest: Rest | None = None,
        before: Snapshot | None = None,
        duplicates: DuplicatesWarning | None = None,
    ) -> None:
        self._config = config
        self._view = view
        self._stops = stops
        self._clock = clock
        self._first_lane = first_lane
        self._rest = rest
        self._before = before
        self._duplicates = duplicates or DuplicatesWarning(config.destination.topic)
        self._claims = claims_lane(config)
        self._lane: int | None = None
        self._members: list[_Member] = []
        self._start: LaneStart | None = None
        self._ended_ns = 0
        self._error: IotProducerError | None = None
        self._lost_lane: NameTakenError | None = None
        self._deadline_ns = 0
        self._stop_reason = ""
        self._is_unwatched = False

    def run(self) -> Ended:
        """Produce until the end of the plan, an error, a signal, or until the lane is lost."""
        started_ns = self._clock.now_ns()
        try:
            self._spawn()
            if self._connect():
                self._watch()
        except IotProducerError as error:
            self._error = self._error or error
        finally:
            self._ended_ns = self._clock.now_ns()
            self._end_processes()
        report = None if self._start is None else self._report(self._start, started_ns)
        return Ended(report, self._error, self._lost_lane, self._lane, self._is_unwatched)

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        for number in range(self._config.workers):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=main, args=(theirs, self._config, number), name=f"worker-{number}"
            )
            try:
                with sheltered_children():
                    process.start()
            except OSError as error:
                raise IotProducerError(
                    f"worker {number} could not be started: {error.strerror}", "lower WORKERS"
                ) from error
            theirs.close()
            self._members.append(_Member(number, process, ours))

    def _connect(self) -> bool:
        """Wait until every worker is ready, then begin; False when the episode ends before."""
        while not all(member.ready for member in self._members):
            self._view.beat()
            self._hear(0.1)
            if self._wanted() is not Command.GO_ON:
                return False
        claim = self._members[0].ready
        assert claim is not None
        self._start = lane_start(
            self._config,
            self._clock.now_ns(),
            lane=self._lane,
            last_ids=tuple(m.ready.last_ids for m in self._members if m.ready is not None),
            predecessor=claim.predecessor,
            rest=self._rest,
        )
        start = self._start
        if start is None:
            return False
        for level, text in start.news:
            self._say(level, text)
        plan = self._report(start, self._clock.now_ns())
        for member in self._members:
            stored = start.last_ids[member.number] if start.last_ids else ()
            self._tell(member, Go(start.start_ns, start.config, plan, stored))
        return True

    def _watch(self) -> None:
        next_draw_ns = 0
        while any(member.result is None for member in self._members):
            self._view.beat()
            self._hear(0.05)
            now_ns = self._clock.now_ns()
            command = self._wanted()
            if command is not Command.GO_ON and not self._stop_reason:
                self._stop_reason = self._reason()
                next_draw_ns = 0  # a view is to know at once
                if self._stops.command is not Command.GO_ON:
                    self._say("info", f"{self._stop_reason}: waiting for confirmations")
            self._command(command, now_ns)
            self._break_off(now_ns)
            if now_ns >= next_draw_ns:
                next_draw_ns = now_ns + DRAW_NS
                self._draw()
        self._draw()

    def _wanted(self) -> Command:
        """What signals, errors and the view ask for."""
        ends = self._error or self._lost_lane or self._is_unwatched
        return max(self._stops.command, Command.DRAIN if ends else Command.GO_ON)

    def _reason(self) -> str:
        error = self._error or self._lost_lane
        if error is not None:
            return error.message
        return "nobody reads the output" if self._is_unwatched else self._stops.name

    def _command(self, command: Command, now_ns: int) -> None:
        """Pass a command on."""
        for member in self._members:
            if command > member.command and member.result is None:
                member.command = command
                self._tell(member, Order(command))
                patience_ns = GRACE_NS
                if command is Command.DRAIN:
                    # It may take the time-out twice: to send what is due, and to drain.
                    patience_ns += 2 * self._config.drain_timeout_ns
                self._deadline_ns = now_ns + patience_ns

    def _break_off(self, now_ns: int) -> None:
        """End what has not ended long after its command."""
        if not self._deadline_ns or now_ns < self._deadline_ns:
            return
        self._deadline_ns = now_ns + GRACE_NS
        for member in self._members:
            if member.result is None and member.process.pid:
                os.kill(member.process.pid, signal.SIGKILL if member.is_broken_off else INTERRUPT)
                member.is_broken_off = True

    def _tell(self, member: _Member, order: Open | Go | Order) -> None:
        # Of a worker that is gone `_hear` will know: its last words may still be in the pipe.
        with suppress(OSError):
            member.pipe.send(order)

    def _hear(self, timeout_s: float) -> None:
        """Take what workers say; waits up to ``timeout_s`` for the first."""
        by_pipe = {member.pipe: member for member in self._members if member.result is None}
        for pipe in wait(list(by_pipe), timeout_s):
            member = by_pipe[pipe]  # type: ignore[index]
            try:
                said = member.pipe.recv()
            except (EOFError, OSError):
                self._died(member)
                continue
            match said:
                case Snapshot():
                    member.snapshot = said
                case Warm():
                    member.is_warm = True
                    self._open()
                case Ready():
                    member.ready = said
                    if self._claims:
                        self._lane = said.lane
                        self._open()
                case News():
                    self._say(said.level, said.text)
                case Result():
                    member.result = said
                    self._take(said.error)

    def _open(self) -> None:
        """Let workers connect as soon as they may."""
        for member in self._members:
            if member.is_warm and not member.may_open:
                order = Open(self._lane)
                if self._claims and self._lane is None:
                    if member.number:
                        continue
                    order = Open(None, self._first_lane)
                member.may_open = True
                self._tell(member, order)

    def _take(self, error: IotProducerError | None) -> None:
        """Note what a worker ended with."""
        if self._claims and isinstance(error, NameTakenError):
            self._lost_lane = self._lost_lane or error
        else:
            self._error = self._error or error

    def _died(self, member: _Member) -> None:
        """A worker died without a word: nothing that it sent can be called confirmed."""
        if member.result is not None:
            return
        member.process.join(1.0)
        code = member.process.exitcode
        hint = ""
        if member.is_broken_off:
            what = f"worker {member.number} did not end in time and was killed"
        elif code is not None and code < 0:
            what = f"worker {member.number} died: signal {-code}"
            hint = "it may have run out of memory" if code == -signal.SIGKILL else ""
        else:
            what = f"worker {member.number} died: exit code {code}"
        last = member.snapshot
        lane = None
        if self._start is not None:
            now_ns = self._clock.now_ns()
            config, start_ns = self._start.config, self._start.start_ns
            sink = SinkCounters() if last is None else last.sink
            lane = lane_without_word(config, member.number, start_ns, now_ns, what, sink)
        raw_bytes = 0 if last is None else last.raw_bytes
        error = IotProducerError(what, hint)
        member.result = Result(lane, raw_bytes, error)
        self._take(error)

    def _draw(self) -> None:
        now_ns = self._clock.now_ns()
        snapshots = [
            _aged(member.snapshot, now_ns) if member.result is None else member.snapshot
            for member in self._members
            if member.snapshot is not None
        ]
        if snapshots:
            if self._before is not None:
                snapshots.append(self._before)
            ends = self._wanted() is not Command.GO_ON
            merged = replace(Snapshot.merge(snapshots), lane=self._lane, is_draining=ends)
            if warning := self._duplicates.words(merged.sink):
                self._say("warning", warning)
            self._show(lambda: self._view.draw(merged))

    def _say(self, level: str, text: str) -> None:
        self._show(lambda: self._view.say(level, text))

    def _show(self, show: Callable[[], None]) -> None:
        """Use the view, until its reader is gone (``| head``, a closed terminal): then stop."""
        if not self._is_unwatched:
            try:
                show()
            except OSError:
                self._is_unwatched = True

    def _end_processes(self) -> None:
        """End what still lives: by its pid, first gently."""
        for member in self._members:
            if member.result is None and member.may_open:
                with suppress(OSError):
                    member.pipe.send(Order(Command.ABORT))
            elif member.result is None:
                # It compiles, ignores SIGTERM and has nothing to lose.
                member.process.kill()
            member.pipe.close()
        for member in self._members:
            member.process.join(2 * GRACE_NS / 1e9)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()

    def _report(self, start: LaneStart, started_ns: int) -> RunReport:
        results = [member.result for member in self._members if member.result is not None]
        error = self._error or self._lost_lane
        return run_report(
            start.config,
            [result.report for result in results if result.report is not None],
            start_ns=start.start_ns,
            started_ns=started_ns,
            ended_ns=max(self._ended_ns, started_ns),
            stop_reason=self._stop_reason or "the end of the plan",
            raw_bytes=sum(result.raw_bytes for result in results),
            error=None if error is None else error.message,
            gap=start.gap,
        )


def _aged(snapshot: Snapshot, now_ns: int) -> Snapshot:
    """A worker that is silent for long waits for its destination: what it is sending is that late.

    So a view goes on to tell of a destination that hangs.
    """
    age_ns = now_ns - snapshot.at_ns
    if age_ns <= _SILENT_NS:
        return snapshot
    return replace(snapshot, at_ns=now_ns, lag_now_ns=snapshot.lag_now_ns + age_ns)
