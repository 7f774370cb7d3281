"""The compiled text equals that of an independent formatter, byte by byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from iot_producer.encoders.device_text import device_texts
from iot_producer.encoders.json_rows import MAX_RECORD_BYTES, JsonEncoder
from iot_producer.fleet import Fleet, FleetSpec, fleet_of
from iot_producer.record_sums import columns_of
from iot_producer.schema import FIELDS
from plain_record import DECIMALS, NAMES, TYPES, plain_json

LAST = 4_102_444_800_000  # 2100-01-01
HERE = Path(__file__).parent
FLEET = fleet_of(FleetSpec(seed=21))


def lines(fleet: Fleet, devices: NDArray[np.int32], times: NDArray[np.int64]) -> list[str]:
    return [text.decode() for text in JsonEncoder(fleet).encode(devices, times).split()]


def plain_lines(fleet: Fleet, devices: NDArray[np.int32], times: NDArray[np.int64]) -> list[str]:
    return [plain_json(record) for record in columns_of(fleet, devices, times).T.tolist()]


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_random_records_from_1970_to_2100(seed: int):
    fleet = fleet_of(FleetSpec(seed=seed))
    rng = np.random.default_rng(5)
    devices = rng.integers(0, 100_000, 4_000).astype(np.int32)
    times = rng.integers(0, LAST, 4_000)
    assert lines(fleet, devices, times) == plain_lines(fleet, devices, times)


def test_the_first_and_last_device():
    devices = np.array([0, 1, 99_998, 99_999], dtype=np.int32)
    times = np.full(4, 1_800_000_000_000)
    found = lines(FLEET, devices, times)
    assert found == plain_lines(FLEET, devices, times)
    assert found[3].startswith('{"device_id":"dev-0099999","device_type":"')


@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_small_fleets(n: int):
    fleet = fleet_of(FleetSpec(n, n, n))
    devices = np.arange(n, dtype=np.int32)
    times = np.full(n, 1_800_000_000_000)
    assert lines(fleet, devices, times) == plain_lines(fleet, devices, times)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ((1970, 1, 1), "1970-01-01 00:00:00.000"),
        ((1999, 12, 31, 23, 59, 59, 999_000), "1999-12-31 23:59:59.999"),
        ((2000, 1, 1), "2000-01-01 00:00:00.000"),
        ((2000, 2, 28, 23, 59, 59, 999_000), "2000-02-28 23:59:59.999"),
        ((2000, 2, 29), "2000-02-29 00:00:00.000"),
        ((2028, 2, 29, 12, 34, 56, 789_000), "2028-02-29 12:34:56.789"),
        ((2027, 3, 1), "2027-03-01 00:00:00.000"),
        ((2028, 12, 31, 10, 10, 10, 10_000), "2028-12-31 10:10:10.010"),
        ((2100, 1, 1), "2100-01-01 00:00:00.000"),
        ((2100, 2, 28, 23, 59, 59, 999_000), "2100-02-28 23:59:59.999"),
        ((2100, 3, 1), "2100-03-01 00:00:00.000"),
    ],
)
def test_times(moment: tuple[int, ...], text: str):
    at = datetime(*moment, tzinfo=UTC)  # type: ignore[misc, arg-type]
    times = np.array([round(at.timestamp() * 1_000)])
    record = json.loads(lines(FLEET, np.zeros(1, dtype=np.int32), times)[0])
    assert record["time"] == text


def test_every_day_of_two_centuries_and_its_ends():
    days = np.arange(0, 50_000) * 86_400_000  # 1970 … 2106
    times = np.stack([days, days + 86_399_999], axis=1).ravel()
    found = JsonEncoder(FLEET).encode(np.zeros(len(times), dtype=np.int32), times).split()
    start = found[0].index(b'"time":"') + 8
    starts = [text.index(b'"time":"') + 8 for text in found]
    assert set(starts) == {start}
    expected = np.datetime_as_string(times.astype("datetime64[ms]"), unit="ms")
    assert [text[start : start + 23].decode() for text in found] == [
        text.replace("T", " ") for text in expected
    ]


def test_the_clock_is_kept_between_records_of_one_second_only():
    moments = [0, 999, 1_000, 59_999, 60_000, 3_599_999, 3_600_000, 86_399_999, 86_400_000]
    times = np.array([*moments, *moments[::-1], 1_800_000_000_123, 999, 1_800_000_000_122])
    devices = np.arange(len(times), dtype=np.int32)
    assert lines(FLEET, devices, times) == plain_lines(FLEET, devices, times)


def test_what_a_client_parses():
    rng = np.random.default_rng(6)
    devices = rng.integers(0, 100_000, 500).astype(np.int32)
    times = rng.integers(0, LAST, 500)
    columns = columns_of(FLEET, devices, times).T.tolist()
    for line, record in zip(lines(FLEET, devices, times), columns, strict=True):
        parsed = json.loads(line)
        assert tuple(parsed) == NAMES
        for name, decimals, number in list(zip(NAMES, DECIMALS, record, strict=True))[8:]:
            assert parsed[name] == number / 10**decimals


def test_a_record_is_about_550_bytes():
    rng = np.random.default_rng(7)
    devices = rng.integers(0, 100_000, 5_000).astype(np.int32)
    sizes = np.diff(JsonEncoder(FLEET).encode(devices, np.full(5_000, 1_800_000_000_000)).ends)
    assert 530 < sizes.mean() < 560


def test_line_feeds():
    devices, times = np.arange(3, dtype=np.int32), np.full(3, 1_800_000_000_000)
    rows = JsonEncoder(FLEET, newline=True).encode(devices, times)
    assert [text.decode() for text in rows.split()] == [
        line + "\n" for line in lines(FLEET, devices, times)
    ]
    assert rows.ends[-1] == len(rows.buffer)


def test_an_encoder_is_used_again():
    encoder = JsonEncoder(FLEET)
    rng = np.random.default_rng(8)
    for n in (3, 1, 1_000, 0, 7):
        devices = rng.integers(0, 100_000, n).astype(np.int32)
        times = rng.integers(0, LAST, n)
        rows = encoder.encode(devices, times)
        assert [text.decode() for text in rows.split()] == plain_lines(FLEET, devices, times)


def test_nothing_is_written_behind_the_room_of_a_block():
    encoder = JsonEncoder(FLEET)
    n = 64
    encoder._out = np.full(n * MAX_RECORD_BYTES + 64, 0xAA, dtype=np.uint8)
    devices = np.arange(n, dtype=np.int32)
    rows = encoder.encode(devices, np.full(n, 1_800_000_000_000))
    behind = encoder._out[len(rows.buffer) :]
    assert (behind[8:] == 0xAA).all()
    assert (encoder._out[-64:] == 0xAA).all()


def test_each_devices_text_is_one_cache_line():
    text = device_texts(FLEET)
    assert text.shape == (100_000, 64)
    assert text.ctypes.data % 64 == 0


@pytest.mark.slow
def test_extreme_values_and_the_longest_record():
    done = subprocess.run(
        [sys.executable, str(HERE / "extreme_rows.py")],
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "PYTHONPATH": str(HERE.parent.parent),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["n_tried"] > 2_200
    # The longest record of all, by hand: quotes, colons, commas, braces, names, longest values.
    values = [11 + 2, max(map(len, TYPES)) + 2, 11 + 2, 10 + 2, 9, 11, 6, 23 + 2]
    for field, decimals in zip(FIELDS[8:21], DECIMALS[8:21], strict=True):
        values.append(
            max(len(f"{number / 10**decimals:.{decimals}f}") for number in (field.low, field.high))
        )
    values += [16] * 4  # 10**15
    by_hand = sum(map(len, NAMES)) + 25 * 3 + 24 + 2 + 1 + sum(values)
    assert found["n_longest"] == by_hand
    assert by_hand <= found["last_store"] <= MAX_RECORD_BYTES
    assert MAX_RECORD_BYTES - by_hand < 128  # and no more than it takes, or memory is wasted
