"""Runs a real Apache Pulsar on this machine: up, down, status.

Promise: what is up answers, on the loopback address only, with bounded memory and disk, and
outlives the command that started it. Until then it belongs to that command: whatever ends the
command (an error, Ctrl-C, SIGTERM, a closed terminal) ends the broker too. This module must not
know what the broker is used for.

`start` returns while the broker boots, so that the caller can do something else meanwhile:

    with start(config, say, progress) as broker:
        compile_kernels()
        status = broker.wait_ready()
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from iot_producer.clock import Clock, SystemClock
from iot_producer.errors import ConfigError
from iot_producer.stack import broker_files, distribution, process, unclean_end
from iot_producer.stack.interrupts import held_signals
from iot_producer.stack.java import find_java
from iot_producer.stack.ports import choose
from iot_producer.stack.process import ProcessId
from iot_producer.stack.readiness import stack_down, status
from iot_producer.stack.stack_config import Progress, Say, StackConfig, StackStatus
from iot_producer.stack.stack_folder import (
    check_room,
    folder_errors,
    purge_folder,
    stack_lock,
    storage_port,
    write_files,
)
from iot_producer.stack.stack_state import StackState, read_state, write_state
from iot_producer.stack.starting_broker import StartingBroker

__all__ = ["StartingBroker", "down", "start", "status", "up"]

_END_GRACE_S: Final = 20.0


def _silent(line: str) -> None:
    """Say nothing."""


def _unseen(done_bytes: int, total_bytes: int) -> None:
    """Show no progress."""


def start(
    config: StackConfig,
    say: Say = _silent,
    progress: Progress = _unseen,
    clock: Clock | None = None,
) -> StartingBroker:
    """Start a stack's broker, or find the one that runs; fetches the server when it is not there.

    Args:
        config: of the stack.
        say: told what is going on, a line at a time.
        progress: of the download: bytes that are there, bytes in all.
        clock: for waiting; the machine's by default.

    Returns:
        What to wait on; use it in a ``with`` statement.

    Raises:
        ConfigError: no Java that does, or a folder or port that cannot be used.
        RefusedError: a given port is in use, or there is too little disk.
        UnreachableError: the server is not in the cache and cannot be fetched.
        DestinationError: what was fetched is not the server.
    """
    broker = StartingBroker(config, say, clock or SystemClock())
    try:
        _launch(config, say, progress, broker)
    except BaseException:
        broker.close()
        raise
    return broker


def up(config: StackConfig, say: Say = _silent, progress: Progress = _unseen) -> StackStatus:
    """`start` and `wait_ready` in one; does nothing but say so where the stack is up.

    Raises:
        IotProducerError: as `start` and `StartingBroker.wait_ready`.
    """
    with start(config, say, progress) as broker:
        return broker.wait_ready()


def down(config: StackConfig, purge: bool = False, say: Say = _silent) -> StackStatus:
    """End a stack's broker, and wait until it is gone; does nothing where it is down.

    Args:
        config: of the stack.
        purge: delete its data and logs too (not the cache of downloads).
        say: told what is going on.

    Returns:
        Its status, down; ``was_up`` tells whether there was something to end.

    Raises:
        ConfigError: its folder cannot be read or deleted.
    """
    home = config.home
    if not home.exists():
        say(f"stack {config.name!r} is not up")
        return stack_down(config)
    with folder_errors(home) as guard:
        guard.enter_context(stack_lock(config, say))
        state = read_state(home)
        alive = _processes(config, state)
        for pid in alive:
            if process.terminate(pid, _END_GRACE_S):
                say(f"process {pid.pid} did not end by itself and was killed")
        if state is not None and not purge:
            write_state(home, replace(state, process=None))
        say(f"stack {config.name!r} is {'down' if alive else 'not up'}")
        if purge:
            purge_folder(home)
            say(f"its data at {home} are deleted")
    return replace(stack_down(config), was_up=bool(alive))


def _launch(config: StackConfig, say: Say, progress: Progress, broker: StartingBroker) -> None:
    """Find the running broker or start one."""
    home = config.home
    with folder_errors(home) as guard:
        config.state_dir.mkdir(parents=True, exist_ok=True)
        guard.enter_context(stack_lock(config, say))
        last = read_state(home)
        if last is not None and last.process is not None:
            if process.is_alive(last.process):
                _check_same_ports(config, last)
                broker.adopt(last, is_ours=False)
                return
            say(f"the broker of stack {config.name!r} ended without being taken down")
        for stray in _processes(config, None):
            say(f"ending process {stray.pid}, which belongs to this stack but is not known")
            process.terminate(stray, _END_GRACE_S)
        check_room(config, say)
        java = find_java(config.java_home, config.java_home_hint, config.search_path)
        _ports(config, last)  # a given one that is in use is told before a long download
        server = distribution.fetch(config.cache_dir, say, progress)
        if ":" in str(server):
            raise ConfigError(
                f"Java cannot use a path with a colon: {server}",
                "choose another place with --cache-dir",
            )
        broker_port, admin_port, storage_at = _ports(config, last)
        state = StackState(
            process=None,
            broker_port=broker_port,
            admin_port=admin_port,
            version=distribution.PULSAR.version,
            java=f"Java {java.version} {java.origin}",
        )
        write_files(config, server, state)
        if unclean_end.was_unclean(home):
            unclean_end.clear(home, java, server, say)
        command = broker_files.command_line(config, java, server, storage_at)
        say(f"starting Pulsar {state.version} on {state.java}")
        environ = process.inherited_environment(
            broker_files.JAVA_OPTION_VARIABLES, PULSAR_STANDALONE_USE_ZOOKEEPER="0"
        )
        # Ctrl-C must not come between the start of the process and the note of it.
        with held_signals():
            pid = process.spawn(
                command,
                marker=broker_files.marker(home),
                folder=home,
                environ=environ,
                log=home / broker_files.OUTPUT_FILE,
            )
            state = replace(state, process=pid)
            broker.adopt(state, is_ours=True)
            write_state(home, state)


def _ports(config: StackConfig, last: StackState | None) -> tuple[int, int, int]:
    """Ports of the broker, the admin API and the storage: as given, else as before, else as wished.

    As before comes first so that the URLs of a stack stay the same. The storage cannot but use the
    port it was made with.
    """
    before = (last.broker_port, last.admin_port) if last else (None, None)
    storage = choose(
        f"the data of stack {config.name!r}",
        storage_port(config.home),
        remedy="end the program that uses it, or start without the data: stack down --purge",
    )
    broker = choose(
        "the broker",
        config.broker_port,
        (before[0], config.preferred_broker_port),
        taken=(storage,),
    )
    admin = choose(
        "the admin API",
        config.admin_port,
        (before[1], config.preferred_admin_port),
        taken=(storage, broker),
    )
    return broker, admin, storage


def _check_same_ports(config: StackConfig, running: StackState) -> None:
    for what, given, has in (
        ("broker", config.broker_port, running.broker_port),
        ("admin API", config.admin_port, running.admin_port),
    ):
        if given and given != has:
            raise ConfigError(
                f"stack {config.name!r} is up with its {what} on port {has}, not {given}",
                "take it down first, or leave the port out",
            )


def _processes(config: StackConfig, state: StackState | None) -> list[ProcessId]:
    """The processes of a stack: the one in its state, else those that carry its mark."""
    if state is not None and state.process is not None and process.is_alive(state.process):
        return [state.process]
    return process.with_marker(broker_files.marker(config.home))
