from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from iot_producer.cpu_target import LEVELS, check_cpu
from iot_producer.errors import ConfigError

HASWELL = (
    "fpu sse sse2 ht lm pni ssse3 fma cx16 movbe popcnt xsave avx f16c lahf_lm abm sse4_1 sse4_2 "
    "bmi1 avx2 bmi2"
)


def cpu_info(tmp_path: Path, flags: str) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    return path


def check(target: str, path: Path, machine: str = "x86_64") -> None:
    check_cpu({"NUMBA_CPU_NAME": target}, path, machine)


def test_each_level_needs_more_than_the_one_before():
    needed = list(LEVELS.values())
    assert all(low < high for low, high in pairwise(needed))


@pytest.mark.parametrize("target", ["x86-64", "x86-64-v2", "x86-64-v3"])
def test_a_cpu_with_all_of_it(tmp_path: Path, target: str):
    check(target, cpu_info(tmp_path, HASWELL))


def test_a_cpu_that_lacks_some_is_named_with_the_remedy(tmp_path: Path):
    old = cpu_info(tmp_path, HASWELL.replace(" avx2", "").replace(" bmi2", ""))
    check("x86-64-v2", old)
    with pytest.raises(ConfigError, match=r"x86-64-v3, and this CPU lacks avx2, bmi2$") as raised:
        check("x86-64-v3", old)
    assert "--build-arg CPU_TARGET=x86-64-v2" in raised.value.hint


def test_another_architecture(tmp_path: Path):
    with pytest.raises(ConfigError, match="for x86-64-v3, and this CPU is aarch64") as raised:
        check("x86-64-v3", tmp_path / "missing", "aarch64")
    assert "CPU_TARGET=generic" in raised.value.hint
    check("generic", tmp_path / "missing", "aarch64")


@pytest.mark.parametrize("content", ["", "processor : 0\n", "flags :\n"])
def test_what_cannot_be_known_is_no_error(tmp_path: Path, content: str):
    path = tmp_path / "cpuinfo"
    path.write_text(content)
    check("x86-64-v4", path)
    check("x86-64-v4", tmp_path / "missing")


def test_without_a_target_nothing_is_asked(tmp_path: Path):
    check_cpu({}, cpu_info(tmp_path, "fpu"))
    check("skylake", cpu_info(tmp_path, "fpu"))
