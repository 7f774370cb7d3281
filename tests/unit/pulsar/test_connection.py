from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from fake_broker import FakeBroker, Session, silent
from iot_producer.errors import RefusedError, UnreachableError
from iot_producer.pulsar.commands import CommandType, ServerError
from iot_producer.pulsar.connection import (
    Connection,
    ConnectionConfig,
    RefusalError,
    open_connection,
)
from iot_producer.pulsar.security import SecurityConfig

TOPIC = "persistent://public/default/t"


class Handled:
    """A handler that writes down what it is told."""

    def __init__(self) -> None:
        self.received_kinds: list[CommandType] = []
        self.reasons: list[str] = []

    def received(self, kind: CommandType, payload: Any, body: memoryview | None) -> None:
        self.received_kinds.append(kind)

    def lost(self, reason: str) -> None:
        self.reasons.append(reason)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def opened(broker: FakeBroker, proxied: str = "", **settings: Any) -> Connection:
    config = ConnectionConfig((broker.host,), **settings)
    connection = await open_connection(config, *broker.host, proxied)

    async def end() -> None:
        connection.close()

    broker.at_end.append(end)
    return connection


def test_it_says_who_it_is_and_learns_the_largest_message():
    async def test() -> None:
        async with FakeBroker() as broker:
            connection = await opened(broker)
            (greeting,) = broker.of(CommandType.CONNECT)
            assert greeting.client_version.startswith("iot-producer-")
            assert greeting.protocol_version == 21
            assert greeting.feature_flags.supports_auth_refresh
            assert greeting.auth_method_name == "none"
            assert not greeting.HasField("proxy_to_broker_url")
            assert not greeting.HasField("auth_data")
            assert connection.max_message_bytes == 5_000_000
            assert connection.server_version == "fake"
            assert connection.is_open

    run(test())


def test_it_names_the_broker_to_a_proxy():
    async def test() -> None:
        async with FakeBroker() as broker:
            connection = await opened(broker, "inside:6650")
            (greeting,) = broker.of(CommandType.CONNECT)
            assert greeting.proxy_to_broker_url == "inside:6650"
            assert connection.where == f"inside:6650 (by way of 127.0.0.1:{broker.port})"

    run(test())


def test_a_token_is_shown_and_read_again_when_it_is_asked_for(tmp_path: Path):
    async def test() -> None:
        file = tmp_path / "token"
        file.write_text("first\n")
        async with FakeBroker() as broker:
            await opened(broker, security=SecurityConfig(token_file=file))
            (greeting,) = broker.of(CommandType.CONNECT)
            assert (greeting.auth_method_name, greeting.auth_data) == ("token", b"first")
            file.write_text("second\n")
            broker.sessions[0].say(
                CommandType.AUTH_CHALLENGE, challenge={"auth_method_name": "token"}
            )
            await broker.until(lambda: broker.of(CommandType.AUTH_RESPONSE))
            (answer,) = broker.of(CommandType.AUTH_RESPONSE)
            assert answer.response.auth_method_name == "token"
            assert answer.response.auth_data == b"second"

    run(test())


def test_who_is_not_accepted_is_told_so():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.CONNECT] = lambda session, _: session.say(
                CommandType.ERROR,
                request_id=2**64 - 1,
                error=ServerError.AUTHENTICATION,
                message="no token\n\tat org.apache.pulsar.Broker.java",
            )
            with pytest.raises(RefusedError, match="does not accept who this is") as caught:
                await opened(broker)
            assert "no token)" in caught.value.message
            assert "PULSAR_TOKEN" in caught.value.hint

    run(test())


def test_silence_instead_of_a_greeting_is_told():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.CONNECT] = silent
            with pytest.raises(UnreachableError, match=r"does not greet within 0\.05 s") as caught:
                await opened(broker, connect_timeout_s=0.05)
            assert "6650" in caught.value.hint

    run(test())


@pytest.mark.parametrize("pieces", [[b"HTTP/1.1 400 Bad Request\r\n\r\n"], [b"HT", b"TP/1.1 2"]])
def test_the_port_of_an_admin_api_is_told_by_its_http(pieces: list[bytes]):
    async def test() -> None:
        async with FakeBroker() as broker:

            async def answer(session: Session) -> None:
                for piece in pieces:
                    session.writer.write(piece)
                    await session.writer.drain()

            answers: list[asyncio.Task[None]] = []
            broker.answers[CommandType.CONNECT] = lambda session, _: answers.append(
                asyncio.create_task(answer(session))
            )
            with pytest.raises(RefusedError, match="answers in HTTP: it is the port of") as caught:
                await opened(broker)
            assert "6650 (pulsar://) or 6651 (pulsar+ssl://)" in caught.value.hint
            assert "PULSAR_ADMIN_URL" in caught.value.hint

    run(test())


def test_http_on_a_connection_that_was_a_brokers_is_tried_again():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.LOOKUP] = lambda session, _: session.writer.write(b"HTTP/1")
            connection = await opened(broker)
            with pytest.raises(UnreachableError, match="not Pulsar's protocol: an answer in HTTP"):
                await connection.request(CommandType.LOOKUP, topic=TOPIC)

    run(test())


@pytest.mark.parametrize("text", [b"\0\0\0\0", b"HTTQ/1.1 400", b"\0\0\0\6\0\0\0\2\xff\xff"])
def test_what_is_not_pulsar_is_told(text: bytes):
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.CONNECT] = lambda session, _: session.writer.write(text)
            with pytest.raises(UnreachableError, match="is not Pulsar's protocol"):
                await opened(broker)

    run(test())


def test_answers_find_their_requests_in_any_order():
    async def test() -> None:
        async with FakeBroker() as broker:
            waiting: list[tuple[Session, Any]] = []

            def answer_in_reverse(session: Session, request: Any) -> None:
                waiting.append((session, request))
                if len(waiting) == 3:
                    for session_, request_ in reversed(waiting):
                        session_.say(
                            CommandType.PARTITIONED_METADATA_RESPONSE,
                            request_id=request_.request_id,
                            partitions=int(request_.topic),
                        )

            broker.answers[CommandType.PARTITIONED_METADATA] = answer_in_reverse
            connection = await opened(broker)
            kind = CommandType.PARTITIONED_METADATA
            answers = await asyncio.gather(
                *(connection.request(kind, topic=str(i)) for i in range(3))
            )
            assert [answer.partitions for answer in answers] == [0, 1, 2]

    run(test())


def test_a_refused_request_fails_alone():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.PRODUCER] = lambda session, request: session.refuse(
                request, ServerError.PRODUCER_BUSY, "taken"
            )
            connection = await opened(broker)
            with pytest.raises(RefusalError) as caught:
                await connection.request(CommandType.PRODUCER, topic=TOPIC, producer_id=1)
            assert (caught.value.error, caught.value.said) == (16, "taken")
            assert connection.is_open

    run(test())


def test_a_request_without_an_answer_ends_in_time():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.LOOKUP] = silent
            connection = await opened(broker, operation_timeout_s=0.05)
            with pytest.raises(UnreachableError, match=r"not answered LOOKUP within 0\.05 s"):
                await connection.request(CommandType.LOOKUP, topic=TOPIC)
            assert connection.is_open

    run(test())


def test_what_waits_for_a_broken_connection_fails_and_handlers_are_told():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.LOOKUP] = lambda session, _: session.reset()
            connection = await opened(broker)
            handler, times = Handled(), list[int]()
            connection.add_producer(1, handler)
            connection.add_consumer(1, handler)
            connection.when_lost(lambda: times.append(1))
            with pytest.raises(UnreachableError, match=r"broke: connection reset by peer"):
                await connection.request(CommandType.LOOKUP, topic=TOPIC)
            assert handler.reasons == ["connection reset by peer"] * 2
            assert times == [1]
            assert not connection.is_open
            with pytest.raises(UnreachableError, match="broke"):
                await connection.request(CommandType.LOOKUP, topic=TOPIC)
            connection.tell(CommandType.PING)  # nothing happens
            connection.close()
            assert connection.lost_reason == "connection reset by peer"

    run(test())


def test_commands_go_to_the_handler_of_their_number():
    async def test() -> None:
        async with FakeBroker() as broker:
            connection = await opened(broker)
            producer, consumer = Handled(), Handled()
            connection.add_producer(7, producer)
            connection.add_consumer(7, consumer)
            (session,) = broker.sessions
            session.say(CommandType.CLOSE_PRODUCER, producer_id=7, request_id=0)
            session.say(CommandType.CLOSE_PRODUCER, producer_id=8, request_id=0)
            session.say(CommandType.ACTIVE_CONSUMER_CHANGE, consumer_id=7)
            session.say(CommandType.TOPIC_MIGRATED, resource_id=7, resource_type=0)
            session.say(CommandType.TOPIC_MIGRATED, resource_id=7, resource_type=1)
            session.writer.write(b"\0\0\0\6\0\0\0\2\x08\x63")  # a command of type 99
            session.say(CommandType.PING)
            await broker.until(lambda: broker.of(CommandType.PONG))
            moved = CommandType.TOPIC_MIGRATED
            assert producer.received_kinds == [CommandType.CLOSE_PRODUCER, moved]
            assert consumer.received_kinds == [CommandType.ACTIVE_CONSUMER_CHANGE, moved]
            connection.remove_producer(7)
            connection.remove_consumer(7)
            connection.close()
            assert producer.reasons == []

    run(test())


def test_a_silent_peer_is_asked_and_lives_when_it_answers():
    async def test() -> None:
        async with FakeBroker() as broker:
            connection = await opened(broker, keep_alive_s=0.12)
            await broker.until(lambda: len(broker.of(CommandType.PING)) >= 4)
            assert connection.is_open

    run(test())


@pytest.mark.parametrize("pings", [False, True])
def test_a_peer_that_does_not_answer_is_given_up_even_if_it_asks_itself(pings: bool):
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.PING] = silent
            connection = await opened(broker, keep_alive_s=0.12)

            async def ask() -> None:
                while pings:
                    broker.sessions[0].say(CommandType.PING)
                    await asyncio.sleep(0.01)

            asking = asyncio.create_task(ask())
            await broker.until(lambda: not connection.is_open)
            asking.cancel()
            assert "has been silent for 0.12 s" in connection.lost_reason
            assert broker.of(CommandType.PING)

    run(test())


def test_a_peer_that_is_not_read_does_not_count_as_silent():
    async def test() -> None:
        async with FakeBroker() as broker:
            connection = await opened(broker, keep_alive_s=0.06)
            connection.pause_reading()
            await asyncio.sleep(0.2)
            assert connection.is_open
            connection.resume_reading()
            await broker.until(lambda: broker.of(CommandType.PING))
            assert connection.is_open

    run(test())
