"""The official client's log lines, handed on to Python's logging.

Promise: nothing of them reaches standard output or error, warnings and errors become records of
the logger ``iot_producer.pulsar.client``, and the client's threads never wait for the interpreter.
It must not know what the lines mean.

The client takes a Python logger itself, but then asks for the GIL on its I/O thread for each line,
of every level, several for every message, even those that the logger drops. So it gets a file to
write to, which is a pipe, and a thread of ours reads the other end. The client keeps one log for
the whole process, the first that it is given; so do we.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import deque
from typing import Any, Final

import _pulsar

from iot_producer.clock import SystemClock

CLIENT_LOGGER: Final = "iot_producer.pulsar.client"

_LINE: Final = re.compile(
    r"\S+ \S+ (?P<level>WARN|ERROR) +\[\w+\] (?P<where>\w+:\d+) \| (?P<text>.*)"
)
_LEVELS: Final = {"WARN": logging.WARNING, "ERROR": logging.ERROR}
_QUIET_S: Final = 10.0
_lock = threading.Lock()
# Where nobody set up logging, Python would print warnings to standard error.
logging.getLogger(CLIENT_LOGGER).addHandler(logging.NullHandler())
_path: list[str] = []
_last: deque[str] = deque(maxlen=1)


class Repeats:
    """Lets a line of the client's source speak once in ten seconds, and counts the others."""

    def __init__(self) -> None:
        self._silent_until_s: dict[str, float] = {}
        self._n_silenced: dict[str, int] = {}

    def text_of(self, where: str, text: str, now_s: float) -> str:
        """The line as it is to be logged; empty when it is a repetition."""
        if now_s < self._silent_until_s.get(where, now_s):
            self._n_silenced[where] = self._n_silenced.get(where, 0) + 1
            return ""
        self._silent_until_s[where] = now_s + _QUIET_S
        n_silenced = self._n_silenced.pop(where, 0)
        return f"{text} (and {n_silenced} more like it)" if n_silenced else text


def route(configuration: Any) -> None:
    """Make a client that is created with ``configuration`` log to Python's logging.

    Args:
        configuration: a ``_pulsar.ClientConfiguration``.
    """
    with _lock:
        if not _path:
            _path.append(_open_pipe())
        configuration.set_file_logger(_pulsar.LoggerLevel.Warn, _path[0])


def last_words() -> str:
    """The last warning or error of any client of this process; empty if there was none."""
    return _last[0] if _last else ""


def handle(line: str, repeats: Repeats, now_s: float) -> None:
    """Log one line of the client; what is not a line of its form is dropped.

    Args:
        line: as the client wrote it.
        repeats: memory of earlier lines.
        now_s: any clock, seconds.
    """
    found = _LINE.fullmatch(line)
    if found:
        _last.append(found["text"])
    text = repeats.text_of(found["where"], found["text"], now_s) if found else ""
    if found and text:
        logging.getLogger(CLIENT_LOGGER).log(_LEVELS[found["level"]], text)


def _open_pipe() -> str:
    """A path that the client can write to; where the system has none, what swallows all."""
    reading, writing = os.pipe()
    path = f"/dev/fd/{writing}"
    if not os.path.exists(path):
        os.close(reading)
        os.close(writing)
        return os.devnull
    # The writing end stays open for each further client, to the end of the process.
    threading.Thread(target=_read, args=(reading,), name="pulsar-log", daemon=True).start()
    return path


def _read(descriptor: int) -> None:
    repeats = Repeats()
    clock = SystemClock()
    rest = b""
    while True:
        try:
            read = os.read(descriptor, 65_536)
        except OSError:
            return
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            # The loop must go on whatever a logging handler does: a full pipe stops the client.
            handle(line.decode("utf-8", "replace"), repeats, clock.now_ns() / 1e9)
        rest = rest[-65_536:]
