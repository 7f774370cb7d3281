"""What is known of a stack between two commands: its process, its ports, its versions.

Promise: the file is written whole or not at all, and a damaged one counts as none (the data beside
it are not lost with it). This module must not know whether the process still runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from iot_producer.stack.file_lock import write_whole
from iot_producer.stack.process import ProcessId

STATE_FILE: Final = "state.json"
_FORM: Final = 1


@dataclass(frozen=True, slots=True)
class StackState:
    """One stack as it was started last.

    Attributes:
        process: the broker's; None when it was taken down.
        broker_port, admin_port: on the loopback address; used again at the next start
            if they are free, so that the URLs stay.
        version: of the server.
        java: which Java it was started with, for people.
    """

    process: ProcessId | None
    broker_port: int
    admin_port: int
    version: str
    java: str


def read_state(home: Path) -> StackState | None:
    """The state in a stack's folder; None where there is none that can be read."""
    try:
        document = json.loads((home / STATE_FILE).read_text("utf-8"))
        if document.pop("form") != _FORM:
            return None
        process = document.pop("process")
        return StackState(process=None if process is None else ProcessId(**process), **document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_state(home: Path, state: StackState) -> None:
    """Put the state into a stack's folder.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps({"form": _FORM, **asdict(state)}, indent=2)
    write_whole(home / STATE_FILE, text + "\n")
