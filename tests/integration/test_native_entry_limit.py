"""A broker that takes small entries only: blocks are cut so that none is larger.

The broker itself grants a margin of 10 KiB before it ends the connection, so entries are measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_cases import (
    CLOCK,
    FaultyPulsar,
    assert_exactly_once,
    faulty_pulsar,
    new_topic,
    producing,
    verified,
)
from pulsar_cases import hosts_of

from iot_producer.pulsar.client import PulsarClient
from iot_producer.pulsar.connection_config import ConnectionConfig
from iot_producer.pulsar.reader import PartitionReader, StoredEntry

pytestmark = pytest.mark.integration

MAX_BYTES = 64 * 1024
N = 40_000
BLOCK = 2_000


@pytest.fixture(scope="module")
def pulsar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyPulsar]:
    folder = tmp_path_factory.mktemp("limited")
    with faulty_pulsar(folder, maxMessageSize=str(MAX_BYTES)) as pulsar:
        yield pulsar


async def entries_of(url: str, topic: str) -> list[StoredEntry]:
    """All entries of a topic without partitions, or of one partition."""
    client = PulsarClient(ConnectionConfig(hosts_of(url)))
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    arrive = arrived.put_nowait
    reader = PartitionReader(client, topic, arrive, arrive, CLOCK.now_ns, n_permits=N)
    try:
        await reader.open()
        reader.start()
        last = (await reader.end()).last
        entries = [await arrived.get()]
        while entries[-1].id < last:
            entries.append(await arrived.get())
        return entries
    finally:
        await client.close()


@pytest.mark.parametrize(("compression", "partitions"), [("lz4", 0), ("none", 3)])
def test_no_entry_is_larger_than_the_broker_takes(
    pulsar: FaultyPulsar, tmp_path: Path, compression: str, partitions: int
):
    topic = new_topic()
    pulsar.admin.create_topic(topic, partitions)
    with producing(
        tmp_path, pulsar.direct_url, topic, "--devices", "20000", "--block-records", str(BLOCK),
        "--compression", compression, messages=N, rate="max",
    ) as run:  # fmt: skip
        report = run.completed()
    # It was never thrown out: nothing had to be sent again in other pieces.
    assert report.sink.n_reconnects == 0
    (lane,) = report.lanes
    assert lane.blocks is not None
    assert lane.blocks[:, 0].tolist() == [BLOCK] * (N // BLOCK)
    assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)
    names = [f"{topic}-partition-{i}" for i in range(partitions)] or [topic]
    entries = [e for name in names for e in asyncio.run(entries_of(pulsar.direct_url, name))]
    assert sum(entry.n_permits for entry in entries) == N
    # Metadata and payload, which is what the limit is for; and no smaller than need be.
    assert MAX_BYTES // 2 < max(entry.n_bytes for entry in entries) <= MAX_BYTES
