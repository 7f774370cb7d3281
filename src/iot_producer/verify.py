"""Verifying runs: read what arrived, recompute every record, compare.

Promise: what was read is all that there was when it was asked for, or an error is raised; a broker
that stops answering is given up. It must not know how the result is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from iot_producer.chunk import Chunk
from iot_producer.clock import Clock, SystemClock
from iot_producer.errors import MissingTopicError, RefusedError, ReportError
from iot_producer.expectation import PartitionOf
from iot_producer.known_run import KnownRun, Runs, known_runs_of
from iot_producer.lane_succession import known_runs
from iot_producer.plan_set import PlanSet
from iot_producer.pulsar.message_keys import partition_of
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig
from iot_producer.report import RunReport
from iot_producer.verification import Verification
from iot_producer.verify_report import VerifyReport
from iot_producer.verify_totals import Span

__all__ = [
    "Progress",
    "VerifyReport",
    "VerifyProgress",
    "published_runs",
    "run_verify",
    "run_verify_file",
    "verify_chunks",
]

MARGIN_MS: Final = 60_000
"""Reading begins so long before the run: the broker finds the place by publish time."""
PROGRESS_NS: Final = 250_000_000
NATIVE: Final = "native"

_READING_NS: Final = 3_600_000_000_000
"""Lanes that run go on while the topic is read."""
_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """How far a verification has come.

    Attributes:
        n_read: records read and compared.
        n_expected: records that must be there; foreign ones and copies come on top.
        seconds: since it began.
    """

    n_read: int
    n_expected: int
    seconds: float

    @property
    def per_s(self) -> float:
        """Records a second so far."""
        return self.n_read / self.seconds if self.seconds > 0 else 0.0


Progress = Callable[[VerifyProgress], None]
"""Called a few times a second while records are read, and at the end."""


def run_verify(
    runs: Runs,
    service_url: str,
    topic: str,
    *,
    progress: Progress | None = None,
    give_up_after_s: float | None = 30.0,
    clock: Clock | None = None,
    say: Callable[[str], None] | None = None,
    span: Span | None = None,
    security: SecurityConfig = NO_SECURITY,
    client: str = NATIVE,
    was_there: bool = False,
) -> VerifyReport:
    """Compare a topic with the reports of runs: from their start to the end as of now.

    Args:
        runs: a run's report, or what is known of several.
        service_url: ``pulsar://host:port[,host2:port2]``.
        topic: its full name.
        progress: receives news of the reading.
        give_up_after_s: how long to wait for a broker that does not answer; None: for ever.
        clock: measures.
        say: receives news of attempts to connect.
        span: only records of this time count.
        security: TLS and token.
        client: who reads, ``native`` or ``official``.
        was_there: the topic is known to have been on this very broker: when it is not there now,
            all of it is lost.

    Raises:
        ReportError: a report cannot be used.
        UnreachableError: the broker does not answer, or stopped answering.
        MissingTopicError: the topic does not exist.
        RefusedError: it must not be read.
    """
    from iot_producer.sources.topic import TopicSource, open_topic

    clock = clock or SystemClock()
    PlanSet(known_runs_of(runs))  # what cannot be used is found out before anything is connected
    begin_ms = since_ms(runs)
    if span is not None:
        # Nothing is published before it is due.
        begin_ms = max(begin_ms, span.first_ms - MARGIN_MS)
    source = TopicSource(service_url, topic, security, client, begin_ms, give_up_after_s)
    try:
        reader = open_topic(source, clock, say)
    except MissingTopicError:
        if not was_there:
            raise
        if say is not None:
            say(f"{topic} is not there any more: nothing that runs published is on it")
        return verify_chunks(runs, (), topic, progress=progress, clock=clock, span=span)
    try:
        n = reader.partitions
        place = (lambda devices: partition_of(devices, n)) if n else None
        return verify_chunks(
            runs, reader, topic, partition_of=place, progress=progress, clock=clock, span=span
        )
    finally:
        reader.close()


def published_runs(
    service_url: str,
    topic: str,
    *,
    give_up_after_s: float | None = 30.0,
    clock: Clock | None = None,
    say: Callable[[str], None] | None = None,
    security: SecurityConfig = NO_SECURITY,
) -> tuple[list[KnownRun], list[str]]:
    """What the lanes of a topic published about themselves, beside it.

    Args:
        service_url: ``pulsar://host:port[,host2:port2]``.
        topic: the full name of the topic of the records.
        give_up_after_s: how long to wait for a broker that does not answer; None: for ever.
        clock: measures.
        say: receives news of attempts to connect.
        security: TLS and token.

    Returns:
        the lanes, each for every time that it was claimed, and what is wrong with those that cannot
        be read.

    Raises:
        ReportError: nothing was published, or the topic does not exist.
        UnreachableError: the broker does not answer, or stopped answering.
    """
    from iot_producer.destination import parse_destination
    from iot_producer.pulsar.connection import ConnectionConfig
    from iot_producer.run_journal import runs_topic
    from iot_producer.sources.runs_topic import read_journals
    from iot_producer.sources.topic import TopicSource, look_for_topic

    clock = clock or SystemClock()
    connection = ConnectionConfig(parse_destination(service_url, topic).hosts, security)
    hint = "give the reports of the runs: --report run.json"
    try:
        entries, problems = read_journals(
            connection, topic, clock, say or (lambda _: None), give_up_after_s=give_up_after_s
        )
    except RefusedError as error:
        raise ReportError(
            f"there is no report, and what runs published cannot be read: {error.message}", hint
        ) from error
    if not entries and not problems:
        try:
            source = TopicSource(service_url, topic, security, give_up_after_s=give_up_after_s)
            look_for_topic(source, clock, say)
        except MissingTopicError as error:
            raise ReportError(error.message, error.hint) from error
        raise ReportError(
            f"there is no report, and no run has published anything on {runs_topic(topic)}", hint
        )
    return known_runs(entries, clock.now_ns() + _READING_NS, partition_of), problems


def run_verify_file(
    runs: Runs,
    path: str,
    *,
    progress: Progress | None = None,
    clock: Clock | None = None,
    span: Span | None = None,
) -> VerifyReport:
    """Compare files of JSON lines with the reports of runs.

    Args:
        runs: a run's report, or what is known of several.
        path: as the run's ``--to`` had it; the files of several lanes and parts are found by it.
        progress: receives news of the reading.
        clock: measures.
        span: only records of this time count.

    Raises:
        ReportError: a report cannot be used.
        ConfigError: there is no such file, or it cannot be read.
    """
    from iot_producer.sources.json_lines import JsonLinesReader

    reader = JsonLinesReader(path)
    return verify_chunks(runs, reader, path, progress=progress, clock=clock, span=span)


def verify_chunks(
    runs: Runs,
    chunks: Iterable[Chunk],
    source: str,
    *,
    partition_of: PartitionOf | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
    span: Span | None = None,
) -> VerifyReport:
    """Compare what was read with the reports of runs.

    Args:
        runs: a run's report, or what is known of several.
        chunks: what was read; those of one partition in its order.
        source: where from, for people.
        partition_of: the partition of each device's messages; None where there are none.
        progress: receives news of the reading.
        clock: measures.
        span: only records of this time count.

    Raises:
        ReportError: a report cannot be used.
    """
    clock = clock or SystemClock()
    verification = Verification(runs, partition_of, span=span)
    began_ns = clock.now_ns()
    next_ns = began_ns

    def tell(now_ns: int) -> None:
        if progress is not None:
            seconds = (now_ns - began_ns) / _NS_PER_S
            progress(VerifyProgress(verification.n_read, verification.n_expected, seconds))

    for chunk in chunks:
        verification.add(chunk)
        now_ns = clock.now_ns()
        if now_ns >= next_ns:
            next_ns = now_ns + PROGRESS_NS
            tell(now_ns)
    end_ns = clock.now_ns()
    tell(end_ns)
    return verification.result(source, (end_ns - began_ns) / _NS_PER_S)


def since_ms(runs: Runs) -> int:
    """From which publish time on the messages of runs lie on the topic, ms since the epoch."""
    reports = [run.report for run in known_runs_of(runs)]
    return max(min(map(_begin_ms, reports), default=0) - MARGIN_MS, 0)


def _begin_ms(report: RunReport) -> int:
    started_ms = int(datetime.fromisoformat(report.started_at).timestamp() * 1000)
    return min(started_ms, report.start_ns // _NS_PER_MS)
