from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_reports import PACED, START_UPS, report, result

from iot_producer.bench import markdown, render, write_results
from iot_producer.errors import RefusedError

WHOLE = report(
    result("python", 1, 22.5, 21.25, 24.0, rss_mb=146),
    result("json", 1, 0.2, 0.18, 0.25, rss_mb=284),
    start_up=START_UPS,
    left_out=(("native", "the local stack needs the package psutil"),),
    failed=(("null", "of 10 records only 9 were confirmed"),),
)

TEXT = """\
2026-11-22T16:58:36.118Z, commit 63db83d0ab57
Imaginary 9000, 2 CPUs, linux-x86_64 6.1.0, Python 3.11.7
iot-producer 0.1.0, numba 0.68.1
100,000 devices at 1,000 sites, blocks of 1,000 records, times as at 50,000 records/s a worker

stage   what                            workers  CPU-s/M best  median  × reference  records/s  MB a process
------  ------------------------------  -------  ------------  ------  -----------  ---------  ------------
python  reference: random + json.dumps        1          21.2    22.5         1.00     22,222           146
json    values + JSON text                    1         0.180   0.200          112  2,500,000           284

CPU-s/M: CPU seconds per million records, user and system, of all threads and processes.
× reference: times less CPU than the reference with as many workers (medians).
records/s is wall-clock time, only for orientation.

start-up, best      seconds  CPU-s
------------------  -------  -----
--help                0.190  0.170
first record, warm     2.60   2.10

Bars (medians of one worker; best of start-ups)
values + JSON text                        0.200 CPU-s/M  ≤ 0.25 CPU-s/M     met
values + JSON text against the reference          112 ×         ≥ 200 ×  MISSED
--help                                          0.190 s         ≤ 0.5 s     met
first record, warm                               2.60 s         ≤ 2.5 s  MISSED

left out: native: the local stack needs the package psutil
FAILED: null: of 10 records only 9 were confirmed
FAILED: first record, cold: exit code 1: no such thing
"""  # noqa: E501


def test_the_table_as_plain_text():
    assert render(WHOLE) == TEXT


def test_a_report_of_start_ups_alone_has_no_empty_table():
    text = render(report(start_up=START_UPS[:1]))
    assert "workers" not in text
    assert text.endswith("--help  0.190 s  ≤ 0.5 s  met\n")


def test_the_table_as_markdown():
    lines = markdown(WHOLE).splitlines()
    assert lines[0] == "# Benchmark 2026-11-22, 63db83d0ab57"
    assert "| --- | --- | --: | --: | --: | --: | --: | --: |" in lines
    assert "| json | values + JSON text | 1 | 0.180 | 0.200 | 112 | 2,500,000 | 284 |" in lines
    assert "| first record, warm | 2.60 | 2.10 |" in lines
    assert "| --help | 0.190 s | ≤ 0.5 s | met |" in lines
    assert "- left out: native: the local stack needs the package psutil" in lines


def test_results_are_named_by_date_and_commit_and_never_overwritten(tmp_path: Path):
    directory = tmp_path / "benchmarks" / "results"
    first = write_results(WHOLE, directory)
    assert [path.name for path in first] == [
        "2026-11-22-63db83d0ab57.json",
        "2026-11-22-63db83d0ab57.md",
    ]
    assert json.loads(first[0].read_text("utf-8")) == WHOLE.to_dict()
    assert first[1].read_text("utf-8") == markdown(WHOLE)
    again = write_results(report(), directory)
    assert [path.name for path in again] == [
        "2026-11-22-63db83d0ab57-2.json",
        "2026-11-22-63db83d0ab57-2.md",
    ]
    assert first[1].read_text("utf-8") == markdown(WHOLE)


def test_a_directory_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match="cannot make the directory"):
        write_results(WHOLE, tmp_path / "file" / "results")


def test_bytes_of_a_message_have_a_column_where_there_is_a_broker():
    shown = report(result("json", 1, 0.2), result("native", 1, 0.5, wire_bytes=203.4))
    head, _, text, native = render(shown).splitlines()[5:9]
    assert head.endswith("MB a process  bytes a message")
    assert native.endswith("         200              203")
    assert text.endswith("  200")
    lines = markdown(shown).splitlines()
    assert "| --- | --- | --: | --: | --: | --: | --: | --: | --: |" in lines


def test_runs_at_a_set_rate_have_a_table_of_their_own():
    assert render(report(paced=PACED)).split("\n\n")[1].splitlines() == [
        "  msg/s  worker, % of a core  CPU-s/M  lag p99, ms  response p99, ms",
        "-------  -------------------  -------  -----------  ----------------",
        "  1,000                 4.20     42.0         3.30              5.25",
        "100,000                 9.30    0.930         3.20              26.0",
    ]
    assert "| 1,000 | 4.20 | 42.0 | 3.30 | 5.25 |" in markdown(report(paced=PACED)).splitlines()
