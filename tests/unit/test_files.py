from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from iot_producer.errors import RefusedError
from iot_producer.files import write_whole


def test_a_file_is_written_or_replaced(tmp_path: Path):
    path = tmp_path / "report.json"
    write_whole(path, "één\n")
    assert path.read_bytes() == "één\n".encode()
    write_whole(path, "two\n")
    assert path.read_text() == "two\n"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_after_a_full_disk_the_old_file_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RefusedError, match=r"report\.json: No space left on device") as caught:
        write_whole(path, "new")
    assert "free some space" in caught.value.hint
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "report.json", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_gone(tmp_path: Path):
    with pytest.raises(RefusedError, match="No such file or directory"):
        write_whole(tmp_path / "gone" / "report.json", "text")
