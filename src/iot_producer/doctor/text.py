"""An examination as text for people.

Promise: pure text of a frozen report, a finding a line, its remedy below it. It must not know how
the report came about.
"""

from __future__ import annotations

import textwrap
from typing import Final

from iot_producer import figures
from iot_producer.doctor.findings import DoctorReport, Finding, Verdict
from iot_producer.errors import ExitCode

_WIDTH: Final = 100
_MARKS: Final = {
    Verdict.OK: "ok",
    Verdict.NOTE: "note",
    Verdict.WARNING: "warning",
    Verdict.HARM: "HARM",
    Verdict.UNREACHABLE: "FAILED",
}


def render(report: DoctorReport) -> str:
    """Heading, findings, and what they come to."""
    lines = [f"{report.destination} {report.topic}", ""]
    room = max((len(finding.check) for finding in report.findings), default=0)
    for finding in report.findings:
        lines += _lines(finding, room)
    return "\n".join([*lines, "", _sum(report)])


def _lines(finding: Finding, room: int) -> list[str]:
    head = f"{_MARKS[finding.verdict]:<8} {finding.check:<{room}}  "
    text = figures.one_line(finding.text)
    lines = _wrapped(text, head)
    if finding.remedy and finding.verdict is not Verdict.OK:
        lines += _wrapped(figures.one_line(finding.remedy), " " * len(head) + "→ ")
    return lines


def _wrapped(text: str, head: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sum(report: DoctorReport) -> str:
    n_warnings = sum(finding.verdict is Verdict.WARNING for finding in report.findings)
    match report.exit_code:
        case ExitCode.DESTINATION:
            return "A run could not begin: nobody to talk to."
        case ExitCode.FAILED:
            return "A run would fail or lose messages: see HARM."
        case _ if n_warnings:
            return f"A run can begin; {figures.plural(n_warnings, 'warning')}."
        case _:
            return "A run can begin."
