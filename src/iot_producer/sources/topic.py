"""A Pulsar topic to be read, by whichever client was asked for.

Promise: both clients give the same chunks of the same topic, and neither makes a topic that is not
there. It must not know what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from iot_producer.chunk import Chunk
from iot_producer.clock import Clock
from iot_producer.destination import parse_destination
from iot_producer.errors import ConfigError
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig

if TYPE_CHECKING:
    from iot_producer.pulsar.topic_parts import TopicParts
    from iot_producer.sources.pulsar_native import NativePulsarReader

NATIVE: Final = "native"
OFFICIAL: Final = "official"
CLIENTS: Final = (NATIVE, OFFICIAL)


@dataclass(frozen=True, slots=True)
class TopicSource:
    """What to read, and who reads.

    Attributes:
        service_url: ``pulsar://host:port[,host2:port2]``, of a broker or a proxy.
        topic: full name.
        security: TLS and token.
        client: one of `CLIENTS`.
        since_ms: from which publish time on, ms since the epoch; None: all.
        give_up_after_s: how long to wait for a broker that does not answer; None: for ever.
    """

    service_url: str
    topic: str
    security: SecurityConfig = NO_SECURITY
    client: str = NATIVE
    since_ms: int | None = None
    give_up_after_s: float | None = 30.0

    def __post_init__(self) -> None:
        if self.client not in CLIENTS:
            raise ConfigError(f"client {self.client!r} is unknown", f"known: {', '.join(CLIENTS)}")


class TopicReader(Protocol):
    """Reads a topic."""

    @property
    def partitions(self) -> int:
        """How many partitions the topic has; 0 where it is not partitioned."""
        ...

    def __iter__(self) -> Iterator[Chunk]:
        """What is there now, partition by partition in its order."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


def open_topic(
    source: TopicSource, clock: Clock, say: Callable[[str], None] | None = None
) -> TopicReader:
    """Connect and be ready to read.

    Args:
        source: what, and who reads.
        clock: measures waiting.
        say: is told of failed attempts to connect.

    Raises:
        UnreachableError: nobody answered in time.
        MissingTopicError: the topic does not exist.
        RefusedError: no rights.
        ConfigError: the service URL or the topic's name is malformed.
    """
    if source.client == OFFICIAL:
        from iot_producer.pulsar.client_errors import not_installed

        try:
            from iot_producer.sources.pulsar import PulsarReaderConfig, PulsarTopicReader
        except ImportError as error:
            raise not_installed(error) from error
        return PulsarTopicReader(
            PulsarReaderConfig(
                source.service_url,
                source.topic,
                since_ms=source.since_ms,
                give_up_after_s=source.give_up_after_s,
                security=source.security,
                # The client would make a topic that is not there.
                parts=look_for_topic(source, clock, say).parts,
            ),
            clock,
            say or _silent,
        )
    return open_native(source, clock, say)


def look_for_topic(
    source: TopicSource, clock: Clock, say: Callable[[str], None] | None = None
) -> TopicParts:
    """Which partitions of a topic are there; takes and raises the same."""
    from iot_producer.pulsar.connection import ConnectionConfig
    from iot_producer.pulsar.topic_parts import look_for_parts

    hosts = parse_destination(source.service_url, source.topic).hosts
    connection = ConnectionConfig(hosts, source.security)
    patience_s = source.give_up_after_s
    return look_for_parts(connection, source.topic, clock, say or _silent, patience_s)


def open_native(
    source: TopicSource,
    clock: Clock,
    say: Callable[[str], None] | None = None,
    *,
    waits_for_topic: bool = False,
) -> NativePulsarReader:
    """The same with the native client, which can also follow; raises the same.

    Args:
        source, clock, say: as for `open_topic`.
        waits_for_topic: a topic that is not there is no error: following waits for it.
    """
    from iot_producer.pulsar.connection import ConnectionConfig
    from iot_producer.sources.pulsar_native import NativePulsarReader, NativeReaderConfig

    hosts = parse_destination(source.service_url, source.topic).hosts
    return NativePulsarReader(
        NativeReaderConfig(
            ConnectionConfig(hosts, source.security),
            source.topic,
            since_ms=source.since_ms,
            give_up_after_s=source.give_up_after_s,
            waits_for_topic=waits_for_topic,
        ),
        clock,
        say or _silent,
    )


def _silent(line: str) -> None:
    """Say nothing."""
