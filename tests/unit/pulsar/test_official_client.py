"""Patience when nobody answers; nothing of a broker is needed for that."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from iot_producer.clock import ManualClock
from iot_producer.errors import ConfigError, NameTakenError, UnreachableError
from iot_producer.pulsar.official_client import ClientConfig, ClientFailure, answer_of, connect

TOPIC = "persistent://public/default/t"
START_NS = 1_000_000_000_000_000_000


def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def seconds_since(clock: ManualClock) -> float:
    return (clock.now_ns() - START_NS) / 1e9


def unused(client: Any) -> None:
    raise AssertionError("nobody listens")


def test_a_closed_port_is_tried_until_patience_ends():
    clock, said = ManualClock(START_NS), []
    config = ClientConfig(f"pulsar://127.0.0.1:{closed_port()}", give_up_after_s=30.0)
    with pytest.raises(UnreachableError) as caught:
        connect(config, unused, TOPIC, clock, said.append)
    assert "nobody listens on 127.0.0.1:" in caught.value.message
    assert f"given up after {len(said) + 1} attempts in 30 s" in caught.value.message
    assert seconds_since(clock) == pytest.approx(30.0)
    # 0.25, 0.5, 1, 2, 4, 8, 10 s and a rest, each a quarter more or less
    assert 7 <= len(said) <= 10
    assert all("; trying again in " in line for line in said)


def test_without_patience_there_is_one_attempt():
    clock, said = ManualClock(START_NS), []
    config = ClientConfig(f"pulsar://127.0.0.1:{closed_port()}", give_up_after_s=0.0)
    with pytest.raises(UnreachableError, match="nobody listens"):
        connect(config, unused, TOPIC, clock, said.append)
    assert said == []
    assert seconds_since(clock) == 0.0


def test_every_host_is_tried_and_named():
    first, second = closed_port(), closed_port()
    url = f"pulsar://127.0.0.1:{first},no-such-host.invalid:{second}"
    with pytest.raises(UnreachableError) as caught:
        connect(ClientConfig(url, give_up_after_s=0.0), unused, TOPIC, ManualClock(START_NS))
    assert f"nobody listens on 127.0.0.1:{first}" in caught.value.message
    assert "the host 'no-such-host.invalid' does not resolve" in caught.value.message


class Listening:
    """A port that accepts; ``use`` never gets to talk over it."""

    def __enter__(self) -> ClientConfig:
        self._socket = socket.create_server(("127.0.0.1", 0))
        url = f"pulsar://127.0.0.1:{self._socket.getsockname()[1]}"
        return ClientConfig(url, give_up_after_s=None, name_wait_s=6.0)

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_a_taken_name_is_waited_for_six_seconds():
    clock, said = ManualClock(START_NS), []

    def use(client: Any) -> None:
        raise ClientFailure("ProducerBusy")

    with Listening() as config, pytest.raises(NameTakenError, match="given up after"):
        connect(config, use, TOPIC, clock, said.append, "lane-0")
    assert seconds_since(clock) == pytest.approx(6.0)
    assert said[0].startswith("producer lane-0 is at work on")


def test_a_name_that_becomes_free_is_taken():
    clock = ManualClock(START_NS)
    answers = ["ProducerBusy", "Timeout", "ProducerBusy", ""]

    def use(client: Any) -> str:
        answer = answers.pop(0)
        if answer:
            raise ClientFailure(answer)
        return "producer"

    with Listening() as config:
        _, used = connect(config, use, TOPIC, clock)
    assert used == "producer"
    assert answers == []


def test_a_refusal_is_not_tried_again():
    clock = ManualClock(START_NS)

    def use(client: Any) -> None:
        raise ClientFailure("InvalidTopicName")

    with Listening() as config, pytest.raises(ConfigError, match="the name of topic"):
        connect(config, use, TOPIC, clock)
    assert seconds_since(clock) == 0.0


def test_no_answer_is_a_time_out():
    with pytest.raises(ClientFailure, match=r"^Timeout$"):
        answer_of(lambda callback: None, timeout_s=0.01)


@pytest.mark.parametrize(
    "url",
    ["", "pulsar://", "http://h:1", "pulsar:/h", "pulsar://h:x", "pulsar://a,,b", "h:6650"],
)
def test_a_malformed_url_is_told(url: str):
    with pytest.raises(ConfigError, match="is not the URL of a Pulsar broker"):
        ClientConfig(url)


def test_what_the_client_cannot_read_is_told():
    with Listening() as config:
        port = config.service_url.rpartition(":")[2]
        bad = ClientConfig(f"pulsar://127.0.0.1:{port},[::1]:{port}", give_up_after_s=0.0)
        with pytest.raises(ConfigError, match="the Pulsar client cannot use"):
            connect(bad, unused, TOPIC, ManualClock(START_NS))


@pytest.mark.parametrize(
    "setting", [{"connect_timeout_s": 0}, {"operation_timeout_s": -1}, {"give_up_after_s": -0.5}]
)
def test_times_must_make_sense(setting: dict[str, float]):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        ClientConfig("pulsar://h", **setting)
