"""What the tests of the Pulsar sink and reader share: blocks, a tally by hand, what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import numpy as np

from iot_producer.blocks import Block
from iot_producer.clock import SystemClock
from iot_producer.destination import parse_destination
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import DestinationError
from iot_producer.fleet import I_CUSTOMER, I_TYPE, FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.schema import DEVICE_TYPES
from iot_producer.sinks.pulsar import PulsarSink
from iot_producer.sinks.pulsar_config import PulsarSinkConfig
from iot_producer.sinks.pulsar_native import NativePulsarConfig, NativePulsarSink
from iot_producer.sinks.sink import Receipt, Sent
from iot_producer.sources.pulsar import PulsarReaderConfig, PulsarTopicReader

FLEET = fleet_of(FleetSpec(devices=2_000, customers=100, sites=20, seed=11))
START_NS = 1_780_000_000_000_000_000
STEP_NS = 1_000_000
_numbers = count()

Stored = tuple[bytes, str, dict[str, str], int]
"""A message's payload, key, properties and event time in ms."""

AnySink = PulsarSink | NativePulsarSink


def new_topic(prefix: str = "persistent://public/default") -> str:
    """A topic that no other test has."""
    return f"{prefix}/sink-{next(_numbers)}"


def block(first: int, n: int) -> Block:
    """Messages of the lane, a millisecond apart."""
    _, _, devices = lane_of(FLEET.spec.devices, LaneSpec()).block(first, n)
    return Block(first, devices, START_NS + first * STEP_NS, np.arange(n, dtype=np.int64) * STEP_NS)


def expected(b: Block) -> list[Stored]:
    """What must be stored of a block."""
    texts = JsonEncoder(FLEET).encode(b.devices, b.times_ms).split()
    return [
        (
            text,
            f"dev-{d:07d}",
            {
                "device_type": DEVICE_TYPES[FLEET.identity[d, I_TYPE]],
                "customer_id": f"cust-{FLEET.identity[d, I_CUSTOMER]:06d}",
            },
            ms,
        )
        for text, d, ms in zip(texts, b.devices.tolist(), b.times_ms.tolist(), strict=True)
    ]


@contextmanager
def sink(url: str, topic: str, client: str = "official", **settings: Any) -> Iterator[AnySink]:
    """An open sink: over our own transport (``native``), or with the ``official`` client."""
    say = settings.pop("say", lambda _: None)
    settings = {"producer_name": "lane-0", **settings}
    opened: AnySink
    if client == "native":
        native = NativePulsarConfig(hosts_of(url), topic, **settings)
        opened = NativePulsarSink(native, FLEET, SystemClock(), say)
    else:
        opened = PulsarSink(PulsarSinkConfig(url, topic, **settings), FLEET, SystemClock(), say)
    try:
        yield opened
    finally:
        opened.close()


def hosts_of(url: str) -> tuple[tuple[str, int], ...]:
    """The hosts of a service URL."""
    return parse_destination(url, "persistent://public/default/any").hosts


class Account:
    """Who got a receipt, message by message."""

    def __init__(self) -> None:
        self.blocks: dict[int, Block] = {}
        self.sent: dict[int, Sent] = {}
        self.receipts: list[Receipt] = []

    def send(self, to: AnySink, b: Block) -> None:
        self.blocks[b.first] = b
        self.sent[b.first] = to.send(b)
        self.receipts += to.receipts()

    def drain(self, to: AnySink, timeout_s: float = 60.0) -> None:
        to.drain(timeout_s)
        with suppress(DestinationError):  # it has ended, and there are no more
            self.receipts += to.receipts()

    def confirmed(self) -> list[Stored]:
        """What the receipts confirm; fails where one confirms a message twice."""
        seen: set[int] = set()
        found = []
        for receipt in self.receipts:
            if receipt.error:
                continue
            b = self.blocks[receipt.first]
            assert receipt.stop == b.stop
            assert receipt.at_ns >= self.sent[b.first].at_ns - 1_000_000_000
            members = range(b.n) if receipt.members is None else receipt.members.tolist()
            assert len(members) == receipt.n_records
            records = expected(b)
            for i in members:
                assert b.first + i not in seen
                seen.add(b.first + i)
                found.append(records[i])
        return found


def stored(url: str, topic: str, **settings: Any) -> dict[int, list[Stored]]:
    """Everything that is on a topic, by partition, in its order."""
    reader = PulsarTopicReader(PulsarReaderConfig(url, topic, **settings), SystemClock())
    found: dict[int, list[Stored]] = {}
    try:
        for chunk in reader:
            assert chunk.times_ms is not None
            assert chunk.keys is not None
            assert chunk.properties is not None
            times_ms = chunk.times_ms.tolist()
            found.setdefault(chunk.partition, []).extend(
                (chunk.text(i), chunk.keys[i], dict(chunk.properties[i]), times_ms[i])
                for i in range(chunk.n)
            )
    finally:
        reader.close()
    return found


def key_of(record: Stored) -> tuple[str, int]:
    """What tells a record from all others."""
    return record[1], record[3]


def by_key(records: list[Stored]) -> list[Stored]:
    return sorted(records, key=key_of)
