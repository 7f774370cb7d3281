"""Which instructions kernels are compiled for, and whether this CPU has them.

Promise: where kernels were compiled for another CPU than this one (an image is built once, for all
nodes), a CPU that lacks their instructions is named before any of them runs: the process would end
with SIGILL and without a word. Nothing is said where it cannot be known. It must not import numba.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from iot_producer.errors import ConfigError

VARIABLE: Final = "NUMBA_CPU_NAME"
"""The environment variable that numba reads when it is imported: LLVM's name of a CPU."""

CPU_INFO: Final = Path("/proc/cpuinfo")

# The levels of the x86-64 psABI, as Linux names their instructions (pni is SSE3, abm has LZCNT).
_V2: Final = frozenset({"cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"})
_V3: Final = _V2 | {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}
_V4: Final = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
LEVELS: Final[Mapping[str, frozenset[str]]] = {
    "x86-64": frozenset(),
    "x86-64-v2": _V2,
    "x86-64-v3": _V3,
    "x86-64-v4": _V4,
}
"""What each target needs; of others nothing is known."""

_X86: Final = ("amd64", "x86_64")


def check_cpu(
    environ: Mapping[str, str], cpu_info: Path = CPU_INFO, machine: str | None = None
) -> None:
    """Compare this CPU with the target that kernels are compiled for.

    Args:
        environ: the environment; without ``NUMBA_CPU_NAME`` kernels are compiled for this CPU.
        cpu_info: where Linux describes the CPU.
        machine: the architecture; None: this one's.

    Raises:
        ConfigError: it is another architecture, or lacks instructions.
    """
    target = environ.get(VARIABLE, "")
    if target not in LEVELS:
        return
    architecture = (machine or platform.machine()).lower()
    if architecture not in _X86:
        raise ConfigError(
            f"the kernels are compiled for {target}, and this CPU is {architecture}",
            "build the image with --build-arg CPU_TARGET=generic",
        )
    found = _flags_of(cpu_info)
    missing = sorted(LEVELS[target] - found)
    if found and missing:
        raise ConfigError(
            f"the kernels are compiled for {target}, and this CPU lacks {', '.join(missing)}",
            "run it on newer nodes (x86-64-v3 is Intel's Haswell, AMD's Excavator or later), or "
            "build the image with --build-arg CPU_TARGET=x86-64-v2",
        )


def _flags_of(cpu_info: Path) -> frozenset[str]:
    """The instructions of the first CPU; none where that is not to be found out."""
    try:
        for line in cpu_info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()
