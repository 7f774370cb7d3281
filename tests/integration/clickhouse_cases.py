"""What the tests of the ClickHouse sink share: a plan, the engine, and a server in front of it."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from iot_producer.blocks import Block, Plan
from iot_producer.clock import ManualClock
from iot_producer.due_times import ConstantSchedule
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.sinks.clickhouse import ClickHouseSink
from iot_producer.sinks.clickhouse_client import ClickHouseConfig, connect

SPEC = FleetSpec(devices=2_000, customers=60, sites=30, seed=5)
FLEET = fleet_of(SPEC)
ONE = LaneSpec()
PLAN = Plan(SPEC, ONE, ConstantSchedule(Fraction(1_000)), 1_780_000_000_000_000_000)
TABLE = "benchmark.sensors_local"
DRAIN_S = 30.0
FRONT = Path(__file__).with_name("clickhouse_front.py")


def embedded(directory: Path, **options) -> ClickHouseConfig:
    return ClickHouseConfig(directory=str(directory / "db"), ttl_days=3_650, **options)


def open_sink(config: ClickHouseConfig, identity: str = "plan", clock=None) -> ClickHouseSink:
    return ClickHouseSink(config, FLEET, ONE, identity, clock or ManualClock())


def rows_of(config: ClickHouseConfig, sql: str) -> list[tuple]:
    client = connect(config, 10)
    try:
        return [tuple(row) for row in client.query(sql).result_rows]
    finally:
        client.close()


def command(config: ClickHouseConfig, *statements: str) -> None:
    client = connect(config, 10)
    try:
        for statement in statements:
            client.command(statement)
    finally:
        client.close()


def send_all(sink: ClickHouseSink, blocks: list[Block]) -> None:
    for block in blocks:
        sink.send(block)


def sent_and_drained(sink: ClickHouseSink, blocks: list[Block]) -> list[tuple[int, int, str]]:
    try:
        send_all(sink, blocks)
        sink.drain(DRAIN_S)
        return [(r.first, r.stop, r.error) for r in sink.receipts()]
    finally:
        sink.close()


class Front:
    """A server of ClickHouse's HTTP interface in a process of its own."""

    def __init__(self, directory: Path, faults: tuple[str, ...]) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, str(FRONT), str(directory / "db"), *faults],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port = int(self.process.stdout.readline())
        self.config = ClickHouseConfig(
            host="127.0.0.1",
            port=self.port,
            ttl_days=3_650,
            connect_timeout_s=5,
            insert_timeout_s=5,
            give_up_after_s=20,
        )

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)
