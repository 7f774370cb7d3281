"""Our table of messages against the classes of the official distribution.

The distribution holds no definition file, but its classes were generated from it, and each has a
constant for the number and the tag of each field (tag: ``number << 3 | wire type``), and a bit for
each that must be there.
"""

from __future__ import annotations

import os
import struct
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from iot_producer.pulsar import commands
from iot_producer.pulsar.commands import MESSAGES, CommandType
from iot_producer.stack import StackStatus, default_cache_dir
from iot_producer.stack.distribution import find

pytestmark = pytest.mark.integration

OFFICIAL_NAMES = {
    "CommandPartitionedMetadata": "CommandPartitionedTopicMetadata",
    "CommandPartitionedMetadataResponse": "CommandPartitionedTopicMetadataResponse",
    "CommandLookup": "CommandLookupTopic",
    "CommandLookupResponse": "CommandLookupTopicResponse",
}
VARINTS = {"int32", "int64", "uint32", "uint64", "bool"}
ENUMS = {
    commands.ServerError: "ServerError",
    commands.Compression: "CompressionType",
    commands.AccessMode: "ProducerAccessMode",
    commands.SubscriptionType: "CommandSubscribe$SubType",
    commands.LookupAnswer: "CommandLookupTopicResponse$LookupType",
    commands.PartitionsAnswer: "CommandPartitionedTopicMetadataResponse$LookupType",
    commands.TopicsOf: "CommandGetTopicsOfNamespace$Mode",
}


@pytest.fixture(autouse=True)
def distribution(broker: StackStatus) -> None:
    """It comes with the broker."""


@lru_cache
def archive() -> Path:
    home = find(default_cache_dir(os.environ))
    assert home is not None
    [jar] = (home / "lib").glob("org.apache.pulsar-pulsar-common-*.jar")
    return jar


@lru_cache
def constants(name: str) -> dict[str, int]:
    """The integer constants of a class, read from its class file (JVM specification, chapter 4)."""
    with zipfile.ZipFile(archive()) as jar:
        data = jar.read(f"org/apache/pulsar/common/api/proto/{name}.class")
    pool, at = _pool(data)
    (n_interfaces,) = struct.unpack_from(">H", data, at + 6)
    at += 8 + 2 * n_interfaces
    (n_fields,) = struct.unpack_from(">H", data, at)
    at += 2
    found = {}
    for _ in range(n_fields):
        _, field, _, n_attributes = struct.unpack_from(">HHHH", data, at)
        at += 8
        for _ in range(n_attributes):
            attribute, size = struct.unpack_from(">HI", data, at)
            at += 6
            if pool[attribute] == "ConstantValue":
                value = pool[struct.unpack_from(">H", data, at)[0]]
                if isinstance(value, int):
                    found[pool[field]] = value
            at += size
    return found


def _pool(data: bytes) -> tuple[list[Any], int]:
    """The constant pool of a class file, and the place behind it."""
    (n,) = struct.unpack_from(">H", data, 8)
    pool: list[Any] = [None] * n
    at, i = 10, 1
    while i < n:
        tag = data[at]
        at += 1
        if tag == 1:
            (size,) = struct.unpack_from(">H", data, at)
            pool[i] = data[at + 2 : at + 2 + size].decode("utf-8", "replace")
            at += 2 + size
        elif tag == 3:
            (pool[i],) = struct.unpack_from(">i", data, at)
            at += 4
        elif tag in (5, 6):  # of two places
            at += 8
            i += 1
        else:
            at += {4: 4, 7: 2, 8: 2, 15: 3, 16: 2, 19: 2, 20: 2}.get(tag, 4)
        i += 1
    return pool, at


def of_field(table: dict[str, int], field: str, what: str) -> int:
    """A constant of a field; the official names are written in another way."""
    [found] = [
        value
        for name, value in table.items()
        if name.endswith(what)
        and name.removesuffix(what).replace("_", "") == field.upper().replace("_", "")
    ]
    return found


@pytest.mark.parametrize("name", MESSAGES)
def test_numbers_types_and_what_must_be_there(name: str) -> None:
    table = constants(OFFICIAL_NAMES.get(name, name))
    required = 0
    for text in filter(None, MESSAGES[name].split(",")):
        field, number, kind = text.split()
        kind = kind.partition("=")[0]
        wire_type = 0 if kind.rstrip("!*") in VARINTS else 2
        assert of_field(table, field, "_FIELD_NUMBER") == int(number)
        assert of_field(table, field, "_TAG") == int(number) << 3 | wire_type
        if kind.endswith("!"):
            required |= of_field(table, field, "_MASK")
    assert table.get("_REQUIRED_FIELDS_MASK0", 0) == required


def test_types_of_commands_and_their_members() -> None:
    types, members = constants("BaseCommand$Type"), constants("BaseCommand")
    numbers = {value for name, value in members.items() if name.endswith("_FIELD_NUMBER")}
    for kind in CommandType:
        assert types[f"{kind.name}_VALUE"] == kind
        assert kind in numbers


@pytest.mark.parametrize("ours", ENUMS, ids=lambda ours: ours.__name__)
def test_enumerations(ours: Any) -> None:
    table = constants(ENUMS[ours])
    official = {value for name, value in table.items() if name.endswith("_VALUE")}
    assert {int(each) for each in ours} == official
    for each in ours:
        short = each.name.replace("_", "").lower()
        [name] = [n for n, v in table.items() if n.endswith("_VALUE") and v == each]
        assert name.removesuffix("_VALUE").replace("_", "").lower().startswith(short)
