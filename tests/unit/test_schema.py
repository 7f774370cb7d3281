"""The field table is the contract's, and every form that is derived from it says the same."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from iot_producer import schema
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.schema import (
    DEVICE_TYPES,
    FIELD_INDEX,
    FIELD_NAMES,
    FIELDS,
    FORMS,
    Kind,
    clickhouse_ddl,
    flink_ddl,
    json_schema,
    markdown_table,
)
from plain_record import DECIMALS, NAMES, TYPES

CLICKHOUSE = (
    *("String", "LowCardinality(String)", "String", "String", "Float64", "Float64", "Float32"),
    "DateTime64(3, 'UTC')",
    *["Float32"] * 6,
    "UInt8",
    *["Float32"] * 4,
    *("UInt8", "UInt32", "UInt64", "UInt64", "UInt64", "UInt64"),
)
RANGES = {
    "latitude": (24, 50),
    "longitude": (-126, -66),
    "altitude": (0, 3000),
    "temperature": (-30, 50),
    "humidity": (0, 100),
    "pressure": (980, 1030),
    "co2_level": (400, 2000),
    "noise_level": (30, 90),
    "light_level": (0, 1000),
    "motion_detected": (0, 1),
    "battery_level": (0, 100),
    "memory_usage": (10, 95),
    "cpu_usage": (0, 100),
    "status": (1, 4),
    "error_count": (0, 20),
}


def violations(document: dict[str, Any], value: dict[str, Any]) -> list[str]:
    """What JSON Schema says against an object; the few keywords that ours uses."""
    found = [f"{name} is missing" for name in document["required"] if name not in value]
    for name, item in value.items():
        rule = document["properties"].get(name)
        if rule is None:
            found.append(f"{name} is not allowed")
            continue
        unknown = set(rule) - {
            *("description", "type", "minimum", "maximum", "enum", "pattern", "x-unit")
        }
        assert not unknown, unknown
        if "enum" in rule and item not in rule["enum"]:
            found.append(f"{name} is not one of the names: {item!r}")
        kinds = {"integer": int, "number": (int, float), "string": str}
        if "type" in rule and (not isinstance(item, kinds[rule["type"]]) or item is True):
            found.append(f"{name} is not of type {rule['type']}: {item!r}")
        elif "minimum" in rule and not rule["minimum"] <= item <= rule["maximum"]:
            found.append(f"{name} is out of range: {item!r}")
        elif "pattern" in rule and not re.search(rule["pattern"], item):
            found.append(f"{name} does not match: {item!r}")
    return found


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    fleet = fleet_of(FleetSpec(seed=9))
    rng = np.random.default_rng(1)
    devices = rng.integers(0, 100_000, 3_000).astype(np.int32)
    times = rng.integers(0, 4_102_444_800_000, 3_000)  # 1970 … 2100
    return [json.loads(text) for text in JsonEncoder(fleet).encode(devices, times).split()]


def test_names_and_order_are_the_contract():
    assert FIELD_NAMES == NAMES
    assert len(FIELDS) == 25
    assert [FIELD_INDEX[name] for name in NAMES] == list(range(25))


def test_types_and_resolutions_are_the_contract():
    assert tuple(field.clickhouse for field in FIELDS) == CLICKHOUSE
    decimals = [field.decimals if field.kind is Kind.NUMBER else 0 for field in FIELDS]
    assert tuple(decimals) == DECIMALS
    assert DEVICE_TYPES == TYPES
    kinds = {field.name for field in FIELDS if field.kind is Kind.TEXT}
    assert kinds == {"device_id", "device_type", "customer_id", "site_id"}


@pytest.mark.parametrize("name", RANGES)
def test_limits_are_the_contract(name: str):
    field = FIELDS[FIELD_INDEX[name]]
    low, high = RANGES[name]
    assert (field.low, field.high) == (low * 10**field.decimals, high * 10**field.decimals)


def test_json_schema_accepts_records(records: list[dict[str, Any]]):
    document = json.loads(json_schema())
    assert [violations(document, record) for record in records] == [[]] * len(records)
    assert document["required"] == list(NAMES)
    assert list(document["properties"]) == list(NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device_id", "dev-12"),
        ("device_id", "xdev-0000001"),
        ("device_type", "toaster"),
        ("customer_id", 7),
        ("latitude", 24.5e6),
        ("time", "2026-01-01T00:00:00.000"),
        ("temperature", 50.01),
        ("humidity", -0.01),
        ("motion_detected", 0.5),
        ("status", 5),
        ("error_count", -1),
        ("packets_sent", "1"),
        ("unknown", 1),
    ],
)
def test_json_schema_refuses_anything_else(records: list[dict[str, Any]], name: str, value: object):
    document = json.loads(json_schema())
    assert len(violations(document, {**records[0], name: value})) == 1
    assert violations(document, {k: v for k, v in records[0].items() if k != "humidity"}) == [
        "humidity is missing"
    ]


def columns_of(ddl: str) -> list[tuple[str, str]]:
    """Names and types between the outer parentheses, one a line."""
    body = ddl[ddl.index("(\n") + 2 : ddl.index("\n)")]
    lines = [line.strip().rstrip(",") for line in body.splitlines()]
    return [(name.strip("`"), kind) for name, _, kind in (line.partition(" ") for line in lines)]


def test_clickhouse_ddl_has_every_column_in_order():
    columns = columns_of(clickhouse_ddl())
    assert columns[:25] == list(zip(NAMES, CLICKHOUSE, strict=True))
    assert columns[25] == (
        "has_alert",
        "UInt8 MATERIALIZED (temperature > 35 OR humidity > 80 OR battery_level < 20)",
    )
    indexes = [definition for name, definition in columns[26:] if name == "INDEX"]
    assert [text.split()[1] for text in indexes if "bloom_filter" in text] == [
        *("customer_id", "site_id", "device_type")
    ]
    assert [text.split()[1] for text in indexes if "minmax" in text] == [
        *("temperature", "battery_level")
    ]


def test_clickhouse_ddl_has_the_table_of_the_contract():
    ddl = clickhouse_ddl()
    assert ddl.startswith("CREATE TABLE IF NOT EXISTS benchmark.sensors_local\n")
    for clause in (
        "ENGINE = MergeTree",
        "PARTITION BY toYYYYMMDD(time)",
        "ORDER BY (device_id, time)",
        "TTL toDateTime(time) + INTERVAL 30 DAY",
    ):
        assert clause in ddl
    assert "SETTINGS" not in ddl
    windowed = clickhouse_ddl("d", "t", deduplication_window=1000, ttl_days=7)
    assert "EXISTS d.t\n" in windowed
    assert windowed.endswith("INTERVAL 7 DAY\nSETTINGS non_replicated_deduplication_window = 1000")


def test_flink_ddl_has_every_column_in_order():
    ddl = flink_ddl("persistent://a/b/c", "pulsar://h:1")
    columns = columns_of(ddl)
    assert [name for name, _ in columns[:25]] == list(NAMES)
    assert [kind for _, kind in columns[:25]] == [field.flink for field in FIELDS]
    assert columns[25][0] == "WATERMARK"
    assert "'topics' = 'persistent://a/b/c'" in ddl
    assert "'service-url' = 'pulsar://h:1'" in ddl


def test_markdown_has_a_row_for_each_field():
    rows = markdown_table().splitlines()
    assert len(rows) == 27
    assert {row.count("|") for row in rows} == {10}
    for number, (row, name) in enumerate(zip(rows[2:], NAMES, strict=True), start=1):
        assert row.startswith(f"| {number} | `{name}` |")
    assert "| 0.000001 |" in rows[2 + 4]
    assert "| 0.01 |" in rows[2 + 8]
    assert "| 1 ms |" in rows[2 + 7]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_all_fields(form: str):
    text = FORMS[form]()
    assert all(name in text for name in NAMES)
    if form == "clickhouse":
        assert text.startswith("CREATE DATABASE IF NOT EXISTS benchmark;")
        assert text.endswith(";")


def test_status_names():
    assert schema.STATUS_NAMES == {1: "online", 2: "offline", 3: "maintenance", 4: "error"}
