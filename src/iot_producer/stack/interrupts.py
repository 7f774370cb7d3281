"""Signals while something is half done: cleaned up after, or held back for a moment.

Promise: inside `unwinding_on_signals` SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so that
``with`` and ``finally`` run; inside `held_signals` neither they nor SIGINT cut in. Outside the main
thread, where Python delivers no signals, both do nothing. This module must not know what it guards.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _unwind(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def unwinding_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into ``SystemExit(128 + number)`` where they would just kill.

    A handler that somebody else has installed stays: its owner knows better what to do.
    """
    if not _in_main_thread():
        yield
        return
    ours = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _unwind)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is _unwind:
                signal.signal(number, signal.SIG_DFL)


@contextmanager
def held_signals() -> Iterator[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the block is left, then let them happen.

    Handlers are exchanged instead of masking the signals: a mask would be inherited by a child
    started inside, and a broker that cannot be terminated is what this shall prevent.
    """
    if not _in_main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {}
    for number in (signal.SIGINT, *_ENDING):
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN and handler is not None:
            before[number] = handler
            signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for caught in dict.fromkeys(came):
            signal.raise_signal(caught)
