"""Writes the newest word of a lane to its runs topic: one entry on its way, the newest behind it.

Promise: an entry that is passed over is said by the one after it; what fails is tried again until
`RunsKeeper.close`, with longer pauses. It runs on one event loop and must not know what an entry
says, nor who waits for it.

The topic is created by the broker when it is first used, else through the admin API. It may be
compacted, which is asked for now and then where the admin API answers; nothing depends on it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import numpy as np

from iot_producer.errors import IotProducerError, RefusedError, UnreachableError
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.pulsar.channel import Parcel
from iot_producer.pulsar.client import Backoff, PulsarClient
from iot_producer.pulsar.commands import MessageMetadata
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.outgoing import Outgoing, ProducerConfig
from iot_producer.pulsar.producer import Producer
from iot_producer.pulsar.wire import HEADROOM, send_frame
from iot_producer.run_journal import PART_BLOCKS, LaneEntry, entry_bytes, key_of

COMPACT_EVERY: Final = 600
"""Entries between two requests for compaction: at one every 5 s, 50 minutes."""

_NS_PER_MS: Final = 1_000_000
_ADMIN_S: Final = 3.0
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class RunsTopicConfig:
    """Where a lane's journal is kept.

    Attributes:
        connection: how to reach Pulsar.
        topic: full name of the topic of the records.
        admin_url: the admin API, asked to create and to compact the topic; empty: it is not.
        close_timeout_s: for a clean good-bye.
    """

    connection: ConnectionConfig
    topic: str
    admin_url: str = ""
    close_timeout_s: float = 2.0


class RunsKeeper:
    """What runs on the loop: one entry on its way, and the newest that waits behind it.

    Args:
        config: where to.
        topic: full name.
        name: of the lane.
        say: is told once when the topic cannot be written, and once when it can again.
        deduplication: is told what the namespace is set to, whenever it is in doubt of it.
    """

    def __init__(
        self,
        config: RunsTopicConfig,
        topic: str,
        name: str,
        say: Callable[[str], None],
        deduplication: Deduplication | None = None,
    ) -> None:
        self._config = config
        self._topic = topic
        self._name = name
        self._say = say
        self._deduplication = deduplication
        self._newest: LaneEntry | None = None
        self._is_busy = False
        self._is_told = False
        self._has_asked_to_create = False
        self._part, self._first_block = 0, 0
        self._n_kept = 0
        self._client: PulsarClient | None = None
        self._producer: Producer | None = None
        self._on_its_way: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None
        self._admin_task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; on the loop."""
        self._tried = asyncio.Event()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def keep(self, entry: LaneEntry) -> None:
        """Keep an entry as soon as those before it are kept, or in place of one that waits."""
        self._newest = entry
        self._idle.clear()
        self._wake.set()

    def hurry(self) -> None:
        """Try again at once, if the last attempt failed: there is not much time left."""
        self._hurry.set()

    async def tried(self) -> None:
        """Wait for the end of the first attempt to connect."""
        await self._tried.wait()

    async def kept(self) -> None:
        """Wait until all that was said is kept."""
        await self._idle.wait()

    async def close(self) -> None:
        """Release everything."""
        tasks = [task for task in (self._task, self._admin_task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._producer is not None:
            await self._producer.close(self._config.close_timeout_s)
        if self._client is not None:
            await self._client.close()

    # As a producer's Listener:

    def settled(self, entry: Outgoing, error: str) -> None:
        """As in `Listener`."""
        if not entry.tag.done():
            entry.tag.set_result(error)

    def changed(self) -> None:
        """As in `Listener`: it may have ended."""
        producer, waiting = self._producer, self._on_its_way
        if producer is not None and producer.failure and waiting and not waiting.done():
            waiting.set_exception(producer.failure)

    async def _run(self) -> None:
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            entry: LaneEntry | None = None
            try:
                producer = await self._connected()
                self._tried.set()
                await self._wake.wait()
                self._wake.clear()
                entry, self._newest = self._newest, None
                if entry is not None:
                    await self._store(producer, entry)
                    self._note_kept(entry)
                    if self._deduplication is not None and self._deduplication.is_in_doubt:
                        await self._find_out(producer, self._deduplication)
            except IotProducerError as error:
                await self._drop(error)
                if self._newest is None:
                    self._newest = entry
                if self._newest is not None:
                    self._wake.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), backoff.next_s())
                self._hurry.clear()
            else:
                backoff.reset()
                if self._newest is None:
                    self._idle.set()

    async def _connected(self) -> Producer:
        if self._producer is not None:
            return self._producer
        client = PulsarClient(self._config.connection)
        try:
            n = await client.partitions(self._topic)
            topic = self._topic
            if n:
                topic += f"-partition-{zlib.crc32(self._name.encode()) % n}"
            producer = Producer(client, ProducerConfig(topic), self)
            await producer.open()
        except BaseException as error:
            await client.close()
            if isinstance(error, TimeoutError):
                raise UnreachableError(f"{self._config.connection.service_url} is slow") from error
            raise
        self._client, self._producer = client, producer
        return producer

    async def _drop(self, error: IotProducerError) -> None:
        """Begin anew, and say so once."""
        producer, client = self._producer, self._client
        self._producer = self._client = None
        if producer is not None:
            await producer.close(self._config.close_timeout_s)
        if client is not None:
            await client.close()
        if isinstance(error, RefusedError) and await self._is_created():
            return
        self._tried.set()
        if not self._is_told:
            self._is_told = True
            self._say(
                f"{self._topic} cannot be written: {error.message}. The run goes on, but verify "
                f"will need its --report. {error.hint}".rstrip()
            )

    async def _is_created(self) -> bool:
        """Whether the topic was missing, and the admin API has made it."""
        if self._has_asked_to_create or not self._config.admin_url:
            return False
        self._has_asked_to_create = True
        try:
            await asyncio.to_thread(self._admin().create_missing_topic, self._topic)
        except IotProducerError:
            return False
        return True

    async def _store(self, producer: Producer, entry: LaneEntry) -> None:
        """Keep an entry; returns when the broker has it."""
        text = entry_bytes(entry, self._part, self._first_block)
        number = max(producer.last_id, -1) + 1 + self._n_kept
        metadata = MessageMetadata(
            producer_name=producer.name,
            sequence_id=number,
            publish_time=entry.published_ns // _NS_PER_MS,
            partition_key=key_of(entry.head, self._part),
        )
        head = metadata.SerializeToString()
        start = HEADROOM + len(head)
        buffer = np.empty(start + len(text), dtype=np.uint8)
        buffer[start:] = np.frombuffer(text, dtype=np.uint8)
        frame = send_frame(
            buffer,
            start,
            len(buffer),
            producer_id=producer.number,
            sequence_id=number,
            highest_sequence_id=number,
            n_messages=1,
            metadata=head,
        )
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._on_its_way = waiting
        producer.send(Outgoing(Parcel(producer, frame), number, number, 1, waiting))
        self.changed()  # it may have ended before
        error = await waiting
        if error:
            raise RefusedError(error)

    def _note_kept(self, entry: LaneEntry) -> None:
        blocks = entry.lane.blocks
        if blocks is not None and len(blocks) - self._first_block >= PART_BLOCKS:
            self._part += 1
            self._first_block = len(blocks)
        if self._is_told:
            self._is_told = False
            self._say(f"{self._topic} is written again")
        if self._n_kept % COMPACT_EVERY == 0 and self._config.admin_url:
            self._admin_task = asyncio.create_task(self._compact())
        self._n_kept += 1

    async def _find_out(self, producer: Producer, deduplication: Deduplication) -> None:
        """Whether the broker remembers the id of what it has just stored.

        A producer is told of that when it is made, so this one is made again.
        """
        assert self._client is not None
        self._producer = None
        await producer.close(self._config.close_timeout_s)
        again = Producer(self._client, ProducerConfig(producer.topic, producer.name), self)
        await again.open()
        self._producer = again
        deduplication.found(again.last_id >= 0)

    async def _compact(self) -> None:
        path = quote(self._topic.replace("://", "/"), safe="/")
        with suppress(IotProducerError):
            await asyncio.to_thread(self._admin().call, "PUT", f"/admin/v2/{path}/compaction")

    def _admin(self) -> PulsarAdmin:
        config = self._config
        return PulsarAdmin(config.admin_url, _ADMIN_S, config.connection.security)
