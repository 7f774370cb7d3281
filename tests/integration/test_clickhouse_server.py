"""The ClickHouse sink against ClickHouse's HTTP interface, and against what only looks like it."""

from __future__ import annotations

import builtins
import contextlib
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clickhouse_cases import (
    DRAIN_S,
    FLEET,
    PLAN,
    TABLE,
    Front,
    embedded,
    open_sink,
    rows_of,
    sent_and_drained,
)

from iot_producer.clock import SystemClock
from iot_producer.encoders.arrow import ArrowEncoder
from iot_producer.errors import ConfigError, RefusedError, UnreachableError
from iot_producer.schema import clickhouse_ddl
from iot_producer.sinks.clickhouse_client import ClickHouseConfig, connect

pytestmark = pytest.mark.integration


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Callable[..., Front]]:
    started: list[Front] = []

    def start(*faults: str) -> Front:
        started.append(Front(tmp_path, faults))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_a_server_gets_the_same_rows(front):
    server = front()
    receipts = sent_and_drained(open_sink(server.config), list(PLAN.blocks(0, 6_000, 700)))
    assert [r[:2] for r in receipts] == [(b.first, b.stop) for b in PLAN.blocks(0, 6_000, 700)]
    server.stop()
    found = rows_of(
        embedded(server.directory),
        f"SELECT count(), uniqExact(device_id, time), sum(bytes_sent) FROM {TABLE}",
    )
    block = PLAN.block(0, 6_000)
    rows = ArrowEncoder(FLEET).encode(block.devices, block.times_ms)
    total = int(np.asarray(rows.column("bytes_sent")).sum())
    assert found == [(6_000, 6_000, total)]


@pytest.mark.parametrize(
    "faults", [("lost",), ("lost", "lost", "lost"), ("busy", "busy"), ("hang",)]
)
def test_an_insert_is_repeated_until_it_is_confirmed_and_stored_once(front, faults):
    server = front(*faults)
    config = replace(server.config, insert_timeout_s=1)
    receipts = sent_and_drained(open_sink(config), [PLAN.block(0, 300), PLAN.block(300, 200)])
    assert receipts == [(0, 300, ""), (300, 500, "")]
    server.stop()
    assert rows_of(embedded(server.directory), f"SELECT count() FROM {TABLE}") == [(500,)]


def test_a_refusal_for_good_is_not_repeated(front):
    server = front("full")
    sink = open_sink(server.config)
    sink.send(PLAN.block(0, 300))
    with pytest.raises(RefusedError, match="not enough space"):
        sink.drain(DRAIN_S)
    (receipt,) = sink.receipts()
    assert "NOT_ENOUGH_SPACE" in receipt.error
    sink.close()


def test_a_server_that_stays_away_leaves_records_unconfirmed(front):
    server = front()
    sink = open_sink(replace(server.config, give_up_after_s=0.5), clock=SystemClock())
    server.stop()
    sink.send(PLAN.block(0, 300))
    with pytest.raises(UnreachableError, match="nobody listens"):
        sink.drain(DRAIN_S)
    assert sink.receipts() == []
    sink.close()


def test_without_deduplication_nothing_is_repeated(front):
    server = front("lost")
    client = connect(server.config, 5)
    client.command("CREATE DATABASE benchmark")
    client.command(clickhouse_ddl(ttl_days=3_650))
    client.close()
    sink = open_sink(server.config)
    sink.send(PLAN.block(0, 300))
    with pytest.raises(UnreachableError) as caught:
        sink.drain(DRAIN_S)
    assert "non_replicated_deduplication_window" in caught.value.hint
    assert sink.receipts() == []
    sink.close()
    server.stop()
    assert rows_of(embedded(server.directory), f"SELECT count() FROM {TABLE}") == [(300,)]


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


def test_a_server_that_never_answers():
    with silent_server() as port:
        config = ClickHouseConfig(host="127.0.0.1", port=port, connect_timeout_s=1)
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}: it does not answer in time"):
            open_sink(config)
        assert time.monotonic() - started < 10


def test_a_port_that_nobody_listens_on():
    with silent_server() as port:
        pass
    with pytest.raises(UnreachableError, match="nobody listens there") as caught:
        open_sink(ClickHouseConfig(host="127.0.0.1", port=port))
    assert "HTTP interface" in caught.value.hint


def test_a_host_that_does_not_exist():
    with pytest.raises(UnreachableError, match="its host is not known"):
        open_sink(ClickHouseConfig(host="no-such-host.invalid"))


def test_a_password_is_in_no_message():
    config = ClickHouseConfig(host="localhost", port=1, user="me", password="s3cret")
    assert "s3cret" not in repr(config)
    with pytest.raises(UnreachableError) as caught:
        open_sink(config)
    assert "s3cret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("missing", "config", "extra"),
    [
        ("clickhouse_connect", ClickHouseConfig(host="localhost"), "clickhouse"),
        ("pyarrow", ClickHouseConfig(host="localhost"), "clickhouse"),
        ("chdb", ClickHouseConfig(directory=tempfile.gettempdir() + "/none"), "embedded"),
    ],
)
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, missing, config, extra):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == missing:
            raise ImportError(f"No module named {missing!r}", name=missing)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "iot_producer.encoders.arrow")
    with pytest.raises(ConfigError, match=missing) as caught:
        open_sink(config)
    assert caught.value.hint == f'pip install "iot-producer[{extra}]"'


def test_another_service_on_that_port():
    def answer(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                connection.close()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(UnreachableError, match="not ClickHouse"):
            open_sink(ClickHouseConfig(host="127.0.0.1", port=port, connect_timeout_s=2))
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
