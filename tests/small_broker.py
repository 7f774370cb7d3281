"""A broker of a few entries, in this process, that speaks the wire: for what real ones rarely do.

It answers what a reader asks as Pulsar 4.0.8 was seen to: SEEK closes the consumer before it is
answered, a start message id without a batch index means "behind it", permits count messages, and an
entry is sent whole once a single permit is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from iot_producer.pulsar.commands import CommandType as Kind
from iot_producer.pulsar.commands import (
    MessageMetadata,
    PartitionsAnswer,
    ServerError,
    new_command,
    payload_of,
)
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.wire import FrameReader, crc32c, encode_command

NONE = (1 << 64) - 1
LEDGER = 7


@dataclass
class Consumer:
    """A reader that has subscribed."""

    number: int
    topic: str
    subscription: str
    next: int
    permits: int = 0


@dataclass
class Topic:
    """Entries (metadata and payload), of which the first ``n_removed`` were removed."""

    entries: list[tuple[MessageMetadata, bytes]] = field(default_factory=list)
    n_removed: int = 0
    hidden: set[int] = field(default_factory=set)  # marks: the broker passes over them
    places: dict[str, int] = field(default_factory=dict)  # of subscriptions that were moved
    acknowledged: int = -1


class SmallBroker:
    """One broker, at ``host:port``; made by `small_broker`."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.partitions = 0
        self.missing: set[str] = set()
        self.may_create: list[bool] = []  # what came that would let a real one create topics
        self.refuse: dict[Kind, ServerError] = {}
        self.ignore: set[Kind] = set()
        self.seen: list[Kind] = []
        self.host, self.port = "127.0.0.1", 0
        self.cut_after: int | None = None  # bytes of messages, then the connection is dropped
        self._sessions: list[_Session] = []

    @property
    def config(self) -> ConnectionConfig:
        return ConnectionConfig(((self.host, self.port),), operation_timeout_s=2.0)

    def store(self, topic: str, payload: bytes, **fields: Any) -> None:
        """Append an entry, and send it to who may have it."""
        stored = self.topics.setdefault(topic, Topic())
        known: dict[str, Any] = {"producer_name": "p", "sequence_id": 1, "publish_time": 1}
        stored.entries.append((MessageMetadata(**(known | fields)), payload))
        for session in self._sessions:
            session.send_messages()

    def drop(self) -> None:
        """Drop all connections."""
        for session in list(self._sessions):
            session.consumers.clear()
            session.writer.transport.abort()

    def close_consumers(self) -> None:
        """As when a topic is unloaded."""
        for session in self._sessions:
            for number in list(session.consumers):
                del session.consumers[number]
                session.tell(Kind.CLOSE_CONSUMER, consumer_id=number, request_id=NONE)

    def forget_consumers(self) -> None:
        """As when its word of that comes before its answer to the subscription, and is lost."""
        for session in self._sessions:
            session.consumers.clear()

    def permits(self) -> list[int]:
        return [c.permits for session in self._sessions for c in session.consumers.values()]

    def permit(self, n: int) -> None:
        """Send so many more messages, as if they had been asked for."""
        for session in self._sessions:
            for consumer in session.consumers.values():
                consumer.permits += n
            session.send_messages()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self, writer)
        self._sessions.append(session)
        frames = FrameReader()
        try:
            while data := await reader.read(1 << 16):
                frames.feed(data)
                while (frame := frames.next_frame()) is not None:
                    kind = Kind(frame.command.type)
                    self.seen.append(kind)
                    if kind not in self.ignore:
                        session.take(kind, payload_of(frame.command))
        except ConnectionError:
            pass
        finally:
            self._sessions.remove(session)
            writer.close()


@asynccontextmanager
async def small_broker() -> AsyncIterator[SmallBroker]:
    broker = SmallBroker()
    server = await asyncio.start_server(broker.serve, broker.host, 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        broker.drop()


class _Session:
    def __init__(self, broker: SmallBroker, writer: asyncio.StreamWriter) -> None:
        self.broker = broker
        self.writer = writer
        self.consumers: dict[int, Consumer] = {}

    def tell(self, kind: Kind, **fields: Any) -> None:
        self.writer.write(encode_command(new_command(kind, **fields)))

    def take(self, kind: Kind, asked: Any) -> None:
        broker = self.broker
        if kind is Kind.PARTITIONED_METADATA:
            broker.may_create.append(asked.metadata_auto_creation_enabled)
        elif kind is Kind.SUBSCRIBE:
            broker.may_create.append(asked.force_topic_creation)
        if kind in broker.refuse:
            error = broker.refuse[kind]
            self.tell(Kind.ERROR, request_id=asked.request_id, error=int(error), message="no")
        elif kind is Kind.CONNECT:
            self.tell(Kind.CONNECTED, server_version="small", protocol_version=20)
        elif kind is Kind.PING:
            self.tell(Kind.PONG)
        elif kind is Kind.PARTITIONED_METADATA and asked.topic in broker.missing:
            self.tell(
                Kind.PARTITIONED_METADATA_RESPONSE,
                request_id=asked.request_id,
                response=int(PartitionsAnswer.FAILED),
                error=int(ServerError.TOPIC_NOT_FOUND),
            )
        elif kind is Kind.GET_TOPICS_OF_NAMESPACE:
            self.tell(
                Kind.GET_TOPICS_OF_NAMESPACE_RESPONSE,
                request_id=asked.request_id,
                topics=sorted(broker.topics),
            )
        elif kind is Kind.PARTITIONED_METADATA:
            self.tell(
                Kind.PARTITIONED_METADATA_RESPONSE,
                request_id=asked.request_id,
                partitions=broker.partitions,
                response=0,
            )
        elif kind is Kind.LOOKUP:
            self.tell(
                Kind.LOOKUP_RESPONSE,
                request_id=asked.request_id,
                response=1,
                authoritative=True,
                broker_service_url=f"pulsar://{broker.host}:{broker.port}",
            )
        elif kind is Kind.SUBSCRIBE:
            self._subscribe(asked)
        elif asked.consumer_id in self.consumers:
            self._of_consumer(kind, asked, self.consumers[asked.consumer_id])
        elif kind is Kind.GET_LAST_MESSAGE_ID:
            self.tell(
                Kind.ERROR,
                request_id=asked.request_id,
                error=int(ServerError.METADATA),
                message="Consumer not found",
            )

    def _subscribe(self, asked: Any) -> None:
        if asked.topic in self.broker.missing and not asked.force_topic_creation:
            error = int(ServerError.TOPIC_NOT_FOUND)
            self.tell(Kind.ERROR, request_id=asked.request_id, error=error, message="not there")
            return
        topic = self.broker.topics.setdefault(asked.topic, Topic())
        start = asked.start_message_id
        place = 0 if start.ledger_id == NONE else start.entry_id + 1
        place = topic.places.get(asked.subscription, place)
        consumer = Consumer(asked.consumer_id, asked.topic, asked.subscription, place)
        self.consumers[asked.consumer_id] = consumer
        self.tell(Kind.SUCCESS, request_id=asked.request_id)

    def _of_consumer(self, kind: Kind, asked: Any, consumer: Consumer) -> None:
        topic = self.broker.topics[consumer.topic]
        if kind is Kind.FLOW:
            consumer.permits += asked.message_permits
            self.send_messages()
        elif kind is Kind.ACK:
            topic.acknowledged = max(topic.acknowledged, asked.message_id[0].entry_id)
        elif kind is Kind.CLOSE_CONSUMER:
            del self.consumers[consumer.number]
            self.tell(Kind.SUCCESS, request_id=asked.request_id)
        elif kind is Kind.SEEK:
            times = [metadata.publish_time for metadata, _ in topic.entries]
            later = [i for i, ms in enumerate(times) if ms >= asked.message_publish_time]
            topic.places[consumer.subscription] = later[0] if later else len(times)
            del self.consumers[consumer.number]
            self.tell(Kind.CLOSE_CONSUMER, consumer_id=consumer.number, request_id=NONE)
            self.tell(Kind.SUCCESS, request_id=asked.request_id)
        elif kind is Kind.GET_LAST_MESSAGE_ID:
            passed = max(topic.places.get(consumer.subscription, 0), topic.n_removed) - 1
            passed = max(passed, topic.acknowledged)
            while passed + 1 in topic.hidden:
                passed += 1
            self.tell(
                Kind.GET_LAST_MESSAGE_ID_RESPONSE,
                request_id=asked.request_id,
                last_message_id=_place(len(topic.entries) - 1),
                consumer_mark_delete_position=_place(passed),
            )

    def send_messages(self) -> None:
        for consumer in list(self.consumers.values()):
            topic = self.broker.topics[consumer.topic]
            while consumer.permits > 0 and consumer.next < len(topic.entries):
                number = consumer.next
                consumer.next += 1
                if number >= topic.n_removed and number not in topic.hidden:
                    consumer.permits -= max(topic.entries[number][0].num_messages_in_batch, 1)
                    self._send(consumer, number, *topic.entries[number])

    def _send(
        self, consumer: Consumer, number: int, metadata: MessageMetadata, payload: bytes
    ) -> None:
        fields = {"consumer_id": consumer.number, "message_id": _place(number)}
        command = new_command(Kind.MESSAGE, **fields).SerializeToString()
        text = metadata.SerializeToString()
        checked = len(text).to_bytes(4, "big") + text + payload
        body = b"\x0e\x01" + crc32c(checked).to_bytes(4, "big") + checked
        rest = len(command).to_bytes(4, "big") + command + body
        frame = len(rest).to_bytes(4, "big") + rest
        cut = self.broker.cut_after
        if cut is None:
            self.writer.write(frame)
            return
        self.writer.write(frame[:cut])
        self.broker.cut_after = None if cut < len(frame) else cut - len(frame)
        if cut < len(frame):
            self.consumers.clear()
            self.writer.close()


def _place(number: int) -> dict[str, int]:
    return {"ledger_id": LEDGER, "entry_id": number if number >= 0 else NONE}
