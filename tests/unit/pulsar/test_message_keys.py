"""Keys and customers equal the record's own text; partitions equal Java's arithmetic."""

from __future__ import annotations

import json

import numpy as np
import pytest

from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import I_CUSTOMER, FleetSpec, fleet_of
from iot_producer.pulsar.message_keys import customer_names, device_keys, partition_of

DEVICES = np.array([0, 1, 9, 10, 9_999, 10_000, 99_999, 123_456, 9_999_999], dtype=np.int32)


def java_hash(text: str) -> int:
    """``String.hashCode`` as the language specification has it: s[0]·31^(n−1) + …, 32 bits."""
    total = sum(ord(c) * 31 ** (len(text) - 1 - i) for i, c in enumerate(text))
    return (total + 2**31) % 2**32 - 2**31


def test_the_reference_hash_is_javas():
    assert java_hash("hello") == 99_162_322
    assert java_hash("polygenelubricants") == -(2**31)


def test_keys_have_seven_digits():
    assert device_keys(DEVICES) == [f"dev-{d:07d}" for d in DEVICES.tolist()]


def test_customers_have_six_digits():
    customers = np.array([0, 7, 12_345, 999_999], dtype=np.int32)
    assert customer_names(customers) == ["cust-000000", "cust-000007", "cust-012345", "cust-999999"]


def test_no_device_gives_no_key():
    none = np.empty(0, dtype=np.int32)
    assert device_keys(none) == []
    assert partition_of(none, 3).tolist() == []


@pytest.mark.parametrize("n_partitions", [1, 2, 3, 7, 64, 1000])
def test_a_key_goes_where_java_sends_it(n_partitions: int):
    expected = [(java_hash(f"dev-{d:07d}") & 0x7FFFFFFF) % n_partitions for d in DEVICES.tolist()]
    assert partition_of(DEVICES, n_partitions).tolist() == expected


def test_both_equal_the_text_of_the_record():
    fleet = fleet_of(FleetSpec(devices=300, customers=40, sites=10, seed=3))
    devices = np.arange(300, dtype=np.int32)[::-1].copy()
    texts = JsonEncoder(fleet).encode(devices, np.full(300, 1_780_000_000_000)).split()
    records = [json.loads(text) for text in texts]
    assert device_keys(devices) == [record["device_id"] for record in records]
    customers = fleet.identity[devices, I_CUSTOMER]
    assert customer_names(customers) == [record["customer_id"] for record in records]
