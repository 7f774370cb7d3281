"""What the tests of the producer share: entries, a listener that writes down, an open producer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from fake_broker import FakeBroker
from iot_producer.pulsar.channel import Parcel
from iot_producer.pulsar.client import PulsarClient
from iot_producer.pulsar.commands import CommandType, MessageMetadata
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.outgoing import Outgoing, ProducerConfig
from iot_producer.pulsar.producer import Producer
from iot_producer.pulsar.wire import HEADROOM, send_frame

TOPIC = "persistent://public/default/t"
SEND: Final = CommandType.SEND
PRODUCER: Final = CommandType.PRODUCER


@dataclass
class Told:
    """A listener that writes down what it is told: (first id, error) of each settled entry."""

    settled_entries: list[tuple[int, str]] = field(default_factory=list)
    n_changes: int = 0

    def settled(self, entry: Outgoing, error: str) -> None:
        self.settled_entries.append((entry.first_id, error))

    def changed(self) -> None:
        self.n_changes += 1


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def entry(producer: Producer, first_id: int, n: int = 10, n_bytes: int = 50) -> Outgoing:
    buffer = np.full(HEADROOM + n_bytes, first_id % 251, dtype=np.uint8)
    last_id = first_id + n - 1
    metadata = MessageMetadata(
        producer_name=producer.name, sequence_id=first_id, publish_time=1, num_messages_in_batch=n
    )
    frame = send_frame(
        buffer,
        HEADROOM,
        HEADROOM + n_bytes,
        producer_id=producer.number,
        sequence_id=first_id,
        highest_sequence_id=last_id,
        n_messages=n,
        metadata=metadata.SerializeToString(),
    )
    return Outgoing(Parcel(producer, frame), first_id, last_id, n)


async def opened(
    broker: FakeBroker,
    told: Told,
    config: ProducerConfig | None = None,
    deduplication: Deduplication | None = None,
    **settings: Any,
) -> Producer:
    client = PulsarClient(ConnectionConfig((broker.host,), **settings))
    producer = Producer(client, config or ProducerConfig(TOPIC, "lane-0"), told, deduplication)
    broker.at_end += [client.close, producer.close]
    await producer.open()
    return producer


def ids_of(broker: FakeBroker) -> list[int]:
    return [send.sequence_id for send in broker.of(SEND)]
