"""Entries as clients of any kind store them, for the tests of readers."""

from __future__ import annotations

from typing import Any

import cramjam

from iot_producer.pulsar.commands import Compression, MessageMetadata, SingleMessageMetadata
from iot_producer.pulsar.reader import EntryId, StoredEntry
from iot_producer.pulsar.wire import Body

COMPRESS = {
    Compression.NONE: lambda text: text,
    Compression.LZ4: lambda text: bytes(cramjam.lz4.compress_block(text, store_size=False)),
    Compression.ZLIB: lambda text: bytes(cramjam.zlib.compress(text)),
    Compression.ZSTD: lambda text: bytes(cramjam.zstd.compress(text)),
    Compression.SNAPPY: lambda text: bytes(cramjam.snappy.compress_raw(text)),
}


def single(payload: bytes, **fields: Any) -> bytes:
    """A message inside a batch; ``properties`` as a dict, or any other field of its metadata."""
    metadata = SingleMessageMetadata(**(fields_of(fields) | {"payload_size": len(payload)}))
    text = metadata.SerializeToString()
    return len(text).to_bytes(4, "big") + text + payload


def record(device: int, *, customer: int = 7, kind: str = "co2_sensor", **fields: Any) -> bytes:
    """A message of the form that a lane writes."""
    around = {
        "properties": {"device_type": kind, "customer_id": f"cust-{customer:06d}"},
        "partition_key": f"dev-{device:07d}",
        "event_time": 1_780_000_000_000 + device,
        "sequence_id": 1_780_000_000_000_000_000 + device,
    }
    return single(b"record %d" % device, **(around | fields))


def entry(
    payload: bytes,
    *,
    compression: Compression = Compression.NONE,
    number: int = 0,
    received_ns: int = 5,
    checksum_ok: bool = True,
    stored: bytes | None = None,
    **fields: Any,
) -> StoredEntry:
    """An entry; a batch where the fields have num_messages_in_batch."""
    metadata = MessageMetadata(
        **(
            {
                "producer_name": "p",
                "sequence_id": 1,
                "publish_time": 2,
                "compression": int(compression),
                "uncompressed_size": len(payload),
            }
            | fields_of(fields)
        )
    )
    data = COMPRESS[compression](payload) if stored is None else stored
    return StoredEntry(
        EntryId(3, number),
        Body(metadata, memoryview(data), checksum_ok),
        max(metadata.num_messages_in_batch, 1),
        len(data),
        received_ns,
    )


def batch(*messages: bytes, **fields: Any) -> StoredEntry:
    """An entry of some messages."""
    return entry(b"".join(messages), num_messages_in_batch=len(messages), **fields)


def fields_of(fields: dict[str, Any]) -> dict[str, Any]:
    properties = fields.get("properties")
    if not isinstance(properties, dict):
        return fields
    listed = [{"key": key, "value": value} for key, value in properties.items()]
    return fields | {"properties": listed}
