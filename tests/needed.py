"""What a test needs of the machine it runs on.

Promise: where it is missing, the test says what and how to get it: skipped on a user's machine, and
failed in CI, which has everything. It must not know the tests.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def cannot_run(reason: str) -> NoReturn:
    """This test cannot run here; ``reason`` says what is missing, and the remedy."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def needed(program: str, remedy: str, path: str | None = None) -> str:
    """Where a program is.

    Args:
        program: its name.
        remedy: how to get it.
        path: where to look; None: on the PATH.
    """
    found = shutil.which(program, path=path)
    if found is None:
        cannot_run(f"{program} is missing: {remedy}")
    return found


def needed_package(program: str, package: str | None = None) -> str:
    """Where a program of a Debian package is, by default the package of its name."""
    return needed(program, f"apt install {package or program} (Debian, Ubuntu)")


def needed_root(why: str) -> None:
    """The tests are run by root."""
    if os.geteuid() != 0:
        cannot_run(f"{why}: run it as root")
