"""The native transport on a real broker: equal to the official client, and back after each fault.

What whole runs of the program do under faults is in test_native_faults_*.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pulsar
import pytest
from pulsar_cases import (
    FLEET,
    Account,
    AnySink,
    block,
    by_key,
    expected,
    hosts_of,
    key_of,
    new_topic,
    sink,
    stored,
)

from chaos_proxy import ChaosProxy, Way
from iot_producer.clock import SystemClock
from iot_producer.errors import LaneLostError, NameTakenError, RefusedError, UnreachableError
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.pulsar.entry import COMPRESSIONS
from iot_producer.sinks.pulsar_native import NativePulsarSink
from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration

CLOCK = SystemClock()
ONCE = "public/native-once"
native = partial(sink, client="native")

Message = tuple[bytes, str, dict[str, str], int, str, bytes | None]


@pytest.fixture
def admin(broker: StackStatus) -> PulsarAdmin:
    return PulsarAdmin(broker.admin_url, timeout_s=60)


@pytest.fixture(scope="module")
def once(broker: StackStatus) -> str:
    """A namespace that deduplicates."""
    admin = PulsarAdmin(broker.admin_url, timeout_s=60)
    admin.call("PUT", f"/admin/v2/namespaces/{ONCE}")
    admin.set_deduplication(ONCE, True)
    return f"persistent://{ONCE}"


@contextmanager
def behind(broker: StackStatus) -> Iterator[tuple[ChaosProxy, str]]:
    """A network that can break, before the broker: it tells clients to go on through it."""
    ((host, port),) = hosts_of(broker.pulsar_url)
    with ChaosProxy((host, port)) as chaos:
        yield chaos, f"pulsar://127.0.0.1:{chaos.port}"


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end_ns = CLOCK.now_ns() + round(seconds * 1e9)
    while not condition():
        assert CLOCK.now_ns() < end_ns
        CLOCK.sleep_until(CLOCK.now_ns() + 20_000_000)


def read_by_others(url: str, topic: str, n: int) -> list[Message]:
    """What the official Python client's reader sees of a topic or partition."""
    logger = pulsar.FileLogger(pulsar.LoggerLevel.Error, "/dev/null")
    client = pulsar.Client(url, logger=logger)
    try:
        reader = client.create_reader(topic, pulsar.MessageId.earliest)
        messages = [reader.read_next(10_000) for _ in range(n)]
        assert not reader.has_message_available()
        return [
            (
                m.data(),
                m.partition_key(),
                m.properties(),
                m.event_timestamp(),
                m.producer_name(),
                m.schema_version(),
            )
            for m in messages
        ]
    finally:
        client.close()


@pytest.mark.parametrize("n_partitions", [0, 1, 7])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_others_read_the_same_as_from_the_official_client(
    broker: StackStatus, admin: PulsarAdmin, n_partitions: int, compression: str
):
    blocks = [block(0, 1), block(1, 700), block(701, 33), block(734, 500)]
    found = {}
    for client in ("official", "native"):
        topic = new_topic()
        admin.create_topic(topic, n_partitions)
        account = Account()
        settings = {"client": client, "compression": compression}
        if client == "official" and compression.startswith("lz4"):
            settings["compression"] = "lz4"
        with sink(broker.pulsar_url, topic, **settings) as opened:
            for b in blocks:
                account.send(opened, b)
            account.drain(opened)
        assert len(account.confirmed()) == 1234
        by_partition = stored(broker.pulsar_url, topic)
        names = {p: f"{topic}-partition-{p}" if n_partitions else topic for p in by_partition}
        found[client] = (
            by_partition,
            {
                p: read_by_others(broker.pulsar_url, names[p], len(records))
                for p, records in by_partition.items()
            },
        )
    assert found["native"] == found["official"]


@pytest.mark.parametrize("n_partitions", [0, 3])
def test_entries_that_would_be_too_large_are_cut_and_make_one_receipt(
    broker: StackStatus, admin: PulsarAdmin, n_partitions: int
):
    topic = new_topic()
    admin.create_topic(topic, n_partitions)
    account = Account()
    with native(broker.pulsar_url, topic) as opened:
        for producer in opened._topic.producers:
            producer.max_message_bytes = 12_000
        account.send(opened, block(0, 900))
        account.drain(opened)
        stats = (
            admin.call("GET", f"/admin/v2/{topic.replace('://', '/')}-partition-0/stats")
            if (n_partitions)
            else admin.call("GET", f"/admin/v2/{topic.replace('://', '/')}/stats")
        )
    assert len(account.receipts) == max(n_partitions, 1)
    assert by_key(account.confirmed()) == by_key(expected(block(0, 900)))
    assert stats["averageMsgSize"] < 12_000
    found = stored(broker.pulsar_url, topic)
    assert by_key([r for records in found.values() for r in records]) == by_key(
        expected(block(0, 900))
    )


def broken_on_the_way(
    broker: StackStatus, topic: str, n_bytes: int, way: Way
) -> tuple[Account, NativePulsarSink, list[str]]:
    """Forty blocks through a network that breaks within them; all are confirmed in the end."""
    said: list[str] = []
    account = Account()
    with behind(broker) as (chaos, url), native(url, topic, say=said.append) as opened:
        assert isinstance(opened, NativePulsarSink)
        for i in range(40):
            if i in (10, 25):
                account.drain(opened)
                chaos.reset_after(n_bytes, way)
            account.send(opened, block(100 * i, 100))
        account.drain(opened)
        assert opened.n_pending == 0
    return account, opened, said


@pytest.mark.parametrize("n_partitions", [0, 3])
@pytest.mark.parametrize(("n_bytes", "way"), [(5_000, Way.TO_SERVER), (30, Way.TO_CLIENT)])
def test_with_deduplication_a_reset_loses_and_repeats_nothing(
    broker: StackStatus, admin: PulsarAdmin, once: str, n_partitions: int, n_bytes: int, way: Way
):
    topic = new_topic(once)
    admin.create_topic(topic, n_partitions)
    account, opened, said = broken_on_the_way(broker, topic, n_bytes, way)
    everything = [r for i in range(40) for r in expected(block(100 * i, 100))]
    assert by_key(account.confirmed()) == by_key(everything)
    found = stored(broker.pulsar_url, topic)
    assert by_key([r for records in found.values() for r in records]) == by_key(everything)
    if not n_partitions:
        assert found == {0: everything}
    assert opened.deduplicates is True
    assert opened.n_maybe_duplicated == 0
    assert not [text for text in said if "deduplicate" in text]


def test_without_deduplication_what_may_be_there_twice_is_counted(broker: StackStatus):
    topic = new_topic()
    account, opened, said = broken_on_the_way(broker, topic, 30, Way.TO_CLIENT)
    everything = [r for i in range(40) for r in expected(block(100 * i, 100))]
    assert by_key(account.confirmed()) == by_key(everything)
    found = stored(broker.pulsar_url, topic)[0]
    assert {key_of(r): r for r in found} == {key_of(r): r for r in everything}
    assert 0 < len(found) - len(everything) <= opened.n_maybe_duplicated
    # The sink alone cannot tell this from a topic that was deleted and made anew; the run says it.
    assert opened.deduplicates is None
    opened.deduplication.found(False)
    assert opened.n_maybe_duplicated == opened.counters().n_maybe_duplicated > 0
    assert not [text for text in said if "deduplicate" in text]


@pytest.mark.parametrize("n_partitions", [0, 2])
def test_a_topic_that_is_unloaded_is_followed(
    broker: StackStatus, admin: PulsarAdmin, once: str, n_partitions: int
):
    topic = new_topic(once)
    admin.create_topic(topic, n_partitions)
    account = Account()
    with native(broker.pulsar_url, topic) as opened:
        for i in range(60):
            if i % 20 == 10:
                admin.call("PUT", f"/admin/v2/{topic.replace('://', '/')}/unload")
            account.send(opened, block(200 * i, 200))
        account.drain(opened)
    everything = [r for i in range(60) for r in expected(block(200 * i, 200))]
    assert by_key(account.confirmed()) == by_key(everything)
    found = stored(broker.pulsar_url, topic)
    assert by_key([r for records in found.values() for r in records]) == by_key(everything)


def test_a_terminated_topic_ends_the_sink_and_confirms_only_what_is_there(
    broker: StackStatus, admin: PulsarAdmin
):
    topic = new_topic()
    admin.create_topic(topic, 0)
    account = Account()

    def send_on(opened: AnySink) -> None:
        for i in range(10, 10_000):
            account.send(opened, block(100 * i, 100))

    with native(broker.pulsar_url, topic) as opened:
        for i in range(10):
            account.send(opened, block(100 * i, 100))
        account.drain(opened)
        admin.call("POST", f"/admin/v2/{topic.replace('://', '/')}/terminate")
        with pytest.raises(RefusedError, match="is terminated: it takes no more") as caught:
            send_on(opened)
        account.drain(opened, 5.0)
    assert topic in caught.value.message
    assert stored(broker.pulsar_url, topic)[0] == account.confirmed()
    assert len(account.confirmed()) >= 1_000


def test_a_terminated_topic_is_told_at_the_start_too(broker: StackStatus, admin: PulsarAdmin):
    topic = new_topic()
    admin.create_topic(topic, 0)
    admin.call("POST", f"/admin/v2/{topic.replace('://', '/')}/terminate")
    with pytest.raises(RefusedError, match="is terminated"), native(broker.pulsar_url, topic):
        pass


def test_a_name_that_is_taken_is_told_at_once_where_nobody_waits_for_it(
    broker: StackStatus, admin: PulsarAdmin
):
    topic = new_topic()
    admin.create_topic(topic, 4)
    with native(broker.pulsar_url, topic) as first:
        began_ns = CLOCK.now_ns()
        with (
            pytest.raises(NameTakenError, match="lane-0 is at work on"),
            native(broker.pulsar_url, topic, name_wait_s=0.0),
        ):
            pass
        assert CLOCK.now_ns() - began_ns < 4_000_000_000
        # The refused one left nothing behind, and the holder goes on.
        account = Account()
        account.send(first, block(0, 50))
        account.drain(first)
        assert len(account.confirmed()) == 50
    with native(broker.pulsar_url, topic, name_wait_s=0.0) as second:
        assert second.partitions == 4


def test_who_finds_the_name_taken_after_a_break_has_lost_the_lane(broker: StackStatus):
    topic = new_topic()
    account = Account()
    with behind(broker) as (chaos, url), native(url, topic, lane_wait_s=1.0) as first:
        account.send(first, block(0, 50))
        account.drain(first)
        chaos.refuse()
        chaos.reset_all()
        with native(broker.pulsar_url, topic) as second:
            chaos.heal()
            with pytest.raises(LaneLostError, match=r"lane-0 on .* was taken over"):
                account.send(first, block(50, 50))
            second.send(block(100, 1))
            second.drain(10.0)
    assert len(account.confirmed()) == 50


def test_who_finds_messages_of_others_under_the_name_has_lost_the_lane(
    broker: StackStatus, once: str
):
    topic = new_topic(once)
    account, others = Account(), Account()
    with behind(broker) as (chaos, url), native(url, topic, give_up_after_s=None) as first:
        account.send(first, block(0, 50))
        account.drain(first)
        # On its way when the network breaks: the broker never sees it.
        chaos.half_open(Way.TO_SERVER)
        account.send(first, block(50, 50))
        chaos.refuse()
        chaos.reset_all()
        with native(broker.pulsar_url, topic, name_wait_s=10.0) as second:
            others.send(second, block(200, 50))
            others.drain(second)
        chaos.heal()
        # The broker would answer the resent entry as one that it has: it has not.
        with pytest.raises(LaneLostError):
            account.send(first, block(300, 50))
    assert by_key(account.confirmed()) == by_key(expected(block(0, 50)))
    assert stored(broker.pulsar_url, topic)[0] == expected(block(0, 50)) + expected(block(200, 50))


def test_an_entry_whose_ids_do_not_grow_has_failed(broker: StackStatus, once: str):
    topic = new_topic(once)
    account = Account()
    with native(broker.pulsar_url, topic) as opened:
        account.send(opened, block(100, 50))
        account.send(opened, block(0, 50))
        account.drain(opened)
    assert sorted((r.first, bool(r.error)) for r in account.receipts) == [(0, True), (100, False)]
    assert stored(broker.pulsar_url, topic)[0] == expected(block(100, 50))


def test_last_ids_tell_what_is_stored_by_partition(
    broker: StackStatus, admin: PulsarAdmin, once: str
):
    topic = new_topic(once)
    admin.create_topic(topic, 2)
    with native(broker.pulsar_url, topic) as opened:
        assert opened.last_ids == (-1, -1)
        assert opened.deduplicates is None
        opened.send(block(0, 100))
        opened.drain(10.0)
        members = {r.partition: r.members for r in opened.receipts()}
    with native(broker.pulsar_url, topic) as opened:
        ids = block(0, 100).intended_ns
        assert opened.last_ids == tuple(int(ids[members[p]].max()) for p in range(2))
        assert opened.deduplicates is True


def test_partitions_that_are_added_are_used_by_later_blocks(
    broker: StackStatus, admin: PulsarAdmin
):
    topic, said = new_topic(), list[str]()
    admin.create_topic(topic, 2)
    account = Account()
    settings = {"partitions_poll_s": 0.1, "say": said.append}
    with native(broker.pulsar_url, topic, **settings) as opened:
        account.send(opened, block(0, 500))
        admin.call("POST", f"/admin/v2/{topic.replace('://', '/')}/partitions", 5)
        until(lambda: opened.partitions == 5)
        account.send(opened, block(500, 500))
        account.drain(opened)
    assert set(account.sent[0].n_by_partition) == {0, 1}
    assert set(account.sent[500].n_by_partition) == {0, 1, 2, 3, 4}
    assert len(account.confirmed()) == 1_000
    found = stored(broker.pulsar_url, topic)
    assert by_key([r for records in found.values() for r in records]) == by_key(
        expected(block(0, 1_000))
    )
    assert [text for text in said if "has 5 partitions now, 2 before" in text]


def test_a_network_that_is_gone_is_told_and_given_up_in_time(broker: StackStatus):
    said: list[str] = []
    account = Account()
    settings = {"give_up_after_s": 3.0, "say": said.append}
    with behind(broker) as (chaos, url), native(url, new_topic(), **settings) as opened:
        account.send(opened, block(0, 50))
        account.drain(opened)
        chaos.refuse()
        chaos.reset_all()
        until(lambda: not opened._topic.producers[0].is_ready)
        with pytest.raises(UnreachableError, match="has confirmed nothing for 3 s"):
            account.send(opened, block(50, 50))
    assert len(account.confirmed()) == 50
    assert any("has no connection for 2 s; waiting" in text for text in said)
    assert any("nobody listens on" in text for text in said)


def test_the_first_of_several_hosts_that_answers_is_used(broker: StackStatus):
    (host,) = hosts_of(broker.pulsar_url)
    account = Account()
    url = f"pulsar://127.0.0.1:1,{host[0]}:{host[1]}"
    with native(url, new_topic()) as opened:
        account.send(opened, block(0, 10))
        account.drain(opened)
    assert len(account.confirmed()) == 10
    assert len(FLEET.identity) == 2_000
