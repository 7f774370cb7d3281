"""What becomes of the producers of a topic that changes under them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fake_broker import FakeBroker, Session
from iot_producer.pulsar.commands import CommandType as Kind
from iot_producer.pulsar.commands import PartitionsAnswer, ServerError
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.producer import Outgoing, ProducerConfig
from iot_producer.pulsar.topic_producers import TopicProducers, open_producers

TOPIC = "persistent://public/default/t"
RARELY_S = 3600.0


class Listener:
    """Nothing is sent here."""

    def settled(self, entry: Outgoing, error: str) -> None: ...

    def changed(self) -> None: ...


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def opened(broker: FakeBroker, partitions: int) -> TopicProducers:
    broker.partitions = partitions
    config = ConnectionConfig((broker.host,))
    producers = await open_producers(
        config, ProducerConfig(TOPIC, "lane"), Listener(), Deduplication()
    )
    broker.at_end.append(lambda: producers.close(1.0))
    return producers


def missing(session: Session, request: Any) -> None:
    session.say(
        Kind.PARTITIONED_METADATA_RESPONSE,
        request_id=request.request_id,
        response=int(PartitionsAnswer.FAILED),
        error=int(ServerError.TOPIC_NOT_FOUND),
    )


def close_producers(broker: FakeBroker, producers: TopicProducers) -> None:
    """As when a topic is deleted by force."""
    (session,) = broker.sessions
    for producer in producers.topic.producers:
        session.say(Kind.CLOSE_PRODUCER, producer_id=producer.number, request_id=0)


def test_that_the_topic_was_deleted_is_said_once_soon_after_the_producers_are_back():
    async def test() -> None:
        async with FakeBroker() as broker:
            producers, said = await opened(broker, 3), []
            producers.watch(RARELY_S, said.append)
            close_producers(broker, producers)
            # The partitions go first, and the producers are back before the topic is gone.
            looks = broker.of(Kind.PARTITIONED_METADATA)
            await broker.until(lambda: len(broker.of(Kind.PARTITIONED_METADATA)) > len(looks))
            assert said == []
            broker.answers[Kind.PARTITIONED_METADATA] = missing
            await broker.until(lambda: said)
            looks = broker.of(Kind.PARTITIONED_METADATA)
            assert [request.metadata_auto_creation_enabled for request in looks[1:]] == [
                False for _ in looks[1:]
            ]
            await broker.until(lambda: len(broker.of(Kind.PARTITIONED_METADATA)) > len(looks))
            (text,) = said
            assert text.startswith(f"{TOPIC} was deleted under way: what was on its 3 partitions")
            assert producers.topic.n_partitions == 3
            assert all(producer.is_ready for producer in producers.topic.producers)

    run(test())


def test_a_topic_that_was_made_anew_with_fewer_partitions_was_deleted():
    async def test() -> None:
        async with FakeBroker() as broker:
            producers, said = await opened(broker, 3), []
            broker.partitions = 2
            producers.watch(0.01, said.append)
            await broker.until(lambda: said)
            assert said[0].startswith(f"{TOPIC} was deleted under way, and has 2 partitions now:")

    run(test())


def test_partitions_that_are_added_get_producers():
    async def test() -> None:
        async with FakeBroker() as broker:
            producers, said = await opened(broker, 2), []
            broker.partitions = 4
            producers.watch(0.01, said.append)
            await broker.until(lambda: said)
            assert "has 4 partitions now, 2 before" in said[0]
            assert [producer.topic for producer in producers.topic.producers] == [
                f"{TOPIC}-partition-{i}" for i in range(4)
            ]

    run(test())


def test_nothing_is_said_while_nothing_changes():
    async def test() -> None:
        async with FakeBroker() as broker:
            producers, said = await opened(broker, 2), []
            producers.watch(0.01, said.append)
            await broker.until(lambda: len(broker.of(Kind.PARTITIONED_METADATA)) > 4)
            assert said == []

    run(test())
