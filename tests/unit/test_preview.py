from __future__ import annotations

import json

import pytest
from rich.console import Console

from iot_producer.blocks import Plan
from iot_producer.clock import ManualClock
from iot_producer.config import resolve_run
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.preview import preview_lines, preview_table
from iot_producer.run_config import RunConfig
from iot_producer.schedule import MaxRate
from iot_producer.schema import FIELDS

NOW = 1_780_000_000_123_456_789


def config(**flags: str) -> RunConfig:
    return resolve_run({"to": "null:", "devices": "50", **flags}, {})


def lines(run: RunConfig, n: int) -> list[bytes]:
    return b"".join(preview_lines(run, n, ManualClock(NOW))).splitlines()


@pytest.mark.parametrize("shard", ["0/1", "1/3"])
def test_they_are_the_records_that_a_run_would_send_first(shard: str):
    run = config(rate="700", start="2026-07-01T12:00:00Z", shard=shard)
    assert not isinstance(run.schedule, MaxRate)
    assert run.start_ns is not None
    lane = LaneSpec(run.shard, run.n_shards)
    block = Plan(run.fleet, lane, run.schedule, run.start_ns).block(0, 1500)
    texts = JsonEncoder(fleet_of(run.fleet)).encode(block.devices, block.times_ms).split()
    assert lines(run, 1500) == texts


def test_now_is_the_current_millisecond():
    found = [json.loads(line)["time"] for line in lines(config(rate="1000"), 3)]
    assert found == [f"2026-05-28 20:26:40.{ms}" for ms in (123, 124, 125)]


def test_a_plan_that_ends_has_no_more():
    assert len(lines(config(messages="7"), 100)) == 7


def test_at_the_maximum_rate_no_device_comes_twice_in_a_millisecond():
    records = [json.loads(line) for line in lines(config(rate="max"), 120)]
    assert len({(r["device_id"], r["time"]) for r in records}) == 120


def test_the_table_shows_each_field_with_its_unit_and_the_texts_as_they_are_sent():
    run = config(start="2026-07-01T12:00:00Z")
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(preview_table(run, 3, ManualClock(NOW)))
    text = console.export_text()
    assert "3 records" in text
    first = json.loads(lines(run, 1)[0], parse_float=str, parse_int=str)
    for field in FIELDS:
        (row,) = [r for r in text.splitlines() if f" {field.name} " in r]
        assert str(first[field.name]) in row
    assert "°C" in text


def test_the_table_says_what_it_leaves_out():
    table = preview_table(config(), 1000, ManualClock(NOW), width=120)
    assert table.title == (
        "the first 3 of 1,000 records; in a pipe you get all of them as JSON lines"
    )
    assert len(table.columns) == 2 + 3
    assert table.row_count == len(FIELDS)
