"""Starting and ending, with programs that behave like a Java that fails.

A real broker is started by tests/integration/test_stack.py.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from iot_producer.clock import ManualClock
from iot_producer.errors import ConfigError, RefusedError, UnreachableError
from iot_producer.stack import process
from iot_producer.stack.broker_files import CONF_FILE, marker
from iot_producer.stack.distribution import PULSAR
from iot_producer.stack.process import ProcessId
from iot_producer.stack.pulsar_standalone import down, start, status, up
from iot_producer.stack.stack_config import StackConfig
from iot_producer.stack.stack_state import StackState, read_state, write_state

DIES = "echo 'Error: Could not reserve enough space' >&2; exit 1"
HANGS = "exec sleep 1000"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """A cache that holds a server without programs, and a Java that hangs."""
    server = tmp_path / "cache" / PULSAR.artifact / PULSAR.version
    (server / "conf").mkdir(parents=True)
    (server / "conf" / "standalone.conf").write_text("brokerServicePort=6650\nkept=yes\n")
    (server / ".files.json").write_text(json.dumps({"conf/standalone.conf": 32}))
    return {
        "state_dir": tmp_path / "state",
        "cache_dir": tmp_path / "cache",
        "java_home": java(tmp_path, HANGS),
        "min_free_disk_mb": 0,
        "ready_timeout_s": 1.0,
    }


def java(folder: Path, does: str) -> Path:
    """A Java home that says its version, and does this when it shall run something."""
    executable = folder / "java" / "bin" / "java"
    executable.parent.mkdir(parents=True, exist_ok=True)
    executable.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = -version ]; then echo \'openjdk version "21.0.1"\'; exit; fi\n'
        f"{does}\n"
    )
    executable.chmod(0o755)
    return folder / "java"


def test_a_java_that_dies_is_quoted_with_what_to_do(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["java_home"] = java(tmp_path, DIES)
    config = StackConfig(**settings)
    with pytest.raises(RefusedError) as caught:
        up(config)
    assert caught.value.message == (
        "the broker died while starting (exit code 1); it wrote at last:\n"
        "  Error: Could not reserve enough space"
    )
    assert "--heap" in caught.value.hint
    assert status(config).state == "down"


def test_one_that_never_answers_is_ended_when_time_is_up(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings)
    broker = start(config, clock=ManualClock())
    state = read_state(config.home)
    assert state is not None
    assert state.process is not None
    with pytest.raises(UnreachableError, match="not ready in 1 s"):
        broker.wait_ready()
    assert not process.is_alive(state.process)
    assert read_state(config.home) == StackState(
        None, state.broker_port, state.admin_port, PULSAR.version, "Java 21 as given"
    )


def test_a_cancelled_wait_ends_it(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings)
    asked = iter([False, False, True])
    with (
        pytest.raises(UnreachableError, match="cancelled"),
        start(config, clock=ManualClock()) as broker,
    ):
        broker.wait_ready(lambda: next(asked))
    assert status(config).state == "down"


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)],
)
def test_a_signal_during_other_work_ends_it(
    settings: dict[str, Any], number: signal.Signals, kind: type[BaseException]
) -> None:
    config = StackConfig(**settings)
    seen: list[ProcessId] = []

    def work() -> None:
        with start(config):
            state = read_state(config.home)
            assert state is not None
            assert state.process is not None
            assert process.is_alive(state.process)
            seen.append(state.process)
            signal.raise_signal(number)

    with pytest.raises(kind):
        work()
    assert not process.is_alive(seen[0])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_that_is_forgotten_is_ended(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings)
    start(config)
    state = read_state(config.home)
    assert state is not None
    assert state.process is None


def test_a_state_that_cannot_be_written_ends_it(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StackConfig(**settings)
    spawned: list[ProcessId] = []
    real = process.spawn

    def spawn(*args: Any, **kwargs: Any) -> ProcessId:
        spawned.append(real(*args, **kwargs))
        (config.home / "state.json").mkdir()  # so that the rename fails
        return spawned[-1]

    monkeypatch.setattr(process, "spawn", spawn)
    with pytest.raises(ConfigError, match=r"state\.json"):
        start(config)
    assert not process.is_alive(spawned[0])


def test_what_the_broker_reads_is_written(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings, broker_port=None)
    with start(config):
        state = read_state(config.home)
        assert state is not None
        lines = (config.home / CONF_FILE).read_text().splitlines()
    assert "kept=yes" in lines
    assert [line for line in lines if line.startswith("brokerServicePort=")] == [
        f"brokerServicePort={state.broker_port}"
    ]


def test_the_ports_stay_from_start_to_start(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings)
    ports = []
    for _ in range(2):
        with start(config):
            state = read_state(config.home)
            assert state is not None
            ports.append((state.broker_port, state.admin_port))
    assert ports[0] == ports[1]


def test_a_state_whose_process_is_gone_is_down(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings)
    config.home.mkdir(parents=True)
    gone = ProcessId(2**22 - 1, 1.0, marker(config.home))
    write_state(config.home, StackState(gone, 1, 2, "4.0.8", "Java 21"))
    assert status(config).state == "down"
    assert down(config).was_up is False


def test_a_state_whose_number_is_somebody_elses_harms_nobody(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings)
    config.home.mkdir(parents=True)
    mine = ProcessId(os.getpid(), 1.0, marker(config.home))
    write_state(config.home, StackState(mine, 1, 2, "4.0.8", "Java 21"))
    said: list[str] = []
    assert status(config).state == "down"
    assert down(config, say=said.append).was_up is False
    assert said == ["stack 'default' is not up"]
    write_state(config.home, StackState(mine, 1, 2, "4.0.8", "Java 21"))
    with start(config, said.append):
        pass
    assert "the broker of stack 'default' ended without being taken down" in said


def test_too_little_disk_is_refused(settings: dict[str, Any]) -> None:
    settings["min_free_disk_mb"] = 10**9
    with pytest.raises(RefusedError) as caught:
        up(StackConfig(**settings))
    assert "besides the 1000000000 MB that it leaves free" in caught.value.message


def test_little_disk_is_told(settings: dict[str, Any]) -> None:
    said: list[str] = []
    with start(StackConfig(**settings, retention_mb=10**9), said.append):
        pass
    assert any("a topic may grow to 1000000000 MB" in line for line in said)


def test_a_folder_that_cannot_be_made_is_told(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings["state_dir"] = tmp_path / "file"
    with pytest.raises(ConfigError, match="file") as caught:
        up(StackConfig(**settings))
    assert "--state-dir" in caught.value.hint


def test_down_without_anything_is_no_error(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings)
    assert down(config, purge=True).was_up is False
    assert not config.state_dir.exists()


def test_purging_spares_what_is_not_the_stacks(settings: dict[str, Any]) -> None:
    config = StackConfig(**settings)
    with start(config):
        pass
    (config.home / "mine.txt").write_text("precious")
    down(config, purge=True)
    assert [p.name for p in config.home.iterdir()] == ["mine.txt"]
    (config.home / "mine.txt").unlink()
    down(config, purge=True)
    assert not config.home.exists()
