from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from found_records import run_of
from iot_producer.blocks import DATA_VERSION
from iot_producer.errors import ReportError
from iot_producer.report_files import read_reports, report_paths
from iot_producer.schedule import ConstantSchedule

REPORT = run_of(ConstantSchedule(Fraction(900)), n_per_lane=20).report


def write(path: Path, **changes: object) -> str:
    path.write_text(replace(REPORT, **changes).to_json())  # type: ignore[arg-type]
    return str(path)


def test_one_report_needs_no_name(tmp_path: Path):
    (run,) = read_reports([write(tmp_path / "a.json")])
    assert (run.report, run.name, run.open_until_ns) == (REPORT, "", 0)


def test_several_reports_are_called_by_their_files(tmp_path: Path):
    a, b = write(tmp_path / "a.json"), write(tmp_path / "b.json", start_ns=5)
    runs = read_reports([b, a])
    assert [(run.name, run.report.start_ns) for run in runs] == [(b, 5), (a, REPORT.start_ns)]
    # A file that is meant twice is read once.
    assert [run.name for run in read_reports([a, str(tmp_path), a])] == [a, b]


def test_a_directory_and_a_pattern_mean_the_reports_in_them(tmp_path: Path):
    for name in ("b.json", "a.json", "notes.txt"):
        write(tmp_path / name)
    both = [tmp_path / "a.json", tmp_path / "b.json"]
    assert report_paths(str(tmp_path)) == both
    assert report_paths(str(tmp_path / "*.json")) == both
    assert report_paths(str(tmp_path / "[b-z]*.json")) == both[1:]
    strange = tmp_path / "[x].json"
    write(strange)
    assert report_paths(str(strange)) == [strange]


def test_what_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ReportError, match=r"there is no report .*/no\.json"):
        read_reports([str(tmp_path / "no.json")])
    with pytest.raises(ReportError, match=r"there is no report \(\*.json\) in"):
        read_reports([str(tmp_path)])
    with pytest.raises(ReportError, match=r"no file is named like .*pod"):
        read_reports([str(tmp_path / "pod-*.json")])


def test_a_bad_report_among_good_ones_is_named(tmp_path: Path):
    good, old = write(tmp_path / "a.json"), write(tmp_path / "b.json", data_version=99)
    with pytest.raises(ReportError, match=r"b\.json: the report is about .* data version 99"):
        read_reports([good, old], DATA_VERSION)
    with pytest.raises(ReportError, match=r"^the report is about"):
        read_reports([old], DATA_VERSION)
    (tmp_path / "c.json").write_bytes(b"\xff")
    with pytest.raises(ReportError, match=r"c\.json.*not text"):
        read_reports([str(tmp_path / "c.json")])
