"""Verifying a run: read what arrived, recompute every record, compare.

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
from iot_producer.expectation import PartitionOf
from iot_producer.pulsar.message_keys import partition_of
from iot_producer.report import RunReport
from iot_producer.verification import Verification, plan_of
from iot_producer.verify_report import VerifyReport

__all__ = [
    "Progress",
    "VerifyReport",
    "VerifyProgress",
    "run_verify",
    "run_verify_file",
    "verify_chunks",
]

MARGIN_MS: Final = 60_000
"""Reading begins so long before the run: the broker finds the place by publish time."""
PROGRESS_NS: Final = 250_000_000

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
    report: RunReport,
    service_url: str,
    topic: str,
    *,
    progress: Progress | None = None,
    give_up_after_s: float | None = 30.0,
    clock: Clock | None = None,
    say: Callable[[str], None] | None = None,
) -> VerifyReport:
    """Compare a topic with the report of a run: from the run's start to the end as of now.

    Args:
        report: of the run.
        service_url: ``pulsar://host:port[,host2:port2]``.
        topic: its full name.
        progress: receives news of the reading.
        give_up_after_s: how long to wait for a broker that does not answer; None: for ever.
        clock: measures.
        say: receives news of attempts to connect.

    Raises:
        ReportError: the report cannot be used.
        UnreachableError: the broker does not answer, or stopped answering.
        RefusedError: the topic does not exist, or must not be read.
    """
    from iot_producer.pulsar.official_client import silent
    from iot_producer.sources.pulsar import PulsarReaderConfig, PulsarTopicReader

    clock = clock or SystemClock()
    plan_of(report)  # one that cannot be used is found out before anything is connected
    config = PulsarReaderConfig(
        service_url, topic, since_ms=since_ms(report), give_up_after_s=give_up_after_s
    )
    reader = PulsarTopicReader(config, clock, say or silent)
    try:
        n = reader.partitions
        place = (lambda devices: partition_of(devices, n)) if n else None
        return verify_chunks(
            report, reader, topic, partition_of=place, progress=progress, clock=clock
        )
    finally:
        reader.close()


def run_verify_file(
    report: RunReport,
    path: str,
    *,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> VerifyReport:
    """Compare files of JSON lines with the report of a run.

    Args:
        report: of the run.
        path: as the run's ``--to`` had it; the files of several lanes and parts are found by it.
        progress: receives news of the reading.
        clock: measures.

    Raises:
        ReportError: the report cannot be used.
        ConfigError: there is no such file, or it cannot be read.
    """
    from iot_producer.sources.json_lines import JsonLinesReader

    return verify_chunks(report, JsonLinesReader(path), path, progress=progress, clock=clock)


def verify_chunks(
    report: RunReport,
    chunks: Iterable[Chunk],
    source: str,
    *,
    partition_of: PartitionOf | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> VerifyReport:
    """Compare what was read with the report of a run.

    Args:
        report: of the run.
        chunks: what was read; those of one partition in its order.
        source: where from, for people.
        partition_of: the partition of each device's messages; None where there are none.
        progress: receives news of the reading.
        clock: measures.

    Raises:
        ReportError: the report cannot be used.
    """
    clock = clock or SystemClock()
    verification = Verification(report, partition_of)
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


def since_ms(report: RunReport) -> int:
    """From which publish time on a run's messages lie on the topic, ms since the epoch."""
    started_ms = int(datetime.fromisoformat(report.started_at).timestamp() * 1000)
    return max(min(started_ms, report.start_ns // _NS_PER_MS) - MARGIN_MS, 0)
