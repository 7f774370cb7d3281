"""Ports of the loopback address."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from iot_producer.errors import RefusedError
from iot_producer.stack.ports import choose, is_free, not_on_loopback


@pytest.fixture
def used() -> Iterator[int]:
    """A port where somebody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield server.getsockname()[1]


def test_a_port_in_use_is_not_free(used: int) -> None:
    assert not is_free(used)


def test_a_port_that_is_used_on_all_addresses_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen(1)
        assert not is_free(server.getsockname()[1])


def test_a_given_port_in_use_is_refused_by_name(used: int) -> None:
    with pytest.raises(RefusedError) as caught:
        choose("the broker", used, remedy="do this")
    assert caught.value.message == f"port {used} for the broker is in use"
    assert caught.value.hint == "do this"


def test_a_given_port_that_is_promised_is_refused() -> None:
    free = choose("x", None)
    with pytest.raises(RefusedError, match=str(free)):
        choose("y", free, taken=[free])


def test_wishes_are_tried_in_their_order(used: int) -> None:
    first, second = choose("x", None), choose("x", None)
    assert choose("x", 0, [None, 0, used, first, second]) == first
    assert choose("x", None, [first, second], taken=[first]) == second


def test_a_chosen_port_is_free_and_not_one_of_outgoing_connections(used: int) -> None:
    port = choose("x", None, [used])
    assert is_free(port)
    assert 20_000 <= port < 32_000


def test_addresses_that_others_can_reach() -> None:
    listening = [
        ("127.0.0.1", 1),
        ("127.8.0.1", 2),
        ("::1", 3),
        ("::ffff:127.0.0.1", 4),
        ("0.0.0.0", 5),
        ("::", 6),
        ("10.0.0.1", 7),
    ]
    assert not_on_loopback(listening) == ["0.0.0.0:5", ":::6", "10.0.0.1:7"]
