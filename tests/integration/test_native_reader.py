"""Our reader and the official client's give the same of every topic; on a real broker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pulsar
import pytest
from pulsar_cases import Account, block, by_key, expected, new_topic, sink

from iot_producer.chunk import Chunk
from iot_producer.clock import SystemClock
from iot_producer.errors import RefusedError
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.sources.topic import CLIENTS, TopicSource, open_native, open_topic
from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration

Row = tuple[bytes, int, str, dict[str, str], int]
"""Start and length of a text, key, properties, event time in ms."""

NONE, LZ4, ZLIB, ZSTD, SNAPPY = (
    pulsar.CompressionType.NONE,
    pulsar.CompressionType.LZ4,
    pulsar.CompressionType.ZLib,
    pulsar.CompressionType.ZSTD,
    pulsar.CompressionType.SNAPPY,
)


@pytest.fixture(scope="module")
def client(broker: StackStatus) -> Iterator[pulsar.Client]:
    quiet = pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull)
    client = pulsar.Client(broker.pulsar_url, logger=quiet)
    try:
        yield client
    finally:
        client.close()


def rows(chunks: Iterator[Chunk]) -> dict[int, list[Row]]:
    """Everything in some chunks, by partition, in its order."""
    found: dict[int, list[Row]] = {}
    for chunk in chunks:
        assert chunk.n
        assert chunk.times_ms is not None
        assert chunk.keys is not None
        assert chunk.properties is not None
        for i in range(chunk.n):
            text = chunk.text(i)
            around = (chunk.keys[i], dict(chunk.properties[i]), int(chunk.times_ms[i]))
            found.setdefault(chunk.partition, []).append((text[:60], len(text), *around))
    return found


def read(broker: StackStatus, topic: str, client: str, **settings: Any) -> dict[int, list[Row]]:
    source = TopicSource(broker.pulsar_url, topic, client=client, **settings)
    reader = open_topic(source, SystemClock())
    try:
        return rows(iter(reader))
    finally:
        reader.close()


def both(broker: StackStatus, topic: str, **settings: Any) -> dict[int, list[Row]]:
    """What both clients read, which is the same."""
    native, official = (read(broker, topic, name, **settings) for name in CLIENTS)
    assert native == official
    return native


def publish(client: pulsar.Client, topic: str, n: int, first: int = 0, **settings: Any) -> None:
    """Messages of all shapes: with and without key, properties, event time; empty ones too.

    No empty ones without a batch: the official client does not read those that it compressed.
    """
    producer = client.create_producer(topic, **settings)
    batching = settings.get("batching_enabled", True)
    for i in range(first, first + n):
        around: dict[str, Any] = {}
        if i % 2:
            around["partition_key"] = f"dev-{i:07d}"
        if i % 3:
            around["properties"] = {"device_type": "co2_sensor", "customer_id": f"cust-{i:06d}"}
        if i % 7 == 0:
            around["properties"] = {"äöü": "✓", "": "", "long": "x" * 1000}
        if i % 5:
            around["event_timestamp"] = 1_780_000_000_000 + i
        is_empty = batching and i % 11 == 0
        payload = b"" if is_empty else (b"message %d " % i) * (i % 13 + 1)
        producer.send_async(payload, None, **around)
    producer.flush()
    producer.close()


@pytest.mark.parametrize("compression", [NONE, LZ4, ZLIB, ZSTD, SNAPPY])
@pytest.mark.parametrize("batching", [True, False])
def test_every_compression(
    compression: Any, batching: bool, broker: StackStatus, client: pulsar.Client
) -> None:
    topic = new_topic()
    publish(client, topic, 100, compression_type=compression, batching_enabled=batching)
    found = both(broker, topic)
    assert len(found[0]) == 100
    assert found[0][1] == (b"message 1 message 1 ", 20, "dev-0000001", TWO, 1_780_000_000_001)


TWO = {"device_type": "co2_sensor", "customer_id": "cust-000001"}


def test_shapes_that_follow_each_other(broker: StackStatus, client: pulsar.Client) -> None:
    topic = new_topic()
    for i, compression in enumerate((LZ4, NONE, ZSTD)):
        publish(client, topic, 30, 100 * i, compression_type=compression)
        publish(client, topic, 5, 100 * i + 50, batching_enabled=False)
    assert len(both(broker, topic)[0]) == 105


def test_partitions(broker: StackStatus, client: pulsar.Client) -> None:
    topic = new_topic()
    PulsarAdmin(broker.admin_url).create_topic(topic, 7)
    publish(client, topic, 500, compression_type=LZ4)
    found = both(broker, topic)
    assert sum(map(len, found.values())) == 500
    assert len(found) == 7


def test_a_message_in_parts_counts_once(broker: StackStatus, client: pulsar.Client) -> None:
    topic = new_topic()
    publish(client, topic, 3)
    producer = client.create_producer(topic, batching_enabled=False, chunking_enabled=True)
    producer.send(b"x" * 12_000_000, partition_key="large")
    producer.close()
    publish(client, topic, 3)
    native, official = (read(broker, topic, name)[0] for name in CLIENTS)
    assert native[:3] + native[4:] == official[:3] + official[4:]
    assert (native[3][2], official[3][2]) == ("large", "large")
    assert official[3][1] == 12_000_000
    assert native[3][1] < 5_242_880  # its last part


def test_from_a_time_on(broker: StackStatus, client: pulsar.Client) -> None:
    topic = new_topic()
    for first in (0, 10, 20):
        publish(client, topic, 10, first)
    times_ms = publish_times_ms(client, topic)
    assert len(set(times_ms)) >= 3
    for since_ms in (0, *sorted({*times_ms, times_ms[-1] + 1})):
        found = both(broker, topic, since_ms=since_ms)
        assert sum(map(len, found.values())) == sum(ms >= since_ms for ms in times_ms)


def publish_times_ms(client: pulsar.Client, topic: str) -> list[int]:
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    times_ms = []
    while reader.has_message_available():
        times_ms.append(reader.read_next(5_000).publish_timestamp())
    reader.close()
    return times_ms


def test_an_empty_topic(broker: StackStatus) -> None:
    topic = new_topic()
    PulsarAdmin(broker.admin_url).create_topic(topic, 2)
    assert both(broker, topic) == {}


def test_a_namespace_that_does_not_exist(broker: StackStatus) -> None:
    for name in CLIENTS:
        with pytest.raises(RefusedError, match="does not exist"):
            read(broker, "persistent://public/nowhere/t", name, give_up_after_s=0.0)


def test_nothing_is_left_on_the_broker(broker: StackStatus, client: pulsar.Client) -> None:
    topic = new_topic()
    publish(client, topic, 10)
    source = TopicSource(broker.pulsar_url, topic)
    reader = open_native(source, SystemClock())
    admin = PulsarAdmin(broker.admin_url)
    assert len(admin.stats(topic)["subscriptions"]) == 1
    assert len(rows(reader.chunks())[0]) == 10
    reader.close()
    assert admin.stats(topic)["subscriptions"] == {}


def test_a_topic_that_is_unloaded_while_it_is_read(
    broker: StackStatus, client: pulsar.Client
) -> None:
    topic = new_topic()
    admin = PulsarAdmin(broker.admin_url)
    publish(client, topic, 400, compression_type=LZ4, batching_max_messages=10)
    source = TopicSource(broker.pulsar_url, topic)
    reader = open_native(source, SystemClock())
    found: list[Row] = []
    try:
        following = reader.follow()
        for first in range(400, 700, 100):
            while len(found) < first:
                chunk = next(following)
                found += rows(iter([chunk]))[0] if chunk is not None else []
            unload(admin, topic)
            publish(client, topic, 100, first)
        while len(found) < 700:
            chunk = next(following)
            found += rows(iter([chunk]))[0] if chunk is not None else []
        assert rows(reader.chunks()) == {}
    finally:
        reader.close()
    assert found == read(broker, topic, "official")[0]


def unload(admin: PulsarAdmin, topic: str) -> None:
    admin.call("PUT", "/admin/v2/" + topic.replace("://", "/") + "/unload")


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
def test_what_our_own_sink_writes(compression: str, broker: StackStatus) -> None:
    topic = new_topic()
    PulsarAdmin(broker.admin_url).create_topic(topic, 3)
    account = Account()
    blocks = [block(first, 500) for first in range(0, 3_000, 500)]
    with sink(broker.pulsar_url, topic, "native", compression=compression) as native:
        for each in blocks:
            account.send(native, each)
        account.drain(native)
    assert len(account.confirmed()) == 3_000
    found = both(broker, topic)
    wanted = [record for each in blocks for record in expected(each)]
    flat = [(row[0], *row[2:]) for part in found.values() for row in part]
    assert by_key(flat) == by_key([(text[:60], *around) for text, *around in wanted])  # type: ignore[arg-type, misc]
