"""The same records whatever the number of shards, the size of blocks and the direction."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot_producer.blocks import Plan
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.schedule import limit, schedule_from_rate
from iot_producer.truth import Truth, TruthCounter, truth_of

SPEC = FleetSpec(1_000, 100, 20, seed=13)
N = 1_200
START_NS = 1_790_000_000_000_000_000


def plan(lane: LaneSpec | None = None) -> Plan:
    schedule = limit(schedule_from_rate("3/7"), N, None)
    return Plan(SPEC, lane or LaneSpec(), schedule, START_NS)


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("n_lanes", [1, 2, 3, 7])
def test_the_same_multiset_of_records(n_lanes: int, size: int, backwards: bool):
    fleet = fleet_of(SPEC)
    truth, texts = Truth(), []
    for index in range(n_lanes):
        lane = plan(LaneSpec(index, n_lanes))
        stop = lane.n_messages
        assert stop is not None
        counter, encoder = TruthCounter(fleet), JsonEncoder(fleet)
        blocks = list(lane.blocks(0, stop, size))
        for block in reversed(blocks) if backwards else blocks:
            devices, times = block.devices, block.times_ms
            if backwards:
                devices, times = devices[::-1].copy(), times[::-1].copy()
            counter.add(devices, times)
            texts += encoder.encode(devices, times).split()
        truth = truth.merge(counter.truth)
    assert truth.n_records == N
    assert truth == truth_of(plan(), [(0, N)])
    whole = plan().block(0, N)
    expected = sorted(JsonEncoder(fleet).encode(whole.devices, whole.times_ms).split())
    assert (
        hashlib.sha256(b"\n".join(sorted(texts))).digest()
        == hashlib.sha256(b"\n".join(expected)).digest()
    )
    assert len(set(texts)) == N


@settings(deadline=None)
@given(st.lists(st.integers(0, 1_200), min_size=2, max_size=6, unique=True))
def test_truths_of_parts_merge_into_that_of_the_whole(cuts: list[int]):
    cuts.sort()
    parts = [truth_of(plan(), [pair]) for pair in pairwise(cuts)]
    whole = truth_of(plan(), [(cuts[0], cuts[-1])])
    merged = Truth()
    for part in parts:
        merged = merged.merge(part)
    assert merged == whole
    merged = Truth()
    for part in reversed(parts):
        merged = part.merge(merged)
    assert merged == whole


TRUTHS = st.builds(
    Truth,
    st.integers(0, 2**40),
    st.tuples(*[st.integers(-(2**80), 2**80)] * 25),
    st.integers(0, 2**64 - 1),
)


@given(TRUTHS, TRUTHS, TRUTHS)
def test_merging_is_associative_and_commutative(a: Truth, b: Truth, c: Truth):
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert 0 <= a.merge(b).checksum < 2**64


@settings(deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_records_does_not_matter(order: list[int]):
    block = plan().block(0, 12)
    counter = TruthCounter(fleet_of(SPEC))
    places = np.array(order)
    counter.add(block.devices[places], block.times_ms[places])
    assert counter.truth == truth_of(plan(), [(0, 12)])
