from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from iot_producer.errors import MissingTopicError, RefusedError
from iot_producer.pulsar.client import PulsarClient
from iot_producer.pulsar.commands import CommandType as Kind
from iot_producer.pulsar.commands import ServerError
from iot_producer.pulsar.topic_parts import TopicParts, find_parts, partition_name
from small_broker import SmallBroker, small_broker

TOPIC = "persistent://public/default/t"


def parts(*numbers: int) -> tuple[tuple[int, str], ...]:
    return tuple((number, partition_name(TOPIC, number)) for number in numbers)


def found(prepare: Callable[[SmallBroker], None]) -> TopicParts:
    """What is found on a broker that was prepared; nothing is created on the way."""

    async def look() -> TopicParts:
        async with small_broker() as broker:
            prepare(broker)
            before = set(broker.topics)
            client = PulsarClient(broker.config)
            try:
                return await find_parts(client, TOPIC)
            finally:
                await client.close()
                assert set(broker.topics) == before
                assert not any(broker.may_create)

    return asyncio.run(look())


def holding(*names: str, is_whole: bool = False) -> Callable[[SmallBroker], None]:
    """A broker that has these topics; whether it says that the whole one is there."""

    def prepare(broker: SmallBroker) -> None:
        for name in names:
            broker.store(name, b"x")
        if not is_whole:
            broker.missing = {TOPIC}

    return prepare


def test_partitions_are_as_many_as_the_broker_says_whatever_else_is_there():
    def prepare(broker: SmallBroker) -> None:
        holding(partition_name(TOPIC, 7), is_whole=True)(broker)
        broker.partitions = 3

    assert found(prepare) == TopicParts(3, parts(0, 1, 2))


def test_a_topic_without_partitions():
    assert found(holding(TOPIC, is_whole=True)) == TopicParts(0, ((0, TOPIC),))


def test_partitions_are_found_though_the_whole_topic_is_gone():
    names = [name for _, name in parts(0, 2, 10)]
    assert found(holding(*names)) == TopicParts(11, parts(0, 2, 10))


def test_a_topic_without_partitions_beside_partitions_of_its_name():
    """Somebody made it while they were there; brokers before 3.0.6 say so of every topic."""
    names = [name for _, name in parts(0, 1)]
    assert found(holding(TOPIC, *names, is_whole=True)) == TopicParts(2, (*parts(0, 1), (2, TOPIC)))
    assert found(holding(*names, is_whole=True)) == TopicParts(2, parts(0, 1))


def test_other_topics_whose_names_begin_so_are_others():
    others = ("-runs", "-partition-", "-partition-x", "-partition-07", "-partition-1-runs", "2")
    with pytest.raises(MissingTopicError) as caught:
        found(holding(*(TOPIC + other for other in others)))
    assert f"topic {TOPIC} or its namespace does not exist" in caught.value.message
    assert "check its name (--topic)" in caught.value.hint
    assert "--create-topic" not in caught.value.hint


def test_without_the_right_to_see_topics_each_is_asked_for_by_name():
    names = [name for _, name in parts(0, 1, 3)]

    def prepare(broker: SmallBroker) -> None:
        holding(*names)(broker)
        broker.missing |= {partition_name(TOPIC, 2)}
        broker.refuse[Kind.GET_TOPICS_OF_NAMESPACE] = ServerError.AUTHORIZATION

    assert found(prepare) == TopicParts(2, parts(0, 1))

    def prepare_nothing(broker: SmallBroker) -> None:
        broker.missing = {TOPIC, partition_name(TOPIC, 0)}
        broker.refuse[Kind.GET_TOPICS_OF_NAMESPACE] = ServerError.AUTHORIZATION

    with pytest.raises(MissingTopicError):
        found(prepare_nothing)


def test_who_must_not_see_the_topic_is_told_so():
    def prepare(broker: SmallBroker) -> None:
        broker.refuse[Kind.PARTITIONED_METADATA] = ServerError.AUTHORIZATION

    with pytest.raises(RefusedError, match="is not allowed"):
        found(prepare)
