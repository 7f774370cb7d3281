"""What a doctor says: findings, each with what to do about it, and the exit code they make.

Promise: plain values, fit for JSON; no finding that is worse than a note is without a remedy. It
must not know how anything is found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from iot_producer.errors import ExitCode, IotProducerError


class Verdict(StrEnum):
    """How bad a finding is, the best first."""

    OK = "ok"
    NOTE = "note"
    """Nobody could find out, or it is good to know."""
    WARNING = "warning"
    """It may do harm: when a connection breaks, when time goes by, when a disk fills up."""
    HARM = "harm"
    """A run would fail, or what it sends would be lost."""
    UNREACHABLE = "unreachable"
    """There is nobody to talk to, or nobody who would talk to us."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: its name: ``connect``, ``deduplication``, ….
        verdict: how bad it is.
        text: what was found, as a sentence.
        remedy: what to do about it; empty when there is nothing to do.
        facts: the same as values, for JSON.
    """

    check: str
    verdict: Verdict
    text: str
    remedy: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All that was found.

    Attributes:
        destination: the URL.
        topic: in full.
        findings: in the order in which they were made.
    """

    destination: str
    topic: str
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> ExitCode:
        """0 nothing that will do harm, 1 something will, 3 there is nobody to talk to."""
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.UNREACHABLE in verdicts:
            return ExitCode.DESTINATION
        return ExitCode.FAILED if Verdict.HARM in verdicts else ExitCode.OK

    def to_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "destination": self.destination,
            "topic": self.topic,
            "exit_code": int(self.exit_code),
            "findings": [
                {
                    "check": finding.check,
                    "verdict": finding.verdict.value,
                    "text": finding.text,
                    "remedy": finding.remedy,
                    "facts": dict(finding.facts),
                }
                for finding in self.findings
            ],
        }


def failed(check: str, verdict: Verdict, error: IotProducerError) -> Finding:
    """A finding of what one of our exceptions says."""
    return Finding(check, verdict, error.message, error.hint or "see the message")
