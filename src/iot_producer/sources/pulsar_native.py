"""Reads back what is on a Pulsar topic, whole entries at a time, over our own wire layer.

Promise: as sources/pulsar.py: each message is given as it is stored, in the order of its partition,
up to the last one that was there when it was asked for, and nothing is left on the broker. It must
not know what was expected.

Two threads share the work: the event loop's takes frames off the sockets, the caller's uncompresses
and takes apart; most of both releases the GIL.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from iot_producer.chunk import Chunk
from iot_producer.clock import Clock
from iot_producer.errors import ConfigError, IotProducerError, UnreachableError
from iot_producer.pulsar.client import Backoff, PulsarClient
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.event_loop import EventLoop
from iot_producer.pulsar.patience import Say, patiently
from iot_producer.pulsar.reader import MOST_BYTES, NOWHERE, EntryId, PartitionReader, StoredEntry
from iot_producer.sources.entry_chunks import chunks_of

_NS_PER_S: Final = 1_000_000_000
_SLICE_S: Final = 0.25
_GAP_S: Final = 0.01  # for another entry: then the chunk stays smaller
_LEAST_PERMITS: Final = 2_000
_LEAST_BYTES: Final = 1024 * 1024
_CHUNKS_WAITING: Final = 4  # of one partition: one is compared while others come


@dataclass(frozen=True, slots=True)
class NativeReaderConfig:
    """What to read, and how.

    Attributes:
        connection: how to reach Pulsar.
        topic: full name.
        since_ms: begin with the first entry that was published at or after it, ms since the epoch
            (by the producers' clocks: take some minutes before the start of a run); None: with the
            first there is.
        is_compacted: of what the broker has compacted, take the last message of each key only.
        chunk_records: about how many messages make a chunk; a single entry is never cut.
        waiting_records: messages that may wait here, over all partitions.
        waiting_bytes: about so many bytes may wait, over all partitions.
        give_up_after_s: how long to go on connecting while nobody answers, and how long to wait
            for an entry that is known to be there; None: for ever.
        doubt_s: after so much silence the broker is asked what is left.
        close_timeout_s: for a clean good-bye.
    """

    connection: ConnectionConfig
    topic: str
    since_ms: int | None = None
    is_compacted: bool = False
    chunk_records: int = 4_000
    waiting_records: int = 100_000
    waiting_bytes: int = MOST_BYTES
    give_up_after_s: float | None = 30.0
    doubt_s: float = 2.0
    close_timeout_s: float = 3.0

    def __post_init__(self) -> None:
        for name in ("chunk_records", "waiting_records", "waiting_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", "set it to 1 or more")


@dataclass(slots=True)
class _Partition:
    """One partition (or the topic), and how far it was read."""

    number: int
    reader: PartitionReader
    entries: list[StoredEntry] = field(default_factory=list)
    n_records: int = 0  # in entries
    seen: EntryId = NOWHERE
    end: EntryId = NOWHERE  # the last entry to read
    silent_since_ns: int = 0

    @property
    def is_done(self) -> bool:
        return self.seen >= self.end

    def take(self) -> list[StoredEntry]:
        entries, self.entries, self.n_records = self.entries, [], 0
        return entries


def silent(line: str) -> None:
    """Say nothing."""


class NativePulsarReader:
    """Reads a topic from a time on. Used from one thread.

    Creating it connects; that may take as long as ``give_up_after_s`` says. Where the broker
    creates topics, a topic that is not there is created, and is empty.

    Args:
        config: what and how.
        clock: measures waiting.
        say: is told of failed attempts to connect.

    Raises:
        UnreachableError: nobody answered in time.
        RefusedError: the topic does not exist, no rights.
        ConfigError: the topic's name is malformed, or a file of the security settings.
    """

    def __init__(self, config: NativeReaderConfig, clock: Clock, say: Say = silent) -> None:
        self._config = config
        self._clock = clock
        self._arrived: queue.SimpleQueue[tuple[int, StoredEntry | IotProducerError]] = (
            queue.SimpleQueue()
        )
        self._loop = EventLoop("pulsar-reader")
        self._client: PulsarClient | None = None
        self._partitions: list[_Partition] = []
        self._n_partitions = 0
        self._chunk_records = config.chunk_records
        self._back_ns = 0
        try:
            self._connect(say)
        except BaseException:
            self.close()
            raise

    @property
    def partitions(self) -> int:
        """How many partitions the topic has; 0 where it is not partitioned."""
        return self._n_partitions

    def __iter__(self) -> Iterator[Chunk]:
        return self.chunks()

    def chunks(self) -> Iterator[Chunk]:
        """The messages that came since the last call, up to the last one stored by now.

        Chunks of partitions come as their entries do; never an empty one. A chunk may hold some
        messages that came after the call.

        Raises:
            UnreachableError: the broker went away, or keeps back what it has.
            RefusedError: the topic is gone, or may no longer be read.
        """
        for part in self._partitions:
            self._find_end(part)
        yield from self._waiting()
        left = [part for part in self._partitions if not part.is_done]
        while left:
            yield from self._arriving(left)
            left = [part for part in left if not part.is_done]
        yield from self._waiting()

    def follow(self) -> Iterator[Chunk | None]:
        """The messages as they come, for ever; None now and then, when nothing comes.

        Raises:
            UnreachableError, RefusedError: as `chunks`.
        """
        while True:
            part = self._receive(_SLICE_S)
            if part is None:
                yield None
            while part is not None and part.n_records < self._chunk_records:
                part = self._receive(0.0)
            yield from self._waiting()

    def close(self) -> None:
        """Release everything."""
        if self._loop.is_closed:
            return
        client, self._client = self._client, None
        with suppress(TimeoutError, RuntimeError):
            self._loop.run(self._leave(client), self._config.close_timeout_s + 1.0)
        self._loop.close()
        self._partitions = []

    def _connect(self, say: Say) -> None:
        def attempt(left_s: float | None) -> None:
            self._loop.run(self._open())

        patiently(attempt, self._clock, say, self._config.give_up_after_s)

    async def _open(self) -> None:
        config = self._config
        client = PulsarClient(config.connection)
        try:
            n = await client.partitions(config.topic)
            topics = [f"{config.topic}-partition-{i}" for i in range(n)] or [config.topic]
            n_permits = max(config.waiting_records // len(topics), _LEAST_PERMITS)
            self._chunk_records = min(config.chunk_records, n_permits // _CHUNKS_WAITING)
            partitions = [
                _Partition(number, self._reader(client, topic, number, n_permits, len(topics)))
                for number, topic in enumerate(topics)
            ]
            for part in partitions:
                await part.reader.open()
            for part in partitions:
                part.reader.start()
        except BaseException:
            await client.close()
            raise
        self._client, self._n_partitions, self._partitions = client, n, partitions

    def _reader(
        self, client: PulsarClient, topic: str, number: int, n_permits: int, n_topics: int
    ) -> PartitionReader:
        arrived = self._arrived
        return PartitionReader(
            client,
            topic,
            lambda entry: arrived.put((number, entry)),
            lambda error: arrived.put((number, error)),
            self._clock.now_ns,
            since_ms=self._config.since_ms,
            is_compacted=self._config.is_compacted,
            n_permits=n_permits,
            most_bytes=max(self._config.waiting_bytes // n_topics, _LEAST_BYTES),
            give_up_after_s=self._config.give_up_after_s,
        )

    async def _leave(self, client: PulsarClient | None) -> None:
        if client is None:
            return
        leaving = [asyncio.create_task(part.reader.close()) for part in self._partitions]
        try:
            if leaving:
                await asyncio.wait(leaving, timeout=self._config.close_timeout_s)
        finally:
            await client.close()

    def _arriving(self, left: list[_Partition]) -> Iterator[Chunk]:
        """What comes, and what is to be done about partitions of which nothing comes."""
        part = self._receive(_SLICE_S)
        while part is not None:
            if part.n_records >= self._chunk_records:
                yield from self._chunks(part)
            part = self._receive(_GAP_S)
        yield from self._waiting()
        now_ns = self._clock.now_ns()
        doubt_ns = self._config.doubt_s * _NS_PER_S
        for part in left:
            if not part.is_done and self._silent_ns(part, now_ns) >= doubt_ns:
                self._doubt(part, now_ns)

    def _receive(self, timeout_s: float) -> _Partition | None:
        """Take the next entry that has come; whose it is. None: there is none."""
        try:
            number, found = self._arrived.get(timeout_s > 0, timeout_s)
        except queue.Empty:
            return None
        if isinstance(found, IotProducerError):
            raise found
        part = self._partitions[number]
        part.entries.append(found)
        part.n_records += found.n_permits
        part.seen = found.id
        part.silent_since_ns = found.received_ns
        return part

    def _waiting(self) -> Iterator[Chunk]:
        for part in self._partitions:
            yield from self._chunks(part)

    def _chunks(self, part: _Partition) -> Iterator[Chunk]:
        n_records = part.n_records
        entries = part.take()
        if not entries:
            return
        yield from chunks_of(entries, part.number)
        self._back_ns = self._clock.now_ns()
        n_bytes = sum(entry.n_bytes for entry in entries)
        self._loop.call(part.reader.consumed, entries[-1].id, n_records, n_bytes)

    def _find_end(self, part: _Partition) -> None:
        began_ns = self._clock.now_ns()
        limit_s = self._config.give_up_after_s
        backoff = Backoff()
        while True:
            try:
                end = self._loop.run(part.reader.end())
            except UnreachableError as error:
                if part.reader.failure is not None:
                    raise
                now_ns = self._clock.now_ns()
                if limit_s is not None and now_ns - began_ns >= limit_s * _NS_PER_S:
                    raise self._silent(f"does not tell the end of it ({error.message})") from error
                self._clock.sleep_until(now_ns + round(backoff.next_s() * _NS_PER_S))
            else:
                part.end = NOWHERE if end.passed >= end.last else end.last
                part.silent_since_ns = self._clock.now_ns()
                return

    def _doubt(self, part: _Partition, now_ns: int) -> None:
        """Nothing came for a while, though something is there: ask again, give up after a time.

        Retention may have removed it, or it is nothing that a reader gets (a transaction's mark).
        """
        limit_s = self._config.give_up_after_s
        silent_ns = self._silent_ns(part, now_ns)
        if limit_s is not None and silent_ns >= limit_s * _NS_PER_S:
            raise self._silent(f"has given nothing for {silent_ns / _NS_PER_S:.0f} s")
        self._loop.call(part.reader.acknowledge)
        with suppress(UnreachableError):
            if self._loop.run(part.reader.end()).passed >= part.end:
                part.end = NOWHERE

    def _silent_ns(self, part: _Partition, now_ns: int) -> int:
        """How long nothing came though it could: what the caller does takes its own time."""
        return now_ns - max(part.silent_since_ns, self._back_ns)

    def _silent(self, what: str) -> UnreachableError:
        return UnreachableError(
            f"{self._config.connection.service_url} {what}, topic {self._config.topic}",
            "see what the broker does, and read again",
        )
