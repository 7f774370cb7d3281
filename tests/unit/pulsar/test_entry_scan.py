from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from iot_producer.pulsar.entry_scan import scan_batch
from iot_producer.record_scan import frozen
from iot_producer.schema import DEVICE_TYPES
from stored_entries import record, single


class Found(NamedTuple):
    """What was found around one message."""

    payload: bytes
    time_ms: int
    sequence_id: int
    device: int
    kind: int
    customer: int


def scan(data: bytes, n: int, margin: int = 3) -> tuple[list[Found], int]:
    """The messages, and where reading stopped; other bytes stand before and behind."""
    buffer = np.frombuffer(b"\x0a" * margin + data + b"\x0a" * margin, dtype=np.uint8)
    table = np.full((8, n + 1), -99, dtype=np.int64)
    found, stopped = scan_batch(frozen(buffer), margin, margin + len(data), n, 1, *table)
    assert (table[:, 0] == -99).all()
    assert (table[:, 1 + found :] == -99).all()
    rows = table[:, 1 : 1 + found].T.tolist()
    messages = []
    for head, start, end, time_ms, sequence_id, device, kind, customer in rows:
        assert margin < head <= start <= end <= margin + len(data)
        payload = buffer[start:end].tobytes()
        messages.append(Found(payload, time_ms, sequence_id, device, kind, customer))
    return messages, int(stopped) - margin


def around(data: bytes) -> tuple[int, int, int]:
    [found], stopped = scan(data, 1)
    assert stopped == len(data)
    return found.device, found.kind, found.customer


def test_messages_of_our_form() -> None:
    data = record(12, customer=345, kind="door_sensor") + record(9_999_999, kind="rain_gauge")
    assert scan(data, 2) == (
        [
            Found(b"record 12", 1_780_000_000_012, 1_780_000_000_000_000_012, 12, 19, 345),
            Found(
                b"record 9999999", 1_780_009_999_999, 1_780_000_000_009_999_999, 9_999_999, 13, 7
            ),
        ],
        len(data),
    )


@pytest.mark.parametrize("kind", range(len(DEVICE_TYPES)))
def test_each_device_type(kind: int) -> None:
    assert around(record(1, kind=DEVICE_TYPES[kind])) == (1, kind, 7)


def test_a_message_with_nothing_around_it() -> None:
    assert scan(single(b"x"), 1) == ([Found(b"x", 0, -1, -1, -1, -1)], len(single(b"x")))
    assert scan(single(b""), 1)[0] == [Found(b"", 0, -1, -1, -1, -1)]


def test_no_message() -> None:
    assert scan(b"", 0) == ([], 0)


@pytest.mark.parametrize(
    "key", ["", "dev-", "dev-000001", "dev-00000001", "Dev-0000001", "dev-000000x", "x" * 300]
)
def test_a_key_that_is_no_device(key: str) -> None:
    assert around(record(1, partition_key=key)) == (-1, 5, 7)


def test_a_key_that_is_null() -> None:
    assert around(record(1, null_partition_key=True)) == (-1, 5, 7)
    assert around(record(1, null_partition_key=False)) == (1, 5, 7)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"device_type": "co2_sensor"},
        {"customer_id": "cust-000007"},
        {"device_type": "co2_sensor", "customer_id": "cust-000007", "more": ""},
        {"device_type": "co2_sensors", "customer_id": "cust-000007"},
        {"device_type": "", "customer_id": "cust-000007"},
        {"device_type": "co2_sensor", "customer_id": "cust-00007"},
        {"device_type": "co2_sensor", "customer_id": "cust_000007"},
        {"device_type": "co2_sensor", "customer_id": "cust-00000a"},
        {"device_typ": "co2_sensor", "customer_id": "cust-000007"},
        {"device_type": "co2_sensor", "customer_ie": "cust-000007"},
    ],
)
def test_properties_that_are_not_the_two(properties: dict[str, str]) -> None:
    assert around(record(1, properties=properties)) == (1, -1, -1)


def test_a_property_that_comes_twice() -> None:
    twice = [
        {"key": "device_type", "value": "co2_sensor"},
        {"key": "customer_id", "value": "cust-000007"},
        {"key": "device_type", "value": "co2_sensor"},
    ]
    assert around(record(1, properties=twice)) == (1, -1, -1)


def test_properties_in_the_other_order() -> None:
    properties = {"customer_id": "cust-000008", "device_type": "co2_sensor"}
    assert around(record(1, properties=properties)) == (1, 5, 8)


def raw(*fields: bytes, payload: bytes = b"p") -> bytes:
    """A message with metadata of any bytes."""
    text = b"".join(fields)
    return len(text).to_bytes(4, "big") + text + payload


SIZE_1 = b"\x18\x01"


@pytest.mark.parametrize(
    "unknown",
    [
        b"\x58\x96\x01",  # field 11, varint
        b"\x59" + bytes(8),  # 8 bytes
        b"\x5a\x03abc",  # bytes
        b"\x5d" + bytes(4),  # 4 bytes
        b"\x82\x01\x00",  # field 16: a tag of two bytes
        b"\x3a\x02ok",  # ordering_key
        b"\x30\x01\x48\x01",  # partition_key_b64_encoded, null_value
    ],
)
def test_other_fields_are_passed_over(unknown: bytes) -> None:
    data = raw(unknown, SIZE_1, unknown, b"\x28\x05")
    assert scan(data, 1) == ([Found(b"p", 5, -1, -1, -1, -1)], len(data))


def test_of_a_field_that_comes_again_the_last_counts() -> None:
    data = raw(b"\x28\x05\x18\x63\x40\x01", SIZE_1, b"\x28\x06\x40\x02")
    assert scan(data, 1)[0] == [Found(b"p", 6, 2, -1, -1, -1)]


def test_the_largest_numbers() -> None:
    largest = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    data = raw(SIZE_1, b"\x28" + largest, b"\x40" + largest)
    assert scan(data, 1)[0] == [Found(b"p", -1, -1, -1, -1, -1)]


def test_what_compaction_took_out_is_left_out() -> None:
    data = record(1) + record(2, compacted_out=True) + record(3)
    found, stopped = scan(data, 3)
    assert [each.device for each in found] == [1, 3]
    assert stopped == len(data)


@pytest.mark.parametrize(
    "damaged",
    [
        raw(b""),  # no payload size
        raw(b"\x18\x02"),  # a payload that is longer than what is left
        raw(b"\x18" + b"\xff" * 9 + b"\x01"),  # of −1 bytes
        raw(b"\x18"),  # cut within a field
        raw(SIZE_1, b"\x12\x05ab"),  # a key longer than the metadata
        raw(SIZE_1, b"\x12" + b"\xff" * 9 + b"\x01"),  # a key of −1 bytes
        raw(SIZE_1, b"\x12" + b"\xff" * 8 + b"\x7f"),  # of 2**63 − 1
        raw(SIZE_1, b"\x28" + b"\x80" * 11),  # an endless number
        raw(SIZE_1, b"\x5b"),  # a group, which nobody uses
        raw(SIZE_1, b"\x00\x00"),  # field 0
        raw(SIZE_1, b"\x80\x80\x80\x80\x10\x00"),  # a number of a field beyond all
        raw(SIZE_1, b"\x5d\x00"),  # 4 bytes that are one
        raw(SIZE_1, b"\x0a\x03\x0a\x05a"),  # a name longer than its property
        raw(SIZE_1, b"\x0a\x01\x5d"),  # a property with a field that is cut
        raw(SIZE_1, b"\x0a\x02\xff\xff"),
        b"\x00\x00\x00\x64" + SIZE_1,  # metadata longer than what is left
        b"\xff\xff\xff\xff" + SIZE_1,
        b"\x00\x00",
    ],
)
def test_reading_stops_where_a_message_is_none(damaged: bytes) -> None:
    whole = record(1) + record(2)
    found, stopped = scan(whole + damaged, 3)
    assert [each.device for each in found] == [1, 2]
    assert stopped == len(whole)


def test_fewer_messages_than_the_entry_says() -> None:
    data = record(1) + record(2)
    assert [each.device for each in scan(data, 5)[0]] == [1, 2]
    assert scan(data, 5)[1] == len(data)


def test_more_messages_than_the_entry_says() -> None:
    data = record(1) + record(2)
    assert [each.device for each in scan(data, 1)[0]] == [1]
    assert scan(data, 1)[1] == len(record(1))


def test_it_is_the_same_without_the_compiler() -> None:
    data = record(1) + record(2, properties={}, event_time=2**63) + raw(b"\x18\x02")
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]; from test_entry_scan import scan;"
        " print(scan(bytes.fromhex(sys.argv[1]), 3))"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", program, data.hex(), str(here), str(here.parent.parent)],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == repr(scan(data, 3))
    assert "Warning" not in done.stderr
