from __future__ import annotations

import numpy as np

from iot_producer.device_order import DeviceOrder


def late(order: DeviceOrder, partition: int, *records: tuple[int, int]) -> list[bool]:
    devices, times_ms = np.array(records, dtype=np.int64).T.copy()
    return [bool(each) for each in order.late(partition, devices, times_ms)]


def test_late_is_what_comes_after_a_later_one_of_its_device():
    order = DeviceOrder(3)
    records = ((0, 5), (1, 9), (0, 7), (0, 6), (1, 8), (0, 7), (0, 8))
    assert late(order, 0, *records) == [False, False, False, True, True, False, False]
    assert late(order, 0, (0, 7), (1, 9)) == [True, False]


def test_a_device_that_moved_to_another_partition_may_be_read_there_first():
    order = DeviceOrder(3)
    assert late(order, 2, (0, 50), (1, 51)) == [False, False]
    assert late(order, 0, (0, 10), (2, 11), (0, 20)) == [False, False, False]
    assert late(order, 2, (0, 60), (0, 55)) == [False, True]


def test_each_partition_of_a_device_that_moved_has_its_order():
    order = DeviceOrder(3)
    assert late(order, 0, (0, 10)) == [False]
    assert late(order, 1, (0, 30), (0, 20)) == [False, True]
    assert late(order, 0, (0, 9), (0, 11)) == [True, False]
    assert late(order, 1, (0, 29), (0, 30)) == [True, False]
