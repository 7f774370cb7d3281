"""The ClickHouse sink against the real engine, embedded in the tests' process."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from clickhouse_cases import (
    DRAIN_S,
    FLEET,
    PLAN,
    TABLE,
    Front,
    command,
    embedded,
    open_sink,
    rows_of,
    send_all,
    sent_and_drained,
)

from iot_producer.clock import SystemClock
from iot_producer.encoders.arrow import ArrowEncoder
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import ConfigError, RefusedError
from iot_producer.schema import FIELDS, clickhouse_ddl
from iot_producer.sinks.clickhouse_client import ClickHouseConfig, check_workers, connect
from needed import cannot_run

pytestmark = pytest.mark.integration


# What is stored


def test_values_are_the_same_to_the_last_bit(tmp_path):
    config = embedded(tmp_path)
    blocks = list(PLAN.blocks(0, 6_000, 700))
    sent_and_drained(open_sink(config), blocks)
    client = connect(config, 10)
    found = client.query_arrow(
        f"SELECT * FROM {TABLE} ORDER BY time, device_id", use_strings=True
    ).combine_chunks()
    client.close()
    whole = PLAN.block(0, 6_000)
    expected = ArrowEncoder(FLEET).encode(whole.devices, whole.times_ms)
    assert found.num_rows == 6_000
    for field in FIELDS:
        column, wanted = found.column(field.name), expected.column(field.name)
        if field.name == "device_type":
            wanted = wanted.dictionary_decode()
        assert column.to_pylist() == wanted.to_pylist(), field.name


def test_has_alert_is_what_its_rule_says(tmp_path):
    config = embedded(tmp_path)
    sent_and_drained(open_sink(config), list(PLAN.blocks(0, 20_000, 2_000)))
    block = PLAN.block(0, 20_000)
    rows = ArrowEncoder(FLEET).encode(block.devices, block.times_ms)
    column = {n: rows.column(n).to_numpy() for n in ("temperature", "humidity", "battery_level")}
    alerts = (
        (column["temperature"] > 35) | (column["humidity"] > 80) | (column["battery_level"] < 20)
    )
    ((stored,),) = rows_of(config, f"SELECT sum(has_alert) FROM {TABLE}")
    assert stored == int(alerts.sum()) > 0


def test_a_record_equals_its_json_text_in_the_engine(tmp_path):
    config = embedded(tmp_path)
    sent_and_drained(open_sink(config), [PLAN.block(0, 500)])
    block = PLAN.block(0, 500)
    text = JsonEncoder(FLEET, newline=True).encode(block.devices, block.times_ms).buffer.tobytes()
    (tmp_path / "rows.jsonl").write_bytes(text)
    names = ", ".join(field.name for field in FIELDS)
    structure = ", ".join(f"{f.name} {f.clickhouse}" for f in FIELDS).replace("'", "\\'")
    ((n_equal,),) = rows_of(
        config,
        f"SELECT count() FROM (SELECT {names} FROM {TABLE} INTERSECT SELECT {names} FROM"
        f" file('{tmp_path / 'rows.jsonl'}', 'JSONEachRow', '{structure}'))",
    )
    assert n_equal == 500


# Gathering and tokens


def inserts(config: ClickHouseConfig) -> list[int]:
    """Rows of each insert that made a part, in their order."""
    return [
        rows
        for (rows,) in rows_of(
            config,
            "SELECT rows FROM system.parts WHERE database = 'benchmark' AND table = "
            "'sensors_local' AND level = 0 ORDER BY min_block_number",
        )
    ]


def test_small_blocks_become_one_insert(tmp_path):
    config = embedded(tmp_path)
    receipts = sent_and_drained(open_sink(config), list(PLAN.blocks(0, 400, 2)))
    assert receipts == [(first, first + 2, "") for first in range(0, 400, 2)]
    assert inserts(config) == [400]


def test_inserts_have_about_the_size_asked_for(tmp_path):
    config = embedded(tmp_path, gather_rows=100)
    sink = open_sink(config)
    send_all(sink, list(PLAN.blocks(0, 300, 30)))
    sink.drain(DRAIN_S)
    assert sum(r.n_records for r in sink.receipts()) == 300
    sink.close()
    assert inserts(config) == [120, 120, 60]


def test_a_gap_ends_an_insert(tmp_path):
    config = embedded(tmp_path)
    blocks = [PLAN.block(0, 10), PLAN.block(10, 10), PLAN.block(50, 10)]
    sent_and_drained(open_sink(config), blocks)
    assert inserts(config) == [20, 10]


def test_gathered_records_are_inserted_after_a_while_without_being_asked(tmp_path):
    config = embedded(tmp_path, gather_s=0.05)
    sink = open_sink(config, clock=SystemClock())
    sink.send(PLAN.block(0, 10))
    assert [(r.first, r.stop) for r in sink.receipts(DRAIN_S)] == [(0, 10)]
    sink.close()


def test_the_same_range_of_the_same_plan_is_stored_once(tmp_path):
    config = embedded(tmp_path)
    midnight_ns = 1_780_012_800_000_000_000 // 86_400_000_000_000 * 86_400_000_000_000
    plan = replace(PLAN, start_ns=midnight_ns - 500_000_000)  # two partitions of the table
    for _ in range(3):
        receipts = sent_and_drained(open_sink(config), list(plan.blocks(0, 1_000, 100)))
        assert len(receipts) == 10
    assert rows_of(config, f"SELECT count(), uniqExact(toDate(time)) FROM {TABLE}") == [(1_000, 2)]
    sent_and_drained(open_sink(config, identity="another"), list(plan.blocks(0, 1_000, 100)))
    assert rows_of(config, f"SELECT count() FROM {TABLE}") == [(2_000,)]


def test_closing_drops_what_was_not_inserted_and_confirms_none_of_it(tmp_path):
    config = embedded(tmp_path)
    sink = open_sink(config)
    sink.send(PLAN.block(0, 10))
    sink.close()
    assert sink.receipts() == []
    assert rows_of(config, f"SELECT count() FROM {TABLE}") == [(0,)]


# The table


def test_another_table(tmp_path):
    config = embedded(tmp_path, database="other", table="readings")
    sent_and_drained(open_sink(config), [PLAN.block(0, 10)])
    assert rows_of(config, "SELECT count() FROM other.readings") == [(10,)]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("DROP COLUMN co2_level", "co2_level is missing"),
        ("MODIFY COLUMN pressure Float64", "pressure is Float64 instead of Float32"),
        ("ADD COLUMN firmware String", "firmware is not a field of the record"),
        ("RENAME COLUMN cpu_usage TO cpu", "cpu_usage is missing"),
    ],
)
def test_a_table_with_other_columns_is_refused_with_the_difference(tmp_path, change, difference):
    config = embedded(tmp_path)
    command(config, "CREATE DATABASE benchmark", clickhouse_ddl(), f"ALTER TABLE {TABLE} {change}")
    with pytest.raises(RefusedError, match=difference) as caught:
        open_sink(config)
    assert "another table" in caught.value.hint


def test_columns_with_a_default_and_plain_strings_fit(tmp_path):
    config = embedded(tmp_path)
    command(
        config,
        "CREATE DATABASE benchmark",
        clickhouse_ddl(deduplication_window=10).replace("INTERVAL 30 DAY", "INTERVAL 9 YEAR"),
        f"ALTER TABLE {TABLE} ADD COLUMN arrived DateTime DEFAULT now()",
        f"ALTER TABLE {TABLE} DROP INDEX idx_device_type",
        f"ALTER TABLE {TABLE} MODIFY COLUMN device_type String",
    )
    sent_and_drained(open_sink(config), [PLAN.block(0, 10)])
    assert rows_of(config, f"SELECT count() FROM {TABLE}") == [(10,)]


def test_a_table_that_is_dropped_gives_failed_receipts_and_ends_the_run(tmp_path):
    config = embedded(tmp_path)
    sink = open_sink(config)
    command(config, f"DROP TABLE {TABLE}")
    sink.send(PLAN.block(0, 10))
    with pytest.raises(RefusedError, match="sensors_local") as caught:
        sink.drain(DRAIN_S)
    assert "dropped" in caught.value.hint
    (receipt,) = sink.receipts()
    assert (receipt.first, receipt.stop, receipt.n_records) == (0, 10, 10)
    assert "UNKNOWN_TABLE" in receipt.error
    with pytest.raises(RefusedError):
        sink.send(PLAN.block(10, 10))
    sink.close()


# The embedded engine's directory


def test_a_directory_that_another_process_has_open(tmp_path, capfd):
    other = Front(tmp_path, ())
    with pytest.raises(RefusedError, match=f"another process, {other.process.pid}") as caught:
        open_sink(embedded(tmp_path))
    assert "one process at a time" in caught.value.hint
    other.stop()
    assert capfd.readouterr().err == ""


def test_a_directory_that_is_a_file(tmp_path):
    (tmp_path / "db").write_text("")
    with pytest.raises(ConfigError, match="not a directory"):
        open_sink(embedded(tmp_path))


def test_a_directory_that_cannot_be_made():
    with pytest.raises(RefusedError, match="cannot be made"):
        open_sink(embedded(Path("/proc/nowhere")))


def test_a_full_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        cannot_run("only root may mount the small file system that this test fills")
    try:
        config = embedded(place, gather_rows=4_000)
        sink = open_sink(config)
        with pytest.raises(RefusedError, match="space") as caught:
            send_all(sink, list(PLAN.blocks(0, 400_000, 2_000)))
        assert "free some space" in caught.value.hint
        receipts = sink.receipts()
        sink.close()
        confirmed = sum(r.n_records for r in receipts if not r.error)
        assert 0 < confirmed < 400_000
        assert {"space" in r.error for r in receipts if r.error} == {True}
        assert rows_of(config, f"SELECT count() FROM {TABLE}") == [(confirmed,)]
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_the_embedded_engine_takes_one_worker():
    check_workers(ClickHouseConfig(directory="/data"), 1)
    check_workers(ClickHouseConfig(host="clickhouse"), 8)
    with pytest.raises(ConfigError, match="3 workers") as caught:
        check_workers(ClickHouseConfig(directory="/data"), 3)
    assert "WORKERS=1" in caught.value.hint


KILLED = """
import os, signal, sys
from fractions import Fraction
from iot_producer.blocks import Plan
from iot_producer.clock import SystemClock
from iot_producer.due_times import ConstantSchedule
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.sinks.clickhouse import ClickHouseSink
from iot_producer.sinks.clickhouse_client import ClickHouseConfig

spec = FleetSpec(devices=2_000, customers=60, sites=30, seed=5)
plan = Plan(spec, LaneSpec(), ConstantSchedule(Fraction(1_000)), 1_780_000_000_000_000_000)
config = ClickHouseConfig(directory=sys.argv[1], ttl_days=3_650, gather_rows=500)
sink = ClickHouseSink(config, fleet_of(spec), LaneSpec(), "plan", SystemClock())
confirmed = 0
for block in plan.blocks(0, 50_000, 100):
    sink.send(block)
    confirmed += sum(r.n_records for r in sink.receipts())
    if confirmed >= 5_000:
        print(confirmed, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_confirmed_survives_a_kill(tmp_path):
    config = embedded(tmp_path)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, config.directory], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    confirmed = int(killed.stdout)
    ((found, last),) = rows_of(
        config,
        f"SELECT count(), countIf(time < fromUnixTimestamp64Milli("
        f"toInt64({1_780_000_000_000 + confirmed}))) FROM {TABLE}",
    )
    assert last == confirmed <= found <= 50_000
