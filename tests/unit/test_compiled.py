from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iot_producer.kernel_cache import PREBUILT

PROGRAM = """
import numpy as np
from iot_producer.compiled import (
    JIT, copy_row, entry, inlined, load8, prefetch_row, store8, store32, transpose16
)

@inlined
def twice(word):
    return word * np.uint64(2)

@entry
def move(target, source, position, rows):
    prefetch_row(rows, 1)
    store8(target, position, twice(load8(source, position + 1)))

@entry
def turn(columns, rows, table):
    for i in range(16):
        copy_row(rows, i + 1, table, 15 - i)
    transpose16(columns, 16, rows, 1)

@entry
def fill(target):
    store32(target, 1, np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4 << 56))

table = np.arange(256, dtype=np.int32).reshape(16, 16)
columns, rows = np.zeros((16, 48), dtype=np.int32), np.zeros((18, 16), dtype=np.int32)
turn(columns, rows, table)
expected = np.zeros((16, 48), dtype=np.int32)
expected[:, 16:32] = table[::-1].T
assert (columns == expected).all(), columns
assert (rows[1:17] == table[::-1]).all() and not rows[[0, 17]].any(), rows

words = np.zeros(34, dtype=np.uint8)
fill(words)
assert np.flatnonzero(words).tolist() == [1, 9, 17, 32], words
assert words[[1, 9, 17, 32]].tolist() == [1, 2, 3, 4], words

target = np.zeros(20, dtype=np.uint8)
source = np.arange(20, dtype=np.uint8)
move(target, source, 3, np.zeros((2, 64), dtype=np.uint8))
print(JIT, target.tolist())
"""


@pytest.mark.slow
@pytest.mark.parametrize("disabled", ["0", "1"])
def test_words_are_stored_anywhere_with_and_without_the_jit(disabled: str):
    env = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
    env.pop("NUMBA_CACHE_DIR", None)  # code of a string has no file to be cached beside
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, env=env, check=False, timeout=120,
    )  # fmt: skip
    moved = [0, 0, 0, 8, 10, 12, 14, 16, 18, 20, 22, *[0] * 9]
    assert done.stdout == f"{disabled == '0'} {moved}\n", done.stderr


def test_entry_points_release_the_gil_and_are_cached():
    from iot_producer import compiled
    from iot_producer.latency_counts import count_latencies

    if not compiled.JIT:
        pytest.skip("the JIT is off: there is nothing compiled to look at")
    assert count_latencies.targetoptions["nogil"]  # type: ignore[attr-defined]
    stats = count_latencies.stats  # type: ignore[attr-defined]
    assert str(stats.cache_path).startswith(os.environ["NUMBA_CACHE_DIR"])


PREBUILT_PROGRAM = """
import numpy as np
from iot_producer.latency import empty_counts
from iot_producer.latency_counts import count_latency
count_latency(empty_counts(), 1, 1)
stats = count_latency.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_prebuilt_kernels_are_found_and_none_is_added(tmp_path: Path):
    """Without a try to write: root may write everywhere, and a read-only pod nowhere."""

    def said(**env: str) -> str:
        variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels"), **env}
        done = subprocess.run(
            [sys.executable, "-c", PREBUILT_PROGRAM],
            capture_output=True, text=True, env=variables, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    prebuilt = {"NUMBA_CACHE_LOCATOR_CLASSES": PREBUILT}
    assert said(**prebuilt) == "0 1"
    assert not (tmp_path / "kernels").exists()
    assert said() == "0 1"
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert said(**prebuilt) == "1 0"
    assert said(NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="", **prebuilt) == "0 1"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files
