from __future__ import annotations

import builtins
import os

import pyarrow.parquet as parquet
import pytest
from disks import small_disk

from iot_producer.blocks import Block, block_at
from iot_producer.clock import ManualClock
from iot_producer.encoders.arrow import SCHEMA
from iot_producer.errors import ConfigError, OutputExistsError, RefusedError
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.sinks.parquet_file import GROUP_ROWS, ParquetFileSink

FLEET = fleet_of(FleetSpec(devices=5_000, customers=6, sites=3))
ONE = LaneSpec()


def block(first: int, n: int) -> Block:
    return block_at(lane_of(5_000, ONE), first, n, 1_780_000_000_000_000_000 + first)


def send_many(sink: ParquetFileSink, n_blocks: int) -> None:
    for i in range(n_blocks):
        sink.send(block(2_000 * i, 2_000))


def ranges(receipts) -> list[tuple[int, int]]:
    return [(r.first, r.stop) for r in receipts]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_nothing_is_confirmed_before_the_file_is_complete(tmp_path, clock):
    sink = ParquetFileSink(str(tmp_path / "out.parquet"), FLEET, ONE, clock)
    n = GROUP_ROWS // 4_000 + 2
    for i in range(n):
        sink.send(block(4_000 * i, 4_000))
    partial = tmp_path / "out.parquet.partial"
    assert partial.stat().st_size > 500_000
    assert sink.receipts() == []
    clock.advance(7)
    sink.drain(1)
    assert os.listdir(tmp_path) == ["out.parquet"]
    receipts = sink.receipts()
    assert ranges(receipts) == [(4_000 * i, 4_000 * i + 4_000) for i in range(n)]
    assert {r.at_ns for r in receipts} == {clock.now_ns()}
    sink.close()
    found = parquet.ParquetFile(tmp_path / "out.parquet")
    groups = [found.metadata.row_group(i).num_rows for i in range(found.num_row_groups)]
    assert groups == [68_000, 4_000]
    assert found.metadata.row_group(0).column(0).compression == "ZSTD"
    assert found.schema_arrow == SCHEMA


def test_a_full_part_is_complete_and_confirmed_when_the_next_begins(tmp_path, clock):
    sink = ParquetFileSink(str(tmp_path / "out.parquet"), FLEET, ONE, clock, rotate_bytes=200_000)
    confirmed = 0
    for i in range(13):
        sink.send(block(1_000 * i, 1_000))
        confirmed += sum(r.n_records for r in sink.receipts())
        complete = sum(parquet.read_metadata(p).num_rows for p in tmp_path.glob("*.parquet"))
        assert confirmed == complete
    assert 0 < confirmed < 13_000
    sink.close()
    assert confirmed + sum(r.n_records for r in sink.receipts()) == 13_000
    parts = sorted(tmp_path.iterdir())
    assert [p.name for p in parts] == [f"out-{i + 1:05d}.parquet" for i in range(len(parts))]
    assert all(200_000 <= p.stat().st_size < 500_000 for p in parts[:-1])
    devices = [
        name for p in parts for name in parquet.read_table(p).column("device_id").to_pylist()
    ]
    expected = [f"dev-{d:07d}" for i in range(13) for d in block(1_000 * i, 1_000).devices]
    assert devices == expected


def test_blocks_after_drain_go_to_another_file(tmp_path, clock):
    sink = ParquetFileSink(str(tmp_path / "out.parquet"), FLEET, ONE, clock)
    sink.send(block(0, 10))
    sink.drain(1)
    sink.send(block(10, 20))
    sink.close()
    assert ranges(sink.receipts()) == [(0, 10), (10, 30)]
    rows = {p.name: parquet.read_metadata(p).num_rows for p in tmp_path.iterdir()}
    assert rows == {"out.parquet": 10, "out-00002.parquet": 20}


def test_a_full_disk_confirms_only_complete_files(tmp_path, clock):
    with small_disk(tmp_path, 1024 * 1024) as disk:
        sink = ParquetFileSink(str(disk / "out.parquet"), FLEET, ONE, clock, rotate_bytes=300_000)
        with pytest.raises(RefusedError, match="No space left"):
            send_many(sink, 100)
        sink.close()
        confirmed = sum(r.n_records for r in sink.receipts())
        parts = sorted(disk.iterdir())
        assert len(parts) >= 2
        assert all(p.suffix == ".parquet" for p in parts)
        assert confirmed == sum(parquet.read_metadata(p).num_rows for p in parts)


def test_a_disk_that_is_full_at_drain_confirms_nothing_and_leaves_nothing(tmp_path, clock):
    with small_disk(tmp_path, 64 * 1024) as disk:
        sink = ParquetFileSink(str(disk / "out.parquet"), FLEET, ONE, clock)
        sink.send(block(0, 4_000))
        with pytest.raises(RefusedError, match="No space left"):
            sink.drain(1)
        assert sink.receipts() == []
        sink.close()
        assert os.listdir(disk) == []


def test_an_output_that_exists(tmp_path, clock):
    (tmp_path / "out-00003.parquet").write_text("old")
    with pytest.raises(OutputExistsError, match="out-00003"):
        ParquetFileSink(str(tmp_path / "out.parquet"), FLEET, ONE, clock)


def test_without_pyarrow_it_says_what_to_install(tmp_path, clock, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError("No module named 'pyarrow'", name="pyarrow")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="pyarrow") as caught:
        ParquetFileSink(str(tmp_path / "out.parquet"), FLEET, ONE, clock)
    assert caught.value.hint == 'pip install "iot-producer[parquet]"'
    assert os.listdir(tmp_path) == []
