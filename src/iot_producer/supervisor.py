"""A run: one episode after another, and the run report.

Promise: the run ends with a report in which scheduled = confirmed + failed + unconfirmed + not
sent, written where it was asked for. Most runs are one episode; when a claimed lane is lost to
another pod, the run gives it up, says so, and goes on under another lane for what is left of it. It
must not know processes (episode.py), nor how a view looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from iot_producer.clock import Clock, SystemClock
from iot_producer.command import Command
from iot_producer.duplicates_warning import DuplicatesWarning
from iot_producer.episode import Ended, Episode
from iot_producer.errors import ExitCode, IotProducerError
from iot_producer.files import write_whole
from iot_producer.lane_start import rest_of
from iot_producer.report import RunReport
from iot_producer.run_config import RunConfig
from iot_producer.snapshot import Snapshot
from iot_producer.stop_requests import StopRequests
from iot_producer.view import View


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
        self._first_lane = 0
        self._duplicates = DuplicatesWarning(config.destination.topic)

    def run(self) -> Outcome:
        """Produce until the end of the plan, an error or a signal; write the report."""
        reports: list[RunReport] = []
        ended = self._episode(reports)
        while self._goes_on(ended):
            ended = self._episode(reports)
        report = replace(reports[-1], earlier=tuple(reports[:-1])) if reports else None
        # Without another lane to go on with, what the run is left with is that it lost its own.
        error = ended.error or (None if ended.report is None else ended.lost)
        if report is not None and self._config.report is not None:
            try:
                write_whole(self._config.report, report.to_json())
            except IotProducerError as failed:
                error = error or failed
        return Outcome(report, self._exit_code(report, error), error)

    def _episode(self, reports: list[RunReport]) -> Ended:
        """One more episode, its report added to those before it."""
        ended = Episode(
            self._config,
            self._view,
            self._stops,
            self._clock,
            first_lane=self._first_lane,
            rest=rest_of(self._config, reports) if reports else None,
            before=_snapshot_of(reports, self._clock.now_ns()),
            duplicates=self._duplicates,
        ).run()
        if ended.report is not None:
            reports.append(ended.report)
        return ended

    def _goes_on(self, ended: Ended) -> bool:
        """Whether the run takes another lane."""
        stopped = ended.error is not None or ended.is_unwatched
        if ended.lost is None or stopped or self._stops.command is not Command.GO_ON:
            return False
        # A lane that was lost is taken by somebody, so the search begins anew. One that was free
        # in part only, before it began, is passed over.
        is_partly_free = ended.report is None and ended.lane is not None
        self._first_lane = (ended.lane or 0) + 1 if is_partly_free else 0
        with suppress(OSError):  # a view without a reader ends the next episode
            self._view.say("warning", f"{ended.lost.message}; looking for another lane")
        return True

    def _exit_code(self, report: RunReport | None, error: IotProducerError | None) -> ExitCode:
        if self._stops.n_interrupts:
            return ExitCode.INTERRUPTED
        if error is not None:
            return error.exit_code
        # Without a report nothing was due.
        return ExitCode.OK if report is None or report.is_complete else ExitCode.FAILED


def _snapshot_of(reports: Sequence[RunReport], now_ns: int) -> Snapshot | None:
    """What a run came to so far, as views take it; None before its first episode."""
    if not reports:
        return None
    total = replace(reports[-1], earlier=tuple(reports[:-1]))
    tally = total.tally
    return Snapshot(
        now_ns,
        0,
        0.0,
        replace(tally, skipped=tally.not_sent),  # what was overdue then stays unsent
        total.total_raw_bytes,
        latencies=total.latencies,
        sink=total.sink,
    )


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
