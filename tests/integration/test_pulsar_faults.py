"""The sink and the reader when things go wrong: nothing is confirmed that is not on the topic."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from pulsar_cases import Account, Stored, block, expected, key_of, new_topic, sink, stored

from iot_producer.clock import SystemClock
from iot_producer.errors import (
    DestinationError,
    IotProducerError,
    RefusedError,
    UnreachableError,
)
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.sinks.pulsar import PulsarSink
from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up

pytestmark = pytest.mark.integration

CLOCK = SystemClock()


def seconds_of(call: Callable[[], object]) -> tuple[float, IotProducerError]:
    """How long a call took that fails, and with what."""
    began_ns = CLOCK.now_ns()
    with pytest.raises(IotProducerError) as caught:
        call()
    return (CLOCK.now_ns() - began_ns) / 1e9, caught.value


def opened_and_closed(url: str, **settings: object) -> None:
    with sink(url, new_topic(), **settings):
        pass


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def test_a_closed_port_is_given_up_after_a_while(closed_port: int):
    said: list[str] = []
    url = f"pulsar://127.0.0.1:{closed_port}"
    took_s, error = seconds_of(lambda: opened_and_closed(url, give_up_after_s=1.5, say=said.append))
    assert isinstance(error, UnreachableError)
    assert f"nobody listens on 127.0.0.1:{closed_port}" in error.message
    assert 1.4 < took_s < 5.0
    assert said


def test_a_host_that_does_not_resolve_is_told():
    url = "pulsar://no-such-host.invalid:6650"
    _, error = seconds_of(lambda: opened_and_closed(url, give_up_after_s=0.0))
    assert isinstance(error, UnreachableError)
    assert "the host 'no-such-host.invalid' does not resolve" in error.message


def test_a_socket_that_never_answers_is_given_up_in_bounded_time(silent_port: int):
    said: list[str] = []
    url = f"pulsar://127.0.0.1:{silent_port}"
    took_s, error = seconds_of(
        lambda: opened_and_closed(url, give_up_after_s=3.0, connect_timeout_s=1.0, say=said.append)
    )
    assert isinstance(error, UnreachableError)
    assert "does not answer as Pulsar should" in error.message
    assert took_s < 12.0
    assert said
    took_s, error = seconds_of(
        lambda: stored(url, new_topic(), give_up_after_s=0.0, connect_timeout_s=1.0)
    )
    assert isinstance(error, UnreachableError)
    assert took_s < 8.0


def test_an_interrupt_while_nothing_answers_ends_the_waiting(silent_port: int):
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.7, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    began_ns = CLOCK.now_ns()
    with pytest.raises(KeyboardInterrupt):
        opened_and_closed(f"pulsar://127.0.0.1:{silent_port}", give_up_after_s=None)
    assert CLOCK.now_ns() - began_ns < 8_000_000_000
    timer.join()


def terminate(broker: StackStatus, topic: str) -> None:
    path = topic.replace("://", "/")
    PulsarAdmin(broker.admin_url).call("POST", f"/admin/v2/{path}/terminate")


def send_until_it_fails(account: Account, to: PulsarSink, n: int = 100_000) -> None:
    for first in range(0, n, 100):
        account.send(to, block(first, 100))


def assert_only_what_is_stored_is_confirmed(account: Account, found: list[Stored]) -> None:
    there = {key_of(record): record for record in found}
    for record in account.confirmed():
        assert there[key_of(record)] == record


def test_a_terminated_topic_is_refused(broker: StackStatus):
    topic = new_topic()
    PulsarAdmin(broker.admin_url).create_topic(topic)
    terminate(broker, topic)
    with pytest.raises(RefusedError, match="is terminated"), sink(broker.pulsar_url, topic):
        pass


def test_a_topic_that_is_terminated_under_way_ends_the_sending(broker: StackStatus):
    topic, account = new_topic(), Account()
    PulsarAdmin(broker.admin_url).create_topic(topic)
    with sink(broker.pulsar_url, topic, give_up_after_s=5.0, max_pending=2_000) as opened:
        account.send(opened, block(1_000_000, 100))
        timer = threading.Timer(0.3, terminate, (broker, topic))
        timer.start()
        # Mostly refused at once; but now and then the broker keeps such a topic "temporarily
        # unavailable" for ever.
        with pytest.raises(DestinationError):
            send_until_it_fails(account, opened)
        timer.join()
        account.drain(opened, 5.0)
        with pytest.raises(DestinationError):
            opened.send(block(2_000_000, 1))
    assert account.confirmed()
    # Such a topic can be read after it was loaded anew.
    path = topic.replace("://", "/")
    PulsarAdmin(broker.admin_url).call("PUT", f"/admin/v2/{path}/unload")
    assert_only_what_is_stored_is_confirmed(account, stored(broker.pulsar_url, topic)[0])


def test_an_idle_sink_learns_of_the_termination_when_it_sends(broker: StackStatus):
    topic, account = new_topic(), Account()
    with sink(broker.pulsar_url, topic, give_up_after_s=None) as opened:
        account.send(opened, block(1_000_000, 10))
        account.drain(opened)
        terminate(broker, topic)
        with pytest.raises(RefusedError, match="is terminated"):
            send_until_it_fails(account, opened)
    assert_only_what_is_stored_is_confirmed(account, stored(broker.pulsar_url, topic)[0])


def test_a_topic_that_is_deleted_under_way_is_made_again_and_the_rest_is_confirmed(
    broker: StackStatus,
):
    topic, account = new_topic(), Account()
    admin = PulsarAdmin(broker.admin_url)
    with sink(broker.pulsar_url, topic) as opened:
        account.send(opened, block(0, 100))
        account.drain(opened)
        admin.delete_topic(topic, force=True)
        account.send(opened, block(100, 100))
        account.drain(opened)
    assert len(account.confirmed()) == 200
    assert stored(broker.pulsar_url, topic) == {0: expected(block(100, 100))}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> StackConfig:
    return StackConfig(
        state_dir=tmp_path_factory.mktemp("victim"),
        cache_dir=default_cache_dir(os.environ),
        name="victim",
    )


@pytest.fixture(scope="module")
def victim(config: StackConfig) -> Iterator[StackStatus]:
    """A broker that may be killed and stopped."""
    try:
        yield up(config)
    finally:
        down(config, purge=True)


def killed_and_up_again(config: StackConfig) -> StackStatus:
    status = up(config)
    assert status.pid is not None
    victim = psutil.Process(status.pid)
    victim.kill()
    victim.wait(10.0)
    return up(config)


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_a_broker_that_is_killed_and_comes_back_confirms_all_in_the_end(
    victim: StackStatus, config: StackConfig
):
    # The client waits up to a minute between attempts to reconnect, and cannot be told otherwise.
    topic, account, said = new_topic(), Account(), list[str]()
    status = up(config)
    PulsarAdmin(status.admin_url).create_topic(topic, 3)
    again: list[StackStatus] = []
    with sink(
        status.pulsar_url, topic, give_up_after_s=300.0, max_pending=3_000, say=said.append
    ) as opened:
        send_until_it_fails(account, opened, 3_000)
        killer = threading.Thread(target=lambda: again.append(killed_and_up_again(config)))
        killer.start()
        first = 3_000
        while killer.is_alive() or first < 30_000:
            account.send(opened, block(first, 100))
            first += 100
        killer.join()
        account.drain(opened, 120.0)
        assert opened.n_pending == 0
    assert again[0].pulsar_url == status.pulsar_url
    assert any("waiting" in line for line in said)
    confirmed = account.confirmed()
    assert len(confirmed) == first
    found = [record for part in stored(status.pulsar_url, topic).values() for record in part]
    assert_only_what_is_stored_is_confirmed(account, found)
    # What was stored and not yet confirmed is sent twice; nothing else may be there.
    assert len(found) - first <= 3_000
    assert {key_of(r) for r in found} == {key_of(r) for r in confirmed}


def test_a_broker_that_is_gone_for_good_is_given_up_and_closing_is_quick(
    victim: StackStatus, config: StackConfig
):
    topic, account = new_topic(), Account()
    status = up(config)
    assert status.pid is not None
    with sink(status.pulsar_url, topic, give_up_after_s=3.0, max_pending=3_000) as opened:
        send_until_it_fails(account, opened, 2_000)
        account.drain(opened)
        n_before = len(account.confirmed())
        assert n_before == 2_000
        os.kill(status.pid, signal.SIGKILL)
        took_s, error = seconds_of(lambda: send_until_it_fails(Account(), opened))
        assert isinstance(error, UnreachableError)
        assert took_s < 8.0
        began_ns = CLOCK.now_ns()
        opened.close()
        assert CLOCK.now_ns() - began_ns < 5_000_000_000
        assert opened.receipts() == []


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_broker_that_falls_silent_is_noticed_by_the_watchdog(
    victim: StackStatus, config: StackConfig
):
    topic, account = new_topic(), Account()
    status = up(config)
    assert status.pid is not None
    with sink(status.pulsar_url, topic):
        pass  # a broker that has just come up takes a while
    with sink(status.pulsar_url, topic, give_up_after_s=2.0) as opened:
        account.send(opened, block(0, 100))
        account.drain(opened)
        with stopped(status.pid):
            account.send(opened, block(100, 100))
            opened.drain(1.0)
            assert opened.n_pending == 100
            took_s, error = seconds_of(lambda: poll(opened))
            assert isinstance(error, UnreachableError)
            assert "has confirmed nothing for 2 s; 100 messages" in error.message
            assert took_s < 3.0
            began_ns = CLOCK.now_ns()
            opened.close()
            assert CLOCK.now_ns() - began_ns < 6_000_000_000
            took_s, error = seconds_of(
                lambda: stored(status.pulsar_url, topic, give_up_after_s=0.0, connect_timeout_s=1.0)
            )
            assert isinstance(error, UnreachableError)
            assert took_s < 8.0
    assert [r.first for r in account.receipts] == [0]
    assert_only_what_is_stored_is_confirmed(account, stored(status.pulsar_url, topic)[0])


def poll(opened: PulsarSink) -> None:
    while True:
        opened.receipts(0.1)


def test_a_drain_ends_in_time_though_nothing_is_confirmed(victim: StackStatus, config: StackConfig):
    status = up(config)
    assert status.pid is not None
    with sink(status.pulsar_url, new_topic(), give_up_after_s=None) as opened, stopped(status.pid):
        opened.send(block(0, 100))
        began_ns = CLOCK.now_ns()
        opened.drain(0.5)
        assert 400_000_000 < CLOCK.now_ns() - began_ns < 2_000_000_000
        assert opened.receipts() == []
        assert opened.n_pending == 100
        opened.close()
