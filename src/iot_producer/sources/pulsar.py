"""Reads back what is on a Pulsar topic, with the official client's readers.

Promise: each message is given as it is stored, in the order of its partition, up to the last one
that was there when it was asked for; and nothing is left on the broker (a reader has no lasting
subscription). It must not know what was expected.

A message costs 5 µs, all its parts read; `read_next` is as fast as the batches of a consumer, which
would need a subscription that a crash leaves behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import _pulsar

from iot_producer.chunk import Chunk
from iot_producer.clock import Clock
from iot_producer.errors import ConfigError, UnreachableError
from iot_producer.pulsar.official_client import (
    ClientConfig,
    ClientFailure,
    Say,
    answer_of,
    close_client,
    connect,
    n_partitions,
    silent,
)
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig

_NS_PER_S: Final = 1_000_000_000
_SLICE_MS: Final = 200  # for the first message of a chunk
_GAP_MS: Final = 20  # for each other: then the chunk stays smaller
_PAUSE_NS: Final = _NS_PER_S // 2
_DOUBT_NS: Final = 2 * _NS_PER_S  # the client's word that nothing is there counts after it
_LEAST_QUEUE: Final = 200


@dataclass(frozen=True, slots=True)
class PulsarReaderConfig:
    """What to read, and how.

    Attributes:
        service_url: ``pulsar://host:port[,host2:port2]``, of a broker or a proxy.
        topic: full name.
        since_ms: begin with the first entry that was published at or after it, ms since the epoch
            (by the producers' clocks: take some minutes before the start of a run); None: with the
            first there is.
        chunk_records: most messages in a chunk.
        queue_records: messages that wait in the client, over all partitions (about 2 kB each).
        give_up_after_s: how long to go on connecting while nobody answers, and how long to wait
            for a message that is known to be there; None: for ever.
        parts: (number, full name) of the partitions to read, or of the topic itself; None: those
            that the client finds.
        connect_timeout_s, operation_timeout_s, close_timeout_s, security: as in `ClientConfig`.
    """

    service_url: str
    topic: str
    since_ms: int | None = None
    chunk_records: int = 10_000
    queue_records: int = 20_000
    give_up_after_s: float | None = 30.0
    connect_timeout_s: float = 5.0
    operation_timeout_s: float = 10.0
    close_timeout_s: float = 3.0
    security: SecurityConfig = NO_SECURITY
    parts: tuple[tuple[int, str], ...] | None = None

    def __post_init__(self) -> None:
        for name in ("chunk_records", "queue_records"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", "set it to 1 or more")

    @property
    def client(self) -> ClientConfig:
        """How to reach Pulsar."""
        return ClientConfig(
            self.service_url,
            self.connect_timeout_s,
            self.operation_timeout_s,
            self.give_up_after_s,
            close_timeout_s=self.close_timeout_s,
            security=self.security,
        )


@dataclass(slots=True)
class _Partition:
    """One partition (or the topic), and how far it was read."""

    number: int
    topic: str
    reader: Any
    seen: Any = None  # id of the last message read
    end: Any = None  # id of the last message to read; None: nothing left
    silent_since_ns: int | None = None

    @property
    def is_done(self) -> bool:
        return self.end is None or (self.seen is not None and not self.seen < self.end)


class PulsarTopicReader:
    """Reads a topic from a time on. Used from one thread.

    Creating it connects; that may take as long as ``give_up_after_s`` says. Where the broker
    creates topics, a topic that is not there is created, and is empty: ``parts`` of the config are
    found without that.

    Args:
        config: what and how.
        clock: measures waiting.
        say: is told of failed attempts to connect.

    Raises:
        UnreachableError: nobody answered in time.
        RefusedError: the topic does not exist, no rights.
        ConfigError: the service URL or the topic's name is malformed.
    """

    def __init__(self, config: PulsarReaderConfig, clock: Clock, say: Say = silent) -> None:
        self._config = config
        self._clock = clock
        self._closed = False
        self._client: Any
        self._client, (self._n_partitions, self._partitions) = connect(
            config.client, self._open, config.topic, clock, say
        )

    @property
    def partitions(self) -> int:
        """How many partitions the topic has; 0 where it is not partitioned."""
        return self._n_partitions

    def __iter__(self) -> Iterator[Chunk]:
        return self.chunks()

    def chunks(self) -> Iterator[Chunk]:
        """The messages that came since the last call, up to the last one stored by now.

        Partitions take turns. Chunks hold at most ``chunk_records`` messages, and never none. A
        chunk may hold some that came after the call.

        Raises:
            UnreachableError: the broker went away, or keeps back what it has.
        """
        for part in self._partitions:
            part.end = self._patient_end_of(part)
        left = [part for part in self._partitions if not part.is_done]
        while left:
            for part in left:
                chunk = self._read(part)
                if chunk is not None:
                    yield chunk
            left = [part for part in left if not part.is_done]

    def close(self) -> None:
        """Release everything."""
        if not self._closed:
            self._closed = True
            close_client(self._client, self._config.close_timeout_s)
            self._partitions, self._client = [], None

    def _open(self, client: Any) -> tuple[int, list[_Partition]]:
        config = self._config
        timeout_s = config.client.answer_timeout_s
        parts = config.parts
        if parts is None:
            n = n_partitions(client, config.topic, timeout_s)
            names = [f"{config.topic}-partition-{i}" for i in range(n)] or [config.topic]
            parts = tuple(enumerate(names))
        else:
            n = sum(topic != config.topic for _, topic in parts)
        queue_records = max(config.queue_records // len(parts), _LEAST_QUEUE)
        partitions = []
        for number, topic in parts:
            reader = _new_reader(
                client, topic, _pulsar.MessageId.earliest, queue_records, timeout_s
            )
            if config.since_ms is not None:
                answer_of(reader.seek_async, config.since_ms, timeout_s=timeout_s)
            partitions.append(_Partition(number, topic, reader))
        return n, partitions

    def _patient_end_of(self, part: _Partition) -> Any:
        began_ns = self._clock.now_ns()
        limit_s = self._config.give_up_after_s
        while True:
            try:
                return self._end_of(part)
            except ClientFailure as error:
                now_ns = self._clock.now_ns()
                if limit_s is not None and now_ns - began_ns >= limit_s * _NS_PER_S:
                    raise self._silent(f"does not tell the end of the topic ({error})") from error
                self._clock.sleep_until(now_ns + _PAUSE_NS)

    def _end_of(self, part: _Partition) -> Any:
        """The id of the last message of a partition; None: none, or none since ``since_ms``."""
        timeout_s = self._config.client.answer_timeout_s
        last = _new_reader(self._client, part.topic, _pulsar.MessageId.latest, 1, timeout_s)
        try:
            if not answer_of(last.has_message_available_async, timeout_s=timeout_s):
                return None
            message = last.read_next(round(timeout_s * 1000))
        except _pulsar.Timeout:
            # It is known of, but retention has removed it.
            return None
        except _pulsar.PulsarException as error:
            raise ClientFailure(type(error).__name__) from error
        finally:
            answer_of(last.close_async, timeout_s=timeout_s)
        since_ms = self._config.since_ms
        if since_ms is not None and message.publish_timestamp() < since_ms:
            return None
        return message.message_id()

    def _read(self, part: _Partition) -> Chunk | None:
        """The next messages of a partition; None when nothing came for a while."""
        texts: list[bytes] = []
        times_ms: list[int] = []
        keys: list[str] = []
        properties: list[dict[str, str]] = []
        read_next = part.reader.read_next
        message = None
        patience_ms = _SLICE_MS
        try:
            # A Python loop over messages: there is no other way out of the client (5 µs each).
            for _ in range(self._config.chunk_records):
                message = read_next(patience_ms)
                patience_ms = _GAP_MS
                texts.append(message.data())
                times_ms.append(message.event_timestamp())
                keys.append(message.partition_key())
                properties.append(message.properties())
        except _pulsar.Timeout:
            if message is None:
                self._wait(part)
        except _pulsar.PulsarException as error:
            raise self._silent(f"broke off ({type(error).__name__})") from error
        if message is None:
            return None
        part.seen = message.message_id()
        part.silent_since_ns = None
        return Chunk.of_texts(texts, times_ms, keys, properties, part.number)

    def _wait(self, part: _Partition) -> None:
        """Nothing came, though something is there: give up after a while.

        Unless it is there no more: retention removes messages while they are read.
        """
        now_ns = self._clock.now_ns()
        if part.silent_since_ns is None:
            part.silent_since_ns = now_ns
        silent_ns = now_ns - part.silent_since_ns
        limit_s = self._config.give_up_after_s
        if limit_s is not None and silent_ns >= limit_s * _NS_PER_S:
            raise self._silent(f"has given nothing for {silent_ns / _NS_PER_S:.0f} s")
        if silent_ns < _DOUBT_NS or not part.reader.is_connected():
            return
        timeout_s = self._config.client.answer_timeout_s
        try:
            available = answer_of(part.reader.has_message_available_async, timeout_s=timeout_s)
        except ClientFailure:
            return
        if not available:
            part.end = None

    def _silent(self, what: str) -> UnreachableError:
        return UnreachableError(
            f"{self._config.service_url} {what}, topic {self._config.topic}",
            "see what the broker does, and read again",
        )


def _new_reader(client: Any, topic: str, start: Any, queue_records: int, timeout_s: float) -> Any:
    configuration = _pulsar.ReaderConfiguration()
    configuration.receiver_queue_size(queue_records)
    configuration.start_message_id_inclusive(True)
    return answer_of(client.create_reader_async, topic, start, configuration, timeout_s=timeout_s)
