"""A reading is a pure function: order, block size and what was computed before do not matter."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from iot_producer.conditions import new_conditions
from iot_producer.fleet import Fleet, FleetSpec, fleet_of
from iot_producer.schema import FIELDS
from iot_producer.signals import readings_of

SEEDS = st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1])
# Random times, and times that share ticks and places.
TIMES = st.one_of(
    st.integers(0, 2**42),
    st.integers(0, 100_000),
    st.integers(1_800_000_000_000, 1_800_000_009_000),
)
PAIRS = st.lists(st.tuples(st.integers(0, 499), TIMES), min_size=1, max_size=40)


@cache
def small(seed: int) -> Fleet:
    return fleet_of(FleetSpec(500, 50, 20, seed))


def readings(
    fleet: Fleet, pairs: list[tuple[int, int]], memory: NDArray[np.int32] | None = None
) -> list[list[int]]:
    devices = np.array([device for device, _ in pairs], dtype=np.int32)
    times = np.array([t for _, t in pairs], dtype=np.int64)
    return readings_of(fleet, devices, times, memory).T.tolist()


@settings(deadline=None)
@given(SEEDS, PAIRS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_any_order_and_block_size_give_the_same_integers(
    seed: int, pairs: list[tuple[int, int]], random: object, size: int
):
    fleet = small(seed)
    together = dict(zip(pairs, readings(fleet, pairs), strict=True))
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    memory = new_conditions(fleet)
    for first in range(0, len(shuffled), size):
        part = shuffled[first : first + size]
        assert readings(fleet, part, memory) == [together[pair] for pair in part]
    backwards = pairs[::-1]
    assert readings(fleet, backwards, memory) == [together[pair] for pair in backwards]


@settings(deadline=None)
@given(SEEDS, PAIRS)
def test_every_value_is_in_its_range(seed: int, pairs: list[tuple[int, int]]):
    for values in readings(small(seed), pairs):
        for field, value in zip(FIELDS[8:], values, strict=True):
            assert field.low <= value <= field.high, field.name
