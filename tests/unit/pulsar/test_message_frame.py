"""Varints and heads of messages, against the protobuf library."""

from __future__ import annotations

import numpy as np
import pytest

from iot_producer.compiled import entry, store8
from iot_producer.pulsar.commands import KeyValue, SingleMessageMetadata
from iot_producer.pulsar.message_frame import (
    HEAD_BYTES,
    HEAD_ROOM,
    HEADS,
    put_size,
    time_word,
    varint_width,
    varint_word,
)
from plain_record import TYPES

BOUNDARIES = sorted(
    {max((1 << bits) + d, 0) for bits in range(63) for d in (-2, -1, 0, 1)} | {2**63 - 1}
)


@entry
def varint(out, value):
    width = varint_width(value)
    store8(out, 0, varint_word(value, width))
    out[8] = value >> 56
    return width


@entry
def time(out, value):
    word, width = time_word(value)
    store8(out, 0, word)
    return width


@entry
def size(out, value):
    put_size(out, 0, value)


def protobuf_bytes(field: str, value: int) -> bytes:
    """A field's varint as protobuf writes it: behind a tag of one byte."""
    metadata = SingleMessageMetadata(**{field: value})
    return metadata.SerializePartialToString()[1:]


@pytest.mark.parametrize("value", BOUNDARIES)
def test_varints(value: int):
    out = np.full(16, 0xEE, dtype=np.uint8)
    width = varint(out, np.int64(value))
    assert out[:width].tobytes() == protobuf_bytes("sequence_id", value)


@pytest.mark.parametrize("value", [v for v in BOUNDARIES if v < 2**49])
def test_event_times_have_the_next_tag_behind_them(value: int):
    out = np.zeros(16, dtype=np.uint8)
    width = time(out, np.int64(value))
    assert out[:width].tobytes() == protobuf_bytes("event_time", value) + b"\x40"


def test_sizes_of_records():
    for value in range(128, 16_384, 7):
        out = np.zeros(2, dtype=np.uint8)
        size(out, value)
        assert out.tobytes() == protobuf_bytes("payload_size", value)


@pytest.mark.parametrize("kind", range(len(TYPES)))
def test_heads(kind: int):
    customer = "cust-000042"
    pairs = [("device_type", TYPES[kind]), ("customer_id", customer)]
    metadata = SingleMessageMetadata(
        properties=[KeyValue(key=key, value=value) for key, value in pairs]
    )
    head = HEADS[kind * HEAD_ROOM :][: HEAD_BYTES[kind]].tobytes()
    assert b"\0\0\0\0" + metadata.SerializePartialToString() == head + customer[5:].encode()
