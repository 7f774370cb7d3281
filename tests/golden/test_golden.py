"""The first records of three seeds never change within a DATA_VERSION, on any CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden_records import (
    DIGESTS,
    N_DIGESTED,
    N_DIGESTED_SLOWLY,
    N_SHOWN,
    SEEDS,
    digest_of,
    shown_file,
    shown_plan,
    text_of,
)

from iot_producer.blocks import DATA_VERSION
from iot_producer.fleet import fleet_of
from iot_producer.kernel_cache import VARIABLE
from iot_producer.record_sums import columns_of
from plain_record import plain_json

KEPT = json.loads(DIGESTS.read_text())


def test_the_files_are_of_this_data_version():
    assert KEPT["data_version"] == DATA_VERSION


@pytest.mark.parametrize("seed", SEEDS)
def test_first_records(seed: int):
    assert text_of(shown_plan(seed), N_SHOWN).decode() == shown_file(seed).read_text()


@pytest.mark.parametrize("seed", SEEDS)
def test_digest_of_two_years(seed: int):
    assert digest_of(seed, N_DIGESTED) == KEPT[str(seed)][str(N_DIGESTED)]


@pytest.mark.parametrize("seed", SEEDS)
def test_first_records_by_an_independent_formatter(seed: int):
    block = shown_plan(seed).block(0, N_SHOWN)
    columns = columns_of(fleet_of(shown_plan(seed).fleet), block.devices, block.times_ms)
    lines = [plain_json(record) + "\n" for record in columns.T]
    assert "".join(lines) == shown_file(seed).read_text()


def digests_elsewhere(n: int, **environment: str) -> dict[str, str]:
    """The digests as another process makes them."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("golden_records.py")), str(n)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_same_records_on_a_generic_cpu(tmp_path: Path):
    # A directory of its own beside the kernels of this machine, so that the second run is warm.
    kernels = Path(os.environ.get(VARIABLE) or tmp_path)
    found = digests_elsewhere(
        N_DIGESTED, NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(kernels / "generic")
    )
    assert found == {str(seed): KEPT[str(seed)][str(N_DIGESTED)] for seed in SEEDS}


@pytest.mark.slow
def test_the_same_records_without_the_jit():
    found = digests_elsewhere(N_DIGESTED_SLOWLY, NUMBA_DISABLE_JIT="1")
    assert found == {str(seed): KEPT[str(seed)][str(N_DIGESTED_SLOWLY)] for seed in SEEDS}
