"""A real Prometheus on the loopback address, and the tools that come with it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from needed import needed_package

PATIENCE_S = 90.0
_PAUSE_S = 0.2


def free_port() -> int:
    """A port of the loopback address that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def text_of(url: str) -> str:
    """What a URL answers."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def until(what: str, found: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """The first answer that is not empty; fails when there is none after a while."""
    end = time.monotonic() + patience_s
    while True:
        try:
            if answer := found():
                return answer
        except (urllib.error.URLError, ConnectionError):
            pass
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not after {patience_s:g} s")
        time.sleep(_PAUSE_S)


class Prometheus:
    """A server that runs.

    Attributes:
        url: where it answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """The ``data`` of an answer of its API."""
        query = urllib.parse.urlencode(parameters)
        try:
            answer = json.loads(text_of(f"{self.url}/api/v1/{path}?{query}"))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        assert answer["status"] == "success"
        return answer["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression, now."""
        return list(self.ask("query", query=expr)["result"])

    def value(self, expr: str) -> float | None:
        """The one value of an expression, now; None: there is no series."""
        series = self.query(expr)
        assert len(series) < 2, series
        return float(series[0]["value"][1]) if series else None

    def alerts(self) -> dict[str, dict[str, Any]]:
        """The alerting rules, by name."""
        groups = self.ask("rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}


@contextmanager
def prometheus(folder: Path, config: str) -> Iterator[Prometheus]:
    """Prometheus with a configuration, until the block ends; its data is in ``folder``."""
    file = folder / "prometheus.yml"
    file.write_text(config)
    port = free_port()
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                needed_package("prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        until("Prometheus is ready", lambda: text_of(f"{server.url}/-/ready"))
        yield server
    finally:
        process.terminate()
        process.wait(30)
