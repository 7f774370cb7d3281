"""The signals that ask a run to stop, as counts, and child processes that they pass by.

Promise: inside `StopRequests` no signal that asks for an end raises or kills; they are noted, and
whoever runs the load acts on them. The third Ctrl-C is for a program that no longer acts: it raises
KeyboardInterrupt. This module must not know what is stopped.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Final

from iot_producer.command import Command
from iot_producer.errors import ExitCode

ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def end_at_once_until_begun() -> None:
    """Until `StopRequests` takes over, a Ctrl-C ends the process: nothing has to be cleaned up.

    Raised as an exception it could come while a module is imported, and be lost there.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(ExitCode.INTERRUPTED)


class StopRequests:
    """SIGTERM, SIGHUP and SIGINT as counts, within a ``with`` statement; in the main thread."""

    def __init__(self) -> None:
        self.terminations: list[str] = []
        self.n_interrupts = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequests:
        for number in ENDING:
            # nohup asks to survive its terminal, by ignoring SIGHUP.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            self.terminations.append(signal.Signals(number).name)
            return
        self.n_interrupts += 1
        if self.n_interrupts > 2:
            raise KeyboardInterrupt

    @property
    def command(self) -> Command:
        """What they ask for: a second Ctrl-C wants the end at once."""
        if self.n_interrupts >= 2:
            return Command.ABORT
        return Command.DRAIN if self.terminations or self.n_interrupts else Command.GO_ON

    @property
    def name(self) -> str:
        """The first of them."""
        return self.terminations[0] if self.terminations else "SIGINT"


@contextmanager
def sheltered_children() -> Iterator[None]:
    """Processes that are started inside begin with these signals blocked.

    A Ctrl-C goes to all processes of the terminal's group, and a Python that is still importing
    would end with a stack trace. A child unblocks them when it has said what they shall do
    (worker_process.py); to the parent they are delivered when the block is left.
    """
    # It is a process too; and when it starts it unblocks what is blocked here.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
