"""Why a broker died or does not get ready, from what it wrote.

Promise: the last lines that say something, and what to do where the reason is a known one. This
module must not know how the broker was started.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from iot_producer.errors import DestinationError, RefusedError, UnreachableError

_N_LINES: Final = 12
_LINE_CHARS: Final = 300
_TAIL_BYTES: Final = 64 * 1024

# What Java prints at every start, and nobody needs to know.
_NOISE: Final = ("WadlFeature", "WADL feature", "OpenTelemetry")

# What a line contains, the kind of error, what to do.
_Reason = tuple[tuple[str, ...], type[DestinationError], str]

_UNKNOWN: Final[_Reason] = (
    (),
    UnreachableError,
    "the whole log tells more, and iot-producer stack down --purge starts with no data",
)

# The first that fits wins.
_REASONS: Final[tuple[_Reason, ...]] = (
    (
        ("Address already in use", "BindException"),
        RefusedError,
        "another program took one of its ports: run it again, or give other ports",
    ),
    (
        ("No space left on device", "NoWritableLedgerDir", "Disk quota exceeded"),
        RefusedError,
        "the disk is full: free some, or choose another place with --state-dir",
    ),
    (
        ("OutOfMemoryError", "Could not reserve enough space", "insufficient memory"),
        RefusedError,
        "it ran out of memory: give it a larger --heap, or free some of the machine's",
    ),
    (
        ("InvalidCookieException", "While lock file", "Corruption:"),
        RefusedError,
        "its data cannot be used: iot-producer stack down --purge starts with none",
    ),
    (
        ("Unrecognized VM option", "Unrecognized option", "UnsupportedClassVersionError"),
        RefusedError,
        "this Java does not do: choose another with --java-home",
    ),
)


def last_lines(files: Iterable[Path], n: int = _N_LINES) -> list[str]:
    """The last lines of some files that are not stack frames, in the order of the files.

    Args:
        files: those that do not exist are passed over.
        n: how many at most of each.
    """
    found: list[str] = []
    for file in files:
        try:
            with file.open("rb") as opened:
                opened.seek(0, 2)
                opened.seek(max(0, opened.tell() - _TAIL_BYTES))
                text = opened.read().decode("utf-8", "replace")
        except OSError:
            continue
        said = (line.rstrip() for line in text.splitlines())
        tail = deque((line[:_LINE_CHARS] for line in said if _tells(line)), maxlen=n)
        found.extend(tail)
    return found


def explained(what: str, files: tuple[Path, ...]) -> DestinationError:
    """The error for a broker that did not come up.

    Args:
        what: what happened, one line.
        files: what it wrote.
    """
    text = "\n".join(last_lines(files, n=400))
    known = (reason for reason in _REASONS if any(sign in text for sign in reason[0]))
    _, kind, remedy = next(known, _UNKNOWN)
    lines = last_lines(files)
    shown = [line for line in lines if " INFO " not in line] or lines
    message = what
    if shown:
        message += "; it wrote at last:\n" + "\n".join(f"  {line}" for line in shown)
    return kind(message, f"{remedy} (log: {files[0]})")


def _tells(line: str) -> bool:
    bare = line.strip()
    if not bare or bare.startswith(("at ", "... ")):
        return False
    return not any(noise in bare for noise in _NOISE)
