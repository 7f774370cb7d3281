"""EntryBuilder: all compressions hold the same text; buffers come back from any thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from entry_cases import RESTORE, plain_entry
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.pulsar.entry import (
    COMPRESSIONS,
    HEADROOM,
    EntryBuilder,
    warm_up_entry,
)

FLEET = fleet_of(FleetSpec(5_000, 500, 50, seed=3))
START_NS = 1_790_000_000_123_456_789
DEVICES = np.arange(300, dtype=np.int32)
IDS = START_NS + 20_000 * np.arange(300)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_an_entry_says_of_itself(compression: str):
    payload = EntryBuilder(FLEET, compression).build(DEVICES[7:], IDS[7:])
    expected = plain_entry(FLEET, DEVICES[7:], IDS[7:])
    assert RESTORE[compression](payload.data.tobytes(), len(expected)) == expected
    assert payload.start == HEADROOM
    assert payload.n_bytes == payload.stop - HEADROOM == len(payload.data)
    assert payload.n_records == 293
    assert payload.uncompressed_bytes == len(expected)
    rows = JsonEncoder(FLEET).encode(DEVICES[7:], IDS[7:] // 10**6)
    assert payload.raw_bytes == len(rows.buffer)
    assert (payload.first_id, payload.last_id) == (START_NS + 140_000, START_NS + 5_980_000)
    assert payload.first_event_ms == 1_790_000_000_123
    assert payload.first_key == b"dev-0000007"


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("n", [1, 2, 2_000])
def test_all_compressions_of_small_and_large_blocks(compression: str, n: int):
    devices = (np.arange(n) * 17 % 5_000).astype(np.int32)
    ids = START_NS + 333_333 * np.arange(n)
    payload = EntryBuilder(FLEET, compression).build(devices, ids)
    expected = plain_entry(FLEET, devices, ids)
    assert RESTORE[compression](payload.data.tobytes(), len(expected)) == expected
    assert payload.n_bytes < (1.1 if n == 1 or compression == "none" else 0.8) * len(expected)


def test_the_default_is_lz4():
    assert EntryBuilder(FLEET).compression == "lz4"


def test_an_unknown_compression():
    with pytest.raises(ValueError, match="'LZ4', not one of"):
        EntryBuilder(FLEET, "LZ4")


@pytest.mark.parametrize(
    ("devices", "ids", "message"),
    [
        ([], [], "0 devices and 0 times"),
        ([1, 2], [5], "2 devices and 1 times"),
        ([5_000], [5], "outside 0 … 4999"),
        ([-1], [5], "outside 0 … 4999"),
        ([1], [-1], "outside 0 … 2"),
        ([1, 1], [0, 2**42 * 10**6 + 1], "outside 0 … 2"),
    ],
)
def test_what_is_no_block(devices: list[int], ids: list[int], message: str):
    with pytest.raises(ValueError, match=message):
        EntryBuilder(FLEET).build(np.array(devices, dtype=np.int32), np.array(ids, dtype=np.int64))


@pytest.mark.parametrize("compression", ["lz4", "none"])
def test_no_kind_of_array_is_compiled_anew(compression: str):
    builder = EntryBuilder(FLEET, compression)
    kernels = _kernels()
    expected = builder.build(DEVICES, IDS).data.tobytes()
    before = [len(kernel.signatures) for kernel in kernels]
    two = np.repeat(IDS, 2)[::2]
    frozen = IDS.copy()
    frozen.flags.writeable = False
    for devices, ids in (
        (DEVICES.copy(), frozen),
        (np.repeat(DEVICES, 2)[::2], two),
        (DEVICES.astype(np.int64), IDS),
    ):
        assert builder.build(devices, ids).data.tobytes() == expected
    assert [len(kernel.signatures) for kernel in kernels] == before


def test_a_warm_up_compiles_all_that_a_block_needs():
    warm_up_entry(FLEET.spec, "lz4")
    warm_up_entry(FLEET.spec, "none")
    kernels = _kernels()
    before = [len(kernel.signatures) for kernel in kernels]
    for compression in COMPRESSIONS:
        EntryBuilder(FLEET, compression).build(DEVICES, IDS)
    assert [len(kernel.signatures) for kernel in kernels] == before == [1, 1]


def _kernels():
    from iot_producer.pulsar.entry_lz4 import write_lz4_entry
    from iot_producer.pulsar.entry_rows import write_entry

    return write_lz4_entry, write_entry


def test_a_released_buffer_is_used_again():
    builder = EntryBuilder(FLEET)
    first = builder.build(DEVICES, IDS)
    second = builder.build(DEVICES[:10], IDS[:10])
    assert first.buffer is not second.buffer
    builder.release(first)
    assert builder.build(DEVICES[:5], IDS[:5]).buffer is first.buffer
    assert len(second.buffer) == len(first.buffer)  # so that the pool fits all


def test_a_buffer_that_became_too_small_is_dropped():
    builder = EntryBuilder(FLEET)
    small = builder.build(DEVICES[:10], IDS[:10])
    waiting = builder.build(DEVICES[:10], IDS[:10])
    builder.release(small)
    large = builder.build(DEVICES, IDS)
    assert large.buffer is not small.buffer
    builder.release(waiting)
    assert builder.build(DEVICES[:10], IDS[:10]).buffer is not waiting.buffer


def test_a_payload_stays_as_it_is_until_it_is_released():
    builder = EntryBuilder(FLEET)
    payloads = [builder.build(DEVICES[i:], IDS[i:]) for i in range(5)]
    for i, payload in enumerate(payloads):
        expected = plain_entry(FLEET, DEVICES[i:], IDS[i:])
        assert RESTORE["lz4"](payload.data.tobytes(), len(expected)) == expected


def test_buffers_come_back_from_another_thread():
    builder = EntryBuilder(FLEET)
    expected = builder.build(DEVICES, IDS).data.tobytes()
    seen: set[int] = set()
    lock = threading.Lock()
    wrong: list[int] = []

    def sent(i: int, payload) -> None:
        if payload.data.tobytes() != expected:
            wrong.append(i)
        with lock:
            seen.add(payload.buffer.ctypes.data)
        builder.release(payload)

    with ThreadPoolExecutor(2) as pool:
        answers = []
        for i in range(200):
            answers.append(pool.submit(sent, i, builder.build(DEVICES, IDS)))
            if i >= 8:
                answers[i - 8].result()
    assert wrong == []
    assert len(seen) <= 10
