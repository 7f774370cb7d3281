"""The program as people run it: a process of its own, with an environment without surprises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

PROGRAM = (sys.executable, "-m", "iot_producer")
PATIENCE_S = 60.0
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")


def environment(**more: str) -> dict[str, str]:
    """What the shell of somebody without any settings has, and ``more``."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | more


def run(
    *arguments: str,
    cwd: Path | None = None,
    stdin: Any = None,
    patience_s: float = PATIENCE_S,
    **env: str,
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=patience_s,
        check=False,
        cwd=cwd,
        stdin=stdin,
        env=environment(**env),
    )


class Running:
    """The program while it runs, in a session of its own; its log lines are JSON.

    Attributes:
        process: the parent.
        errors: where standard error goes.
    """

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process = process
        self.errors = errors

    def events(self) -> Iterator[dict[str, Any]]:
        """Its log lines."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def wait_for(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next log line of a kind."""
        for event in self.events():
            if is_it(event):
                return event
        raise AssertionError(f"the program ended before: {self.stderr()}")

    def wait_until_sending(self) -> dict[str, Any]:
        """The first line that tells of messages."""
        return self.wait_for(lambda event: event["event"] == "stats" and event["sent"] > 0)

    def ctrl_c(self) -> None:
        """What a terminal does: SIGINT to all of its processes."""
        os.killpg(self.process.pid, signal.SIGINT)

    def workers(self) -> list[psutil.Process]:
        """Its worker processes, without multiprocessing's own."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [c for c in children if "spawn_main" in " ".join(c.cmdline())]

    def left_behind(self) -> list[psutil.Process]:
        """Processes of the program that live, after some time to end."""
        return psutil.wait_procs(_of_session(self.process.pid), timeout=PATIENCE_S / 2)[1]

    def end(self) -> int:
        """Wait for its end; its exit code."""
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def stderr(self) -> str:
        """What it said on standard error so far."""
        return self.errors.read_text()


@contextmanager
def running(
    directory: Path, *arguments: str, stdout: Any = subprocess.PIPE, **env: str
) -> Iterator[Running]:
    """Start the program; whatever is left of it at the end is killed."""
    errors = directory / "stderr.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdout=stdout,
            stderr=stderr,
            text=True,
            env=environment(**env),
            start_new_session=True,
        )
    try:
        yield Running(process, errors)
    finally:
        for left in _of_session(process.pid):
            left.kill()
        process.communicate()


def _of_session(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def records(directory: Path, pattern: str) -> list[bytes]:
    """The lines of all files of a pattern, sorted."""
    return sorted(line for p in directory.glob(pattern) for line in p.read_bytes().splitlines())


def balanced(tally: Mapping[str, int]) -> bool:
    """Whether every message that was due has one fate."""
    fates = ("confirmed", "failed", "unconfirmed", "not_sent")
    return tally["scheduled"] == sum(tally[fate] for fate in fates)
