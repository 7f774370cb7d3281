"""THE field table: the 25 fields of a record, in order, and every form that is derived from them.

Promise: no other module lists the fields. JSON Schema, ClickHouse and Flink DDL and the docs' table
are rendered here from one table; encoders take names, order and resolutions from it. It must not
know how values come about (signals.py) or how they are sent.

A numeric value is an integer count of its resolution (temperature 21.35 °C is 2135); every text and
every column is rendered from that integer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Final

DATABASE: Final = "benchmark"
TABLE: Final = "sensors_local"
ALERT_EXPRESSION: Final = "temperature > 35 OR humidity > 80 OR battery_level < 20"

DEVICE_TYPES: Final = (
    "temperature_sensor",
    "humidity_sensor",
    "pressure_sensor",
    "motion_sensor",
    "light_sensor",
    "co2_sensor",
    "noise_sensor",
    "multisensor",
    "smart_thermostat",
    "air_quality",
    "water_quality",
    "soil_moisture",
    "wind_speed",
    "rain_gauge",
    "uv_sensor",
    "vibration_sensor",
    "proximity_sensor",
    "gas_detector",
    "smoke_detector",
    "door_sensor",
)

STATUS_NAMES: Final = {1: "online", 2: "offline", 3: "maintenance", 4: "error"}


class Kind(Enum):
    """How a field's value is written."""

    TEXT = "text"
    """A JSON string."""
    TIME = "time"
    """Milliseconds since the epoch, written as ``YYYY-MM-DD hh:mm:ss.mmm`` in UTC."""
    NUMBER = "number"
    """An integer count of 10**-decimals units, written with exactly that many decimals."""


@dataclass(frozen=True, slots=True)
class Field:
    """One of the 25 fields.

    Attributes:
        name: JSON key and column name.
        meaning: what it says, for people.
        unit: its unit; empty where it has none.
        kind: how it is written.
        clickhouse: ClickHouse column type.
        flink: Flink SQL column type.
        arrow: name of the Arrow type (``pyarrow.type_for_alias`` or ``dictionary``).
        decimals: digits behind the point; the resolution is 10**-decimals units.
        low: smallest value, in counts of the resolution (numbers only).
        high: largest value, in counts of the resolution (numbers only).
        pattern: regular expression of the text (texts and times only).
        note: the default range in words.
    """

    name: str
    meaning: str
    unit: str
    kind: Kind
    clickhouse: str
    flink: str
    arrow: str
    decimals: int = 0
    low: int = 0
    high: int = 0
    pattern: str = ""
    note: str = ""


def _text(name: str, meaning: str, pattern: str, note: str, clickhouse: str = "String") -> Field:
    return Field(
        name, meaning, "", Kind.TEXT, clickhouse, "STRING", "string", pattern=pattern, note=note
    )


def _float32(
    name: str, meaning: str, unit: str, decimals: int, low: int, high: int, note: str
) -> Field:
    return Field(
        name,
        meaning,
        unit,
        Kind.NUMBER,
        "Float32",
        "FLOAT",
        "float32",
        decimals,
        low,
        high,
        "",
        note,
    )


def _degrees(name: str, meaning: str, low: int, high: int, note: str) -> Field:
    return Field(
        name,
        meaning,
        "degrees",
        Kind.NUMBER,
        "Float64",
        "DOUBLE",
        "float64",
        6,
        low,
        high,
        "",
        note,
    )


def _counter(name: str, meaning: str, unit: str, note: str) -> Field:
    return Field(
        name, meaning, unit, Kind.NUMBER, "UInt64", "BIGINT", "uint64", 0, 0, 10**15, "", note
    )


FIELDS: Final[tuple[Field, ...]] = (
    _text("device_id", "the device", r"dev-[0-9]{7,9}", "dev-0000000 … dev-0099999"),
    _text(
        "device_type",
        "one of the 20 device types",
        "|".join(DEVICE_TYPES),
        "fixed per device",
        "LowCardinality(String)",
    ),
    _text(
        "customer_id", "the customer who owns it", r"cust-[0-9]{6,9}", "cust-000000 … cust-009999"
    ),
    _text("site_id", "the site where it is", r"site-[0-9]{5,9}", "site-00000 … site-00999"),
    _degrees("latitude", "WGS 84", 24_000_000, 50_000_000, "25 … 49, within 500 m of its site"),
    _degrees(
        "longitude", "WGS 84", -126_000_000, -66_000_000, "−125 … −67, within 500 m of its site"
    ),
    _float32("altitude", "above sea level", "m", 1, 0, 30_000, "0 … 3000, half below 250"),
    Field(
        "time",
        "event time, UTC: the intended send time",
        "ms",
        Kind.TIME,
        "DateTime64(3, 'UTC')",
        "TIMESTAMP(3)",
        "timestamp[ms, tz=UTC]",
        3,
        pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}",
        note="1 ms",
    ),
    _float32(
        "temperature", "air temperature", "°C", 2, -3_000, 5_000, "10 … 40 in 95 % over a year"
    ),
    _float32("humidity", "relative humidity", "%", 2, 0, 10_000, "20 … 80 in all but about 1 %"),
    _float32("pressure", "reduced to sea level", "hPa", 2, 98_000, 103_000, "980 … 1030"),
    _float32("co2_level", "carbon dioxide", "ppm", 1, 4_000, 20_000, "400 … 2000"),
    _float32("noise_level", "sound level", "dB(A)", 1, 300, 900, "30 … 90"),
    _float32("light_level", "illuminance", "lux", 1, 0, 10_000, "0 … 1000"),
    Field(
        "motion_detected",
        "1 when something moves",
        "",
        Kind.NUMBER,
        "UInt8",
        "SMALLINT",
        "uint8",
        0,
        0,
        1,
        note="1 in about 20 % over a day",
    ),
    _float32("battery_level", "charge", "%", 2, 0, 10_000, "0 … 100, below 20 in about 2 %"),
    _float32("signal_strength", "RSSI", "dBm", 1, -1_100, -200, "−90 … −40 in all but about 1 %"),
    _float32("memory_usage", "memory in use", "%", 1, 100, 950, "10 … 95"),
    _float32("cpu_usage", "processor in use", "%", 1, 0, 1_000, "0 … 100"),
    Field(
        "status",
        "1 online, 2 offline, 3 maintenance, 4 error",
        "",
        Kind.NUMBER,
        "UInt8",
        "SMALLINT",
        "uint8",
        0,
        1,
        4,
        note="85 / 5 / 5 / 5 % over the fleet",
    ),
    Field(
        "error_count",
        "errors in the current state",
        "errors",
        Kind.NUMBER,
        "UInt32",
        "BIGINT",
        "uint32",
        0,
        0,
        20,
        note="0 online and in maintenance, 0 … 4 offline, 1 … 20 in error",
    ),
    _counter("packets_sent", "since the last boot", "packets", "grows between boots"),
    _counter("packets_received", "since the last boot", "packets", "grows between boots"),
    _counter("bytes_sent", "since the last boot", "bytes", "200 … 1200 a packet"),
    _counter("bytes_received", "since the last boot", "bytes", "200 … 1200 a packet"),
)

FIELD_NAMES: Final = tuple(field.name for field in FIELDS)
FIELD_INDEX: Final = {field.name: index for index, field in enumerate(FIELDS)}


def json_schema() -> str:
    """The record as JSON Schema (draft 2020-12), as indented JSON text."""
    properties: dict[str, object] = {}
    for field in FIELDS:
        about = f"{field.meaning}; {field.note}" if field.note else field.meaning
        entry: dict[str, object] = {"description": about}
        if field.kind is Kind.NUMBER:
            scale = 10**field.decimals
            whole = field.decimals == 0
            entry["type"] = "integer" if whole else "number"
            entry["minimum"] = field.low if whole else field.low / scale
            entry["maximum"] = field.high if whole else field.high / scale
        elif field.name == "device_type":
            entry["enum"] = list(DEVICE_TYPES)
        else:
            entry["type"] = "string"
            entry["pattern"] = f"^(?:{field.pattern})$"
        if field.unit:
            entry["x-unit"] = field.unit
        properties[field.name] = entry
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "iot-producer record",
        "type": "object",
        "properties": properties,
        "required": list(FIELD_NAMES),
        "additionalProperties": False,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def clickhouse_ddl(
    database: str = DATABASE,
    table: str = TABLE,
    *,
    deduplication_window: int = 0,
    ttl_days: int = 30,
) -> str:
    """The ``CREATE TABLE`` statement of one node (MergeTree).

    Args:
        database: its database.
        table: its name.
        deduplication_window: how many of the last inserts are remembered by their token, so that
            a repeated one is stored once; 0 leaves the setting out.
        ttl_days: rows older than this are dropped.
    """
    lines = [f"    {field.name} {field.clickhouse}," for field in FIELDS]
    lines.append(f"    has_alert UInt8 MATERIALIZED ({ALERT_EXPRESSION}),")
    for name in ("customer_id", "site_id", "device_type"):
        lines.append(f"    INDEX idx_{name} {name} TYPE bloom_filter GRANULARITY 4,")
    lines.append("    INDEX idx_temperature temperature TYPE minmax GRANULARITY 4,")
    lines.append("    INDEX idx_battery_level battery_level TYPE minmax GRANULARITY 4")
    settings = (
        f"\nSETTINGS non_replicated_deduplication_window = {deduplication_window}"
        if deduplication_window
        else ""
    )
    columns = "\n".join(lines)
    return (
        f"CREATE TABLE IF NOT EXISTS {database}.{table}\n(\n{columns}\n)\nENGINE = MergeTree\n"
        f"PARTITION BY toYYYYMMDD(time)\nORDER BY (device_id, time)\n"
        f"TTL toDateTime(time) + INTERVAL {ttl_days} DAY{settings}"
    )


def clickhouse_script() -> str:
    """Database and table, ready for ``clickhouse-client``."""
    return f"CREATE DATABASE IF NOT EXISTS {DATABASE};\n\n{clickhouse_ddl()};"


def flink_ddl(
    topic: str = "persistent://public/default/iot-sensor-data",
    service_url: str = "pulsar://pulsar-proxy.pulsar.svc.cluster.local:6650",
) -> str:
    """The Flink SQL table that reads the topic, with the event time as watermark."""
    lines = [f"    `{field.name}` {field.flink}," for field in FIELDS]
    columns = "\n".join(lines)
    return (
        f"CREATE TABLE sensors (\n{columns}\n"
        "    WATERMARK FOR `time` AS `time` - INTERVAL '5' SECOND\n) WITH (\n"
        "    'connector' = 'pulsar',\n"
        f"    'topics' = '{topic}',\n    'service-url' = '{service_url}',\n"
        "    'format' = 'json',\n    'json.timestamp-format.standard' = 'SQL'\n);"
    )


def markdown_table() -> str:
    """The table of fields for the docs."""
    rows = [
        "| # | name | meaning | unit | JSON | ClickHouse | Flink | resolution | range |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for number, field in enumerate(FIELDS, start=1):
        form = "number" if field.kind is Kind.NUMBER else "string"
        resolution = ""
        if field.kind is Kind.TIME:
            resolution = "1 ms"
        elif field.kind is Kind.NUMBER:
            resolution = "1" if field.decimals == 0 else f"{10**-field.decimals:.{field.decimals}f}"
        rows.append(
            f"| {number} | `{field.name}` | {field.meaning} | {field.unit} | {form} "
            f"| {field.clickhouse} | {field.flink} | {resolution} | {field.note} |"
        )
    return "\n".join(rows)


FORMS: Final = {
    "json-schema": json_schema,
    "clickhouse": clickhouse_script,
    "flink": flink_ddl,
    "markdown": markdown_table,
}
"""What ``iot-producer schema --as`` prints."""
