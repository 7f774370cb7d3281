from __future__ import annotations

from itertools import pairwise

import numpy as np

from iot_producer.blocks import Block
from iot_producer.pulsar.message_keys import partition_of
from iot_producer.stored_before import StoredBefore

START = 1_780_000_000_000_000_000
MS = 1_000_000


def block(n: int, first: int = 7) -> Block:
    devices = np.arange(100, 100 + n, dtype=np.int32)
    return Block(first, devices, START, np.arange(n, dtype=np.int64) * MS)


def messages(parts: list[tuple[Block, bool]]) -> list[tuple[int, int, int, bool]]:
    return [
        (part.first + i, device, at_ns, is_stored)
        for part, is_stored in parts
        for i, (device, at_ns) in enumerate(
            zip(part.devices.tolist(), part.intended_ns.tolist(), strict=True)
        )
    ]


def test_nothing_is_stored_of_a_lane_that_begins():
    whole = block(5)
    for stored in (StoredBefore(), StoredBefore((-1,)), StoredBefore((START - 1,))):
        ((part, is_stored),) = stored.runs(whole)
        assert part is whole
        assert not is_stored


def test_all_up_to_the_last_id_is_stored():
    parts = list(StoredBefore((START + 3 * MS,)).runs(block(6)))
    assert [(p.first, p.n, s) for p, s in parts] == [(7, 4, True), (11, 2, False)]
    ((part, is_stored),) = StoredBefore((START + 9 * MS,)).runs(block(6))
    assert (part.n, is_stored) == (6, True)


def test_on_each_partition_up_to_its_own_last_id():
    whole = block(200)
    last_ids = (START + 50 * MS, -1, START + 120 * MS + 5)
    places = partition_of(whole.devices, 3).tolist()
    expected = [
        (7 + i, 100 + i, START + i * MS, START + i * MS <= last_ids[places[i]]) for i in range(200)
    ]
    parts = list(StoredBefore(last_ids).runs(whole))
    assert messages(parts) == expected
    assert all(a[1] != b[1] for a, b in pairwise(parts))
    assert 20 < sum(stored for *_, stored in expected) < 100
