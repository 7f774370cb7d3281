from __future__ import annotations

import getpass
import json
import os
import platform

import pytest

from iot_producer import machine


def test_the_facts_are_those_of_this_machine_and_fit_for_json():
    facts = machine.describe_machine()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["python"] == platform.python_version()
    assert facts["n_cpus"] == len(os.sched_getaffinity(0))
    assert facts["platform"] == f"linux-{platform.machine()}"
    assert set(facts) == {"platform", "kernel", "cpu", "n_cpus", "python"}


def test_it_tells_neither_host_nor_user():
    text = json.dumps(machine.describe_machine())
    assert platform.node() not in text
    user = getpass.getuser()
    assert user not in text.split()


def test_a_machine_that_hides_its_cpu(monkeypatch: pytest.MonkeyPatch):
    class Hidden:
        def __init__(self, path: str) -> None:
            assert path == "/proc/cpuinfo"

        def read_text(self, encoding: str) -> str:
            raise PermissionError

    monkeypatch.setattr(machine, "Path", Hidden)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert machine.describe_machine()["cpu"] == "unknown"
