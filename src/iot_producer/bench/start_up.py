"""How long commands take: the help, a mistake, the first record with a cold and a warm cache.

Promise: the real commands in new processes, with a cache of kernels of their own, so that the
user's is neither used nor changed. It must not know why they take as long.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from iot_producer.bench.bench_report import StartUpResult
from iot_producer.bench.environment import clean_environment

_TIMEOUT_S: Final = 120.0
_FIRST_RECORD: Final = ("run", "--to", "-", "--messages", "1", "--quiet")


class StartUpError(Exception):
    """A command did not do what it is measured for."""


@dataclass(frozen=True, slots=True)
class _Timed:
    """A command, and when its time is over."""

    name: str
    arguments: tuple[str, ...]
    bar_s: float
    exit_code: int = 0
    until_first_line: bool = False
    only_once: bool = False


_COMMANDS: Final = (
    _Timed("--help", ("--help",), 0.5),
    _Timed("a usage error", ("run", "--rate", "0"), 0.5, exit_code=2),
    _Timed(
        "first record, cold (kernels are compiled)",
        _FIRST_RECORD,
        15.0,
        until_first_line=True,
        only_once=True,
    ),
    _Timed("first record, warm", _FIRST_RECORD, 2.5, until_first_line=True),
)


def measure_start_up(
    environ: Mapping[str, str], say: Callable[[str], None], n_tries: int
) -> tuple[StartUpResult, ...]:
    """Time the commands.

    Args:
        environ: the environment variables for them.
        say: takes a line of news.
        n_tries: of what can be repeated; the cold start is measured once.
    """
    kept = clean_environment(environ)
    results = []
    with tempfile.TemporaryDirectory(prefix="iot-producer-bench-") as cache:
        env = {**kept, "XDG_CACHE_HOME": cache}
        for command in _COMMANDS:
            say(f"start-up: {command.name}")
            tries: list[tuple[float, float]] = []
            error = ""
            try:
                for _ in range(1 if command.only_once else n_tries):
                    tries.append(_seconds_of(command, env))
            except StartUpError as caught:
                error = str(caught)
                say(f"    not measured: {error}")
            seconds, cpu_seconds = tuple(s for s, _ in tries), tuple(c for _, c in tries)
            results.append(StartUpResult(command.name, seconds, cpu_seconds, command.bar_s, error))
    return tuple(results)


def _seconds_of(command: _Timed, environ: Mapping[str, str]) -> tuple[float, float]:
    """Seconds from the start of a command until its first line, or its end; and its CPU seconds.

    The latter are of the whole command with its processes, so they do not depend on neighbours.
    """
    with tempfile.TemporaryFile() as complaints:
        cpu_s = _cpu_s_of_children()
        began_ns = time.monotonic_ns()
        child = subprocess.Popen(
            [sys.executable, "-m", "iot_producer", *command.arguments],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        watchdog = threading.Timer(_TIMEOUT_S, child.kill)
        watchdog.start()
        try:
            assert child.stdout is not None
            first = child.stdout.readline() if command.until_first_line else b""
            first_ns = time.monotonic_ns()
            child.communicate()
            end_ns = time.monotonic_ns()
        finally:
            watchdog.cancel()
            child.kill()
            child.wait()
        complaints.seek(0)
        words = complaints.read().decode("utf-8", "replace").strip().splitlines()
    if child.returncode != command.exit_code or (command.until_first_line and not first):
        raise StartUpError(
            f"exit code {child.returncode}: {words[-1] if words else 'it said nothing'}"
        )
    seconds = ((first_ns if command.until_first_line else end_ns) - began_ns) / 1e9
    return seconds, _cpu_s_of_children() - cpu_s


def _cpu_s_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
