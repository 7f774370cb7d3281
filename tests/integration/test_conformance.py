"""Whoever reads the topic cannot tell our own transport from the official client.

Both send the same blocks, with every compression, to topics with 1 and 7 partitions. The official
Python client and the Java console consumer of the server's distribution read them back. With LZ4
there is a block of the largest size, too: we write its matches ourselves, and only in a long text
do they reach back to messages far behind.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pulsar
import pytest
from pulsar_cases import Account, Stored, block, by_key, expected, sink

from iot_producer.blocks import Block
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.stack import StackStatus, default_cache_dir, distribution
from iot_producer.stack.java import find_java
from iot_producer.stack.server_tools import CLIENT, tool_command

pytestmark = pytest.mark.integration

PREFIX = "persistent://public/default/conformance"
PARTITIONS = (1, 7)
# Native compressions with the official client's name for them.
COMPRESSIONS = {
    "lz4": "lz4",
    "lz4-library": "lz4",
    "zlib": "zlib",
    "zstd": "zstd",
    "snappy": "snappy",
    "none": "none",
}
BLOCKS = ((0, 100), (100, 1), (2_000, 101))  # the last one: the same devices, in their next turn
LARGEST = (4_000, 2_000)
CASES = [
    *(("native", compression, n) for compression, n in product(COMPRESSIONS, PARTITIONS)),
    *(("official", c, n) for c, n in product(sorted(set(COMPRESSIONS.values())), PARTITIONS)),
]
READ_TIMEOUT_MS = 30_000

ENTRY_BYTES = 4 << 20  # the official client takes no block of 2,000 else

Case = tuple[str, str, int]
Found = dict[int, list[Stored]]
"""What is on a topic, by partition, in its order."""


@dataclass(frozen=True)
class Topics:
    """One topic for each case, with the same messages."""

    broker: StackStatus
    console: dict[str, Found]

    def name(self, case: Case) -> str:
        return f"{PREFIX}-{lane(case)}"


def lane(case: Case) -> str:
    """What tells a case from the others: its topic's and its producer's name end so."""
    client, compression, n_partitions = case
    return f"{client}-{compression}-{n_partitions}"


def blocks_of(case: Case) -> list[Block]:
    """What is sent to its topic; the same for all that are compared with each other."""
    spans = (*BLOCKS, LARGEST) if case[1].startswith("lz4") else BLOCKS
    return [block(first, n) for first, n in spans]


def n_messages(case: Case) -> int:
    """How many messages that is."""
    return sum(b.n for b in blocks_of(case))


@pytest.fixture(scope="module")
def topics(broker: StackStatus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topics]:
    """All topics, filled; what the console consumer says of them, in one run of its Java."""
    admin = PulsarAdmin(broker.admin_url)
    names = {case: f"{PREFIX}-{lane(case)}" for case in CASES}
    try:
        for case, name in names.items():
            client, compression, n_partitions = case
            admin.create_topic(name, n_partitions)
            account = Account()
            settings: dict[str, Any] = {"producer_name": lane(case), "compression": compression}
            if client == "official":
                settings["max_entry_bytes"] = ENTRY_BYTES
            with sink(broker.pulsar_url, name, client, **settings) as opened:
                for b in blocks_of(case):
                    account.send(opened, b)
                account.drain(opened)
            assert len(account.confirmed()) == n_messages(case)
        folder = tmp_path_factory.mktemp("console")
        yield Topics(broker, read_by_console(broker, sum(map(n_messages, CASES)), folder))
    finally:
        for name in names.values():
            admin.delete_topic(name, force=True)


GOT = re.compile(
    r"publishTime:\[\d+\], eventTime:\[(\d+)\], key:\[([^\]]*)\], properties:\[([^\]]*)\], "
    r"content:(\{[^}]*\}), event-time:\S+, message-id:\d+:\d+:(-?\d+):-?\d+, "
    r"producer-name:([^,]*), sequence-id:(\d+), "
)


def read_by_console(broker: StackStatus, n: int, folder: Path) -> dict[str, Found]:
    """What `bin/pulsar-client consume` prints of all topics, by the producer's name.

    It leaves a log in the folder that it runs in.
    """
    server = distribution.find(default_cache_dir(os.environ))
    assert server is not None  # the broker runs on it
    command = [
        *tool_command(find_java(), server, CLIENT, heap_mb=256),
        *("--url", broker.pulsar_url),
        *("consume", "--subscription-name", "console", "--subscription-position", "Earliest"),
        *("--num-messages", str(n), "--print-metadata", "--regex", f"{PREFIX}-.*"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, Found] = {}
    for time_ms, key, properties, text, partition, name, sequence_id in GOT.findall(done.stdout):
        pairs = dict(pair.split("=") for pair in properties.split(", "))
        stored = (text.encode(), key, pairs, int(time_ms))
        # Exactly once rests on these: an id is the intended time.
        assert int(sequence_id) == int(time_ms) * 1_000_000
        found.setdefault(name, {}).setdefault(int(partition), []).append(stored)
    assert sum(len(p) for topic in found.values() for p in topic.values()) == n
    return found


def read_by_python(broker: StackStatus, topic: str, n_partitions: int) -> Found:
    """What the official Python client reads, partition by partition."""
    found: Found = {}
    client = pulsar.Client(broker.pulsar_url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    try:
        for partition in range(n_partitions):
            reader = client.create_reader(
                f"{topic}-partition-{partition}", pulsar.MessageId.earliest
            )
            while reader.has_message_available():
                message = reader.read_next(timeout_millis=READ_TIMEOUT_MS)
                found.setdefault(partition, []).append(
                    (
                        message.data(),
                        message.partition_key(),
                        message.properties(),
                        message.event_timestamp(),
                    )
                )
            reader.close()
    finally:
        client.close()
    return found


def all_records(case: Case) -> list[Stored]:
    return [record for b in blocks_of(case) for record in expected(b)]


def official(case: Case) -> Case:
    """The case that a native one is compared with."""
    return ("official", COMPRESSIONS[case[1]], case[2])


NATIVE = [pytest.param(case, id=lane(case)) for case in CASES if case[0] == "native"]


@pytest.mark.parametrize("case", NATIVE)
def test_the_official_python_client_reads_the_same(topics: Topics, case: Case):
    ours = read_by_python(topics.broker, topics.name(case), case[2])
    theirs = read_by_python(topics.broker, topics.name(official(case)), case[2])
    assert ours == theirs
    check_it_is_all_there(ours, case)


@pytest.mark.parametrize("case", NATIVE)
def test_the_java_console_consumer_reads_the_same(topics: Topics, case: Case):
    ours = topics.console[lane(case)]
    assert ours == topics.console[lane(official(case))]
    check_it_is_all_there(ours, case)


def check_it_is_all_there(found: Found, case: Case) -> None:
    """Every message once, each key on one partition, in order."""
    assert set(found) == set(range(case[2]))
    messages = [message for partition in found.values() for message in partition]
    assert by_key(messages) == by_key(all_records(case))
    home: dict[str, int] = {}
    for partition, records in found.items():
        times: dict[str, int] = {}
        for _, key, _, time_ms in records:
            assert home.setdefault(key, partition) == partition
            assert times.get(key, -1) < time_ms
            times[key] = time_ms
    assert len(home) < len(messages)  # there was an order to keep


def test_entries_are_compressed_as_asked(topics: Topics):
    """Else the cases above would try one compression six times."""
    admin = PulsarAdmin(topics.broker.admin_url)
    sizes = {
        case[1]: admin.stats(topics.name(case))["bytesInCounter"] / n_messages(case)
        for case in CASES
        if case[0] == "native" and case[2] == 1
    }
    plain = sizes.pop("none")
    assert plain > 550
    assert all(size < 0.6 * plain for size in sizes.values()), (plain, sizes)
    assert len(set(sizes.values())) == len(sizes)
