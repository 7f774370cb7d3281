"""A process that outlives the one that started it, found again by its id and its birth.

Promise: nothing is signalled but the very process that was started: a process id alone is not
believed, since the system uses it again. This module must not know what the process does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iot_producer.errors import ConfigError
from iot_producer.stack.interrupts import held_signals
from iot_producer.stack.java import INSTALL_HINT

try:
    import psutil
except ModuleNotFoundError as _missing:
    raise ConfigError("the local stack needs the package psutil", INSTALL_HINT) from _missing

# The kernel counts births in ticks since boot; psutil turns that into a time with the wall clock,
# which may be stepped in between.
_SAME_BIRTH_S: Final = 2.0

# Popen warns when it is forgotten while its process lives, which is what detaching means.
_children: Final[dict[int, subprocess.Popen[bytes]]] = {}


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process, told from others that had or will have its number.

    Attributes:
        pid: its number.
        born_s: when it was created, seconds since the epoch.
        marker: an argument of its command line that no other process has.
    """

    pid: int
    born_s: float
    marker: str


def spawn(
    command: Sequence[str], marker: str, folder: Path, environ: Mapping[str, str], log: Path
) -> ProcessId:
    """Start a process in a session of its own, so that Ctrl-C in the terminal passes it by.

    Args:
        command: program and arguments, ``marker`` among them.
        marker: tells it from all other processes.
        folder: its working directory.
        environ: its environment, all of it.
        log: gets its standard output and error; what was in it is lost.

    Raises:
        OSError: it cannot be started.
    """
    # Ctrl-C between fork and the note of the process's id would leave it behind.
    with held_signals(), log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _children[child.pid] = child
        try:
            born_s = psutil.Process(child.pid).create_time()
        except psutil.Error:
            born_s = 0.0
        return ProcessId(child.pid, born_s, marker)


def is_alive(process: ProcessId) -> bool:
    """Whether that very process runs; one that only waits to be reaped does not."""
    return _found(process) is not None


def with_marker(marker: str) -> list[ProcessId]:
    """Every process of this machine that has the marker among its arguments."""
    found = []
    for candidate in psutil.process_iter():
        try:
            if marker in candidate.cmdline():
                found.append(ProcessId(candidate.pid, candidate.create_time(), marker))
        except psutil.Error:
            continue
    return found


def exit_code(process: ProcessId) -> int | None:
    """How it ended (negative: by that signal), if this process started it and it has ended."""
    child = _children.get(process.pid)
    return None if child is None else child.poll()


def terminate(process: ProcessId, grace_s: float) -> bool:
    """End a process: SIGTERM, and after a while SIGKILL. Returns when it is gone.

    Args:
        process: which; nothing happens if it is gone already.
        grace_s: how long it may take to end by itself, seconds.

    Returns:
        Whether it had to be killed.
    """
    found = _found(process)
    killed = False
    if found is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.terminate()
            if not _ended(found, process, grace_s):
                killed = True
                found.kill()
                _ended(found, process, None)
    _children.pop(process.pid, None)
    return killed


def resident_bytes(process: ProcessId) -> int:
    """Memory that it has in use; 0 when it is gone."""
    found = _found(process)
    try:
        return 0 if found is None else int(found.memory_info().rss)
    except psutil.Error:
        return 0


def listening_addresses(process: ProcessId) -> list[tuple[str, int]]:
    """The addresses and ports where it accepts TCP connections."""
    found = _found(process)
    if found is None:
        return []
    try:
        connections = found.net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return []
    return [(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN]


def _found(process: ProcessId) -> psutil.Process | None:
    child = _children.get(process.pid)
    if child is not None and child.poll() is not None:
        return None
    try:
        found = psutil.Process(process.pid)
        if abs(found.create_time() - process.born_s) > _SAME_BIRTH_S:
            return None
        if found.status() == psutil.STATUS_ZOMBIE:
            return None
        # Between fork and exec a child still shows the command line of its parent.
        if child is None and process.marker not in found.cmdline():
            return None
    except psutil.Error:
        return None
    return found


def _ended(found: psutil.Process, process: ProcessId, timeout_s: float | None) -> bool:
    """Wait for its end; a child of ours is reaped so that it leaves no zombie."""
    child = _children.get(process.pid)
    try:
        if child is not None:
            child.wait(timeout_s)
        else:
            found.wait(timeout_s)
    except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
        return False
    return True


def inherited_environment(without: Sequence[str], **added: str) -> dict[str, str]:
    """This process's environment for a child, without some variables and with others."""
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return {**kept, **added}
