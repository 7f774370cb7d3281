"""What machine this is, for reports and benchmarks.

Promise: facts only, no names of users, hosts or paths. It must not fail where a fact is not to be
had.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe_machine() -> dict[str, object]:
    """Platform, CPU, number of CPUs, Python: fit for JSON."""
    return {
        "platform": platform.system().lower() + "-" + platform.machine(),
        "kernel": platform.release().split("-")[0],
        "cpu": _cpu_model(),
        "n_cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
