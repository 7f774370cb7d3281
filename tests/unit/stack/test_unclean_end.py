"""What is run after an unclean end, with a program in Java's place that notes its arguments.

That it keeps a real broker from the trouble is tested by tests/integration/test_stack.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from iot_producer.stack import unclean_end
from iot_producer.stack.broker_files import marker
from iot_producer.stack.java import Java

NOTES = 'printf "%s\\n" "$@" > arguments; env > environment; exit 0'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("tmp", "logs", "metadata", "bookkeeper/current"):
        (tmp_path / "home" / folder).mkdir(parents=True)
    return tmp_path / "home"


def java(home: Path, does: str) -> Java:
    executable = home / "java"
    executable.write_text(f"#!/bin/sh\n{does}\n")
    executable.chmod(0o755)
    return Java(executable, 21, "made up")


def test_the_mark_of_a_running_storage_tells_that_it_did_not_end_by_itself(home: Path) -> None:
    assert not unclean_end.was_unclean(home)
    (home / "bookkeeper" / "current" / "DIRTY").touch()
    assert unclean_end.was_unclean(home)


def test_a_folder_without_data_had_no_end(tmp_path: Path) -> None:
    assert not unclean_end.was_unclean(tmp_path / "none")


def test_the_storages_are_listed_from_the_metadata_of_this_stack(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1g")
    said: list[str] = []
    unclean_end.clear(home, java(home, NOTES), Path("/server"), said.append)
    arguments = (home / "arguments").read_text().splitlines()
    assert arguments[:2] == ["-cp", "/server/conf:/server/lib/*"]
    assert marker(home) in arguments
    conf = home / "tmp" / "storage.conf"
    assert arguments[-4:] == ["-conf", str(conf), "listbookies", "-readwrite"]
    assert conf.read_text() == f"metadataServiceUri=metadata-store:rocksdb://{home}/metadata\n"
    assert "JAVA_TOOL_OPTIONS" not in (home / "environment").read_text()
    assert said == []


def test_a_failure_is_said_and_stops_nothing(home: Path) -> None:
    said: list[str] = []
    unclean_end.clear(home, java(home, "exit 3"), Path("/server"), said.append)
    (line,) = said
    assert "exit code 3" in line
    assert str(home / "logs" / "unclean-end.log") in line


def test_a_java_that_is_not_there_is_an_error(home: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unclean_end.clear(home, Java(home / "none", 21, "made up"), Path("/server"), print)
