"""Reads the journals of all lanes from the topic ``<topic>-runs``.

Promise: of each key the newest entry that is kept, as of now; what cannot be read is named. It must
not know what the entries are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from iot_producer.clock import Clock
from iot_producer.errors import MissingTopicError
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.patience import Say
from iot_producer.report import RunReport
from iot_producer.run_journal import LaneEntry, entries_of, newest, runs_topic
from iot_producer.sources.pulsar_native import NativePulsarReader, NativeReaderConfig


def read_journals(
    connection: ConnectionConfig,
    topic: str,
    clock: Clock,
    say: Say,
    *,
    give_up_after_s: float | None = 30.0,
) -> tuple[list[LaneEntry], list[str]]:
    """What all lanes of a topic have told of themselves.

    Args:
        connection: how to reach Pulsar.
        topic: full name of the topic of the records.
        clock: measures waiting.
        say: is told of failed attempts to connect.
        give_up_after_s: how long to go on while nobody answers; None: for ever.

    Returns:
        the newest entry of each lane and claim, in the order of the claims, and what is wrong with
        those that cannot be read. Where the topic is not there, no lane has told anything.

    Raises:
        UnreachableError: nobody answered in time.
        RefusedError: it must not be read.
    """
    config = NativeReaderConfig(
        connection, runs_topic(topic), is_compacted=True, give_up_after_s=give_up_after_s
    )
    try:
        reader = NativePulsarReader(config, clock, say)
    except MissingTopicError:
        return [], []
    try:
        return entries_of(newest(_messages(reader)))
    finally:
        reader.close()


def predecessor_of(entries: Iterable[LaneEntry], name: str) -> RunReport | None:
    """What the last run of a lane said of its plan; None where nothing is known.

    Args:
        entries: in the order of their claims.
        name: of the lane's producer.
    """
    reports = [entry.report for entry in entries if entry.head.name == name]
    return reports[-1] if reports else None


def _messages(reader: NativePulsarReader) -> Iterator[tuple[str, bytes]]:
    for chunk in reader:
        assert chunk.keys is not None
        for i in range(chunk.n):
            yield chunk.keys[i], chunk.text(i)
