"""A server that answers as Pulsar's admin API would, and records what it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from iot_producer.pulsar.admin import PulsarAdmin

NOON = "Sun, 22 Nov 2026 12:00:00 GMT"


class Api(ThreadingHTTPServer):
    """Answers by (method, path); 404 with a reason otherwise."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.headers: list[str | None] = []
        self.redirects: dict[str, str] = {}
        self.cut_off = ""

    @property
    def admin(self) -> PulsarAdmin:
        return PulsarAdmin(f"http://127.0.0.1:{self.server_address[1]}/", timeout_s=30)

    def say(self, method: str, path: str, body: object, status: int = 200) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[method, path] = (status, text)


class Handler(BaseHTTPRequestHandler):
    server: Api

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, json.loads(body) if body else None))
        self.server.headers.append(self.headers["Authorization"])
        if self.path == self.server.cut_off:
            self.close_connection = True
            return
        if self.path in self.server.redirects:
            self.send_response(307)
            self.send_header("Location", self.server.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        missing = (404, json.dumps({"reason": "not here"}).encode())
        status, text = self.server.answers.get((self.command, self.path), missing)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - names of http.server

    def date_time_string(self, timestamp: float | None = None) -> str:
        return NOON

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
        """Keep the test's output clean."""


@contextmanager
def serving() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
