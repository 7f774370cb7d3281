"""What stands around a message is what the protobuf library reads, whatever the bytes are."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iot_producer.pulsar.commands import SingleMessageMetadata
from iot_producer.pulsar.entry_scan import scan_batch
from iot_producer.record_scan import frozen
from iot_producer.schema import DEVICE_TYPES
from stored_entries import single

names = st.sampled_from(["device_type", "customer_id", "other", ""])
values = st.sampled_from([*DEVICE_TYPES[:3], "cust-000012", "cust-12", "", "é"]) | st.text(
    max_size=5
)
properties = st.lists(st.fixed_dictionaries({"key": names, "value": values}), max_size=3)
keys = st.sampled_from(["dev-0000001", "dev-9999999", "dev-1"]) | st.text(max_size=8)
numbers = st.integers(0, 2**64 - 1)
messages = st.builds(
    lambda payload, fields: single(payload, **fields),
    st.binary(max_size=20),
    st.fixed_dictionaries(
        {},
        optional={
            "properties": properties,
            "partition_key": keys,
            "event_time": numbers,
            "sequence_id": numbers,
            "compacted_out": st.booleans(),
            "null_partition_key": st.booleans(),
            "null_value": st.booleans(),
            "partition_key_b64_encoded": st.booleans(),
            "ordering_key": st.binary(max_size=4),
        },
    ),
)
Row = tuple[int, int, int, int, int, bytes]


def scan(data: bytes, n: int) -> tuple[list[tuple[int, int, int]], list[Row], int]:
    """Places of what was found (metadata, payload, its end), what it is, and where it stopped."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    table = np.zeros((8, n), dtype=np.int64)
    found, stopped = scan_batch(frozen(buffer), 0, len(data), n, 0, *table)
    columns = table[:, :found].T.tolist()
    places = [(row[0], row[1], row[2]) for row in columns]
    return places, [(*row[3:], data[row[1] : row[2]]) for row in columns], int(stopped)  # type: ignore[misc]


def expected(metadata: SingleMessageMetadata, payload: bytes) -> Row:
    key = re.fullmatch(r"dev-([0-9]{7})", text_of(metadata.partition_key))
    if metadata.null_partition_key:
        key = None
    listed = sorted((text_of(each.key), text_of(each.value)) for each in metadata.properties)
    kind = customer = -1
    if [name for name, _ in listed] == ["customer_id", "device_type"]:
        number = re.fullmatch(r"cust-([0-9]{6})", listed[0][1])
        if number and listed[1][1] in DEVICE_TYPES:
            customer, kind = int(number[1]), DEVICE_TYPES.index(listed[1][1])
    has_id = metadata.HasField("sequence_id")
    return (
        signed(metadata.event_time),
        signed(metadata.sequence_id) if has_id else -1,
        int(key[1]) if key else -1,
        kind,
        customer,
        payload,
    )


def text_of(found: str | bytes) -> str:
    return found if isinstance(found, str) else found.decode("latin-1")


def signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def metadata_of(data: bytes) -> SingleMessageMetadata:
    metadata = SingleMessageMetadata()
    metadata.ParseFromString(data)
    return metadata


@given(st.lists(messages, max_size=6))
def test_what_protobuf_writes_is_read(some: list[bytes]) -> None:
    data = b"".join(some)
    wanted = []
    for message in some:
        size = int.from_bytes(message[:4], "big")
        metadata = metadata_of(message[4 : 4 + size])
        if not metadata.compacted_out:
            wanted.append(expected(metadata, message[4 + size :]))
    _, rows, stopped = scan(data, len(some))
    assert rows == wanted
    assert stopped == len(data)


@given(
    st.lists(messages, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=4),
    st.integers(0, 40),
)
def test_damaged_bytes(some: list[bytes], changes: list[tuple[int, int]], n_cut: int) -> None:
    data = bytearray(b"".join(some))
    for place, byte in changes:
        data[place % len(data)] = byte
    check(bytes(data[: len(data) - n_cut]))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(st.binary(max_size=60))
def test_any_metadata(metadata: bytes) -> None:
    check(len(metadata).to_bytes(4, "big") + metadata + b"payload")


def check(data: bytes) -> None:
    """What is found is within the bytes, in order, and as the protobuf library reads it."""
    places, rows, stopped = scan(data, 10)
    at = 0
    for (head, start, end), row in zip(places, rows, strict=True):
        assert at + 4 <= head <= start <= end <= stopped
        at = end
        assert row == expected(metadata_of(data[head:start]), data[start:end])
    assert 0 <= stopped <= len(data)
