from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from iot_producer.errors import IotProducerError, RefusedError, UnreachableError
from iot_producer.pulsar.client import PulsarClient
from iot_producer.pulsar.commands import CommandType as Kind
from iot_producer.pulsar.commands import ServerError
from iot_producer.pulsar.reader import NOWHERE, End, EntryId, PartitionReader, StoredEntry
from small_broker import LEDGER, SmallBroker, small_broker

TOPIC = "persistent://public/default/t"


class Reading:
    """A reader, and what it gave."""

    def __init__(self, broker: SmallBroker, **settings: Any) -> None:
        self.client = PulsarClient(broker.config)
        self.entries: list[StoredEntry] = []
        self.failures: list[IotProducerError] = []
        self._came = asyncio.Event()
        self.reader = PartitionReader(
            self.client, TOPIC, self._deliver, self._fail, time.time_ns, **settings
        )

    def _deliver(self, entry: StoredEntry) -> None:
        self.entries.append(entry)
        self._came.set()

    def _fail(self, error: IotProducerError) -> None:
        self.failures.append(error)
        self._came.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                self._came.clear()
                await self._came.wait()

    def texts(self) -> list[bytes]:
        return [bytes(e.body.payload) for e in self.entries if e.body is not None]


@asynccontextmanager
async def reading(broker: SmallBroker, **settings: Any) -> AsyncIterator[Reading]:
    """A reader that is open and started."""
    made = Reading(broker, **settings)
    try:
        await made.reader.open()
        made.reader.start()
        yield made
    finally:
        await made.reader.close()
        await made.client.close()


def with_broker(test: Callable[[SmallBroker], Awaitable[None]], n: int = 5) -> None:
    """Run a test with a broker that has ``n`` entries of one message."""

    async def main() -> None:
        async with small_broker() as broker:
            for i in range(n):
                broker.store(TOPIC, b"text %d" % i, publish_time=1_000 + i)
            await test(broker)

    asyncio.run(main())


def texts(*numbers: int) -> list[bytes]:
    return [b"text %d" % i for i in numbers]


def place(number: int) -> EntryId:
    return EntryId(LEDGER, number)


def test_all_entries_come_in_order() -> None:
    async def test(broker: SmallBroker) -> None:
        async with reading(broker) as made:
            await made.until(lambda: len(made.entries) == 5)
            broker.store(TOPIC, b"text 5")
            await made.until(lambda: len(made.entries) == 6)
            assert made.texts() == texts(0, 1, 2, 3, 4, 5)
            assert [entry.id for entry in made.entries] == [place(i) for i in range(6)]
            assert all(entry.n_permits == 1 for entry in made.entries)
            assert await made.reader.end() == End(place(5), NOWHERE)
            made.reader.consumed(place(3), 4, 100)
            assert await made.reader.end() == End(place(5), place(3))
        assert broker.seen[-1] is Kind.CLOSE_CONSUMER

    with_broker(test)


def test_an_empty_topic() -> None:
    async def test(broker: SmallBroker) -> None:
        async with reading(broker) as made:
            assert await made.reader.end() == End(NOWHERE, NOWHERE)

    with_broker(test, 0)


def test_nothing_comes_before_the_start() -> None:
    async def test(broker: SmallBroker) -> None:
        made = Reading(broker)
        await made.reader.open()
        await made.reader.end()
        assert made.entries == []
        assert Kind.FLOW not in broker.seen
        await made.client.close()

    with_broker(test)


@pytest.mark.parametrize(
    ("since_ms", "found"),
    [(0, (0, 1, 2, 3, 4)), (1_000, (0, 1, 2, 3, 4)), (1_003, (3, 4)), (1_005, ())],
)
def test_reading_from_a_time_on(since_ms: int, found: tuple[int, ...]) -> None:
    async def test(broker: SmallBroker) -> None:
        async with reading(broker, since_ms=since_ms) as made:
            await made.until(lambda: len(made.entries) == len(found))
            end = await made.reader.end()
            assert end.last == place(4)
            assert end.passed == (place(4 - len(found)) if len(found) < 5 else NOWHERE)
            assert made.texts() == texts(*found)

    with_broker(test)


def test_no_more_come_than_there_are_permits() -> None:
    async def test(broker: SmallBroker) -> None:
        for _ in range(20):
            broker.store(TOPIC, b"text", num_messages_in_batch=10)
        async with reading(broker, n_permits=35) as made:
            await made.until(lambda: len(made.entries) == 4)
            await made.reader.end()
            assert len(made.entries) == 4
            assert broker.permits() == [-5]
            made.reader.consumed(place(0), 10, 50)  # less than half of the permits: they stay
            await made.reader.end()
            assert broker.permits() == [-5]
            made.reader.consumed(place(1), 10, 50)
            await made.until(lambda: len(made.entries) == 6)
            await made.reader.end()
            assert broker.permits() == [-5]
            assert broker.topics[TOPIC].acknowledged == 1

    with_broker(test, 0)


def test_no_more_come_than_there_is_room_for_their_bytes() -> None:
    async def test(broker: SmallBroker) -> None:
        for i in range(20):
            broker.store(TOPIC, b"x" * 100_000 + b"%d" % i)
        async with reading(broker, n_permits=1_000, most_bytes=300_000) as made:
            while len(made.entries) < 20:
                before = len(made.entries)
                await made.until(lambda n=before: len(made.entries) > n)  # type: ignore[misc]
                await made.reader.end()
                new = made.entries[before:]
                assert len(new) <= 2  # the first is not known to be small, then there is room
                made.reader.consumed(new[-1].id, len(new), sum(each.n_bytes for each in new))
            assert [text[100_000:] for text in made.texts()] == [b"%d" % i for i in range(20)]

    with_broker(test, 0)


def test_a_message_that_is_larger_than_all_room_comes_alone() -> None:
    async def test(broker: SmallBroker) -> None:
        for _ in range(3):
            broker.store(TOPIC, b"x" * 10_000)
        async with reading(broker, most_bytes=5_000) as made:
            for n in (1, 2, 3):
                await made.until(lambda n=n: len(made.entries) == n)  # type: ignore[misc]
                await made.reader.end()
                assert len(made.entries) == n
                made.reader.consumed(place(n - 1), 1, made.entries[-1].n_bytes)

    with_broker(test, 0)


def test_a_broken_connection_loses_and_repeats_nothing() -> None:
    async def test(broker: SmallBroker) -> None:
        broker.cut_after = 250  # in the middle of a frame
        async with reading(broker, n_permits=10) as made:
            await made.until(lambda: len(made.entries) == 5)
            broker.drop()
            broker.store(TOPIC, b"text 5")
            await made.until(lambda: len(made.entries) == 6)
            assert made.texts() == texts(0, 1, 2, 3, 4, 5)
            assert broker.permits() == [10 - 6]  # what waits here still counts
            assert made.failures == []

    with_broker(test)


def test_a_topic_that_moves() -> None:
    async def test(broker: SmallBroker) -> None:
        async with reading(broker) as made:
            for i in range(5, 8):
                await made.until(lambda n=i: len(made.entries) == n)  # type: ignore[misc]
                broker.close_consumers()
                broker.store(TOPIC, b"text %d" % i)
            await made.until(lambda: len(made.entries) == 8)
            assert made.texts() == texts(*range(8))

    with_broker(test)


def test_a_connection_that_breaks_before_anything_came() -> None:
    async def test(broker: SmallBroker) -> None:
        async with reading(broker, since_ms=1_003) as made:
            broker.drop()
            await made.until(lambda: len(made.entries) == 2)
            assert made.texts() == texts(3, 4)

    with_broker(test)


def test_a_broker_that_does_not_come_back() -> None:
    async def test(broker: SmallBroker) -> None:
        async with reading(broker, give_up_after_s=0.0) as made:
            broker.refuse[Kind.LOOKUP] = ServerError.SERVICE_NOT_READY
            broker.drop()
            await made.until(lambda: bool(made.failures))
            assert isinstance(made.failures[0], UnreachableError)
            with pytest.raises(UnreachableError, match="cannot do this now"):
                await made.reader.end()

    with_broker(test)


async def asked_for_ever(reader: PartitionReader) -> None:
    while True:
        await reader.end()


def test_while_it_is_not_connected_it_cannot_tell_the_end() -> None:
    async def test(broker: SmallBroker) -> None:
        async with reading(broker) as made:
            await made.until(lambda: len(made.entries) == 5)
            broker.refuse[Kind.LOOKUP] = ServerError.SERVICE_NOT_READY
            broker.close_consumers()
            with pytest.raises(UnreachableError):
                await asked_for_ever(made.reader)
            broker.refuse.clear()
            broker.store(TOPIC, b"text 5")
            await made.until(lambda: len(made.entries) == 6)
            assert (await made.reader.end()).last == place(5)

    with_broker(test)


@pytest.mark.parametrize("is_started", [True, False])
def test_a_reader_that_the_broker_does_not_know_subscribes_again(is_started: bool) -> None:
    async def test(broker: SmallBroker) -> None:
        made = Reading(broker)
        await made.reader.open()
        if is_started:
            made.reader.start()
            await made.until(lambda: len(made.entries) == 5)
        broker.forget_consumers()
        with pytest.raises(UnreachableError, match="Consumer not found"):
            await made.reader.end()
        broker.store(TOPIC, b"text 5")
        if is_started:
            await made.until(lambda: len(made.entries) == 6)
        assert (await made.reader.end()).last == place(5)
        assert made.failures == []
        await made.reader.close()
        await made.client.close()

    with_broker(test)


def test_a_topic_that_is_gone_ends_the_reader_at_once() -> None:
    async def test(broker: SmallBroker) -> None:
        async with reading(broker, give_up_after_s=None) as made:
            broker.refuse[Kind.LOOKUP] = ServerError.TOPIC_NOT_FOUND
            broker.drop()
            await made.until(lambda: bool(made.failures))
            assert isinstance(made.failures[0], RefusedError)

    with_broker(test)


@pytest.mark.parametrize("kind", [Kind.LOOKUP, Kind.SUBSCRIBE, Kind.SEEK])
def test_a_refusal_at_the_beginning_is_raised(kind: Kind) -> None:
    async def test(broker: SmallBroker) -> None:
        broker.refuse[kind] = ServerError.AUTHORIZATION
        made = Reading(broker, since_ms=5)
        with pytest.raises(RefusedError, match="is not allowed"):
            await made.reader.open()
        await made.reader.close()
        await made.client.close()
        assert made.failures == []

    with_broker(test)


def test_an_entry_with_damaged_metadata_is_given_without_them() -> None:
    async def test(broker: SmallBroker) -> None:
        broker.topics[TOPIC].entries[1] = (Damaged(), b"text 1")  # type: ignore[assignment]
        async with reading(broker) as made:
            await made.until(lambda: len(made.entries) == 5)
            assert [entry.body is None for entry in made.entries] == [False, True, *[False] * 3]
            assert [entry.n_permits for entry in made.entries] == [1] * 5

    with_broker(test)


class Damaged:
    """Metadata that cannot be parsed."""

    num_messages_in_batch = 1
    publish_time = 1

    def SerializeToString(self) -> bytes:  # noqa: N802 - as protobuf has it
        return b"\xff\xff"
