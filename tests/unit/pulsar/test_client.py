from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fake_broker import FakeBroker, Session
from iot_producer.errors import RefusedError, UnreachableError
from iot_producer.pulsar.client import Backoff, PulsarClient
from iot_producer.pulsar.commands import CommandType, LookupAnswer, PartitionsAnswer, ServerError
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.security import SecurityConfig

TOPIC = "persistent://public/default/t"
NOBODY = ("127.0.0.1", 1)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def client_of(*hosts: tuple[str, int], **settings: Any) -> PulsarClient:
    return PulsarClient(ConnectionConfig(hosts, **settings))


def answering(**fields: Any) -> Any:
    def answer(session: Session, request: Any) -> None:
        session.say(CommandType.LOOKUP_RESPONSE, request_id=request.request_id, **fields)

    return answer


def test_pauses_grow_up_to_the_longest_and_begin_again():
    backoff = Backoff(1.0, 5.0)
    for longest in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert longest / 2 <= backoff.next_s() <= longest
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_the_first_host_that_answers_is_used_and_kept():
    async def test() -> None:
        async with FakeBroker() as broker:
            client = client_of(NOBODY, broker.host, NOBODY)
            first = await client.service()
            assert await client.service() is first
            assert await client.lookup(TOPIC) is first
            assert client.connections == (first,)
            assert len(broker.of(CommandType.CONNECT)) == 1
            await client.close()
            assert not first.is_open
            with pytest.raises(UnreachableError, match="is closed"):
                await client.connection(*broker.host)

    run(test())


def test_when_no_host_answers_each_is_named_with_its_reason():
    async def test() -> None:
        with pytest.raises(UnreachableError) as caught:
            await client_of(NOBODY, ("nowhere.invalid", 6650)).service()
        assert caught.value.message == (
            "cannot connect to pulsar://127.0.0.1:1,nowhere.invalid:6650: nobody listens on "
            "127.0.0.1:1, the host 'nowhere.invalid' does not resolve"
        )
        assert "iot-producer stack up" in caught.value.hint

    run(test())


def test_a_connection_that_broke_is_made_anew():
    async def test() -> None:
        async with FakeBroker() as broker:
            client = client_of(broker.host)
            first = await client.lookup(TOPIC)
            broker.sessions[0].reset()
            await broker.until(lambda: not first.is_open)
            second = await client.lookup(TOPIC)
            assert second is not first
            assert client.connections == (second,)

    run(test())


def test_who_asks_at_the_same_time_gets_the_same_connection():
    async def test() -> None:
        async with FakeBroker() as broker:
            client = client_of(broker.host)
            opened = await asyncio.gather(*(client.connection(*broker.host) for _ in range(5)))
            assert len(set(map(id, opened))) == 1
            assert len(broker.of(CommandType.CONNECT)) == 1

    run(test())


def test_redirects_are_followed_and_tell_who_said_so():
    async def test() -> None:
        async with FakeBroker() as one, FakeBroker() as other:
            one.answers[CommandType.LOOKUP] = answering(
                response=LookupAnswer.REDIRECT, broker_service_url=other.url, authoritative=True
            )
            client = client_of(one.host)
            connection = await client.lookup(TOPIC)
            assert connection.where == f"127.0.0.1:{other.port}"
            assert [r.authoritative for r in one.of(CommandType.LOOKUP)] == [False]
            assert [r.authoritative for r in other.of(CommandType.LOOKUP)] == [True]

    run(test())


def test_redirects_in_a_circle_have_an_end():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.LOOKUP] = answering(
                response=LookupAnswer.REDIRECT, broker_service_url=broker.url
            )
            with pytest.raises(UnreachableError, match="to each other, 20 times"):
                await client_of(broker.host).lookup(TOPIC)

    run(test())


def test_through_a_proxy_the_broker_is_named_and_redirects_too():
    async def test() -> None:
        async with FakeBroker() as proxy:
            answers = iter(
                [
                    (LookupAnswer.REDIRECT, "pulsar://broker-1:6650"),
                    (LookupAnswer.CONNECT, "pulsar://[fd00::2]:6650"),
                ]
            )

            def answer(session: Session, request: Any) -> None:
                response, url = next(answers)
                session.say(
                    CommandType.LOOKUP_RESPONSE,
                    request_id=request.request_id,
                    response=response,
                    broker_service_url=url,
                    proxy_through_service_url=True,
                )

            proxy.answers[CommandType.LOOKUP] = answer
            await client_of(proxy.host).lookup(TOPIC)
            assert [g.proxy_to_broker_url for g in proxy.of(CommandType.CONNECT)] == [
                "",
                "broker-1:6650",
                "[fd00::2]:6650",
            ]

    run(test())


@pytest.mark.parametrize(
    ("tls", "fields", "said"),
    [
        (True, {"broker_service_url": "pulsar://b:6650"}, "tells no address with TLS"),
        (False, {"broker_service_url": "http://b:6650"}, "tells no address without TLS"),
    ],
)
def test_a_broker_without_a_usable_address_is_told(tls: bool, fields: dict[str, str], said: str):
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.LOOKUP] = answering(response=LookupAnswer.CONNECT, **fields)
            client = client_of(broker.host)
            await client.service()
            client.config = ConnectionConfig((broker.host,), SecurityConfig(tls=tls))
            with pytest.raises(RefusedError, match=said):
                await client.lookup(TOPIC)

    run(test())


def test_partitions_are_counted_and_refusals_explained():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.partitions = 12
            client = client_of(broker.host)
            assert await client.partitions(TOPIC) == 12
            broker.answers[CommandType.PARTITIONED_METADATA] = lambda session, request: session.say(
                CommandType.PARTITIONED_METADATA_RESPONSE,
                request_id=request.request_id,
                response=PartitionsAnswer.FAILED,
                error=ServerError.AUTHORIZATION,
                message="not yours",
            )
            with pytest.raises(RefusedError, match=f"access to {TOPIC} is not allowed"):
                await client.partitions(TOPIC)
            broker.answers[CommandType.LOOKUP] = answering(
                response=LookupAnswer.FAILED, error=ServerError.SERVICE_NOT_READY, message="wait"
            )
            with pytest.raises(UnreachableError, match="cannot do this now"):
                await client.lookup(TOPIC)
            broker.answers[CommandType.LOOKUP] = lambda session, request: session.refuse(
                request, ServerError.TOPIC_NOT_FOUND
            )
            with pytest.raises(RefusedError, match="does not exist"):
                await client.lookup(TOPIC)

    run(test())


def test_a_listener_name_is_asked_for():
    async def test() -> None:
        async with FakeBroker() as broker:
            await client_of(broker.host, listener_name="outside").lookup(TOPIC)
            (request,) = broker.of(CommandType.LOOKUP)
            assert request.advertised_listener_name == "outside"

    run(test())


def test_closing_while_a_connection_is_being_made_leaves_none():
    async def test() -> None:
        async with FakeBroker() as broker:
            broker.answers[CommandType.CONNECT] = lambda session, _: None
            client = client_of(broker.host)
            asking = asyncio.create_task(client.service())
            await broker.until(lambda: broker.of(CommandType.CONNECT))
            await client.close()
            with pytest.raises(UnreachableError):
                await asking
            await broker.until(lambda: not broker.sessions)

    run(test())
