from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from found_records import SMALL
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import fleet_of
from iot_producer.record_scan import devices_of, devices_of_keys, same_texts, times_of

TIMES = [0, 1, 951_782_399_999, 951_868_800_000, 1_780_000_000_123, 4_102_444_799_999]


def laid(*texts: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts one behind the other, with something between them."""
    buffer = np.frombuffer(b"#".join(texts) + b"#", dtype=np.uint8)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    ends = np.cumsum(lengths + 1) - 1
    return buffer, ends - lengths, ends


def test_device_and_time_of_records_are_those_they_were_made_of():
    devices = np.array([0, 7, 49, 12, 3, 31], dtype=np.int32)
    texts = JsonEncoder(fleet_of(SMALL)).encode(devices, np.array(TIMES, dtype=np.int64)).split()
    assert devices_of(*laid(*texts)).tolist() == devices.tolist()
    assert times_of(*laid(*texts)).tolist() == TIMES


@pytest.mark.parametrize(
    ("text", "device"),
    [
        (b'{"device_id":"dev-0000012",', 12),
        (b'{"device_id":"dev-9999999"', 9_999_999),
        (b'{"device_id":"dev-0000012', -1),
        (b'{"device_id":"dev-000001a",', -1),
        (b'{"device_id":"dev-00000012",', -1),
        (b'{"device_id":"dev-000001",', -1),
        (b'{ "device_id":"dev-0000012",', -1),
        (b'{"device_id":"Dev-0000012",', -1),
        (b"", -1),
    ],
)
def test_only_the_exact_form_is_a_device(text: bytes, device: int):
    assert devices_of(*laid(b"x", text, b'{"device_id":"dev-0000001",')).tolist() == [-1, device, 1]


@pytest.mark.parametrize(
    ("time", "is_one"),
    [
        ("2026-11-22 16:00:00.000", True),
        ("2024-02-29 23:59:59.999", True),
        ("0001-01-01 00:00:00.000", False),
        ("2026-13-22 16:00:00.000", False),
        ("2026-00-22 16:00:00.000", False),
        ("2026-11-32 16:00:00.000", False),
        ("2026-11-22 24:00:00.000", False),
        ("2026-11-22 16:60:00.000", False),
        ("2026-11-22 16:00:60.000", False),
        ("2026-11-22T16:00:00.000", False),
        ("2026-11-22 16:00:00,000", False),
        ("2026-11-22 16:00:0a.000", False),
        ("2026-11-22 16:00:00.00", False),
    ],
)
def test_only_the_exact_form_is_a_time(time: str, is_one: bool):
    found = times_of(*laid(f'{{"a":1,"time":"{time}","b":2}}'.encode(), b"{}")).tolist()
    if is_one:
        moment = datetime.fromisoformat(time + "+00:00")
        assert found == [round(moment.timestamp() * 1000), -1]
    else:
        assert found[0] < 0
        assert found[1] == -1


def test_keys_are_device_ids_and_nothing_else():
    keys = ["dev-0000005", "", "dev-5", "dev-00000055", "Dev-0000005", "dev-000000é", "dev-1234567"]
    assert devices_of_keys(keys).tolist() == [5, -1, -1, -1, -1, -1, 1_234_567]
    assert devices_of_keys([]).tolist() == []


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 15, 16, 17, 40])
def test_a_change_of_any_byte_is_seen(length: int):
    text = bytes(range(65, 65 + length))
    others = [text[:i] + b"\0" + text[i + 1 :] for i in range(length)] + [text + b"x", text[:-1]]
    found = laid(b"abc", *others, text)
    n = len(others)
    made = np.frombuffer(text * (n + 1), dtype=np.uint8).copy()
    made_ends = np.arange(1, n + 2, dtype=np.int64) * length
    same = same_texts(*found, np.arange(1, n + 2), made, made_ends)
    assert same.tolist() == [other == text for other in others] + [True]
