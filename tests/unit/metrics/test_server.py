"""The HTTP server, asked over real sockets."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from iot_producer.errors import ConfigError, ExitCode
from iot_producer.metrics.server import Page, PageServer
from needed import cannot_run

PATIENCE_S = 30.0


def echo(accept: str) -> Page:
    return Page(f"you take {accept}".encode(), content_type="text/x")


def refuse(_accept: str) -> Page:
    return Page(b"no\n", HTTPStatus.SERVICE_UNAVAILABLE)


@pytest.fixture
def server() -> Iterator[PageServer]:
    server = PageServer(("127.0.0.1", 0), {"/echo": echo, "/refuse": refuse})
    yield server
    server.close()


def asked(
    server: PageServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, str, bytes]:
    """Status, type and body of an answer."""
    client = http.client.HTTPConnection(server.url.partition("//")[2], timeout=PATIENCE_S)
    try:
        client.request(method, path, headers=headers)
        answer = client.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        client.close()


def port_of(server: PageServer) -> int:
    return int(server.url.rpartition(":")[2])


def test_pages_by_path(server: PageServer):
    assert asked(server, "/echo", Accept="a/b") == (200, "text/x", b"you take a/b")
    assert asked(server, "/echo?name=x")[::2] == (200, b"you take ")
    assert asked(server, "/refuse") == (503, "text/plain; charset=utf-8", b"no\n")
    assert asked(server, "/echo", "HEAD", Accept="a/b") == (200, "text/x", b"")


def test_an_unknown_path_is_told_the_known_ones(server: PageServer):
    status, _, body = asked(server, "/metric")
    assert (status, body) == (404, b"there is no /metric; there are /echo, /refuse\n")


def test_other_methods_are_refused(server: PageServer):
    assert asked(server, "/echo", "POST")[0] == 501


def test_clients_that_say_nothing_do_not_hold_up_others(server: PageServer):
    silent = [socket.create_connection(("127.0.0.1", port_of(server))) for _ in range(10)]
    try:
        assert asked(server, "/refuse")[0] == 503
    finally:
        for client in silent:
            client.close()


def test_clients_that_go_away_do_no_harm(server: PageServer):
    for text in (b"", b"GET /echo HTTP/1.1\r\n\r\n", b"\xff\x00 nonsense\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port_of(server))) as client:
            client.sendall(text)
    assert asked(server, "/refuse")[0] == 503


def test_after_its_end_nobody_listens():
    server = PageServer(("127.0.0.1", 0), {"/echo": echo})
    port = port_of(server)
    before = {thread.name for thread in threading.enumerate()}
    assert "metrics" in before
    server.close()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    for thread in threading.enumerate():
        if thread.name == "metrics":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
    again = PageServer(("127.0.0.1", port), {"/echo": echo})
    assert asked(again, "/echo")[0] == 200
    again.close()


def test_a_port_that_is_taken_is_told_with_a_remedy(server: PageServer):
    port = port_of(server)
    with pytest.raises(ConfigError) as caught:
        PageServer(("127.0.0.1", port), {}, "IOT_PRODUCER_METRICS")
    assert caught.value.message == (
        f"IOT_PRODUCER_METRICS 127.0.0.1:{port}: another program listens there already"
    )
    assert f"sport = :{port}" in caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("192.0.2.1", "--metrics 192.0.2.1:0: this machine does not have that address"),
        ("no-such-host.invalid", "--metrics no-such-host.invalid:0: the host does not resolve"),
    ],
)
def test_an_address_that_is_not_ours(host: str, message: str):
    with pytest.raises(ConfigError) as caught:
        PageServer((host, 0), {})
    assert caught.value.message == message
    assert "0.0.0.0 is all of them" in caught.value.hint


def test_all_addresses_and_names():
    for host in ("0.0.0.0", "localhost"):
        server = PageServer((host, 0), {"/echo": echo})
        assert server.url == f"http://{host}:{port_of(server)}"
        assert asked(server, "/echo")[0] == 200
        server.close()


def test_an_ipv6_address_is_in_brackets():
    try:
        server = PageServer(("::1", 0), {"/echo": echo})
    except ConfigError:
        cannot_run("this machine has no IPv6 loopback address")
    assert server.url == f"http://[::1]:{port_of(server)}"
    assert asked(server, "/echo")[0] == 200
    server.close()
