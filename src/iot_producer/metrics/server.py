"""An HTTP server of a few pages, on daemon threads of its own.

Promise: it answers from the moment it is made until it is closed, costs nothing while nobody asks,
and no client can hold it up: few at a time, each for some seconds. It must not know what is in the
pages.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from iot_producer.errors import ConfigError

_MOST_AT_ONCE: Final = 16
_PATIENCE_S: Final = 5.0
_PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Page:
    """An answer.

    Attributes:
        body: its bytes.
        status: of HTTP.
        content_type: of HTTP.
    """

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[str], Page]]
"""By path, what makes the page; it is given the request's Accept header."""


class PageServer:
    """Serves pages; GET and HEAD.

    Attributes:
        url: where it is, without a path.

    Args:
        where: host and port to listen on; port 0: any that is free.
        pages: what to serve.
        origin: where the address was set, for messages.

    Raises:
        ConfigError: the address cannot be listened on.
    """

    def __init__(self, where: tuple[str, int], pages: Pages, origin: str = "--metrics") -> None:
        self._pages = pages
        self._closed = threading.Event()
        self._slots = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._socket = _listening(where, origin)
        self.url = f"http://{_authority(where[0], self._socket.getsockname()[1])}"
        threading.Thread(target=self._accept, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Answer no more. Closing again does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            self._slots.acquire()
            try:
                connected, peer = self._socket.accept()
                thread = threading.Thread(target=self._answer, args=(connected, peer), daemon=True)
                thread.start()
            except (OSError, RuntimeError):  # too many open files, or threads; or closed
                self._slots.release()
                self._closed.wait(_PAUSE_S)

    def _answer(self, connected: socket.socket, peer: Any) -> None:
        try:
            # A client that goes away, or is slower than its time-out, is no concern of the run's.
            with suppress(OSError), connected:
                _Handler(self._pages, connected, peer, self)
        finally:
            self._slots.release()


class _Handler(BaseHTTPRequestHandler):
    """One request; the connection is closed after it."""

    timeout = _PATIENCE_S

    def __init__(self, pages: Pages, *arguments: Any) -> None:
        self._pages = pages
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer with a page."""
        path = self.path.partition("?")[0]
        make = self._pages.get(path, partial(_not_found, self._pages, path))
        page = make(self.headers.get("Accept", ""))
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def version_string(self) -> str:
        """Not that of Python."""
        return "iot-producer"

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - the name is http.server's
        """Requests are not logged."""


def _not_found(pages: Pages, path: str, _accept: str) -> Page:
    text = f"there is no {path:.100}; there are {', '.join(pages)}\n"
    return Page(text.encode(errors="replace"), HTTPStatus.NOT_FOUND)


def _listening(where: tuple[str, int], origin: str) -> socket.socket:
    host, port = where
    text = f"{origin} {_authority(host, port)}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], found[0][4]
        return socket.create_server((address[0], port), family=family, backlog=_MOST_AT_ONCE)
    except socket.gaierror as error:
        raise ConfigError(
            f"{text}: the host does not resolve",
            "give an address of this machine; 0.0.0.0 is all of them",
        ) from error
    except OSError as error:
        raise ConfigError(f"{text}: {_trouble(error)}", _remedy(error, port)) from error


def _trouble(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another program listens there already"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address"
        case _:
            return f"cannot listen there: {error.strerror}"


def _remedy(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                "choose another port (0 is any that is free), or off; who has it: "
                f"ss -ltnp 'sport = :{port}'"
            )
        case errno.EADDRNOTAVAIL:
            return "give one of this machine's addresses; 0.0.0.0 is all of them"
        case errno.EACCES:
            return "choose a port from 1024 on"
        case _:
            return "choose another address and port, or off"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
