"""Locks between processes, and files written whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from iot_producer.stack.file_lock import locked, write_whole

HOLD = """
import sys
from pathlib import Path
from iot_producer.stack.file_lock import locked
with locked(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_holder_that_is_killed_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    waits: list[str] = []

    def end_the_holder() -> None:
        waits.append("waited")
        holder.kill()

    with locked(path, end_the_holder):
        assert waits == ["waited"]
    with locked(path, end_the_holder):
        assert waits == ["waited"]
    holder.communicate()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "one")
    write_whole(path, "two\n")
    assert path.read_text() == "two\n"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
