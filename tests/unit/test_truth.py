from __future__ import annotations

import numpy as np
import pytest

from iot_producer import truth as module
from iot_producer.blocks import Plan, block_at
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.ranges import RangeSet
from iot_producer.record_sums import columns_of
from iot_producer.schedule import schedule_from_rate
from iot_producer.schema import FIELD_INDEX
from iot_producer.truth import Truth, TruthCounter, truth_of, truth_of_columns

SPEC = FleetSpec(5_000, 500, 50, seed=5)
PLAN = Plan(SPEC, LaneSpec(), schedule_from_rate("700"), 1_790_000_000_123_456_789)


def test_the_truth_of_a_plan_is_that_of_its_records():
    block = PLAN.block(100, 12_345)
    columns = columns_of(fleet_of(SPEC), block.devices, block.times_ms)
    found = truth_of(PLAN, [(100, 12_445)])
    assert found == truth_of_columns(columns)
    assert found.n_records == 12_345
    assert found.sums == tuple(int(row.sum()) for row in columns)
    assert found.sums[FIELD_INDEX["time"]] == int(block.times_ms.sum())


def test_nothing_is_the_neutral_truth():
    assert truth_of(PLAN, []) == truth_of(PLAN, RangeSet()) == Truth()
    assert Truth() == Truth(0, (0,) * 25, 0)
    found = truth_of(PLAN, [(0, 10)])
    assert found.merge(Truth()) == Truth().merge(found) == found


def test_ranges_of_a_range_set():
    ranges = RangeSet([(0, 50), (70, 90), (10_000, 20_000)])
    parts = [truth_of(PLAN, [pair]) for pair in ranges]
    assert truth_of(PLAN, ranges) == parts[0].merge(parts[1]).merge(parts[2])
    assert truth_of(PLAN, ranges).n_records == ranges.count


def test_sums_and_checksums_of_any_size_merge():
    big = Truth(2**70, (2**64,) * 25, 2**64 - 1)
    merged = big.merge(Truth(1, (1,) * 25, 2))
    assert merged == Truth(2**70 + 1, (2**64 + 1,) * 25, 1)


def test_many_records_at_once(monkeypatch: pytest.MonkeyPatch):
    expected = truth_of(PLAN, [(0, 1_000)])
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 64)
    block = PLAN.block(0, 1_000)
    counter = TruthCounter(fleet_of(SPEC))
    counter.add(block.devices, block.times_ms)
    assert counter.truth == expected
    columns = columns_of(fleet_of(SPEC), block.devices, block.times_ms)
    assert truth_of_columns(columns) == expected


def test_a_run_at_the_maximum_rate():
    members = lane_of(SPEC.devices, LaneSpec(1, 3))
    counter = TruthCounter(fleet_of(SPEC))
    whole = Truth()
    for first, start_ns in ((0, 10**18), (100, 10**18 + 5_000_000)):
        block = block_at(members, first, 100, start_ns)
        counter.add(block.devices, block.times_ms)
        columns = columns_of(fleet_of(SPEC), block.devices, block.times_ms)
        whole = whole.merge(truth_of_columns(columns))
    assert counter.truth == whole
    assert whole.n_records == 200


def test_a_lost_a_repeated_and_a_changed_record_show():
    block = PLAN.block(0, 500)
    columns = columns_of(fleet_of(SPEC), block.devices, block.times_ms)
    expected = truth_of(PLAN, [(0, 500)])
    lost = truth_of_columns(columns[:, 1:])
    repeated = truth_of_columns(np.concatenate([columns, columns[:, :1]], axis=1))
    changed = columns.copy()
    changed[FIELD_INDEX["humidity"], 250] += 1
    found = truth_of_columns(changed)
    assert lost.n_records == 499
    assert repeated.n_records == 501
    assert found.n_records == 500
    assert found.checksum != expected.checksum
    differences = [b - a for a, b in zip(expected.sums, found.sums, strict=True)]
    assert differences[FIELD_INDEX["humidity"]] == 1
    assert sum(differences) == 1
    assert len({t.checksum for t in (lost, repeated, found, expected)}) == 4
