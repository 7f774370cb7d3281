from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from iot_producer.compiled import JIT, entry, inlined, load8, prefetch_row, store8

@inlined
def twice(word):
    return word * np.uint64(2)

@entry
def move(target, source, position, rows):
    prefetch_row(rows, 1)
    store8(target, position, twice(load8(source, position + 1)))

target = np.zeros(20, dtype=np.uint8)
source = np.arange(20, dtype=np.uint8)
move(target, source, 3, np.zeros((2, 64), dtype=np.uint8))
print(JIT, target.tolist())
"""


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
