"""LZ4 blocks that are written directly: strictly by the format, and exactly the plain text."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import lz4.block
import numpy as np
import pytest
from numpy.typing import NDArray

from entry_cases import LZ4_DECODERS, plain_entry, read_block
from iot_producer.fleet import I_TYPE, FleetSpec, fleet_of
from iot_producer.pulsar.entry import HEADROOM, EntryBuilder
from iot_producer.pulsar.message_frame import MAX_MESSAGE_BYTES

HERE = Path(__file__).parent
FLEET = fleet_of(FleetSpec(seed=5))
BUILDER = EntryBuilder(FLEET)
PLAIN = EntryBuilder(FLEET, "none")
MS = 10**6
DAY_NS = 86_400 * 10**9
NOON = int(datetime(2026, 6, 21, 12, tzinfo=UTC).timestamp()) * 10**9


def check(devices: NDArray[np.int32], intended_ns: NDArray[np.int64]) -> bytes:
    """Build, compare with an independent formatter, and return the block."""
    payload = BUILDER.build(devices, intended_ns)
    block = payload.data.tobytes()
    expected = plain_entry(FLEET, devices, intended_ns)
    assert read_block(block)[0] == expected
    for restore in LZ4_DECODERS.values():
        assert restore(block, payload.uncompressed_bytes) == expected
    plain = PLAIN.build(devices, intended_ns)
    assert plain.data.tobytes() == expected
    assert payload.uncompressed_bytes == plain.uncompressed_bytes == len(expected)
    assert payload.raw_bytes == plain.raw_bytes
    BUILDER.release(payload)
    PLAIN.release(plain)
    return block


def at_random(n: int, seed: int) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(0, 100_000, n).astype(np.int32)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 10, 100, 999, 2_000])
@pytest.mark.parametrize("step_ns", [1, 20_000, MS, 10**9 + 1])
def test_blocks_of_any_size(n: int, step_ns: int):
    check(at_random(n, n), NOON + step_ns * np.arange(n))


def test_a_single_message_is_literals():
    text, matches = read_block(check(at_random(1, 3), np.array([NOON])))
    assert matches == []
    assert text[:4] == bytes([0, 0, 0, text[3]])


def test_the_second_message_repeats_the_first():
    block = check(at_random(2, 3), NOON + np.arange(2))
    text, matches = read_block(block)
    first = text.index(b"}") + 1
    assert all(match.at > first for match in matches)
    assert sum(match.n_match for match in matches) > 0.7 * (len(text) - first)


@pytest.mark.parametrize(
    "moment",
    [
        (1970, 1, 1),
        (1970, 1, 1, 0, 0, 0, 128_000),  # event times of two bytes
        (1970, 1, 1, 0, 0, 16, 384_000),  # of three
        (1970, 1, 1, 0, 34, 57, 152_000),
        (1970, 1, 4, 2, 33, 55, 456_000),
        (1971, 2, 2, 16, 9, 38, 368_000),  # six, as until 2109
        (1972, 4, 13, 23, 46, 46, 0),  # sequence ids of nine bytes
        (2000, 2, 29),
        (2027, 1, 1),
        (2100, 3, 1),
        (2109, 5, 15, 7, 35, 8, 104_000),
    ],
)
@pytest.mark.parametrize("step_ns", [1, 333_333, 250 * MS])
def test_times_around_a_moment(moment: tuple[int, ...], step_ns: int):
    at = round(datetime(*moment, tzinfo=UTC).timestamp() * 1_000) * MS  # type: ignore[misc, arg-type]
    times = np.maximum(at + step_ns * np.arange(-12, 12), 0)
    check(at_random(24, 1), times)
    check(at_random(24, 2), times[::-1])


@pytest.mark.parametrize("bits", range(7, 63, 7))
def test_sequence_ids_where_a_varint_gets_longer(bits: int):
    middle = min(1 << bits, 2**42 * MS - 20)
    ids = np.maximum(middle + np.arange(-10, 10), 0)
    check(at_random(20, bits), ids)


@pytest.mark.parametrize("low_bits", range(60))
def test_each_number_of_changed_bytes_in_a_sequence_id(low_bits: int):
    ids = np.array([NOON, NOON ^ (1 << low_bits), NOON, NOON])
    check(at_random(4, low_bits), ids)


def test_all_device_types_follow_each_other():
    kinds = FLEET.identity[:, I_TYPE]
    one_of_each = [int(np.flatnonzero(kinds == kind)[0]) for kind in range(20)]
    order = list(itertools.chain.from_iterable(itertools.product(one_of_each, repeat=2)))
    devices = np.array(order, dtype=np.int32)
    check(devices, NOON + 1_000 * np.arange(len(devices)))


def test_pieces_that_were_too_long_ago_are_not_matched():
    # One type for longer than a match reaches, then another that was in the block before.
    kinds = FLEET.identity[:, I_TYPE]
    rare, usual = np.flatnonzero(kinds == 3)[:5], np.flatnonzero(kinds == 4)
    parts = [rare[:2], usual[:200], rare[2:3], usual[200:280], rare[3:5]]
    devices = np.concatenate(parts).astype(np.int32)
    _, matches = read_block(check(devices, NOON + 1_000 * np.arange(len(devices))))
    assert max(match.distance for match in matches) > 30_000


def test_far_pieces_at_every_distance_around_the_farthest():
    kinds = FLEET.identity[:, I_TYPE]
    rare, usual = np.flatnonzero(kinds == 3)[:2], np.flatnonzero(kinds == 4)
    farthest = 0
    for n in range(98, 108):
        devices = np.concatenate([usual[:3], rare[:1], usual[3 : 3 + n], rare[1:]])
        _, matches = read_block(check(devices.astype(np.int32), np.full(len(devices), NOON)))
        farthest = max([farthest, *(match.distance for match in matches)])
    assert 64_500 < farthest <= 65_535


@pytest.mark.parametrize("sizes", [(1, 1, 1), (10, 10, 10), (11, 10, 9), (1_001, 101, 11)])
def test_small_fleets(sizes: tuple[int, int, int]):
    fleet = fleet_of(FleetSpec(*sizes, seed=9))
    builder = EntryBuilder(fleet)
    devices = (np.arange(64) * 7 % sizes[0]).astype(np.int32)
    ids = NOON + 50_000 * np.arange(64)
    assert read_block(builder.build(devices, ids).data.tobytes())[0] == plain_entry(
        fleet, devices, ids
    )


@pytest.mark.slow
def test_a_fleet_whose_numbers_have_all_their_digits():
    fleet = fleet_of(FleetSpec(1_000_001, 100_001, 10_001, seed=9))
    builder = EntryBuilder(fleet)
    devices = np.array([1_000_000, 0, 999_999, 5], dtype=np.int32)
    ids = NOON + np.arange(4)
    assert read_block(builder.build(devices, ids).data.tobytes())[0] == plain_entry(
        fleet, devices, ids
    )


@pytest.mark.parametrize(("n", "most"), [(100, 1.25), (1_000, 1.15), (2_000, 1.15)])
def test_hardly_longer_than_what_a_search_finds(n: int, most: float):
    devices, ids = at_random(n, 77), NOON + 20_000 * np.arange(n)
    block = check(devices, ids)
    assert len(block) < most * len(
        lz4.block.compress(plain_entry(FLEET, devices, ids), store_size=False)
    )


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_nothing_is_written_outside_the_room_of_a_block(n: int):
    builder = EntryBuilder(FLEET)
    small = builder.build(at_random(n, n), NOON + np.arange(n))
    room = len(small.buffer)
    assert room >= HEADROOM + n * MAX_MESSAGE_BYTES
    large = np.full(room + 4_096, 0xAA, dtype=np.uint8)
    builder._free.append(large)
    payload = builder.build(at_random(n, n), NOON + np.arange(n))
    assert payload.buffer is large
    assert (large[:HEADROOM] == 0xAA).all()
    assert (large[room:] == 0xAA).all()
    assert payload.data.tobytes() == small.data.tobytes()


@pytest.mark.slow
def test_extreme_values():
    done = subprocess.run(
        [sys.executable, str(HERE / "extreme_entries.py")],
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "PYTHONPATH": str(HERE.parent.parent),
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["n_tried"] > 2_200
    assert found["n_longest"] <= MAX_MESSAGE_BYTES
    assert MAX_MESSAGE_BYTES - found["n_longest"] < 160
    assert found["last_store"] <= 0
    assert found["last_scratch_store"] <= 0
    # Head, device type, motion and state: matched up to the farthest distance, and no farther.
    assert found["n_farthest"] == {
        str(distance): 4 if distance <= 65_535 else 0 for distance in range(65_530, 65_541)
    }


def digests(**environment: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, str(HERE / "entry_digests.py")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_same_entries_on_a_generic_cpu_and_without_the_jit():
    here = digests()
    kernels = Path(os.environ["NUMBA_CACHE_DIR"])
    elsewhere = digests(NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(kernels / "generic"))
    assert elsewhere == here
    assert digests(NUMBA_DISABLE_JIT="1") == here
    assert len(set(here.values())) == len(here) == 4
