"""The results of a benchmark for people: a table as plain text and as Markdown, and files.

Promise: nothing is shown that is not in the report. It must not measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iot_producer.bench.bench_report import Bar, BenchReport
from iot_producer.errors import RefusedError
from iot_producer.files import write_whole

_HEAD = (
    "stage",
    "what",
    "workers",
    "CPU-s/M best",
    "median",
    "× reference",
    "records/s",
    "MB a process",
)
_WIRE_HEAD = "bytes a message"
_START_UP_HEAD = ("start-up, best", "seconds", "CPU-s")
_PACED_HEAD = ("msg/s", "worker, % of a core", "CPU-s/M", "lag p99, ms", "response p99, ms")
_LEFT_COLUMNS = 2

_LEGEND = (
    "CPU-s/M: CPU seconds per million records, user and system, of all threads and processes.\n"
    "× reference: times less CPU than the reference with as many workers (medians).\n"
    "records/s is wall-clock time, only for orientation."
)


def render(report: BenchReport) -> str:
    """The report as plain text for a terminal or a pipe."""
    parts = ["\n".join(_facts(report))]
    if report.stages:
        parts += [_plain_table(_head(report), _rows(report)), _LEGEND]
    if report.paced:
        parts.append(_plain_table(_PACED_HEAD, _paced(report), left=0))
    if _start_ups(report):
        parts.append(_plain_table(_START_UP_HEAD, _start_ups(report), left=1))
    if report.bars():
        parts.append("Bars (medians of one worker; best of start-ups)\n" + _bar_lines(report))
    if _absences(report):
        parts.append("\n".join(_absences(report)))
    return "\n\n".join(parts) + "\n"


def markdown(report: BenchReport) -> str:
    """The report as a page of Markdown."""
    parts = [f"# Benchmark {report.date[:10]}, {report.commit}", "  \n".join(_facts(report))]
    if report.stages:
        parts += [_markdown_table(_head(report), _rows(report)), _LEGEND.replace("\n", " ")]
    if report.paced:
        parts.append(_markdown_table(_PACED_HEAD, _paced(report), left=0))
    if _start_ups(report):
        parts.append(_markdown_table(_START_UP_HEAD, _start_ups(report), 1))
    if report.bars():
        rows = [(bar.name, _figure(bar), _limit(bar), _verdict(bar)) for bar in report.bars()]
        parts.append(_markdown_table(("bar", "measured", "limit", ""), rows, 1))
    if _absences(report):
        parts.append("\n".join(f"- {line}" for line in _absences(report)))
    return "\n\n".join(parts) + "\n"


def write_results(report: BenchReport, directory: Path) -> tuple[Path, Path]:
    """Write ``<date>-<commit>.json`` and ``.md``; an earlier result of that name stays.

    Args:
        report: what.
        directory: where; made if it is not there.

    Returns:
        The two files.

    Raises:
        RefusedError: they cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedError(
            f"cannot make the directory {directory}: {error.strerror}", "give another one"
        ) from error
    name = f"{report.date[:10]}-{report.commit}"
    stem, turn = name, 1
    while (directory / f"{stem}.json").exists():
        turn += 1
        stem = f"{name}-{turn}"
    data, table = directory / f"{stem}.json", directory / f"{stem}.md"
    write_whole(data, report.to_json())
    write_whole(table, markdown(report))
    return data, table


def _facts(report: BenchReport) -> list[str]:
    machine: Any = report.machine
    settings: Any = report.settings
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    fleet = settings["fleet"]
    return [
        f"{report.date}, commit {report.commit}{', quick' if settings['quick'] else ''}",
        f"{machine['cpu']}, {machine['n_cpus']} CPUs, {machine['platform']} {machine['kernel']}, "
        f"Python {machine['python']}",
        versions,
        f"{fleet['devices']:,} devices at {fleet['sites']:,} sites, blocks of "
        f"{settings['block_records']:,} records, times as at {settings['per_s']:,} records/s a "
        "worker",
    ]


def _head(report: BenchReport) -> tuple[str, ...]:
    """With a column for bytes on the wire where there are any."""
    return (*_HEAD, _WIRE_HEAD) if _has_wire(report) else _HEAD


def _has_wire(report: BenchReport) -> bool:
    return any(result.wire_bytes for result in report.stages)


def _rows(report: BenchReport) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    has_wire = _has_wire(report)
    for result in report.stages:
        ratio = report.ratio(result)
        wire = f"{result.wire_bytes:.0f}" if result.wire_bytes else ""
        rows.append(
            (
                result.stage,
                result.title,
                str(result.workers),
                _short(result.best_cpu),
                _short(result.median_cpu),
                "" if ratio is None else _short(ratio),
                f"{result.median_per_s:,.0f}",
                f"{result.peak_rss_bytes / 1e6:.0f}" if result.peak_rss_bytes else "",
                *((wire,) if has_wire else ()),
            )
        )
    return rows


def _paced(report: BenchReport) -> list[tuple[str, ...]]:
    return [
        (
            f"{run.per_s:,}",
            _short(run.worker_percent),
            _short(run.cpu_s_per_million),
            _short(run.lag_p99_ms),
            _short(run.response_p99_ms),
        )
        for run in report.paced
    ]


def _start_ups(report: BenchReport) -> list[tuple[str, ...]]:
    return [
        (start.name, _short(start.best_s), _short(start.best_cpu_s))
        for start in report.start_up
        if start.seconds
    ]


def _bar_lines(report: BenchReport) -> str:
    rows = [(bar.name, _figure(bar), _limit(bar), _verdict(bar)) for bar in report.bars()]
    return _plain_table(None, rows, left=1)


def _figure(bar: Bar) -> str:
    return f"{_short(bar.value)} {bar.unit}"


def _limit(bar: Bar) -> str:
    return f"{'≥' if bar.at_least else '≤'} {bar.limit:g} {bar.unit}"


def _verdict(bar: Bar) -> str:
    return "met" if bar.is_met else "MISSED"


def _absences(report: BenchReport) -> list[str]:
    lines = [f"left out: {stage}: {reason}" for stage, reason in report.left_out]
    lines += [f"FAILED: {stage}: {reason}" for stage, reason in report.failed]
    lines += [f"FAILED: {s.name}: {s.error}" for s in report.start_up if s.error]
    return lines


def _short(value: float) -> str:
    """Three digits, and no more after the point than they give."""
    if value >= 99.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.9995 else f"{value:.3f}"


def _plain_table(
    head: Sequence[str] | None, rows: Sequence[Sequence[str]], left: int = _LEFT_COLUMNS
) -> str:
    every = [*([head] if head else []), *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(every[0]))]
    lines = []
    for row in every:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    if head:
        lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _markdown_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], left: int = _LEFT_COLUMNS
) -> str:
    rule = ["---" if i < left else "--:" for i in range(len(head))]
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
