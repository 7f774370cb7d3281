from __future__ import annotations

from typing import Any

import pytest

from fake_broker import NOWHERE, FakeBroker, Session, silent
from iot_producer.errors import (
    IotProducerError,
    LaneLostError,
    MissingTopicError,
    NameTakenError,
    UnreachableError,
)
from iot_producer.pulsar.commands import CommandType, ServerError
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.outgoing import ProducerConfig
from producer_cases import PRODUCER, SEND, TOPIC, Told, entry, ids_of, opened, run


def test_without_a_name_the_broker_gives_one_and_it_stays():
    async def test() -> None:
        async with FakeBroker() as broker:
            producer = await opened(broker, Told(), ProducerConfig(TOPIC))
            assert producer.name == "given"
            broker.sessions[0].reset()
            await broker.until(lambda: len(broker.of(PRODUCER)) == 2)
            first, second = broker.of(PRODUCER)
            assert (first.producer_name, first.user_provided_producer_name) == ("", False)
            assert (second.producer_name, second.epoch) == ("given", 1)

    run(test())


def test_after_a_break_what_has_no_receipt_goes_again_in_order_and_as_it_was():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            broker.answers[SEND] = silent
            for first_id in (200, 300, 400):
                producer.send(entry(producer, first_id))
            await broker.until(lambda: len(broker.of(SEND)) == 4)
            broker.answers[SEND] = Session.receipt
            broker.sessions[0].reset()
            await broker.until(lambda: len(told.settled_entries) == 4)
            assert told.settled_entries == [(i, "") for i in (100, 200, 300, 400)]
            assert ids_of(broker) == [100, 200, 300, 400, 200, 300, 400]
            sent = [body for kind, _, body in broker.heard if kind is SEND]
            assert sent[4:] == sent[1:4]
            # No id was told, though something was stored: there is no deduplication, or the topic
            # was made anew. So it is not known, and what went again is counted.
            assert producer.deduplicates is None
            assert producer.n_maybe_duplicated == 30
            assert producer.n_reconnects == 1
            frames = [entry(producer, i).parcel.frame for i in ids_of(broker)]
            assert producer.wire_bytes == sum(map(len, frames))

    run(test())


def test_what_was_stored_before_the_break_is_settled_by_the_receipt_for_the_copy():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            broker.answers[SEND] = silent
            for first_id in (100, 200, 300):
                producer.send(entry(producer, first_id))
            await broker.until(lambda: len(broker.of(SEND)) == 3)
            broker.last_sequence_id = 209
            broker.answers[SEND] = lambda session, send: session.receipt(
                send, NOWHERE if send.sequence_id <= 200 else 5
            )
            broker.sessions[0].reset()
            await broker.until(lambda: len(told.settled_entries) == 3)
            assert told.settled_entries == [(100, ""), (200, ""), (300, "")]
            assert producer.deduplicates is True
            assert producer.n_maybe_duplicated == 0

    run(test())


@pytest.mark.parametrize("known_by", ["its ids", "the namespace", "nobody", "the namespace: off"])
def test_ids_that_are_gone_are_a_topic_made_anew_where_it_is_known_to_deduplicate(known_by: str):
    async def test() -> None:
        async with FakeBroker() as broker:
            told, known = Told(), Deduplication()
            broker.last_sequence_id = 50 if known_by == "its ids" else -1
            producer = await opened(broker, told, deduplication=known)
            if known_by.startswith("the namespace"):
                known.found(is_on=known_by == "the namespace")
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            broker.answers[SEND] = silent
            producer.send(entry(producer, 200))
            await broker.until(lambda: len(broker.of(SEND)) == 2)
            broker.last_sequence_id = -1
            broker.answers[SEND] = Session.receipt
            broker.sessions[0].reset()
            await broker.until(lambda: len(told.settled_entries) == 2)
            expected = {"nobody": (None, 10), "the namespace: off": (False, 10)}
            found = producer.deduplicates, producer.n_maybe_duplicated
            assert found == expected.get(known_by, (True, 0))
            # The namespace tells whether it was switched off meanwhile; then the copies count.
            assert known.is_in_doubt is (known_by != "the namespace: off")
            known.found(is_on=False)
            assert (producer.deduplicates, producer.n_maybe_duplicated) == (False, 10)

    run(test())


@pytest.mark.parametrize("kind", [CommandType.CLOSE_PRODUCER, CommandType.TOPIC_MIGRATED])
def test_a_topic_that_moves_is_looked_up_again(kind: CommandType):
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            broker.answers[SEND] = silent
            producer.send(entry(producer, 100))
            await broker.until(lambda: broker.of(SEND))
            broker.answers[SEND] = Session.receipt
            number = producer.number
            if kind is CommandType.CLOSE_PRODUCER:
                broker.sessions[0].say(kind, producer_id=number, request_id=0)
            else:
                broker.sessions[0].say(kind, resource_id=number, resource_type=0)
            await broker.until(lambda: told.settled_entries)
            assert told.settled_entries == [(100, "")]
            assert len(broker.of(CommandType.LOOKUP)) == 2
            assert len(broker.of(CommandType.CONNECT)) == 1
            assert [p.epoch for p in broker.of(PRODUCER)] == [0, 1]

    run(test())


def test_a_late_receipt_of_the_first_sending_settles_and_the_second_is_ignored():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            broker.answers[SEND] = silent
            producer.send(entry(producer, 100))
            await broker.until(lambda: broker.of(SEND))
            (session,) = broker.sessions
            session.say(CommandType.CLOSE_PRODUCER, producer_id=producer.number, request_id=0)
            session.receipt(broker.of(SEND)[0])
            broker.answers[SEND] = Session.receipt
            await broker.until(lambda: told.settled_entries and producer.is_ready)
            producer.send(entry(producer, 200))
            session.receipt(broker.of(SEND)[0])
            await broker.until(lambda: len(told.settled_entries) == 2)
            assert told.settled_entries == [(100, ""), (200, "")]

    run(test())


def test_a_name_that_is_taken_is_told_at_the_start():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[PRODUCER] = lambda session, request: session.refuse(
                request, ServerError.PRODUCER_BUSY, "Producer with name 'lane-0' is already there"
            )
            with pytest.raises(NameTakenError, match="producer lane-0 is at work on") as caught:
                await opened(broker, Told())
            assert not isinstance(caught.value, LaneLostError)
            assert "SHARD" in caught.value.hint

    run(test())


@pytest.mark.parametrize("wait_s", [0.0, 60.0])
@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (ServerError.PRODUCER_BUSY, LaneLostError),
        # While a topic with partitions is deleted, the broker makes none of them anew.
        (ServerError.TOPIC_NOT_FOUND, MissingTopicError),
    ],
)
def test_a_name_that_stays_taken_is_a_lost_lane_and_one_that_gets_free_is_not(
    error: ServerError, ended: type[Exception], wait_s: float
):
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            normal = broker.answers[PRODUCER]
            config = ProducerConfig(TOPIC, "lane-0", name_wait_s=wait_s)
            producer = await opened(broker, told, config)
            n_refused = 0

            def taken(session: Session, request: Any) -> None:
                nonlocal n_refused
                n_refused += 1
                if n_refused > 2:
                    normal(session, request)
                else:
                    session.refuse(request, error)

            broker.answers[PRODUCER] = taken
            broker.sessions[0].reset()
            await broker.until(lambda: told.n_changes == 2)
            if wait_s:
                assert producer.failure is None
                assert producer.is_ready
            else:
                assert type(producer.failure) is ended
                assert n_refused == 1

    run(test())


@pytest.mark.parametrize(("last_id", "lost"), [(109, False), (209, False), (150, True), (1, False)])
def test_a_name_that_stored_what_is_not_ours_is_a_lost_lane(last_id: int, lost: bool):
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            broker.answers[SEND] = silent
            producer.send(entry(producer, 200))
            await broker.until(lambda: len(broker.of(SEND)) == 2)
            broker.last_sequence_id = last_id
            broker.answers[SEND] = Session.receipt
            broker.sessions[0].reset()
            await broker.until(lambda: told.n_changes == 2)
            assert isinstance(producer.failure, LaneLostError) is lost
            if not lost:
                await broker.until(lambda: len(told.settled_entries) == 2)

    run(test())


def test_a_broker_that_is_not_ready_is_tried_again():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            normal = broker.answers[PRODUCER]
            n_asked = 0

            def not_ready(session: Session, request: Any) -> None:
                nonlocal n_asked
                n_asked += 1
                if n_asked < 3:
                    session.refuse(request, ServerError.SERVICE_NOT_READY, "loading")
                else:
                    normal(session, request)

            broker.answers[PRODUCER] = not_ready
            broker.sessions[0].reset()
            await broker.until(lambda: n_asked == 1)
            await broker.until(lambda: "loading" in producer.trouble or producer.is_ready)
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            assert told.settled_entries == [(100, "")]
            assert producer.trouble == ""

    run(test())


def test_a_gateway_that_answers_in_http_for_a_while_is_waited_for():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            normal = broker.answers[CommandType.CONNECT]
            n_asked = 0

            def page(session: Session, request: Any) -> None:
                nonlocal n_asked
                n_asked += 1
                if n_asked < 3:
                    session.writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                else:
                    normal(session, request)

            broker.answers[CommandType.CONNECT] = page
            broker.sessions[0].reset()
            await broker.until(lambda: n_asked == 1)
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            assert told.settled_entries == [(100, "")]
            assert n_asked >= 3
            assert producer.failure is None

    run(test())


def test_a_receipt_out_of_turn_breaks_the_connection_and_all_goes_again():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)

            def second_only(session: Session, send: Any) -> None:
                if send.sequence_id == 200:
                    broker.answers[SEND] = Session.receipt
                    session.receipt(send)

            broker.answers[SEND] = second_only
            producer.send(entry(producer, 100))
            producer.send(entry(producer, 200))
            await broker.until(lambda: len(told.settled_entries) == 2)
            assert told.settled_entries == [(100, ""), (200, "")]
            assert len(broker.of(CommandType.CONNECT)) == 2

    run(test())


def test_entries_without_receipts_make_the_connection_anew_in_time():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            config = ProducerConfig(TOPIC, "lane-0", send_timeout_s=0.08)
            producer = await opened(broker, told, config)
            broker.answers[SEND] = silent
            producer.send(entry(producer, 100))
            await broker.until(lambda: broker.of(SEND))
            broker.answers[SEND] = Session.receipt
            await broker.until(lambda: told.settled_entries)
            assert told.settled_entries == [(100, "")]
            assert len(broker.of(CommandType.CONNECT)) == 2
            await producer.close()

    run(test())


def test_a_creation_that_is_given_up_leaves_no_name_behind():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[PRODUCER] = silent
            with pytest.raises(UnreachableError, match="not answered PRODUCER"):
                await opened(broker, Told(), operation_timeout_s=0.05)
            await broker.until(lambda: broker.of(CommandType.CLOSE_PRODUCER))

    run(test())


def test_a_producer_that_is_closed_while_it_comes_back_stays_closed():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            broker.answers[PRODUCER] = silent
            broker.sessions[0].reset()
            await broker.until(lambda: len(broker.of(PRODUCER)) == 2)
            await producer.close()
            failure: IotProducerError | None = producer.failure
            assert failure is None
            assert not producer.is_ready
            assert told.n_changes == 1

    run(test())
