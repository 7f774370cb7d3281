"""How the contract tests open each sink, and how they look at what arrived where it claims to be.

A new sink joins with one more entry in `CASES`.
"""

from __future__ import annotations

import atexit
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from iot_producer.blocks import Block
from iot_producer.clock import Clock, SystemClock
from iot_producer.destination import parse_destination
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import Fleet, FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.schema import FIELDS, Kind
from iot_producer.sinks.clickhouse import ClickHouseSink
from iot_producer.sinks.clickhouse_client import ClickHouseConfig, connect
from iot_producer.sinks.json_file import JsonFileSink
from iot_producer.sinks.memory import MemorySink
from iot_producer.sinks.null import NullSink
from iot_producer.sinks.parquet_file import ParquetFileSink
from iot_producer.sinks.pulsar_native import NativePulsarConfig, NativePulsarSink
from iot_producer.sinks.sink import Sink
from iot_producer.sinks.stdout import StdoutSink
from iot_producer.sources.pulsar import PulsarReaderConfig, PulsarTopicReader
from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up

FLEET: Fleet = fleet_of(FleetSpec(devices=500, customers=50, sites=20, seed=7))
LANE = LaneSpec()
START_NS = 1_780_000_000_123_456_789
STEP_NS = 700_000

Row = tuple[object, ...]


def block(first: int, n: int) -> Block:
    """Messages of a lane, one every 0.7 ms."""
    _, _, devices = lane_of(FLEET.spec.devices, LANE).block(first, n)
    return Block(first, devices, START_NS + first * STEP_NS, np.arange(n, dtype=np.int64) * STEP_NS)


def texts_of(*blocks: Block) -> list[bytes]:
    """The JSON texts of the blocks' records."""
    encoder = JsonEncoder(FLEET)
    return [t for b in blocks for t in encoder.encode(b.devices, b.times_ms).split()]


def row_of(text: bytes) -> Row:
    """A record's values in the schema's types, from its JSON text."""
    record = json.loads(text)
    return tuple(
        float(np.float32(record[field.name])) if field.arrow == "float32" else record[field.name]
        for field in FIELDS
    )


def rows_of_table(table: pa.Table) -> list[Row]:
    """The same, from columns."""
    columns = []
    for field in FIELDS:
        column = table.column(field.name)
        if field.kind is Kind.TIME:
            ms = column.cast(pa.int64()).to_pylist()
            stamps = np.array(ms, dtype="datetime64[ms]")
            columns.append([s.replace("T", " ") for s in np.datetime_as_string(stamps).tolist()])
        else:
            columns.append(column.to_pylist())
    return list(zip(*columns, strict=True))


@dataclass(frozen=True)
class Case:
    """A sink under test.

    Attributes:
        open: makes the sink; it may leave what it needs in the directory.
        landed: how many records are where a receipt claims them to be, now.
        rows: all records after close; None for a sink that keeps none.
        texts: the same as JSON texts, where the sink writes JSON.
        ordered: whether records keep the order in which they were sent.
    """

    open: Callable[[Path, Clock], Sink]
    landed: Callable[[Path, Any], int]
    rows: Callable[[Path, Any], list[Row]] | None
    texts: Callable[[Path, Any], list[bytes]] | None = None
    ordered: bool = True


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if not path.name.removesuffix(".partial").endswith(".gz"):
        return data.splitlines()
    return gzip.decompress(data).splitlines() if data else []


def _json_file(name: str, rotate_bytes: int | None) -> Case:
    def texts(directory: Path, sink: Sink) -> list[bytes]:
        return [line for path in sorted(directory.iterdir()) for line in _lines(path)]

    return Case(
        lambda d, clock: JsonFileSink(str(d / name), FLEET, LANE, clock, rotate_bytes=rotate_bytes),
        lambda d, sink: len(texts(d, sink)),
        lambda d, sink: [row_of(text) for text in texts(d, sink)],
        texts,
    )


def _parquet(rotate_bytes: int | None) -> Case:
    def rows(directory: Path, sink: Sink) -> list[Row]:
        paths = sorted(directory.glob("*.parquet"))
        return [row for path in paths for row in rows_of_table(parquet.read_table(path))]

    return Case(
        lambda d, clock: ParquetFileSink(
            str(d / "out.parquet"), FLEET, LANE, clock, rotate_bytes=rotate_bytes
        ),
        lambda d, sink: len(rows(d, sink)),
        rows,
    )


def _stdout() -> Case:
    def open_sink(directory: Path, clock: Clock) -> Sink:
        fd = os.open(directory / "stdout", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        return StdoutSink(FLEET, clock, fd)

    def texts(directory: Path, sink: Sink) -> list[bytes]:
        return _lines(directory / "stdout")

    return Case(
        open_sink,
        lambda d, sink: len(texts(d, sink)),
        lambda d, sink: [row_of(text) for text in texts(d, sink)],
        texts,
    )


def _memory(**options: Any) -> Case:
    return Case(
        lambda d, clock: MemorySink(FLEET, clock, **options),
        lambda d, sink: len(sink.records),
        lambda d, sink: [row_of(text) for text in sink.records],
        lambda d, sink: sink.records,
    )


def _null() -> Case:
    return Case(lambda d, clock: NullSink(FLEET, clock), lambda d, sink: sink.n_records, None)


def _chdb() -> Case:
    def config(directory: Path) -> ClickHouseConfig:
        # Blocks are gathered by number here: the tests' clock stands still.
        return ClickHouseConfig(directory=str(directory / "db"), ttl_days=3_650, gather_rows=40)

    def query(directory: Path, sql: str) -> pa.Table:
        client = connect(config(directory), 5)
        try:
            return client.query_arrow(sql, use_strings=True)
        finally:
            client.close()

    return Case(
        lambda d, clock: ClickHouseSink(config(d), FLEET, LANE, "contract", clock),
        lambda d, sink: query(d, "SELECT 1 FROM benchmark.sensors_local").num_rows,
        lambda d, sink: rows_of_table(
            query(d, "SELECT * FROM benchmark.sensors_local ORDER BY device_id, time")
        ),
        ordered=False,
    )


def _pulsar(n_partitions: int) -> Case:
    def topic(directory: Path) -> str:
        return f"persistent://public/default/{directory.parent.name}-{directory.name}"

    def open_sink(directory: Path, clock: Clock) -> Sink:
        pulsar = broker()
        PulsarAdmin(pulsar.admin_url, timeout_s=60).create_topic(topic(directory), n_partitions)
        hosts = parse_destination(pulsar.pulsar_url, topic(directory)).hosts
        config = NativePulsarConfig(hosts, topic(directory), "lane-0")
        return NativePulsarSink(config, FLEET, clock, lambda _: None)

    def texts(directory: Path, sink: Sink) -> list[bytes]:
        config = PulsarReaderConfig(broker().pulsar_url, topic(directory))
        reader = PulsarTopicReader(config, SystemClock())
        try:
            return [chunk.text(i) for chunk in reader for i in range(chunk.n)]
        finally:
            reader.close()

    return Case(
        open_sink,
        lambda d, sink: len(texts(d, sink)),
        lambda d, sink: [row_of(text) for text in texts(d, sink)],
        texts,
    )


@cache
def broker() -> StackStatus:
    """A real Pulsar, from when it is first asked for to the end."""
    folder = Path(tempfile.mkdtemp(prefix="contract-"))
    config = StackConfig(state_dir=folder, cache_dir=default_cache_dir(os.environ))

    def end() -> None:
        down(config, purge=True)
        shutil.rmtree(folder)

    atexit.register(end)
    return up(config)


CASES = [
    pytest.param(_memory(), id="memory"),
    pytest.param(_memory(partition_of=lambda devices: devices % 3), id="memory-3-partitions"),
    pytest.param(_null(), id="null"),
    pytest.param(_json_file("out.jsonl", None), id="jsonl"),
    pytest.param(_json_file("out.jsonl", 20_000), id="jsonl-rotated"),
    pytest.param(_json_file("out.jsonl.gz", None), id="jsonl.gz"),
    pytest.param(_json_file("out.jsonl.gz", 5_000), id="jsonl.gz-rotated"),
    pytest.param(_parquet(None), id="parquet"),
    pytest.param(_parquet(10_000), id="parquet-rotated"),
    pytest.param(_stdout(), id="stdout"),
    pytest.param(_chdb(), id="chdb", marks=pytest.mark.integration),
    pytest.param(_pulsar(0), id="pulsar", marks=pytest.mark.integration),
    pytest.param(_pulsar(1), id="pulsar-1-partition", marks=pytest.mark.integration),
]
