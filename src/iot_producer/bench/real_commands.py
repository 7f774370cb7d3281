"""The program's own commands as a benchmark starts them: real processes, to its broker.

Promise: the user's settings do not reach them. It must not know what is measured.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iot_producer.bench.bench_options import BenchOptions
from iot_producer.bench.environment import clean_environment
from iot_producer.bench.local_broker import LocalBroker


def start_run(
    broker: LocalBroker,
    options: BenchOptions,
    topic: str,
    report: Path,
    flags: Mapping[str, str],
    output: Any,
) -> subprocess.Popen[bytes]:
    """Start ``run``; the caller ends it.

    Args:
        broker: where to.
        options: the fleet.
        topic: full name.
        report: the file for its report.
        flags: more flags, without their dashes.
        output: an open file for what it says.
    """
    fleet = options.fleet
    mine = {
        **_places(broker),
        "topic": topic,
        "report": str(report),
        "devices": str(fleet.devices),
        "customers": str(fleet.customers),
        "sites": str(fleet.sites),
        "seed": str(fleet.seed),
        **flags,
    }
    return _started(options, ["run", "--quiet", *_flags(mine)], output, output)


def start_verify(
    broker: LocalBroker, options: BenchOptions, report: Path, answer: Any, output: Any
) -> subprocess.Popen[bytes]:
    """Start ``verify`` of a run's report; the caller ends it.

    Args:
        broker: where from.
        options: of the benchmark.
        report: the run's.
        answer: an open file for its report as JSON.
        output: an open file for what else it says.
    """
    mine = {**_places(broker), "report": str(report)}
    return _started(options, ["verify", "--json", *_flags(mine)], answer, output)


def last_line(path: Path) -> str:
    """What a command said last."""
    lines = path.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


def _places(broker: LocalBroker) -> dict[str, str]:
    return {"pulsar-url": broker.status.pulsar_url, "admin-url": broker.status.admin_url}


def _flags(given: Mapping[str, str]) -> list[str]:
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def _started(
    options: BenchOptions, words: list[str], stdout: Any, stderr: Any
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "iot_producer", *words],
        env=clean_environment(options.environ),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
    )
