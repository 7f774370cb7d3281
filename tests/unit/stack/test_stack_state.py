"""The state between commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from iot_producer.stack.process import ProcessId
from iot_producer.stack.stack_state import STATE_FILE, StackState, read_state, write_state

STATE = StackState(ProcessId(12, 34.5, "-Dx=y"), 6650, 8080, "4.0.8", "Java 21")


@pytest.mark.parametrize("pid", [STATE.process, None])
def test_what_is_written_is_read(tmp_path: Path, pid: ProcessId | None) -> None:
    state = StackState(pid, 1, 2, "4.0.8", "Java 25")
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert [p.name for p in tmp_path.iterdir()] == [STATE_FILE]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"form": 2}', '{"form": 1}', '{"form": 1, "process": {"pid": 1}}'],
)
def test_a_damaged_file_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE_FILE).write_text(text)
    assert read_state(tmp_path) is None


def test_a_file_cut_short_anywhere_is_no_state(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    whole = (tmp_path / STATE_FILE).read_text().rstrip()
    for n in range(len(whole)):
        (tmp_path / STATE_FILE).write_text(whole[:n])
        assert read_state(tmp_path) is None
