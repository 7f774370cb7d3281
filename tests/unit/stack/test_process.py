"""Processes of this machine: started, recognised, ended."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from iot_producer.stack import process
from iot_producer.stack.process import ProcessId

WAIT = "import sys; print('ready', flush=True); sys.stdin.close(); import signal; signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"


def spawned(folder: Path, code: str = WAIT) -> ProcessId:
    """A Python process that has come as far as ``ready``."""
    marker = f"marker={folder}"
    log = folder / "log"
    started = process.spawn([sys.executable, "-c", code, marker], marker, folder, os.environ, log)
    while "ready" not in log.read_text():
        assert process.is_alive(started), log.read_text()
    return started


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ProcessId]:
    started = spawned(tmp_path)
    yield started
    process.terminate(started, 10)


def test_it_has_a_session_of_its_own(running: ProcessId) -> None:
    assert os.getsid(running.pid) == running.pid
    assert process.is_alive(running)
    assert process.resident_bytes(running) > 1_000_000


def test_it_is_found_by_its_marker(running: ProcessId) -> None:
    (found,) = process.with_marker(running.marker)
    assert found.pid == running.pid
    assert found.born_s == pytest.approx(running.born_s)
    assert process.with_marker(running.marker + "x") == []


def test_the_same_number_with_another_birth_is_another_process(running: ProcessId) -> None:
    other = replace(running, born_s=running.born_s - 60)
    assert not process.is_alive(other)
    assert process.terminate(other, 10) is False
    assert psutil.pid_exists(running.pid)


def test_the_same_number_and_birth_without_the_marker_is_another_process() -> None:
    me = psutil.Process()
    other = ProcessId(me.pid, me.create_time(), "a marker that I do not carry")
    assert not process.is_alive(other)
    assert process.terminate(other, 10) is False


def test_terminating_ends_and_reaps_it(running: ProcessId) -> None:
    assert process.terminate(running, 60) is False
    assert not process.is_alive(running)
    assert not psutil.pid_exists(running.pid)
    assert process.resident_bytes(running) == 0
    assert process.listening_addresses(running) == []


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    stubborn = spawned(tmp_path, STUBBORN)
    assert process.terminate(stubborn, 0.05) is True
    assert not psutil.pid_exists(stubborn.pid)


def test_one_that_ended_by_itself_tells_how(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "print('bye'); raise SystemExit(3)", "m"]
    ended = process.spawn(command, "m", tmp_path, os.environ, log)
    while process.is_alive(ended):
        pass
    assert process.exit_code(ended) == 3
    assert log.read_text() == "bye\n"
    assert process.terminate(ended, 1) is False


def test_where_it_listens(tmp_path: Path) -> None:
    code = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(1); " + WAIT
    server = spawned(tmp_path, code)
    try:
        ((ip, port),) = process.listening_addresses(server)
        assert ip == "127.0.0.1"
        socket.create_connection((ip, port), 10).close()
    finally:
        process.terminate(server, 10)


def test_a_child_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPPED", "1")
    monkeypatch.setenv("KEPT", "2")
    environ = process.inherited_environment(["DROPPED", "NEVER_SET"], ADDED="3")
    assert "DROPPED" not in environ
    assert (environ["KEPT"], environ["ADDED"]) == ("2", "3")
