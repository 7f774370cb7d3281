from __future__ import annotations

import os
import threading

import pytest

from iot_producer.blocks import Block, block_at
from iot_producer.clock import ManualClock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import ConfigError, DestinationError, RefusedError
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.sinks.stdout import StdoutSink, check_workers

FLEET = fleet_of(FleetSpec(devices=3_000, customers=6, sites=3))


def block(first: int, n: int) -> Block:
    return block_at(lane_of(3_000, LaneSpec()), first, n, 1_780_000_000_000_000_000 + first)


def text(one: Block) -> bytes:
    return JsonEncoder(FLEET, newline=True).encode(one.devices, one.times_ms).buffer.tobytes()


@pytest.mark.parametrize("blocking", [True, False])
def test_a_slow_reader_gets_everything(blocking):
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    one = block(0, 2_000)
    received = bytearray()

    def read() -> None:
        while piece := os.read(reader, 10_000):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    sink = StdoutSink(FLEET, ManualClock(), writer)
    assert sink.send(one).raw_bytes == len(text(one)) > 2**20
    assert [(r.first, r.stop) for r in sink.receipts()] == [(0, 2_000)]
    sink.close()
    os.close(writer)
    thread.join()
    os.close(reader)
    assert bytes(received) == text(one)


def test_a_reader_that_has_ended_is_named():
    reader, writer = os.pipe()
    sink = StdoutSink(FLEET, ManualClock(), writer)
    sink.send(block(0, 1))
    os.close(reader)
    with pytest.raises(DestinationError, match="program that reads standard output has ended"):
        sink.send(block(1, 1))
    assert [(r.first, r.stop) for r in sink.receipts()] == [(0, 1)]
    sink.close()
    os.close(writer)


def test_a_full_disk_behind_a_redirection():
    full = os.open("/dev/full", os.O_WRONLY)
    sink = StdoutSink(FLEET, ManualClock(), full)
    with pytest.raises(RefusedError, match="standard output: No space left"):
        sink.send(block(0, 1))
    assert sink.receipts() == []
    sink.close()
    os.close(full)


def test_several_workers_cannot_share_it():
    check_workers(1)
    with pytest.raises(ConfigError, match="2 workers") as caught:
        check_workers(2)
    assert "WORKERS=1" in caught.value.hint
