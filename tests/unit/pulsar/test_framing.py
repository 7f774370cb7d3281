from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.pulsar.commands import Compression, payload_of
from iot_producer.pulsar.entry import COMPRESSIONS, EntryBuilder
from iot_producer.pulsar.framing import Framer
from iot_producer.pulsar.outgoing import Outgoing
from iot_producer.pulsar.wire import FrameReader, parse_body

FLEET = fleet_of(FleetSpec(devices=300, customers=30, sites=10, seed=3))
DEVICES = np.arange(300, dtype=np.int32)
IDS = 1_780_000_000_000_000_000 + np.arange(300, dtype=np.int64) * 1_000_000


def producer(max_message_bytes: int = 5_000_000) -> Any:
    """What the framer looks at."""
    return cast(
        "Any", SimpleNamespace(name="lane-0", number=7, max_message_bytes=max_message_bytes)
    )


def read(entry: Outgoing) -> tuple[Any, Any]:
    """The command and the body of its frame."""
    frames = FrameReader()
    frames.feed(entry.parcel.frame)
    frame = frames.next_frame()
    assert frame is not None
    assert frame.body is not None
    assert frames.next_frame() is None
    return payload_of(frame.command), parse_body(frame.body)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_entry_tells_what_is_in_it(compression: str):
    builder = EntryBuilder(FLEET, compression)
    owner = producer()
    ((entry, raw_bytes),) = Framer(builder).entries(owner, DEVICES, IDS, 1_234, "tag")
    send, body = read(entry)
    assert (entry.first_id, entry.last_id, entry.n_messages) == (IDS[0], IDS[-1], 300)
    assert entry.tag[0] == "tag"
    assert entry.parcel.owner is owner
    assert (send.producer_id, send.sequence_id, send.num_messages) == (7, IDS[0], 300)
    assert send.highest_sequence_id == IDS[-1]
    metadata = body.metadata
    assert body.checksum_ok
    assert (metadata.producer_name, metadata.publish_time) == ("lane-0", 1_234)
    assert (metadata.sequence_id, metadata.highest_sequence_id) == (IDS[0], IDS[-1])
    assert (metadata.partition_key, metadata.num_messages_in_batch) == ("dev-0000000", 300)
    assert metadata.compression == Compression[compression.removesuffix("-library").upper()]
    assert metadata.HasField("uncompressed_size") == (compression != "none")
    texts = JsonEncoder(FLEET).encode(DEVICES, IDS // 1_000_000)
    assert raw_bytes == len(texts.buffer)


def test_entries_are_cut_until_they_fit():
    builder = EntryBuilder(FLEET, "none")
    entries = [e for e, _ in Framer(builder).entries(producer(30_000), DEVICES, IDS, 1, None)]
    assert len(entries) > 5
    assert all(len(e.parcel.frame) <= 30_000 for e in entries)
    assert [e.first_id for e in entries[1:]] == [
        IDS[np.searchsorted(IDS, e.last_id) + 1] for e in entries[:-1]
    ]
    assert sum(e.n_messages for e in entries) == 300
    assert (entries[0].first_id, entries[-1].last_id) == (IDS[0], IDS[-1])


def test_a_single_message_is_never_cut():
    builder = EntryBuilder(FLEET, "none")
    entries = list(Framer(builder).entries(producer(1_100), DEVICES[:3], IDS[:3], 1, None))
    assert [e.n_messages for e, _ in entries] == [1, 1, 1]


def test_a_buffer_is_used_again_only_when_nothing_of_it_is_still_to_be_sent():
    builder = EntryBuilder(FLEET)
    framer = Framer(builder)

    def next_entry() -> Outgoing:
        ((entry, _),) = framer.entries(producer(), DEVICES, IDS, 1, None)
        return entry

    first = next_entry()
    framer.release(first)  # not written: it may be on its way again
    second = next_entry()
    assert not np.shares_memory(first.tag[1].buffer, second.tag[1].buffer)
    second.parcel.is_written = True
    framer.release(second)
    third = next_entry()
    assert np.shares_memory(second.tag[1].buffer, third.tag[1].buffer)
