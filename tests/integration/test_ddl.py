"""The real engine accepts the DDL, and reads our JSON into it without a difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chdb import session as chdb_session

from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.record_sums import columns_of
from iot_producer.schema import FIELDS, Kind, clickhouse_ddl, clickhouse_script

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory):
    session = chdb_session.Session(str(tmp_path_factory.mktemp("chdb")))
    yield session
    session.close()


def test_the_table_is_made_and_holds_records_exactly(session, tmp_path: Path):
    for statement in clickhouse_script().split(";"):
        if statement.strip():
            session.query(statement)
    n = 5_000
    fleet = fleet_of(FleetSpec(seed=17))
    devices = np.arange(n, dtype=np.int32) * 20
    times = 1_900_000_000_000 + np.arange(n) * 60_001  # days to come: the TTL keeps them
    rows = JsonEncoder(fleet, newline=True).encode(devices, times)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(rows.buffer.tobytes())
    session.query(f"INSERT INTO benchmark.sensors_local SELECT * FROM file('{path}', JSONEachRow)")
    columns = columns_of(fleet, devices, times)
    sums = ["count()", "sum(has_alert)"]
    expected = [n]
    temperature, humidity, battery = columns[8], columns[9], columns[15]
    alerts = (temperature > 3_500) | (humidity > 8_000) | (battery < 2_000)
    expected.append(int(alerts.sum()))
    for field, column in zip(FIELDS, columns, strict=True):
        if field.kind is Kind.NUMBER:
            name = f"round(toFloat64({field.name}) * {10**field.decimals})"
        elif field.kind is Kind.TIME:
            name = f"toUnixTimestamp64Milli({field.name})"
        elif field.name == "device_type":
            continue
        else:
            name = f"toInt64(splitByChar('-', {field.name})[2])"
        sums.append(f"sum(toInt64({name}))")
        expected.append(int(column.sum()))
    answer = session.query(f"SELECT {', '.join(sums)} FROM benchmark.sensors_local", "CSV")
    assert [int(value.strip('"')) for value in str(answer).strip().split(",")] == expected
    described = session.query("DESCRIBE benchmark.sensors_local", "TSV")
    found = [line.split("\t")[:2] for line in str(described).splitlines()]
    assert found[:25] == [[f.name, f.clickhouse.replace("'", "\\'")] for f in FIELDS]
    assert found[25] == ["has_alert", "UInt8"]


def test_the_table_with_a_deduplication_window(session):
    session.query("CREATE DATABASE IF NOT EXISTS other")
    session.query(clickhouse_ddl("other", "t", deduplication_window=1000, ttl_days=7))
    answer = session.query("SHOW CREATE TABLE other.t", "TSVRaw")
    text = str(answer)
    assert "non_replicated_deduplication_window = 1000" in text
    assert "toIntervalDay(7)" in text or "INTERVAL 7 DAY" in text
