"""``iot-producer verify`` without a broker: several reports, files, stretches of time."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from found_records import START_NS, Run, run_of
from iot_producer.cli import main
from iot_producer.schedule import ConstantSchedule

FAST = run_of(ConstantSchedule(Fraction(900)), n_per_lane=400)
SLOW = run_of(ConstantSchedule(Fraction(450)), n_per_lane=200)


def written(folder: Path, *runs: Run, to: str = "out.jsonl") -> list[str]:
    """Reports of runs that wrote to one file; returns their paths."""
    (folder / to).write_bytes(b"".join(r.text + b"\n" for run in runs for r in run.records))
    paths = []
    for i, run in enumerate(runs):
        path = folder / f"pod-{i}.json"
        path.write_text(replace(run.report, destination=str(folder / to)).to_json())
        paths.append(str(path))
    return paths


class Verify:
    """The command, and what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def text(self, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["verify", *arguments])
        printed = self._capsys.readouterr()
        assert ended.value.code == code, printed
        return printed.err if code == 2 else printed.out

    def totals(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text("--json", *arguments, code=code))
        return found | {name: n for name, n in found["totals"].items() if n}


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Verify:
    for name in list(os.environ):
        if name.startswith(("IOT_PRODUCER_", "PULSAR_")):
            monkeypatch.delenv(name)
    return Verify(capsys)


def test_several_reports_are_one_proof(verify: Verify, tmp_path: Path):
    a, b = written(tmp_path, FAST, SLOW)
    for arguments in (
        ("--report", a, "--report", b),
        ("--report", str(tmp_path)),
        ("--report", str(tmp_path / "pod-*.json")),
    ):
        found = verify.totals(*arguments)
        assert (found["expected"], found["found"], found["n_foreign"]) == (600, 600, 0)
        assert found["ok"]
    text = verify.text("--report", a, "--report", b)
    assert "600 records read back" in text
    assert "compared with 2 runs" in text
    one = verify.totals("--report", a, code=1)
    # Where the two share a record, nobody can tell without the other report.
    assert (one["expected"], one["duplicated"], one["n_foreign"]) == (400, 4, 196)


def test_only_a_stretch_of_time(verify: Verify, tmp_path: Path):
    (a,) = written(tmp_path, FAST)
    begin = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START_NS // 1000)
    since = (begin + timedelta(milliseconds=100)).isoformat()
    until = (begin + timedelta(milliseconds=300)).isoformat()
    found = verify.totals("--report", a, "--since", since, "--until", until)
    first_ms = -(-(START_NS // 1000 * 1000 + 100 * 10**6) // 10**6)
    n = sum(first_ms <= r.time_ms < first_ms + 200 for r in FAST.records)
    assert found["found"] == found["expected"] == n
    assert found["n_outside"] == 400 - n


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--since", "now"), "--since is now"),
        (
            ("--since", "2026-11-22T10:00:00Z", "--until", "2026-11-22T10:00:00Z"),
            "--until is not after --since",
        ),
        (("--since", "tomorrow"), "--since is not a time"),
    ],
)
def test_stretches_that_are_none(
    arguments: tuple[str, ...], problem: str, verify: Verify, tmp_path: Path
):
    (a,) = written(tmp_path, FAST)
    assert problem in verify.text("--report", a, *arguments, code=2)


def test_reports_of_different_destinations_need_a_word(verify: Verify, tmp_path: Path):
    (a,) = written(tmp_path, FAST)
    other = tmp_path / "other.json"
    other.write_text(replace(SLOW.report, destination=str(tmp_path / "b.jsonl")).to_json())
    text = verify.text("--report", a, "--report", str(other), code=2)
    assert "the reports are of different destinations" in text
    found = verify.totals(
        "--report", a, "--report", str(other), "--from", str(tmp_path / "out.jsonl"), code=1
    )
    assert found["lost"] == 200


def test_a_file_is_not_verified_without_a_report(verify: Verify, tmp_path: Path):
    written(tmp_path, FAST)
    text = verify.text("--from", str(tmp_path / "out.jsonl"), code=2)
    assert "verify needs the report of the run that wrote" in text
