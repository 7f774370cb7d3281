"""The result of a verification as text for people.

Promise: pure text of a frozen report; a short table however long the run was: of many minutes only
those with a difference are listed. It must not know how the report came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from iot_producer import figures
from iot_producer.report import iso_time
from iot_producer.verify_report import NS_PER_MS, Counts, Fault, Minute, Offender, VerifyReport

MOST_MINUTES: Final = 20
"""A table of more lines leaves out the minutes without a difference."""

_COLUMNS: Final = (
    ("expected", "expected"),
    ("found", "found"),
    ("lost", "lost"),
    ("duplicated", "duplicated"),
    ("changed", "changed"),
    ("out_of_order", "out of order"),
)
_RARE_COLUMNS: Final = (
    ("unconfirmed_found", "unconfirmed, found"),
    ("unexpected", "failed or not sent, found"),
    ("unreported", "not reported, found"),
)
_SHOWN_RANGES: Final = 5


def render(report: VerifyReport) -> str:
    """Heading, table by minute, verdict, and what is wrong, if anything is; lines of text."""
    speed = f" in {report.seconds:,.1f} s ({report.per_s:,.0f}/s)" if report.seconds else ""
    compared = f", compared with {report.n_runs:,} runs" if report.n_runs > 1 else ""
    lines = [f"{report.source}: {report.n_read:,} records read back{speed}{compared}", ""]
    lines += _table(report)
    lines += ["", _verdict(report)]
    lines += _remarks(report)
    lines += _offenders(report.offenders)
    return "\n".join(lines)


def _table(report: VerifyReport) -> list[str]:
    columns = [*_COLUMNS, *(c for c in _RARE_COLUMNS if getattr(report.totals, c[0]))]
    shown: Sequence[Minute] = report.minutes
    left_out = 0
    if len(shown) > MOST_MINUTES:
        bad = [minute for minute in shown if not minute.counts.ok]
        shown = bad[:MOST_MINUTES]
        left_out = len(report.minutes) - len(shown)
    rows = [["minute (UTC)", *(title for _, title in columns)]]
    for minute in shown:
        label = iso_time(minute.start_ms * NS_PER_MS)[:16].replace("T", " ")
        rows.append([label, *_numbers(minute.counts, columns)])
    if left_out:
        rest = sum((m.counts for m in report.minutes), Counts())
        some = sum((m.counts for m in shown), Counts())
        others = [f"{getattr(rest, n) - getattr(some, n):,}" for n, _ in columns]
        rows.append([f"{left_out:,} other minutes", *others])
    if len(rows) != 2:
        rows.append(["total", *_numbers(report.totals, columns)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _numbers(counts: Counts, columns: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{getattr(counts, name):,}" for name, _ in columns]


def _verdict(report: VerifyReport) -> str:
    totals = report.totals
    if totals.ok and report.problems:
        return (
            f"INCOMPLETE: {figures.plural(len(report.problems), 'report')} could not be read; "
            "else there is no difference."
        )
    if totals.ok and not totals.expected:
        return "OK, but nothing was expected: the run confirmed no record."
    if totals.ok:
        return (
            f"OK: all {totals.found:,} confirmed records are there, once, byte for byte, "
            "and in order for each device."
        )
    wrong = [
        f"{n:,} {name}"
        for n, name in (
            (totals.lost, "lost"),
            (totals.duplicated, "duplicated"),
            (totals.changed, "changed"),
            (totals.out_of_order, "out of order"),
            (totals.unexpected, "there though failed or not sent"),
        )
        if n
    ]
    return f"DIFFERENCES: {', '.join(wrong)}; of {totals.expected:,} records expected."


def _remarks(report: VerifyReport) -> list[str]:
    lines = [
        f"Not verified: {figures.one_line(problem)}" for problem in report.problems[:_SHOWN_RANGES]
    ]
    if report.totals.expected and not report.n_read:
        lines.append(
            "Nothing was read: is this where the run wrote to, and is it still kept there?"
        )
    if report.n_unconfirmed:
        lines.append(
            f"{report.n_unconfirmed:,} records stayed unconfirmed; "
            f"{report.totals.unconfirmed_found:,} of them arrived all the same."
        )
    if report.n_foreign:
        unreadable = (
            f", {report.n_unreadable:,} of them without a readable device and time"
            if report.n_unreadable
            else ""
        )
        whose = "this run" if report.n_runs == 1 else "these runs"
        lines.append(f"{report.n_foreign:,} foreign records: not of {whose}{unreadable}.")
    if report.totals.unreported:
        lines.append(
            f"{report.totals.unreported:,} records are of lanes that still run, or that ended "
            "without a word: sent after they last told what they had sent."
        )
    if report.n_outside:
        lines.append(f"{report.n_outside:,} records are of another time, and were left out.")
    if report.n_lanes < report.n_lanes_of_plan:
        lines.append(
            f"{'The report covers' if report.n_runs == 1 else 'The reports cover'} "
            f"{report.n_lanes} of the plan's {report.n_lanes_of_plan} lanes; "
            "records of the others count as foreign."
        )
    if report.lost_ranges:
        listed = ", ".join(
            f"{lost.first:,}…{lost.stop - 1:,} of lane {lost.lane}{_of(lost.run)}"
            for lost in report.lost_ranges[:_SHOWN_RANGES]
        )
        more = report.n_lost_ranges - min(len(report.lost_ranges), _SHOWN_RANGES)
        lines.append(f"Lost messages: {listed}{f', and {more:,} more ranges' if more else ''}.")
    return lines


def _offenders(offenders: Sequence[Offender]) -> list[str]:
    lines: list[str] = []
    for fault in Fault:
        known = [offender for offender in offenders if offender.fault is fault]
        if known:
            lines += ["", f"First {fault.value}:"]
            for offender in known:
                lines += _offender(offender)
    return lines


def _offender(offender: Offender) -> list[str]:
    parts = [offender.device_id or "(no device)", offender.time or "(no time)"]
    if offender.message is not None:
        parts.append(f"message {offender.message:,} of lane {offender.lane}{_of(offender.run)}")
    if offender.position is not None:
        parts.append(f"record {offender.position:,} read of partition {offender.partition}")
    lines = ["  " + ", ".join(parts)]
    lines += [
        f"    {each.field}: expected {each.expected}, found {each.found}"
        for each in offender.differences
    ]
    if offender.note:
        lines.append(f"    {offender.note}")
    return lines


def _of(run: str) -> str:
    """Which run, where there are several."""
    return f" ({run})" if run else ""
