"""A lane's journal against a broker of a few lines, which does what real ones rarely do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fake_broker import FakeBroker, Session, silent
from iot_producer.clock import ManualClock
from iot_producer.pulsar.commands import CommandType, ServerError
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.event_loop import EventLoop
from iot_producer.pulsar.wire import parse_body
from iot_producer.run_journal import entries_of, newest
from iot_producer.schedule import MaxRate
from iot_producer.sinks import runs_keeper as keeping
from iot_producer.sinks.runs_keeper import RunsTopicConfig
from iot_producer.sinks.runs_topic import RunsJournal
from lane_journals import START_NS, entry_of, head_of, max_entry_of

TOPIC = "persistent://public/default/t"
SEND = CommandType.SEND
PATIENCE_S = 20.0


class Broker:
    """The fake broker on a loop of its own."""

    def __init__(self) -> None:
        self.loop = EventLoop("broker")
        self.fake = FakeBroker()
        self.loop.run(self.fake.__aenter__())

    def answer(self, kind: CommandType, answer: Any) -> None:
        self.fake.answers[kind] = answer

    def until(self, condition: Any) -> None:
        self.loop.run(self.fake.until(condition))

    def kept(self) -> list[tuple[str, bytes]]:
        """Keys and values of all that was sent."""
        bodies = [parse_body(memoryview(body)) for kind, _, body in self.fake.heard if kind is SEND]
        assert all(body.checksum_ok for body in bodies)
        return [(body.metadata.partition_key, bytes(body.payload)) for body in bodies]

    def close(self) -> None:
        self.loop.run(self.fake.__aexit__(None, None, None))
        self.loop.close()


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_FIRST_PAUSE_S", 0.01)


def journal(
    broker: Broker, said: list[str] | None = None, deduplication: Deduplication | None = None
) -> RunsJournal:
    config = RunsTopicConfig(ConnectionConfig((broker.fake.host,)), TOPIC)
    say = [].append if said is None else said.append
    return RunsJournal(config, "iot-producer-0", ManualClock(START_NS), say, deduplication)


def last_of(broker: Broker) -> Any:
    (entry,), problems = entries_of(newest(broker.kept()))
    assert problems == []
    return entry


def test_entries_are_single_messages_with_the_lane_as_key(broker: Broker):
    kept = journal(broker)
    head = head_of()
    assert kept.begin(head, PATIENCE_S)
    kept.publish(entry_of(head, 30).lane)
    assert kept.close(PATIENCE_S)
    made = broker.fake.of(CommandType.PRODUCER)
    assert [(p.topic, p.producer_name) for p in made] == [(f"{TOPIC}-runs", "")]
    sends = [send for kind, send, _ in broker.fake.heard if kind is SEND]
    assert [send.num_messages for send in sends] == [1] * len(sends)
    assert [send.sequence_id for send in sends] == list(range(len(sends)))
    for kind, _, body in broker.fake.heard:
        if kind is SEND:
            metadata = parse_body(memoryview(body)).metadata
            assert not metadata.HasField("num_messages_in_batch")
            assert not metadata.HasField("compression")
            assert metadata.publish_time == START_NS // 10**6
            assert metadata.partition_key.startswith("iot-producer-0/")
    entry = last_of(broker)
    assert (entry.lane.tally.confirmed, entry.has_ended) == (30, True)


def test_the_namespace_is_asked_whenever_it_is_in_doubt(broker: Broker):
    known, head = Deduplication(), head_of()
    made = lambda: len(broker.fake.of(CommandType.PRODUCER))  # noqa: E731
    broker.fake.last_sequence_id = 0
    kept = journal(broker, deduplication=known)
    assert kept.begin(head, PATIENCE_S)
    # A producer is told what the broker remembers when it is made: so it was made twice.
    assert (known.is_on, made()) == (True, 2)
    kept.publish(entry_of(head, 10).lane)
    broker.until(lambda: len(broker.kept()) == 2)
    broker.fake.last_sequence_id = -1
    known.heard(-1, has_stored=True)  # the lane's own ids are gone
    kept.publish(entry_of(head, 20).lane)
    assert kept.close(PATIENCE_S)
    assert (known.is_on, made()) == (False, 3)


def test_only_the_newest_waits_behind_the_one_on_its_way(broker: Broker):
    kept = journal(broker)
    head = head_of()
    assert kept.begin(head, PATIENCE_S)
    waiting: list[tuple[Session, Any]] = []
    broker.answer(SEND, lambda session, send: waiting.append((session, send)))
    kept.publish(entry_of(head, 10).lane)
    broker.until(lambda: waiting)
    for n in range(20, 200, 10):
        kept.publish(entry_of(head, n).lane)
    assert len(waiting) == 1
    broker.answer(SEND, Session.receipt)
    broker.loop.call(lambda: waiting[0][0].receipt(waiting[0][1]))
    assert kept.close(PATIENCE_S)
    found = [entries_of({"k": text})[0][0].lane.tally.confirmed for _, text in broker.kept()]
    assert found[:2] == [0, 10]
    assert found[-1] == 190
    assert len(found) <= 5


def test_what_was_on_its_way_when_the_connection_broke_is_sent_again(broker: Broker):
    kept = journal(broker)
    head = head_of()
    assert kept.begin(head, PATIENCE_S)

    def broken(session: Session, _: Any) -> None:
        broker.answer(SEND, Session.receipt)
        session.reset()

    broker.answer(SEND, broken)
    kept.publish(entry_of(head, 10).lane)
    assert kept.close(PATIENCE_S)
    assert last_of(broker).lane.tally.confirmed == 10


def test_an_end_is_waited_for_no_longer_than_was_said(broker: Broker):
    broker.answer(SEND, silent)
    kept = journal(broker)
    head = head_of()
    assert not kept.begin(head, 0.05)
    kept.publish(entry_of(head, 10).lane)
    assert not kept.close(0.05)
    kept.publish(entry_of(head, 20).lane)  # too late: nothing happens
    assert last_of(broker).lane.tally.confirmed == 0


def test_a_refusal_is_told_once_and_the_newest_is_kept_when_it_has_passed(broker: Broker):
    as_it_was = broker.fake.answers[CommandType.PRODUCER]
    broker.answer(
        CommandType.PRODUCER,
        lambda session, request: session.refuse(request, ServerError.AUTHORIZATION),
    )
    said: list[str] = []
    kept = journal(broker, said)
    head = head_of()
    kept.wait(PATIENCE_S)
    assert not kept.begin(head, 0.05)
    broker.until(lambda: len(broker.fake.of(CommandType.PRODUCER)) >= 3)
    kept.publish(entry_of(head, 10).lane)
    (text,) = said
    assert text.startswith(f"{TOPIC}-runs cannot be written: access to {TOPIC}-runs is not allowed")
    broker.answer(CommandType.PRODUCER, as_it_was)
    assert kept.close(PATIENCE_S)
    assert said[1:] == [f"{TOPIC}-runs is written again"]
    assert last_of(broker).lane.tally.confirmed == 10


def test_at_the_end_no_pause_is_waited_for(broker: Broker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeping, "_FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr(keeping, "_LONGEST_PAUSE_S", 600.0)
    as_it_was = broker.fake.answers[CommandType.PRODUCER]
    broker.answer(
        CommandType.PRODUCER,
        lambda session, request: session.refuse(request, ServerError.AUTHORIZATION),
    )
    kept = journal(broker)
    kept.wait(PATIENCE_S)
    assert not kept.begin(head_of(), 0.05)
    kept.publish(entry_of(head_of(), 10).lane)
    broker.answer(CommandType.PRODUCER, as_it_was)
    assert kept.close(PATIENCE_S)
    assert last_of(broker).has_ended


def test_a_producer_that_ends_is_made_anew(broker: Broker):
    kept = journal(broker)
    head = head_of()
    assert kept.begin(head, PATIENCE_S)

    def terminated(session: Session, send: Any) -> None:
        broker.answer(SEND, Session.receipt)
        session.send_error(send, ServerError.TOPIC_TERMINATED)

    broker.answer(SEND, terminated)
    kept.publish(entry_of(head, 10).lane)
    assert kept.close(PATIENCE_S)
    assert len(broker.fake.of(CommandType.PRODUCER)) == 2
    assert last_of(broker).lane.tally.confirmed == 10


def test_full_parts_are_followed_by_others_only_when_they_are_kept(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keeping, "PART_BLOCKS", 50)
    kept = journal(broker)
    head = head_of(MaxRate())
    assert kept.begin(head, PATIENCE_S)
    waiting: list[tuple[Session, Any]] = []
    broker.answer(SEND, lambda session, send: waiting.append((session, send)))
    kept.publish(max_entry_of(head, 60).lane)
    broker.until(lambda: waiting)
    kept.publish(max_entry_of(head, 70).lane)
    kept.publish(max_entry_of(head, 130).lane)
    broker.answer(SEND, Session.receipt)
    broker.loop.call(lambda: waiting[0][0].receipt(waiting[0][1]))
    last = max_entry_of(head, 140).lane
    kept.publish(last)
    assert kept.close(PATIENCE_S)
    keys = [key for key, _ in broker.kept()]
    assert keys[0] == keys[1]
    assert {key.count("/") for key in keys} == {1, 2}
    assert last_of(broker).lane == last


def test_the_same_lane_always_goes_to_one_partition(broker: Broker):
    broker.fake.partitions = 5
    for _ in range(3):
        kept = journal(broker)
        assert kept.begin(head_of(), PATIENCE_S)
        assert kept.close(PATIENCE_S)
    topics = {made.topic for made in broker.fake.of(CommandType.PRODUCER)}
    assert len(topics) == 1
    assert topics.pop().startswith(f"{TOPIC}-runs-partition-")


def test_a_broker_that_is_not_there_costs_one_warning():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said: list[str] = []
    config = RunsTopicConfig(ConnectionConfig((("127.0.0.1", port),)), TOPIC)
    kept = RunsJournal(config, "iot-producer-0", ManualClock(START_NS), said.append)
    kept.wait(PATIENCE_S)
    assert not kept.begin(head_of(), 0.05)
    assert not kept.close(0.05)
    (text,) = said
    assert f"{TOPIC}-runs cannot be written: cannot connect to pulsar://127.0.0.1:{port}" in text
    assert "The run goes on" in text
