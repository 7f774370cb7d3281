"""The stage ``ready``: entries that were made before, sent again and again: what the broker takes.

Promise: nothing but frames leaves and receipts arrive while it is measured, so its rate is the
broker's (and the network's), and what a client adds to it is seen beside it. It must not know
signals.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from iot_producer.bench.bench_options import round_topic
from iot_producer.bench.load_spec import LoadSpec
from iot_producer.destination import parse_destination
from iot_producer.errors import DestinationError
from iot_producer.fleet import fleet_of
from iot_producer.pulsar.channel import Parcel
from iot_producer.pulsar.client import PulsarClient
from iot_producer.pulsar.commands import CommandType, Compression, MessageMetadata
from iot_producer.pulsar.connection import Connection
from iot_producer.pulsar.connection_config import ConnectionConfig
from iot_producer.pulsar.entry import EntryBuilder
from iot_producer.pulsar.event_loop import EventLoop
from iot_producer.pulsar.wire import send_frame

_N_READY: Final = 100
_MOST_PENDING: Final = 50  # entries of 1000 messages: as many messages as a run
_PATIENCE_S: Final = 120.0


class ReadyLoad:
    """Entries on their way to a new topic each round.

    Args:
        spec: whose records, and where to.
    """

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._builder = EntryBuilder(fleet_of(spec.fleet))
        self._loop = EventLoop()
        self._turn = 0
        self._sending: _Sending | None = None

    def prepare(self, n: int) -> None:
        topic = round_topic(self._spec.topic, self._turn)
        self._turn += 1
        blocks = self._spec.plan().blocks(0, n, self._spec.block_records)
        # The broker does not deduplicate here: the same ids may come again.
        payloads = [
            self._builder.build(block.devices, block.intended_ns)
            for block, _ in zip(blocks, range(_N_READY), strict=False)
        ]
        hosts = parse_destination(self._spec.pulsar_url, topic).hosts
        self._sending = _Sending(ConnectionConfig(hosts), topic, n)
        self._loop.run(self._sending.open(), _PATIENCE_S)
        for payload in payloads:
            metadata = MessageMetadata(
                producer_name=self._sending.name,
                sequence_id=payload.first_id,
                publish_time=payload.first_event_ms,
                partition_key=payload.first_key.decode(),
                num_messages_in_batch=payload.n_records,
                highest_sequence_id=payload.last_id,
                compression=int(Compression.LZ4),
                uncompressed_size=payload.uncompressed_bytes,
            )
            frame = send_frame(
                payload.buffer,
                payload.start,
                payload.stop,
                producer_id=self._sending.number,
                sequence_id=payload.first_id,
                highest_sequence_id=payload.last_id,
                n_messages=payload.n_records,
                metadata=metadata.SerializeToString(),
            )
            self._sending.ready.append((frame, payload.n_records))

    def run(self) -> int:
        if self._sending is None:
            raise ValueError("prepare first")
        try:
            return self._loop.run(self._sending.send_all(), _PATIENCE_S)
        finally:
            self._sending = None


class _Sending:
    """One producer's round, on the event loop."""

    def __init__(self, config: ConnectionConfig, topic: str, n: int) -> None:
        self.name = ""
        self.number = 0
        self.ready: list[tuple[memoryview, int]] = []
        self._config = config
        self._topic = topic
        self._n = n
        self._client: PulsarClient | None = None
        self._connection: Connection | None = None
        self._n_sent = 0
        self._n_confirmed = 0
        self._pending: list[int] = []  # records of entries without a receipt, in order
        self._place = 0
        self._done: asyncio.Future[None] | None = None

    async def open(self) -> None:
        self._client = PulsarClient(self._config)
        self.number = self._client.new_number()
        self._done = asyncio.get_running_loop().create_future()
        self._connection = await self._client.lookup(self._topic)
        self._connection.add_producer(self.number, self)
        made = await self._connection.request(
            CommandType.PRODUCER,
            topic=self._topic,
            producer_id=self.number,
            epoch=0,
            user_provided_producer_name=False,
        )
        self.name = made.producer_name

    async def send_all(self) -> int:
        """Send entries until there are ``n`` messages or a few more; until all is confirmed."""
        assert self._client is not None
        assert self._done is not None
        self._fill()
        try:
            await self._done
        finally:
            await self._client.close()
        return self._n_confirmed

    def _fill(self) -> None:
        assert self._connection is not None
        while len(self._pending) < _MOST_PENDING and self._n_sent < self._n:
            frame, n_records = self.ready[self._place]
            self._place = (self._place + 1) % len(self.ready)
            self._n_sent += n_records
            self._pending.append(n_records)
            self._connection.write(Parcel(self, frame))

    # As a connection's Handler:

    def received(self, kind: CommandType, payload: Any, body: memoryview | None) -> None:
        assert self._done is not None
        if kind is not CommandType.SEND_RECEIPT:
            self.lost(f"the broker answered {kind.name}")
            return
        self._n_confirmed += self._pending.pop(0)
        self._fill()
        if not self._pending and not self._done.done():
            self._done.set_result(None)

    def lost(self, reason: str) -> None:
        assert self._done is not None
        if not self._done.done():
            self._done.set_exception(
                DestinationError(f"{self._topic}: {reason}", "see the broker's log")
            )
