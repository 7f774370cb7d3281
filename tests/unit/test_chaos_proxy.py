"""The chaos proxy itself, between plain sockets on the loopback address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from chaos_proxy import ChaosProxy, Way

LONG_MS = 1e7


class Server:
    """Accepts connections; what comes in is read by the test."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(10.0)
        self.address: tuple[str, int] = self._listening.getsockname()

    def accepted(self) -> socket.socket:
        found, _ = self._listening.accept()
        found.settimeout(10.0)
        return found

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def proxy(server: Server) -> Iterator[ChaosProxy]:
    with ChaosProxy(server.address) as proxy:
        yield proxy


def connected(proxy: ChaosProxy, server: Server) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(("127.0.0.1", proxy.port), 10.0)
    return client, server.accepted()


def read(end: socket.socket, n: int) -> bytes:
    found = b""
    while len(found) < n:
        piece = end.recv(n - len(found))
        assert piece, f"ended after {found!r}"
        found += piece
    return found


def drained(end: socket.socket) -> None:
    """Read to the end."""
    while end.recv(1 << 16):
        pass


def connect_and_drain(client: socket.socket, port: int) -> None:
    client.connect(("127.0.0.1", port))
    drained(client)


def until(condition: Callable[[], bool]) -> None:
    """Spin until the proxy's thread has come so far; pytest's time-out ends what never does."""
    while not condition():
        threading.Event().wait(0.001)


def test_both_directions_of_several_connections_pass(proxy: ChaosProxy, server: Server):
    first, first_there = connected(proxy, server)
    second, second_there = connected(proxy, server)
    with first, first_there, second, second_there:
        first.sendall(b"one")
        second.sendall(b"two")
        assert read(first_there, 3) == b"one"
        assert read(second_there, 3) == b"two"
        second_there.sendall(b"four")
        first_there.sendall(b"three")
        assert read(first, 5) == b"three"
        assert read(second, 4) == b"four"
        assert (proxy.n_accepted, proxy.n_open) == (2, 2)
        assert proxy.n_forwarded(Way.TO_SERVER) == 6
        assert proxy.n_forwarded(Way.TO_CLIENT) == 9


def test_an_end_of_one_direction_leaves_the_other(proxy: ChaosProxy, server: Server):
    client, there = connected(proxy, server)
    with client, there:
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        assert read(there, 3) == b"bye"
        assert there.recv(1) == b""
        there.sendall(b"still here")
        assert read(client, 10) == b"still here"
        there.close()
        assert client.recv(1) == b""
    until(lambda: proxy.n_open == 0)


def test_more_than_all_buffers_hold_passes_unchanged(proxy: ChaosProxy, server: Server):
    client, there = connected(proxy, server)
    data = bytes(range(256)) * 65_536
    with client, there:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert read(there, len(data)) == data
        sender.join()


def test_delayed_bytes_are_held_until_it_is_healed(proxy: ChaosProxy, server: Server):
    client, there = connected(proxy, server)
    with client, there:
        proxy.delay(LONG_MS)
        client.sendall(b"late")
        there.sendall(b"later")
        until(lambda: proxy.n_held == 9)
        assert proxy.n_forwarded(Way.TO_SERVER) == 0
        proxy.heal()
        assert read(there, 4) == b"late"
        assert read(client, 5) == b"later"


def test_a_short_delay_lets_everything_through_in_order(proxy: ChaosProxy, server: Server):
    client, there = connected(proxy, server)
    with client, there:
        proxy.delay(5)
        for i in range(50):
            client.sendall(b"%02d" % i)
        assert read(there, 100) == b"".join(b"%02d" % i for i in range(50))


def test_a_stalled_connection_takes_no_more_than_a_piece_and_goes_on_after_it(
    proxy: ChaosProxy, server: Server
):
    client, there = connected(proxy, server)
    with client, there:
        client.sendall(b"before")
        assert read(there, 6) == b"before"
        proxy.stall()
        client.setblocking(False)
        n_sent = 0
        with suppress(BlockingIOError):
            while n_sent < 1 << 30:
                n_sent += client.send(bytes(1 << 16))
        assert n_sent < 1 << 30
        until(lambda: proxy.n_held > 0)
        assert proxy.n_held <= 1 << 16
        assert proxy.n_forwarded(Way.TO_SERVER) == 6
        proxy.heal()
        assert read(there, n_sent) == bytes(n_sent)


@pytest.mark.parametrize("way", list(Way))
def test_a_reset_strikes_behind_the_given_byte_once(proxy: ChaosProxy, server: Server, way: Way):
    client, there = connected(proxy, server)
    sender, receiver = (client, there) if way is Way.TO_SERVER else (there, client)
    with client, there:
        sender.sendall(b"whole")
        assert read(receiver, 5) == b"whole"
        proxy.reset_after(3, way)
        sender.sendall(b"broken")
        for end in (sender, receiver):
            with pytest.raises(ConnectionResetError):
                drained(end)
    assert proxy.n_forwarded(way) == 8
    again, there = connected(proxy, server)
    with again, there:
        again.sendall(b"fine again")
        assert read(there, 10) == b"fine again"


def test_a_truncated_stream_ends_regularly_for_both(proxy: ChaosProxy, server: Server):
    client, there = connected(proxy, server)
    with client, there:
        proxy.truncate_after(4)
        client.sendall(b"half of it")
        assert read(there, 4) == b"half"
        assert there.recv(1) == b""
        assert client.recv(1) == b""


def test_a_half_open_connection_loses_one_direction(proxy: ChaosProxy, server: Server):
    client, there = connected(proxy, server)
    with client, there:
        proxy.half_open(Way.TO_SERVER)
        client.sendall(b"lost")
        until(lambda: proxy.n_held == 0)
        there.sendall(b"seen")
        assert read(client, 4) == b"seen"
        assert proxy.n_forwarded(Way.TO_SERVER) == 0
        later, later_there = connected(proxy, server)
        with later, later_there:
            later.sendall(b"sound")
            assert read(later_there, 5) == b"sound"


def test_the_end_of_a_swallowed_stream_is_swallowed_too(proxy: ChaosProxy, server: Server):
    client, there = connected(proxy, server)
    with there:
        proxy.half_open(Way.TO_SERVER)
        client.close()
        there.settimeout(0.05)
        with pytest.raises(TimeoutError):
            there.recv(1)
        assert proxy.n_open == 1
    until(lambda: proxy.n_open == 0)


def test_only_the_newest_connections_are_half_open(proxy: ChaosProxy, server: Server):
    older, older_there = connected(proxy, server)
    newer, newer_there = connected(proxy, server)
    with older, older_there, newer, newer_there:
        proxy.half_open(Way.TO_CLIENT, n_newest=1)
        newer_there.sendall(b"lost")
        older_there.sendall(b"seen")
        assert read(older, 4) == b"seen"
        until(lambda: proxy.n_held == 0)
        assert proxy.n_forwarded(Way.TO_CLIENT) == 4


def test_refused_connections_leave_the_open_ones(proxy: ChaosProxy, server: Server):
    client, there = connected(proxy, server)
    with client, there:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), 10.0)
        client.sendall(b"open")
        assert read(there, 4) == b"open"
        proxy.heal()
        again, there_again = connected(proxy, server)
        with again, there_again:
            again.sendall(b"back")
            assert read(there_again, 4) == b"back"


def test_all_are_reset_at_once(proxy: ChaosProxy, server: Server):
    ends = [end for _ in range(3) for end in connected(proxy, server)]
    proxy.reset_all()
    for end in ends:
        with end, pytest.raises(ConnectionResetError):
            end.recv(1)
    assert proxy.n_open == 0


def test_where_the_server_is_not_there_the_client_is_reset(proxy: ChaosProxy, server: Server):
    server.close()
    with socket.socket() as client:
        client.settimeout(10.0)
        with pytest.raises(ConnectionResetError):  # at once, or while it reads
            connect_and_drain(client, proxy.port)


def test_leaving_it_ends_all_connections_and_its_thread(server: Server):
    with ChaosProxy(server.address) as proxy:
        client, there = connected(proxy, server)
        proxy.stall()
    with client, there:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), 10.0)
    assert not [t for t in threading.enumerate() if t.name == "chaos-proxy"]
