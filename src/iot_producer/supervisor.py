"""A run: worker processes, signals, merged snapshots, the run report.

Promise: whatever happens — a worker's error or death, SIGTERM, one Ctrl-C or two — the run ends
with a report in which scheduled = confirmed + failed + unconfirmed + not sent, and no process is
left behind. It must not know how a view looks or how a sink sends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Final

from iot_producer import __version__
from iot_producer.blocks import DATA_VERSION, Plan
from iot_producer.clock import Clock, SystemClock
from iot_producer.errors import ExitCode, IotProducerError
from iot_producer.lane import LaneSpec
from iot_producer.machine import describe_machine
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.report import LaneReport, RunReport, iso_time
from iot_producer.run_config import RunConfig
from iot_producer.schedule import MaxRate
from iot_producer.snapshot import Snapshot
from iot_producer.view import View
from iot_producer.worker_process import INTERRUPT, Go, News, Order, Ready, Result, main

DRAW_NS: Final = 250_000_000
GRACE_NS: Final = 2_000_000_000
"""How long after its deadline a worker may take to end before its sink is broken off."""
_DRAIN: Final = 1
_ABORT: Final = 2


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
    ready: bool = False
    snapshot: Snapshot | None = None
    result: Result | None = None
    order: int = 0


@dataclass(slots=True)
class _Signals:
    """SIGTERM and SIGINT as counts, while a run goes on."""

    terms: int = 0
    interrupts: int = 0
    _before: dict[int, object] = field(default_factory=dict)

    def __enter__(self) -> _Signals:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self.terms += 1
        else:
            self.interrupts += 1

    @property
    def level(self) -> int:
        if self.interrupts >= 2:
            return _ABORT
        return _DRAIN if self.terms or self.interrupts else 0


class Supervisor:
    """Runs all lanes of a pod.

    Args:
        config: the run.
        view: shows it.
        clock: the time.
    """

    def __init__(self, config: RunConfig, view: View, clock: Clock | None = None) -> None:
        self._config = config
        self._view = view
        self._clock = clock or SystemClock()
        self._members: list[_Member] = []
        self._start_ns = 0
        self._error: IotProducerError | None = None
        self._deadline_ns = 0
        self._stop_reason = ""

    def run(self) -> Outcome:
        """Produce until the end of the plan, an error or a signal."""
        started_ns = self._clock.now_ns()
        with _Signals() as signals:
            try:
                self._spawn()
                if self._connect(signals):
                    self._watch(signals)
            finally:
                self._end_processes()
        report = None
        if self._start_ns:
            report = self._report(started_ns)
        return Outcome(report, self._exit_code(report, signals), self._error)

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        for number in range(self._config.workers):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=main, args=(theirs, self._config, number), name=f"worker-{number}"
            )
            process.start()
            theirs.close()
            self._members.append(_Member(number, process, ours))

    def _connect(self, signals: _Signals) -> bool:
        """Wait until every worker is ready, then begin; False when the run ends before."""
        while not all(member.ready for member in self._members):
            self._hear(0.1)
            if self._error is not None or signals.level:
                self._stop_reason = "stopped before it began"
                return False
        now_ns = self._clock.now_ns()
        # On a whole millisecond, so that the times of a round rate look round.
        soon_ns = (now_ns // 1_000_000 + 10) * 1_000_000
        self._start_ns = soon_ns if self._config.start_ns is None else self._config.start_ns
        for member in self._members:
            self._order(member, Go(self._start_ns))
        return True

    def _watch(self, signals: _Signals) -> None:
        next_draw_ns = 0
        while any(member.result is None for member in self._members):
            self._hear(0.05)
            now_ns = self._clock.now_ns()
            level = signals.level
            if self._error is not None:
                level = max(level, _DRAIN)
            if level and not self._stop_reason:
                self._stop_reason = self._reason(signals)
                if signals.level:
                    self._view.say("info", f"{self._stop_reason}: waiting for confirmations")
            self._command(level, now_ns)
            if now_ns >= next_draw_ns:
                next_draw_ns = now_ns + DRAW_NS
                self._draw()
        self._draw()

    def _reason(self, signals: _Signals) -> str:
        if self._error is not None:
            return self._error.message
        return "SIGINT" if signals.interrupts else "SIGTERM"

    def _command(self, level: int, now_ns: int) -> None:
        """Pass a command on; break off what has not ended long after it."""
        for member in self._members:
            if level > member.order and member.result is None:
                member.order = level
                self._order(member, Order(level))
                patience_ns = 2 * self._config.drain_timeout_ns if level == _DRAIN else 0
                self._deadline_ns = now_ns + patience_ns + GRACE_NS
        if self._deadline_ns and now_ns >= self._deadline_ns:
            self._deadline_ns = now_ns + GRACE_NS
            for member in self._members:
                if member.result is None and member.process.pid:
                    os.kill(member.process.pid, INTERRUPT)

    def _order(self, member: _Member, order: object) -> None:
        try:
            member.pipe.send(order)
        except (BrokenPipeError, ConnectionResetError):
            self._lost(member)

    def _hear(self, timeout_s: float) -> None:
        """Take what workers say; waits up to ``timeout_s`` for the first."""
        by_pipe = {member.pipe: member for member in self._members if member.result is None}
        for pipe in wait(list(by_pipe), timeout_s):
            member = by_pipe[pipe]  # type: ignore[index]
            try:
                said = member.pipe.recv()
            except (EOFError, ConnectionResetError):
                self._lost(member)
                continue
            match said:
                case Snapshot():
                    member.snapshot = said
                case Ready():
                    member.ready = True
                case News():
                    self._view.say(said.level, said.text)
                case Result():
                    member.result = said
                    if said.error is not None and self._error is None:
                        self._error = said.error

    def _lost(self, member: _Member) -> None:
        """A worker died without a word: nothing that it sent can be called confirmed."""
        if member.result is not None:
            return
        member.process.join(1.0)
        code = member.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        hint = "it may have been out of memory" if code == -signal.SIGKILL else ""
        error = IotProducerError(f"worker {member.number} died ({how})", hint)
        report = None
        if self._start_ns and not isinstance(self._config.schedule, MaxRate):
            report = self._unknown(member, error)
        member.result = Result(report, member.snapshot.raw_bytes if member.snapshot else 0, error)
        self._error = self._error or error

    def _unknown(self, member: _Member, error: IotProducerError) -> LaneReport:
        config = self._config
        assert not isinstance(config.schedule, MaxRate)
        lane = LaneSpec(config.lane_index(member.number), config.n_lanes)
        plan = Plan(config.fleet, lane, config.schedule, self._start_ns)
        n_due = plan.n_due(self._clock.now_ns())
        ranges = LaneRanges(unconfirmed=RangeSet([(0, n_due)] if n_due else []))
        tally = TallySnapshot(scheduled=n_due, sent=n_due)
        return LaneReport(lane.index, tally, ranges, error=error.message)

    def _draw(self) -> None:
        snapshots = [member.snapshot for member in self._members if member.snapshot is not None]
        if snapshots:
            self._view.draw(Snapshot.merge(snapshots))

    def _end_processes(self) -> None:
        """End what still lives: by its pid, first gently."""
        for member in self._members:
            member.pipe.close()
        for member in self._members:
            if member.result is None:
                # It ignores SIGTERM, and has nothing to lose: it has not begun.
                member.process.kill()
            member.process.join(2.0)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()

    def _report(self, started_ns: int) -> RunReport:
        config = self._config
        results = [member.result for member in self._members if member.result is not None]
        warm_up = 0
        if config.warm_up_ns and not isinstance(config.schedule, MaxRate):
            warm_up = config.schedule.n_due(config.warm_up_ns - 1)
        settings = {source.name: [source.value, source.origin] for source in config.sources}
        return RunReport(
            data_version=DATA_VERSION,
            tool_version=__version__,
            machine=describe_machine(),
            config=settings,
            fleet=config.fleet.to_dict(),
            schedule=config.schedule.to_spec(),
            start_ns=self._start_ns,
            n_lanes=config.n_lanes,
            lanes=[result.report for result in results if result.report is not None],
            started_at=iso_time(started_ns),
            ended_at=iso_time(self._clock.now_ns()),
            stop_reason=self._stop_reason or "the end of the plan",
            destination=str(config.destination),
            n_warm_up=warm_up,
            raw_bytes=sum(result.raw_bytes for result in results),
            error=None if self._error is None else self._error.message,
        )

    def _exit_code(self, report: RunReport | None, signals: _Signals) -> ExitCode:
        if signals.interrupts:
            return ExitCode.INTERRUPTED
        if self._error is not None:
            return self._error.exit_code
        if report is None:
            return ExitCode.OK if signals.terms else ExitCode.FAILED
        return ExitCode.OK if report.tally.complete else ExitCode.FAILED


def run_load(config: RunConfig, view: View, clock: Clock | None = None) -> Outcome:
    """Carry out a run; see Supervisor."""
    outcome = Supervisor(config, view, clock).run()
    view.close(outcome.report)
    return outcome
