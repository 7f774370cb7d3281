from __future__ import annotations

import json
import re
from fractions import Fraction

import numpy as np
import pytest

from iot_producer.bench.bench_options import STAGES
from iot_producer.bench.load_spec import START_NS, LoadSpec
from iot_producer.bench.loads import EncodeLoad, LoopLoad, load_of
from iot_producer.bench.plain_python import PlainGenerator
from iot_producer.blocks import Plan
from iot_producer.due_times import ConstantSchedule
from iot_producer.errors import DataError
from iot_producer.fleet import FleetSpec
from iot_producer.lane import LaneSpec
from iot_producer.schema import FIELDS, Kind

FLEET = FleetSpec(devices=500, customers=50, sites=20, seed=3)


def spec(stage: str, worker: int = 0, n_workers: int = 1) -> LoadSpec:
    return LoadSpec(stage, worker, n_workers, FLEET, block_records=100, per_s=1000)


LOCAL = [stage.name for stage in STAGES if not stage.needs_broker]


@pytest.mark.parametrize("stage", LOCAL)
def test_a_stage_does_as_many_records_as_it_prepared_round_after_round(stage: str):
    load = load_of(spec(stage))
    for n in (250, 100, 7):
        load.prepare(n)
        assert load.run() == n


def test_each_round_goes_on_where_the_last_one_ended_in_the_order_of_the_plan():
    seen: list[tuple[int, int]] = []

    def encode(devices: np.ndarray, times_ms: np.ndarray) -> None:
        assert len(devices) <= 100
        seen.extend(zip(devices.tolist(), times_ms.tolist(), strict=True))

    load = EncodeLoad(spec("json", worker=1, n_workers=2), encode)
    for n in (250, 30):
        load.prepare(n)
        assert load.run() == n
    schedule = ConstantSchedule(Fraction(2000))  # both workers together
    whole = Plan(FLEET, LaneSpec(1, 2), schedule, START_NS).block(0, 280)
    assert seen == list(zip(whole.devices.tolist(), whole.times_ms.tolist(), strict=True))
    assert len(set(seen)) == 280


def test_what_is_not_confirmed_is_not_measured(monkeypatch: pytest.MonkeyPatch):
    from iot_producer.sinks import null

    load = LoopLoad(spec("null"), "null:")
    load.prepare(200)
    monkeypatch.setattr(null.NullSink, "receipts", lambda self, timeout_s=0.0: [])
    monkeypatch.setattr(load._worker, "_drain", lambda: None)
    with pytest.raises(DataError, match="of 200 records only 0 were confirmed"):
        load.run()


def test_the_reference_writes_the_same_fields_within_their_ranges():
    generator = PlainGenerator(FLEET)
    texts = [generator.record(1_782_050_400.123) for _ in range(300)]
    assert len(set(texts)) == 300
    for text in texts:
        record = json.loads(text)
        assert list(record) == [field.name for field in FIELDS]
        assert record["time"] == "2026-06-21 14:00:00.123"
        for field in FIELDS:
            value = record[field.name]
            if field.kind is Kind.NUMBER:
                counts = value * 10**field.decimals
                assert abs(counts - round(counts)) < 1e-6, field.name
                if field.name != "temperature":  # a bell without ends
                    assert field.low <= round(counts) <= field.high, field.name
            else:
                assert re.fullmatch(field.pattern, value), field.name


def test_the_reference_is_as_long_as_the_record_it_is_compared_with():
    from iot_producer.encoders.json_rows import JsonEncoder
    from iot_producer.fleet import fleet_of

    generator = PlainGenerator(FLEET)
    theirs = np.mean([len(generator.record(1_782_050_400.0)) for _ in range(500)])
    block = spec("json").plan().block(0, 500)
    ours = len(JsonEncoder(fleet_of(FLEET)).encode(block.devices, block.times_ms).buffer) / 500
    assert abs(theirs - ours) < 0.05 * ours


def test_entries_are_made_of_the_plans_nanoseconds():
    seen: list[np.ndarray] = []
    load = EncodeLoad(spec("entry"), lambda _, ids: seen.append(ids), times="intended_ns")
    load.prepare(150)
    assert load.run() == 150
    assert (np.diff(np.concatenate(seen)) == 1_000_000).all()
    assert int(seen[0][0]) == START_NS
