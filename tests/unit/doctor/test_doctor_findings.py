"""What the doctor says, and the exit code that it comes to."""

from __future__ import annotations

import json

import pytest

from iot_producer.doctor.findings import DoctorReport, Finding, Verdict
from iot_producer.doctor.text import render
from iot_producer.doctor.this_machine import examine_machine
from iot_producer.errors import ExitCode

FINE = Finding("connect", Verdict.OK, "h:6650 accepts connections", facts={"host": "h:6650"})
NOTED = Finding("admin API", Verdict.NOTE, "it does not answer", "set PULSAR_ADMIN_URL")
RISKY = Finding("deduplication", Verdict.WARNING, "off", "turn it on")
BAD = Finding("write", Verdict.HARM, "access is not allowed", "ask for the right")
GONE = Finding("tls", Verdict.UNREACHABLE, "not trusted", "give the authority")


def report(*findings: Finding) -> DoctorReport:
    return DoctorReport("pulsar://h:6650", "persistent://public/default/t", findings)


@pytest.mark.parametrize(
    ("findings", "code", "last"),
    [
        ((), ExitCode.OK, "A run can begin."),
        ((FINE, NOTED), ExitCode.OK, "A run can begin."),
        ((FINE, RISKY), ExitCode.OK, "A run can begin; 1 warning."),
        ((RISKY, RISKY), ExitCode.OK, "A run can begin; 2 warnings."),
        ((BAD, FINE), ExitCode.FAILED, "A run would fail or lose messages: see HARM."),
        ((GONE, BAD), ExitCode.DESTINATION, "A run could not begin: nobody to talk to."),
    ],
)
def test_the_worst_finding_decides(
    findings: tuple[Finding, ...], code: ExitCode, last: str
) -> None:
    found = report(*findings)
    assert found.exit_code is code
    assert render(found).splitlines()[-1] == last


def test_the_text_has_a_line_for_each_finding_and_its_remedy_below() -> None:
    assert render(report(FINE, NOTED, BAD)).splitlines() == [
        "pulsar://h:6650 persistent://public/default/t",
        "",
        "ok       connect    h:6650 accepts connections",
        "note     admin API  it does not answer",
        "                    → set PULSAR_ADMIN_URL",
        "HARM     write      access is not allowed",
        "                    → ask for the right",
        "",
        "A run would fail or lose messages: see HARM.",
    ]


def test_what_a_broker_says_does_not_steer_the_terminal() -> None:
    nasty = Finding("broker", Verdict.OK, "Pulsar \x1b[31mred\n\nlines " + "word " * 40)
    lines = render(report(nasty)).splitlines()
    assert "\x1b" not in "".join(lines)
    assert max(len(line) for line in lines) <= 100
    assert lines[2].startswith("ok       broker  Pulsar [31mred lines word word")


def test_json_has_everything() -> None:
    told = json.loads(json.dumps(report(FINE, BAD).to_dict()))
    assert told["exit_code"] == 1
    assert told["findings"][0] == {
        "check": "connect",
        "verdict": "ok",
        "text": "h:6650 accepts connections",
        "remedy": "",
        "facts": {"host": "h:6650"},
    }


def test_the_machine() -> None:
    machine, checksums, kernels = examine_machine(kernels_are_warm=False)
    assert machine.facts["n_cpus"] == int(machine.text.split()[0])
    assert (checksums.verdict, checksums.facts) == (Verdict.OK, {"implementation": "c"})
    assert (kernels.verdict, kernels.facts) == (Verdict.NOTE, {"are_warm": False})
    assert examine_machine(kernels_are_warm=True)[2].verdict is Verdict.OK
