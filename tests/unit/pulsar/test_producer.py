from __future__ import annotations

from typing import Any

import pytest

from fake_broker import NOWHERE, FakeBroker, Session
from iot_producer.errors import (
    LaneLostError,
    RefusedError,
)
from iot_producer.pulsar.commands import CommandType, ServerError
from iot_producer.pulsar.outgoing import ProducerConfig
from iot_producer.pulsar.wire import parse_body
from producer_cases import PRODUCER, SEND, TOPIC, Told, entry, ids_of, opened, run


def test_entries_go_out_whole_and_are_settled_by_their_receipts():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            (request,) = broker.of(PRODUCER)
            assert (request.topic, request.producer_name) == (TOPIC, "lane-0")
            assert request.user_provided_producer_name
            assert producer.deduplicates is None
            for first_id in (100, 200, 300):
                producer.send(entry(producer, first_id))
            await broker.until(lambda: len(told.settled_entries) == 3)
            assert told.settled_entries == [(100, ""), (200, ""), (300, "")]
            bodies = [parse_body(memoryview(b)) for kind, _, b in broker.heard if kind is SEND]
            assert [(b.checksum_ok, bytes(b.payload[:1])[0]) for b in bodies] == [
                (True, 100),
                (True, 200),
                (True, 300 % 251),
            ]
            assert [s.highest_sequence_id for s in broker.of(SEND)] == [109, 209, 309]
            await producer.close()
            (closed,) = broker.of(CommandType.CLOSE_PRODUCER)
            assert closed.producer_id == producer.number

    run(test())


def test_an_entry_that_was_never_sent_before_is_not_stored_by_a_receipt_from_nowhere():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            broker.answers[SEND] = lambda session, send: session.receipt(send, NOWHERE)
            producer = await opened(broker, told)
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            ((first_id, error),) = told.settled_entries
            assert first_id == 100
            assert "deduplication dropped" in error

    run(test())


def test_ids_that_do_not_grow_fail_without_being_sent():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            broker.last_sequence_id = 105
            producer = await opened(broker, told)
            assert (producer.last_id, producer.deduplicates) == (105, True)
            for first_id in (100, 106, 110, 116):
                producer.send(entry(producer, first_id))
            await broker.until(lambda: len(told.settled_entries) == 4)
            assert ids_of(broker) == [106, 116]
            failed = {first_id: error for first_id, error in told.settled_entries if error}
            assert failed == {
                100: "its id 100 is not above 105, which was sent before",
                110: "its id 110 is not above 115, which was sent before",
            }

    run(test())


def test_a_damaged_entry_is_sent_again_after_the_producer_was_closed():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)

            def damaged_once(session: Session, send: Any) -> None:
                broker.answers[SEND] = Session.receipt
                session.send_error(send, ServerError.CHECKSUM)

            broker.answers[SEND] = damaged_once
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            assert told.settled_entries == [(100, "")]
            heard = [kind for kind, _, _ in broker.heard if kind in (SEND, PRODUCER)]
            assert heard == [PRODUCER, SEND, PRODUCER, SEND]
            assert broker.of(CommandType.CLOSE_PRODUCER)

    run(test())


def test_a_damaged_entry_that_cannot_be_stored_any_more_has_failed():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)

            def refuse_first(session: Session, send: Any) -> None:
                if send.sequence_id == 100:
                    session.send_error(send, ServerError.CHECKSUM)
                    broker.answers[SEND] = lambda session, send: session.receipt(send, NOWHERE)

            broker.answers[SEND] = refuse_first
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            assert told.settled_entries == [
                (100, "damaged on its way, and what follows it is stored already")
            ]

    run(test())


def test_an_entry_that_is_always_damaged_fails_and_the_others_go_on():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            broker.answers[SEND] = lambda session, send: (
                session.send_error(send, ServerError.CHECKSUM)
                if send.sequence_id == 100
                else session.receipt(send)
            )
            producer.send(entry(producer, 100))
            producer.send(entry(producer, 200))
            await broker.until(lambda: len(told.settled_entries) == 2)
            assert ids_of(broker).count(100) == 3
            errors = dict(told.settled_entries)
            assert errors[200] == ""
            assert "damaged" in errors[100]

    run(test())


def test_an_entry_that_is_not_allowed_fails_alone():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            broker.answers[SEND] = lambda session, send: (
                session.send_error(send, ServerError.NOT_ALLOWED, "too large")
                if send.sequence_id == 100
                else session.receipt(send)
            )
            producer.send(entry(producer, 100))
            producer.send(entry(producer, 200))
            await broker.until(lambda: len(told.settled_entries) == 2)
            assert len(broker.of(PRODUCER)) == 1
            (first, second) = told.settled_entries
            assert second == (200, "")
            assert "does not allow this" in first[1]
            assert "too large" in first[1]

    run(test())


def test_an_entry_that_is_just_being_stored_is_sent_again_when_the_producer_has_closed():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)

            def unknown_once(session: Session, send: Any) -> None:
                broker.answers[SEND] = lambda session, send: session.receipt(send, NOWHERE)
                session.send_error(send, ServerError.PERSISTENCE, "Cannot determine whether")

            broker.answers[SEND] = unknown_once
            producer.send(entry(producer, 100))
            await broker.until(lambda: told.settled_entries)
            assert told.settled_entries == [(100, "")]
            assert len(broker.of(CommandType.CLOSE_PRODUCER)) == 1

    run(test())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ServerError.TOPIC_TERMINATED, "is terminated"),
        (ServerError.AUTHORIZATION, "is not allowed"),
        (ServerError.PRODUCER_BLOCKED_QUOTA_EXCEEDED_EXCEPTION, "the backlog of"),
        (ServerError.PRODUCER_FENCED, "exclusively"),
    ],
)
@pytest.mark.parametrize("on", [SEND, PRODUCER])
def test_some_refusals_end_the_producer_and_settle_nothing(
    error: ServerError, said: str, on: CommandType
):
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            config = ProducerConfig(TOPIC, "lane-0", name_wait_s=0.0)
            producer = await opened(broker, told, config)
            broker.answers[SEND] = lambda session, send: (
                session.send_error(send, error) if on is SEND else session.reset()
            )
            broker.answers[PRODUCER] = lambda session, request: session.refuse(request, error)
            producer.send(entry(producer, 100))
            await broker.until(lambda: producer.failure is not None)
            assert isinstance(producer.failure, RefusedError)
            if not isinstance(producer.failure, LaneLostError):
                assert said in producer.failure.message
            assert not producer.is_ready
            assert told.settled_entries == []
            assert told.n_changes == 2
            producer.send(entry(producer, 200))
            await producer.close()
            assert ids_of(broker) == [100]

    run(test())


def test_small_entries_go_out_where_they_are_posted_and_large_ones_on_the_loop_in_order():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            small, large = entry(producer, 100), entry(producer, 200, n_bytes=100_000)
            behind = entry(producer, 300)
            assert producer.post(small)
            assert small.parcel.is_written
            assert not producer.post(large)
            assert not producer.post(behind)  # it must not overtake
            assert producer.n_pending == 1
            producer.take(large)
            producer.take(behind)
            assert producer.post(entry(producer, 400))
            await broker.until(lambda: len(told.settled_entries) == 4)
            assert ids_of(broker) == [100, 200, 300, 400]

    run(test())


def test_what_is_posted_while_the_producer_is_not_ready_is_left_to_the_loop():
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            producer = await opened(broker, told)
            broker.sessions[0].reset()
            await broker.until(lambda: not producer.is_ready)
            first = entry(producer, 100)
            assert not producer.post(first)
            producer.take(first)
            await broker.until(lambda: told.settled_entries)
            assert told.settled_entries == [(100, "")]

    run(test())
