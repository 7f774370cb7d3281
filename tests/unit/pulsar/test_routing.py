from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_producer.pulsar.message_keys import device_keys, partition_of
from iot_producer.pulsar.routing import grouped


def java_hash(text: str) -> int:
    total = 0
    for character in text:
        total = (31 * total + ord(character)) & 0xFFFFFFFF
    return total & 0x7FFFFFFF


@pytest.mark.parametrize("n_partitions", [1, 2, 3, 7, 64, 1000])
def test_each_message_is_in_its_partition_and_keeps_its_place_there(n_partitions: int):
    devices = np.array([0, 9_999_999, 5, 5, 1_234_567, 42, 0, 9, 10, 99_999], dtype=np.int32)
    order, bounds = grouped(devices, n_partitions)
    places = [java_hash(key) % n_partitions for key in device_keys(devices)]
    for p in range(n_partitions):
        assert order[bounds[p] : bounds[p + 1]].tolist() == [
            i for i, place in enumerate(places) if place == p
        ]


@given(
    st.lists(st.integers(0, 9_999_999), min_size=1, max_size=200),
    st.integers(1, 300),
)
def test_the_grouping_is_that_of_the_table_sorted_stably(devices: list[int], n_partitions: int):
    numbers = np.array(devices, dtype=np.int32)
    order, bounds = grouped(numbers, n_partitions)
    places = partition_of(numbers, n_partitions)
    assert order.tolist() == np.argsort(places, kind="stable").tolist()
    assert np.diff(bounds).tolist() == np.bincount(places, minlength=n_partitions).tolist()
