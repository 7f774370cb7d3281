"""Reads back what is on a Pulsar topic, whole entries at a time, over our own wire layer.

Promise: as sources/pulsar.py: each message is given as it is stored, in the order of its partition,
up to the last one that was there when it was asked for, and nothing is left or made on the broker.
It must not know what was expected.

Two threads share the work: the event loop's takes frames off the sockets, the caller's uncompresses
and takes apart; most of both releases the GIL.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from iot_producer.chunk import Chunk
from iot_producer.clock import Clock
from iot_producer.errors import IotProducerError, MissingTopicError, UnreachableError
from iot_producer.pulsar.client import Backoff, PulsarClient
from iot_producer.pulsar.event_loop import EventLoop
from iot_producer.pulsar.patience import Say, patiently
from iot_producer.pulsar.reader import NOWHERE, EntryId, PartitionReader, StoredEntry
from iot_producer.pulsar.topic_parts import TopicParts, find_parts, partition_name
from iot_producer.sources.entry_chunks import chunks_of
from iot_producer.sources.pulsar_native_config import NativeReaderConfig

__all__ = ["NativePulsarReader", "NativeReaderConfig"]

_NS_PER_S: Final = 1_000_000_000
_SLICE_S: Final = 0.25
_GAP_S: Final = 0.01  # for another entry: then the chunk stays smaller
_LEAST_PERMITS: Final = 2_000
_LEAST_BYTES: Final = 1024 * 1024
_CHUNKS_WAITING: Final = 4  # of one partition: one is compared while others come


@dataclass(slots=True)
class _Partition:
    """One partition (or the topic), and how far it was read."""

    number: int
    topic: str
    entries: list[StoredEntry] = field(default_factory=list)
    n_records: int = 0  # in entries
    seen: EntryId = NOWHERE
    end: EntryId = NOWHERE  # the last entry to read
    silent_since_ns: int = 0
    reader: PartitionReader = field(init=False)

    @property
    def is_done(self) -> bool:
        return self.seen >= self.end

    def take(self) -> list[StoredEntry]:
        entries, self.entries, self.n_records = self.entries, [], 0
        return entries


_Arrived = tuple[_Partition, StoredEntry | IotProducerError | None]
"""An entry, or what ended the partition's reader; None: from here on the partition is read too."""


def silent(line: str) -> None:
    """Say nothing."""


class NativePulsarReader:
    """Reads a topic from a time on. Used from one thread.

    Creating it connects; that may take as long as ``give_up_after_s`` says. No topic is created.
    Partitions that are left of a topic that was deleted while it was written to are read too.

    Args:
        config: what and how.
        clock: measures waiting.
        say: is told of failed attempts to connect.

    Raises:
        UnreachableError: nobody answered in time.
        MissingTopicError: the topic does not exist.
        RefusedError: no rights.
        ConfigError: the topic's name is malformed, or a file of the security settings.
    """

    def __init__(self, config: NativeReaderConfig, clock: Clock, say: Say = silent) -> None:
        self._config = config
        self._clock = clock
        self._arrived: queue.SimpleQueue[_Arrived] = queue.SimpleQueue()
        self._loop = EventLoop("pulsar-reader")
        self._client: PulsarClient | None = None
        self._partitions: list[_Partition] = []
        self._n_partitions = 0
        self._watching: asyncio.Task[None] | None = None
        self._chunk_records = config.chunk_records
        self._back_ns = 0
        try:
            self._connect(say)
        except BaseException:
            self.close()
            raise

    @property
    def partitions(self) -> int:
        """How many partitions the topic has, or had; 0 where it is not partitioned."""
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

        Partitions that are added meanwhile are read from their beginning.

        Raises:
            UnreachableError, RefusedError: as `chunks`.
        """
        self._loop.call(self._watch)
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
        if not self._partitions and self._config.waits_for_topic:
            say(f"{self._config.topic} is not there yet; waiting for it")

    async def _open(self) -> None:
        config = self._config
        client = PulsarClient(config.connection)
        try:
            found = await self._found(client)
            partitions = await self._opened(client, found.parts, config.since_ms)
            for part in partitions:
                part.reader.start()
        except BaseException:
            await client.close()
            raise
        self._client, self._n_partitions, self._partitions = client, found.n_partitions, partitions

    async def _found(self, client: PulsarClient) -> TopicParts:
        try:
            return await find_parts(client, self._config.topic)
        except MissingTopicError:
            if self._config.waits_for_topic:
                return TopicParts(0, ())
            raise

    async def _opened(
        self, client: PulsarClient, parts: Sequence[tuple[int, str]], since_ms: int | None
    ) -> list[_Partition]:
        """Readers of partitions, at their beginning; of those that are there."""
        n_permits, most_bytes = self._share(len(self._partitions) + len(parts))
        partitions: list[_Partition] = []
        for number, topic in parts:
            part = _Partition(number, topic)
            part.reader = PartitionReader(
                client,
                topic,
                partial(self._put, part),
                partial(self._put, part),
                self._clock.now_ns,
                since_ms=since_ms,
                is_compacted=self._config.is_compacted,
                n_permits=n_permits,
                most_bytes=most_bytes,
                give_up_after_s=self._config.give_up_after_s,
            )
            try:
                await part.reader.open()
            except MissingTopicError:
                if topic == self._config.topic and not self._config.waits_for_topic:
                    raise
                continue  # a partition may be deleted, or not made yet, though the topic is there
            except BaseException:
                await asyncio.gather(*(each.reader.close() for each in partitions))
                raise
            partitions.append(part)
        return partitions

    def _share(self, n: int) -> tuple[int, int]:
        """Messages and bytes of each of so many partitions that may wait."""
        config = self._config
        n_permits = max(config.waiting_records // max(n, 1), _LEAST_PERMITS)
        self._chunk_records = min(config.chunk_records, n_permits // _CHUNKS_WAITING)
        return n_permits, max(config.waiting_bytes // max(n, 1), _LEAST_BYTES)

    def _put(self, part: _Partition, found: StoredEntry | IotProducerError | None) -> None:
        self._arrived.put((part, found))

    def _watch(self) -> None:
        if self._watching is None and self._client is not None:
            self._watching = asyncio.create_task(self._look(self._client))

    async def _look(self, client: PulsarClient) -> None:
        """Read partitions too that come to be."""
        joined = list(self._partitions)
        while True:
            await asyncio.sleep(self._config.look_s)
            with suppress(IotProducerError):  # it is asked again
                known = {part.topic for part in joined}
                found = await self._parts_now(client, joined)
                parts = [(number, topic) for number, topic in found if topic not in known]
                if not parts:
                    continue
                added = await self._opened(client, parts, None)
                joined += added
                share = self._share(len(joined))
                for part in joined:
                    part.reader.limit(*share)
                for part in added:
                    self._put(part, None)
                    part.reader.start()

    async def _parts_now(
        self, client: PulsarClient, joined: list[_Partition]
    ) -> Sequence[tuple[int, str]]:
        topic = self._config.topic
        if not joined:
            return (await find_parts(client, topic)).parts
        # That there are more partitions is all that can be new: a short question is enough.
        n = await client.partitions(topic, may_create=False)
        return [(number, partition_name(topic, number)) for number in range(n)]

    async def _leave(self, client: PulsarClient | None) -> None:
        if self._watching is not None:
            self._watching.cancel()
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
            part, found = self._arrived.get(timeout_s > 0, timeout_s)
            while found is None:  # one that was added
                self._partitions.append(part)
                if part.topic != self._config.topic:
                    self._n_partitions = max(self._n_partitions, part.number + 1)
                part, found = self._arrived.get(timeout_s > 0, timeout_s)
        except queue.Empty:
            return None
        if isinstance(found, IotProducerError):
            raise found
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
