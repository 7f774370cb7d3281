from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from iot_producer.chunk import Chunk
from iot_producer.clock import SystemClock
from iot_producer.errors import (
    ConfigError,
    MissingTopicError,
    RefusedError,
    UnreachableError,
)
from iot_producer.pulsar.commands import CommandType as Kind
from iot_producer.pulsar.commands import ServerError
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.event_loop import EventLoop
from iot_producer.sources.pulsar_native import NativePulsarReader, NativeReaderConfig
from small_broker import SmallBroker, small_broker
from stored_entries import record

T = TypeVar("T")
TOPIC = "persistent://public/default/t"


class RunningBroker:
    """A small broker on a loop of its own."""

    def __init__(self, loop: EventLoop, broker: SmallBroker) -> None:
        self._loop = loop
        self.broker = broker

    def do(self, function: Callable[..., T], *arguments: Any, **fields: Any) -> T:
        """Call a method of the broker, on its loop."""

        async def call() -> T:
            return function(*arguments, **fields)

        return self._loop.run(call(), 5.0)

    def store(self, *payloads: bytes, topic: str = TOPIC, **fields: Any) -> None:
        for payload in payloads:
            self.do(self.broker.store, topic, payload, **fields)


@pytest.fixture
def running() -> Iterator[RunningBroker]:
    loop = EventLoop("small-broker")
    manager = small_broker()
    enter: Coroutine[Any, Any, SmallBroker] = manager.__aenter__()
    try:
        yield RunningBroker(loop, loop.run(enter, 5.0))
        loop.run(manager.__aexit__(None, None, None), 5.0)
    finally:
        loop.close()


@contextmanager
def reading(running: RunningBroker, **settings: Any) -> Iterator[NativePulsarReader]:
    config = NativeReaderConfig(running.broker.config, TOPIC, **({"doubt_s": 0.05} | settings))
    reader = NativePulsarReader(config, SystemClock())
    try:
        yield reader
    finally:
        reader.close()


def found(chunks: Iterator[Chunk]) -> list[tuple[int, bytes]]:
    return [(chunk.partition, chunk.text(i)) for chunk in chunks for i in range(chunk.n)]


def test_what_is_there_and_what_came_since(running: RunningBroker) -> None:
    running.store(b"a", b"b")
    running.store(record(1) + record(2), num_messages_in_batch=2)
    with reading(running) as reader:
        assert reader.partitions == 0
        assert found(iter(reader)) == [
            (0, b"a"),
            (0, b"b"),
            (0, b"record 1"),
            (0, b"record 2"),
        ]
        assert found(reader.chunks()) == []
        running.store(b"c")
        assert found(reader.chunks()) == [(0, b"c")]


def test_an_empty_topic(running: RunningBroker) -> None:
    with reading(running) as reader:
        assert found(reader.chunks()) == []


def test_partitions(running: RunningBroker) -> None:
    running.broker.partitions = 3
    for i in (0, 2):
        running.store(b"of %d" % i, topic=f"{TOPIC}-partition-{i}")
    with reading(running) as reader:
        assert reader.partitions == 3
        assert sorted(found(reader.chunks())) == [(0, b"of 0"), (2, b"of 2")]


def test_chunks_are_of_the_size_that_was_asked_for(running: RunningBroker) -> None:
    running.store(*[record(i) for i in range(40)], num_messages_in_batch=1)
    with reading(running, chunk_records=10) as reader:
        chunks = list(reader.chunks())
    assert [text for chunk in chunks for _, text in found(iter([chunk]))] == [
        b"record %d" % i for i in range(40)
    ]
    assert max(chunk.n for chunk in chunks) == 10


def test_more_than_may_wait(running: RunningBroker) -> None:
    """Permits go back while it is read: far more comes than the least that may wait."""
    batch = b"".join(record(i) for i in range(100))
    running.store(*[batch] * 100, num_messages_in_batch=100)
    with reading(running, waiting_records=1) as reader:
        assert sum(chunk.n for chunk in reader.chunks()) == 10_000
    assert running.broker.seen.count(Kind.FLOW) > 5


def test_more_bytes_than_may_wait(running: RunningBroker) -> None:
    running.store(*[b"x" * 300_000] * 30)
    with reading(running, waiting_bytes=1) as reader:  # a megabyte is the least
        assert [len(text) for _, text in found(reader.chunks())] == [300_000] * 30
    assert running.broker.seen.count(Kind.FLOW) > 5


def test_from_a_time_on(running: RunningBroker) -> None:
    for ms in (1_000, 2_000, 3_000):
        running.store(b"%d" % ms, publish_time=ms)
    with reading(running, since_ms=2_000) as reader:
        assert found(reader.chunks()) == [(0, b"2000"), (0, b"3000")]
    with reading(running, since_ms=3_001) as reader:
        assert found(reader.chunks()) == []


def test_what_no_reader_gets_is_not_waited_for(running: RunningBroker) -> None:
    """The last entry is a transaction's mark: the broker names it, and never sends it."""
    running.store(b"a", b"mark")
    running.broker.topics[TOPIC].hidden.add(1)
    with reading(running) as reader:
        assert found(reader.chunks()) == [(0, b"a")]


def test_what_retention_removed_is_not_waited_for(running: RunningBroker) -> None:
    running.store(b"a", b"b")
    running.broker.topics[TOPIC].n_removed = 2
    with reading(running) as reader:
        assert found(reader.chunks()) == []


def test_a_broker_that_keeps_back_what_it_has(running: RunningBroker) -> None:
    running.store(b"a")
    running.broker.ignore.add(Kind.FLOW)
    with (
        reading(running, give_up_after_s=0.1) as reader,
        pytest.raises(UnreachableError, match=r"has given nothing for \d+ s, topic"),
    ):
        found(reader.chunks())


class SkippingClock(SystemClock):
    """Hours pass at a word."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.skipped_ns


def test_the_time_that_the_caller_takes_is_not_the_brokers_silence(running: RunningBroker) -> None:
    running.store(*[b"".join(record(i) for i in range(100))] * 40, num_messages_in_batch=100)
    clock, n = SkippingClock(), 0
    config = NativeReaderConfig(running.broker.config, TOPIC, waiting_records=1)
    running.broker.ignore.add(Kind.FLOW)  # it sends what it is told to here
    reader = NativePulsarReader(config, clock)
    running.do(running.broker.permit, 2_000)
    resume = threading.Timer(0.5, running.do, (running.broker.permit, 10_000))
    try:
        for chunk in reader.chunks():
            n += chunk.n
            if n == 2_000:  # all of that: an hour passes before the rest is asked for
                clock.skipped_ns += 3_600_000_000_000
                resume.start()
    finally:
        reader.close()
        resume.cancel()
    assert n == 4_000


def test_a_broker_that_does_not_tell_the_end(running: RunningBroker) -> None:
    running.broker.refuse[Kind.GET_LAST_MESSAGE_ID] = ServerError.METADATA
    with (
        reading(running, give_up_after_s=0.1) as reader,
        pytest.raises(UnreachableError, match="does not tell the end"),
    ):
        found(reader.chunks())


def test_a_topic_that_is_gone_while_it_is_read(running: RunningBroker) -> None:
    with reading(running) as reader:
        running.broker.refuse[Kind.LOOKUP] = ServerError.TOPIC_NOT_FOUND
        running.do(running.broker.drop)
        with pytest.raises(RefusedError, match="does not exist"):
            for _ in reader.follow():
                pass
        with pytest.raises(RefusedError, match="does not exist"):
            found(reader.chunks())


def test_a_topic_that_must_not_be_read(running: RunningBroker) -> None:
    running.broker.refuse[Kind.PARTITIONED_METADATA] = ServerError.AUTHORIZATION
    with pytest.raises(RefusedError, match="is not allowed"), reading(running):
        pass


def test_nobody_there() -> None:
    config = NativeReaderConfig(ConnectionConfig((("127.0.0.1", 1),)), TOPIC, give_up_after_s=0.0)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
        NativePulsarReader(config, SystemClock())


def test_following(running: RunningBroker) -> None:
    running.store(b"a")
    with reading(running) as reader:
        following = reader.follow()
        seen = []
        while len(seen) < 3:
            chunk = next(following)
            if chunk is None:
                running.store(b"more")
            else:
                seen += found(iter([chunk]))
        assert seen == [(0, b"a"), (0, b"more"), (0, b"more")]


def test_closed_again_does_no_harm(running: RunningBroker) -> None:
    with reading(running) as reader:
        reader.close()
        reader.close()
    assert running.broker.seen[-1] is Kind.CLOSE_CONSUMER


@pytest.mark.parametrize("name", ["chunk_records", "waiting_records", "waiting_bytes"])
def test_nothing_at_a_time(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 0"):
        NativeReaderConfig(ConnectionConfig((("h", 1),)), TOPIC, **{name: 0})  # type: ignore[arg-type]


def followed(following: Iterator[Chunk | None], n: int) -> list[tuple[int, bytes]]:
    """The next n messages."""
    seen: list[tuple[int, bytes]] = []
    while len(seen) < n:
        chunk = next(following)
        seen += [] if chunk is None else found(iter([chunk]))
    return seen


def test_partitions_that_are_added_are_followed_from_their_beginning(
    running: RunningBroker,
) -> None:
    running.broker.partitions = 2
    for i in range(4):
        running.store(b"of %d" % i, topic=f"{TOPIC}-partition-{i}", publish_time=1_000)
    with reading(running, look_s=0.01, since_ms=1_000) as reader:
        following = reader.follow()
        assert sorted(followed(following, 2)) == [(0, b"of 0"), (1, b"of 1")]
        running.broker.missing = {f"{TOPIC}-partition-3"}  # not made yet, though it is known of
        running.broker.partitions = 4
        assert followed(following, 1) == [(2, b"of 2")]
        running.broker.missing = set()
        assert followed(following, 1) == [(3, b"of 3")]
        assert reader.partitions == 4
        running.store(b"again", topic=f"{TOPIC}-partition-3")
        assert followed(following, 1) == [(3, b"again")]
        assert found(reader.chunks()) == []


def test_what_may_wait_is_shared_by_the_partitions_that_are_added(running: RunningBroker) -> None:
    running.broker.partitions = 1
    running.store(b"a", topic=f"{TOPIC}-partition-0")
    with reading(running, look_s=0.01, waiting_records=40_000) as reader:
        following = reader.follow()
        followed(following, 1)
        while sum(running.do(running.broker.permits)) < 20_000:
            assert next(following) is None
        running.broker.partitions = 4
        for i in range(1, 4):
            running.store(b"b", topic=f"{TOPIC}-partition-{i}")
        followed(following, 3)
        while min(permits := running.do(running.broker.permits)[1:]) < 5_000:
            assert next(following) is None
        assert max(permits) <= 10_000


def test_a_topic_that_is_missing_is_an_error_or_waited_for(running: RunningBroker) -> None:
    running.broker.missing = {TOPIC}
    with pytest.raises(MissingTopicError, match="does not exist"), reading(running):
        pass
    said: list[str] = []
    config = NativeReaderConfig(running.broker.config, TOPIC, look_s=0.01, waits_for_topic=True)
    reader = NativePulsarReader(config, SystemClock(), said.append)
    try:
        following = reader.follow()
        assert next(following) is None
        assert said == [f"{TOPIC} is not there yet; waiting for it"]
        assert running.broker.topics == {}
        running.broker.missing = set()
        running.store(b"a")
        assert followed(following, 1) == [(0, b"a")]
        assert reader.partitions == 0
    finally:
        reader.close()
    assert not any(running.broker.may_create)


def test_what_is_left_of_a_deleted_topic_is_read(running: RunningBroker) -> None:
    running.broker.missing = {TOPIC}
    for i in (0, 2):
        running.store(b"of %d" % i, topic=f"{TOPIC}-partition-{i}")
    with reading(running) as reader:
        assert reader.partitions == 3
        assert sorted(found(reader.chunks())) == [(0, b"of 0"), (2, b"of 2")]


def test_a_topic_that_is_deleted_and_made_anew_is_followed(running: RunningBroker) -> None:
    running.store(b"a")
    with reading(running) as reader:
        following = reader.follow()
        assert followed(following, 1) == [(0, b"a")]
        n_before = len(running.broker.may_create)
        running.broker.missing = {TOPIC}
        running.do(running.broker.close_consumers)
        while len(running.broker.may_create) == n_before:
            assert next(following) is None
        running.broker.missing = set()
        running.store(b"b")
        assert followed(following, 1) == [(0, b"b")]
