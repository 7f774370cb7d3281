"""A run: worker processes, merged snapshots, the run report.

Promise: whatever happens — a worker's error or death, SIGTERM, one Ctrl-C or two, a view that
nobody reads any more — the run ends with a report in which scheduled = confirmed + failed +
unconfirmed + not sent, written where it was asked for, and no process is left behind. It must not
know how a view looks or how a sink sends.
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

from iot_producer.clock import Clock, SystemClock
from iot_producer.command import Command
from iot_producer.errors import ExitCode, IotProducerError
from iot_producer.files import write_whole
from iot_producer.report import RunReport
from iot_producer.run_config import RunConfig
from iot_producer.run_result import lane_without_word, run_report
from iot_producer.snapshot import Snapshot
from iot_producer.stop_requests import StopRequests, sheltered_children
from iot_producer.view import View
from iot_producer.worker_process import (
    INTERRUPT,
    Go,
    News,
    Open,
    Order,
    Ready,
    Result,
    Warm,
    main,
)

DRAW_NS: Final = 250_000_000
GRACE_NS: Final = 1_000_000_000
"""How long a worker may take to end: then its sink is broken off; as long again, it is killed."""
_SILENT_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        report: what became of each message; None when the run never began.
        exit_code: what the process says.
        error: what ended it early; already in the report, if there is one.
    """

    report: RunReport | None
    exit_code: ExitCode
    error: IotProducerError | None = None


@dataclass(slots=True)
class _Member:
    """A worker process as the parent sees it."""

    number: int
    process: BaseProcess
    pipe: Connection
    may_open: bool = False
    ready: bool = False
    snapshot: Snapshot | None = None
    result: Result | None = None
    command: Command = Command.GO_ON
    is_broken_off: bool = False


class Supervisor:
    """Runs all lanes of a pod, once.

    Args:
        config: the run.
        view: shows it.
        stops: says when somebody wants it to end.
        clock: the time.
    """

    def __init__(self, config: RunConfig, view: View, stops: StopRequests, clock: Clock) -> None:
        self._config = config
        self._view = view
        self._stops = stops
        self._clock = clock
        self._members: list[_Member] = []
        self._start_ns = 0
        self._ended_ns = 0
        self._error: IotProducerError | None = None
        self._deadline_ns = 0
        self._stop_reason = ""
        self._is_unwatched = False

    def run(self) -> Outcome:
        """Produce until the end of the plan, an error or a signal; write the report."""
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
        report = self._report(started_ns) if self._start_ns else None
        if report is not None and self._config.report is not None:
            try:
                write_whole(self._config.report, report.to_json())
            except IotProducerError as error:
                self._error = self._error or error
        return Outcome(report, self._exit_code(report), self._error)

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
        """Wait until every worker is ready, then begin; False when the run ends before."""
        while not all(member.ready for member in self._members):
            self._hear(0.1)
            if self._wanted() is not Command.GO_ON:
                return False
        now_ns = self._clock.now_ns()
        # On a whole millisecond, so that the times of a round rate look round.
        soon_ns = (now_ns // 1_000_000 + 10) * 1_000_000
        self._start_ns = soon_ns if self._config.start_ns is None else self._config.start_ns
        for member in self._members:
            self._tell(member, Go(self._start_ns))
        return True

    def _watch(self) -> None:
        next_draw_ns = 0
        while any(member.result is None for member in self._members):
            self._hear(0.05)
            now_ns = self._clock.now_ns()
            command = self._wanted()
            if command is not Command.GO_ON and not self._stop_reason:
                self._stop_reason = self._reason()
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
        ends = self._error is not None or self._is_unwatched
        return max(self._stops.command, Command.DRAIN if ends else Command.GO_ON)

    def _reason(self) -> str:
        if self._error is not None:
            return self._error.message
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
        try:
            member.pipe.send(order)
        except OSError:
            self._lost(member)

    def _hear(self, timeout_s: float) -> None:
        """Take what workers say; waits up to ``timeout_s`` for the first."""
        by_pipe = {member.pipe: member for member in self._members if member.result is None}
        for pipe in wait(list(by_pipe), timeout_s):
            member = by_pipe[pipe]  # type: ignore[index]
            try:
                said = member.pipe.recv()
            except (EOFError, OSError):
                self._lost(member)
                continue
            match said:
                case Snapshot():
                    member.snapshot = said
                case Warm():
                    member.may_open = True
                    self._tell(member, Open())
                case Ready():
                    member.ready = True
                case News():
                    self._say(said.level, said.text)
                case Result():
                    member.result = said
                    self._error = self._error or said.error

    def _lost(self, member: _Member) -> None:
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
        error = IotProducerError(what, hint)
        lane = None
        if self._start_ns:
            now_ns = self._clock.now_ns()
            lane = lane_without_word(self._config, member.number, self._start_ns, now_ns, what)
        raw_bytes = member.snapshot.raw_bytes if member.snapshot else 0
        member.result = Result(lane, raw_bytes, error)
        self._error = self._error or error

    def _draw(self) -> None:
        now_ns = self._clock.now_ns()
        snapshots = [
            _aged(member.snapshot, now_ns) if member.result is None else member.snapshot
            for member in self._members
            if member.snapshot is not None
        ]
        if snapshots:
            merged = Snapshot.merge(snapshots)
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

    def _report(self, started_ns: int) -> RunReport:
        results = [member.result for member in self._members if member.result is not None]
        return run_report(
            self._config,
            [result.report for result in results if result.report is not None],
            start_ns=self._start_ns,
            started_ns=started_ns,
            ended_ns=self._ended_ns,
            stop_reason=self._stop_reason or "the end of the plan",
            raw_bytes=sum(result.raw_bytes for result in results),
            error=None if self._error is None else self._error.message,
        )

    def _exit_code(self, report: RunReport | None) -> ExitCode:
        if self._stops.n_interrupts:
            return ExitCode.INTERRUPTED
        if self._error is not None:
            return self._error.exit_code
        # Without a report nothing was due.
        return ExitCode.OK if report is None or report.tally.complete else ExitCode.FAILED


def _aged(snapshot: Snapshot, now_ns: int) -> Snapshot:
    """A worker that is silent for long waits for its destination: what it is sending is that late.

    So a view goes on to tell of a destination that hangs.
    """
    age_ns = now_ns - snapshot.at_ns
    if age_ns <= _SILENT_NS:
        return snapshot
    return replace(snapshot, at_ns=now_ns, lag_now_ns=snapshot.lag_now_ns + age_ns)


def run_load(config: RunConfig, view: View, clock: Clock | None = None) -> Outcome:
    """Carry out a run, and close its view; see Supervisor."""
    report = None
    with StopRequests() as stops:
        try:
            outcome = Supervisor(config, view, stops, clock or SystemClock()).run()
            report = outcome.report
        finally:
            with suppress(OSError):  # its reader is gone
                view.close(report)
    return outcome
