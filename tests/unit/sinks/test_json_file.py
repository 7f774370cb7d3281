from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from disks import small_disk

from iot_producer.blocks import Block, block_at
from iot_producer.clock import ManualClock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import ConfigError, OutputExistsError, RefusedError
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.sinks.json_file import JsonFileSink

SPEC = FleetSpec(devices=3_000, customers=6, sites=3)
FLEET = fleet_of(SPEC)
ONE = LaneSpec()


def block(first: int, n: int, lane: LaneSpec = ONE) -> Block:
    return block_at(lane_of(3_000, lane), first, n, 1_780_000_000_000_000_000 + first)


def text(*blocks: Block) -> bytes:
    encoder = JsonEncoder(FLEET, newline=True)
    return b"".join(encoder.encode(b.devices, b.times_ms).buffer.tobytes() for b in blocks)


def send_all(sink: JsonFileSink, blocks: list[Block]) -> None:
    for one in blocks:
        sink.send(one)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_the_final_name_appears_at_close(tmp_path, clock):
    sink = JsonFileSink(str(tmp_path / "out.jsonl"), FLEET, ONE, clock)
    sink.send(block(0, 20))
    sink.drain(1)
    assert os.listdir(tmp_path) == ["out.jsonl.partial"]
    sink.close()
    assert os.listdir(tmp_path) == ["out.jsonl"]
    assert (tmp_path / "out.jsonl").read_bytes() == text(block(0, 20))


def test_each_part_is_complete_when_the_next_begins(tmp_path, clock):
    one = len(text(block(0, 20)))
    sink = JsonFileSink(str(tmp_path / "out.jsonl"), FLEET, ONE, clock, rotate_bytes=2 * one - 500)
    for i in range(5):
        sink.send(block(20 * i, 20))
    assert sorted(os.listdir(tmp_path)) == [
        "out-00001.jsonl",
        "out-00002.jsonl",
        "out-00003.jsonl.partial",
    ]
    sink.close()
    parts = [(tmp_path / f"out-0000{i}.jsonl").read_bytes() for i in (1, 2, 3)]
    assert parts[0] == text(block(0, 20), block(20, 20))
    assert parts[1] == text(block(40, 20), block(60, 20))
    assert parts[2] == text(block(80, 20))


def test_rotation_leaves_no_empty_part_at_the_end(tmp_path, clock):
    sink = JsonFileSink(str(tmp_path / "out.jsonl"), FLEET, ONE, clock, rotate_bytes=1)
    sink.send(block(0, 20))
    sink.close()
    assert os.listdir(tmp_path) == ["out-00001.jsonl"]


def test_lanes_write_files_of_their_own(tmp_path, clock):
    lanes = [LaneSpec(0, 2), LaneSpec(1, 2)]
    sinks = [JsonFileSink(str(tmp_path / "out.jsonl"), FLEET, lane, clock) for lane in lanes]
    for sink, lane in zip(sinks, lanes, strict=True):
        sink.send(block(0, 20, lane))
    for sink, lane in zip(sinks, lanes, strict=True):
        sink.close()
        path = tmp_path / f"out.lane-0{lane.index}of-02.jsonl"
        assert path.read_bytes() == text(block(0, 20, lane))


def test_compressed_records_wait_half_a_second_for_others(tmp_path, clock):
    sink = JsonFileSink(str(tmp_path / "out.jsonl.gz"), FLEET, ONE, clock)
    partial = tmp_path / "out.jsonl.gz.partial"
    sink.send(block(0, 2))
    clock.advance(499_999_999)
    assert sink.receipts() == []
    assert partial.read_bytes() == b""
    sink.send(block(2, 2))
    clock.advance(1)
    assert [(r.first, r.stop) for r in sink.receipts()] == [(0, 2), (2, 4)]
    assert gzip.decompress(partial.read_bytes()) == text(block(0, 2), block(2, 2))
    sink.close()


def test_waiting_for_receipts_ends_when_the_gathered_records_are_due(tmp_path, clock):
    sink = JsonFileSink(str(tmp_path / "out.jsonl.gz"), FLEET, ONE, clock)
    sink.send(block(0, 2))
    before_ns = clock.now_ns()
    assert len(sink.receipts(10.0)) == 1
    assert clock.now_ns() - before_ns == 500_000_000
    sink.send(block(2, 2))
    assert sink.receipts(0.2) == []
    assert clock.now_ns() - before_ns == 700_000_000
    sink.close()


def test_enough_compressed_records_do_not_wait(tmp_path, clock):
    sink = JsonFileSink(str(tmp_path / "out.jsonl.gz"), FLEET, ONE, clock)
    sink.send(block(0, 600))
    assert [(r.first, r.stop) for r in sink.receipts()] == [(0, 600)]
    sink.close()


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_a_full_disk_keeps_whole_blocks_and_what_was_confirmed(tmp_path, clock, name):
    with small_disk(tmp_path, 512 * 1024) as disk:
        sink = JsonFileSink(str(disk / name), FLEET, ONE, clock)
        kept = [block(600 * i, 600) for i in range(100)]
        with pytest.raises(RefusedError, match="No space left"):
            send_all(sink, kept)
        confirmed = sink.receipts()
        assert 0 < len(confirmed) < 100
        kept = kept[: len(confirmed)]
        assert [(r.first, r.stop) for r in confirmed] == [(b.first, b.stop) for b in kept]
        sink.close()
        data = (disk / name).read_bytes()
        assert (gzip.decompress(data) if name.endswith(".gz") else data) == text(*kept)
        assert os.listdir(disk) == [name]


def test_a_disk_that_is_full_when_gathered_records_are_due_confirms_nothing(tmp_path, clock):
    with small_disk(tmp_path, 64 * 1024) as disk:
        sink = JsonFileSink(str(disk / "out.jsonl.gz"), FLEET, ONE, clock)
        (disk / "other").write_bytes(bytes(60 * 1024))
        sink.send(block(0, 400))
        with pytest.raises(RefusedError, match="No space left"):
            sink.drain(1)
        assert sink.receipts() == []
        sink.close()
        assert (disk / "out.jsonl.gz").read_bytes() == b""


@pytest.mark.parametrize("rotate_bytes", [0, -1])
def test_a_size_of_rotation_below_one(tmp_path, clock, rotate_bytes):
    with pytest.raises(ConfigError, match="rotating"):
        JsonFileSink(str(tmp_path / "a.jsonl"), FLEET, ONE, clock, rotate_bytes=rotate_bytes)


def test_an_output_that_exists(tmp_path, clock):
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(OutputExistsError):
        JsonFileSink(str(path), FLEET, ONE, clock)
    sink = JsonFileSink(str(path), FLEET, ONE, clock, force=True)
    sink.send(block(0, 2))
    assert path.read_text() == "old"
    sink.close()
    assert path.read_bytes() == text(block(0, 2))


KILLED = """
import os, signal, sys
from iot_producer.blocks import block_at
from iot_producer.clock import SystemClock
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.sinks.json_file import JsonFileSink

lane = lane_of(3_000, LaneSpec())
fleet = fleet_of(FleetSpec(devices=3_000, customers=6, sites=3))
sink = JsonFileSink(sys.argv[1], fleet, LaneSpec(), SystemClock())
for i in range(3):
    sink.send(block_at(lane, 600 * i, 600, 1_780_000_000_000_000_000 + 600 * i))
assert sum(r.n_records for r in sink.receipts()) == 1_800
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_what_was_confirmed_survives_a_kill(tmp_path: Path, name: str):
    path = tmp_path / name
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == [name + ".partial"]
    data = (tmp_path / (name + ".partial")).read_bytes()
    expected = text(*(block(600 * i, 600) for i in range(3)))
    assert (gzip.decompress(data) if name.endswith(".gz") else data) == expected
