from __future__ import annotations

import numpy as np
import pytest

from iot_producer.chunk import Chunk
from iot_producer.pulsar.commands import Compression
from iot_producer.pulsar.compression import MOST_BYTES
from iot_producer.pulsar.reader import EntryId, StoredEntry
from iot_producer.sources.entry_chunks import chunks_of
from stored_entries import batch, entry, record, single

AROUND = {"device_type": "co2_sensor", "customer_id": "cust-000007"}


def texts_of(chunk: Chunk) -> list[bytes]:
    return [chunk.text(i) for i in range(chunk.n)]


def all_texts(*entries: StoredEntry) -> list[bytes]:
    return [text for chunk in chunks_of(entries, 0) for text in texts_of(chunk)]


def test_batches_make_one_chunk() -> None:
    [chunk] = chunks_of(
        [
            batch(record(1), record(2), compression=Compression.LZ4, received_ns=100),
            batch(record(3, customer=8), compression=Compression.ZSTD, received_ns=200),
        ],
        4,
    )
    assert chunk.partition == 4
    assert texts_of(chunk) == [b"record 1", b"record 2", b"record 3"]
    assert chunk.times_ms is not None
    assert (chunk.times_ms - 1_780_000_000_000).tolist() == [1, 2, 3]
    assert chunk.sequence_ids is not None
    assert (chunk.sequence_ids - 1_780_000_000_000_000_000).tolist() == [1, 2, 3]
    assert chunk.received_ns is not None
    assert chunk.received_ns.tolist() == [100, 100, 200]
    assert chunk.around is not None
    assert chunk.around.devices.tolist() == [1, 2, 3]
    assert chunk.around.kinds.tolist() == [5, 5, 5]
    assert chunk.around.customers.tolist() == [7, 7, 8]
    assert chunk.keys is not None
    assert list(chunk.keys) == ["dev-0000001", "dev-0000002", "dev-0000003"]
    assert chunk.properties is not None
    assert list(chunk.properties)[:2] == [AROUND, AROUND]
    assert chunk.properties[2]["customer_id"] == "cust-000008"


def test_a_part_of_a_chunk() -> None:
    [chunk] = chunks_of([batch(*map(record, range(6)))], 1)
    part = chunk.part(2, 5).part(1, 3)
    assert part.partition == 1
    assert texts_of(part) == [b"record 3", b"record 4"]
    assert part.around is not None
    assert part.around.devices.tolist() == [3, 4]
    assert part.around.kinds.tolist() == [5, 5]
    assert part.around.customers.tolist() == [7, 7]
    assert part.keys is not None
    assert [part.keys[0], part.keys[-1]] == ["dev-0000003", "dev-0000004"]
    assert part.properties is not None
    assert part.properties[1] == AROUND
    assert part.sequence_ids is not None
    assert part.sequence_ids.tolist() == [1_780_000_000_000_000_003, 1_780_000_000_000_000_004]
    assert part.received_ns is not None
    assert part.received_ns.tolist() == [5, 5]
    with pytest.raises(IndexError):
        part.keys[2]


@pytest.mark.parametrize("compression", list(Compression))
def test_every_compression(compression: Compression) -> None:
    assert all_texts(
        batch(record(1), record(2), compression=compression),
        entry(b"alone", compression=compression),
    ) == [b"record 1", b"record 2", b"alone"]


def test_a_message_without_a_batch() -> None:
    [chunk] = chunks_of(
        [
            entry(
                b"alone",
                properties={"a": "b", "ä": ""},
                partition_key="k",
                event_time=6,
                sequence_id=7,
                received_ns=8,
            ),
            entry(b"", null_partition_key=True, partition_key="k"),
        ],
        2,
    )
    assert texts_of(chunk) == [b"alone", b""]
    assert chunk.times_ms is not None
    assert chunk.times_ms.tolist() == [6, 0]
    assert chunk.keys == ["k", ""]
    assert chunk.properties == [{"a": "b", "ä": ""}, {}]
    assert chunk.sequence_ids is not None
    assert chunk.sequence_ids.tolist() == [7, 1]
    assert chunk.received_ns is not None
    assert chunk.received_ns.tolist() == [8, 5]
    assert chunk.around is None
    assert chunk.partition == 2


def test_order_is_kept_between_batches_and_others() -> None:
    assert all_texts(
        entry(b"a"),
        batch(single(b"b"), single(b"c")),
        entry(b"d"),
        entry(b"e"),
        batch(single(b"f")),
        batch(single(b"g")),
    ) == [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]


def test_a_batch_of_one_is_a_batch() -> None:
    [chunk] = chunks_of([batch(record(1))], 0)
    assert texts_of(chunk) == [b"record 1"]
    assert chunk.around is not None


def test_nothing() -> None:
    assert list(chunks_of([], 0)) == []


def test_of_a_message_in_parts_the_last_counts() -> None:
    parts = [
        entry(b"part %d" % i, num_chunks_from_msg=3, chunk_id=i, total_chunk_msg_size=18)
        for i in range(3)
    ]
    assert all_texts(*parts, entry(b"whole")) == [b"part 2", b"whole"]


def test_marks_do_not_count() -> None:
    assert all_texts(entry(b"mark", marker_type=21), entry(b"text")) == [b"text"]


def unreadable(*entries: StoredEntry) -> list[tuple[bytes, int]]:
    """Text and event time of all records; those that cannot be read have no time of any message."""
    return [
        (chunk.text(i), int(chunk.times_ms[i]))
        for chunk in chunks_of(entries, 0)
        if chunk.times_ms is not None
        for i in range(chunk.n)
    ]


def test_a_batch_that_cannot_be_restored_is_one_record() -> None:
    good = batch(record(1), compression=Compression.LZ4)
    bad = batch(record(2), record(3), compression=Compression.LZ4, stored=b"\xff\xff\xff")
    last = batch(record(4), compression=Compression.LZ4)
    assert unreadable(good, bad, last) == [
        (b"record 1", 1_780_000_000_001),
        (b"\xff\xff\xff", -1),
        (b"record 4", 1_780_000_000_004),
    ]


def test_a_batch_that_breaks_off_is_read_as_far_as_it_goes() -> None:
    assert unreadable(batch(record(1), b"\x00\x00\xff\xffrest", record(2)), batch(record(3))) == [
        (b"record 1", 1_780_000_000_001),
        (b"\x00\x00\xff\xffrest" + record(2), -1),
        (b"record 3", 1_780_000_000_003),
    ]


def test_what_is_behind_a_batch_is_one_record() -> None:
    data = record(1) + record(2)
    assert unreadable(entry(data, num_messages_in_batch=1)) == [
        (b"record 1", 1_780_000_000_001),
        (record(2), -1),
    ]


def test_a_number_of_messages_that_cannot_be() -> None:
    data = record(1) + record(2)
    assert all_texts(entry(data, num_messages_in_batch=2**31 - 1)) == [b"record 1", b"record 2"]
    assert all_texts(entry(data, num_messages_in_batch=-5)) == [b"record 1", record(2)]


@pytest.mark.parametrize(
    "damaged",
    [
        batch(record(1), checksum_ok=False),
        batch(record(1), encryption_keys=[{"key": "k", "value": b"v"}]),
        entry(record(1), encryption_keys=[{"key": "k", "value": b"v"}]),
        batch(record(1), uncompressed_size=MOST_BYTES + 1, stored=record(1), compression=1),
        entry(record(1), uncompressed_size=MOST_BYTES + 1, stored=record(1), compression=1),
        entry(record(1), stored=record(1), compression=Compression.LZ4),
    ],
)
def test_what_cannot_be_trusted_is_one_record_as_it_is_stored(damaged: StoredEntry) -> None:
    assert all_texts(damaged) == [record(1)]


def test_an_entry_whose_metadata_cannot_be_parsed() -> None:
    [chunk] = chunks_of([StoredEntry(EntryId(1, 1), None, 1, 0, 9)], 0)
    assert texts_of(chunk) == [b""]
    assert chunk.received_ns is not None
    assert chunk.received_ns.tolist() == [9]


def test_text_that_is_no_utf_8() -> None:
    head = b"\x12\x01\xff\x0a\x06\x0a\x01\xfe\x12\x01\xfd\x18\x01"
    [chunk] = chunks_of([batch(len(head).to_bytes(4, "big") + head + b"x")], 0)
    assert chunk.keys is not None
    assert chunk.properties is not None
    assert (chunk.keys[0], chunk.properties[0]) == ("\\xff", {"\\xfe": "\\xfd"})


def test_numbers_beyond_int64() -> None:
    largest = 2**64 - 1
    [alone] = chunks_of([entry(b"x", event_time=largest, sequence_id=largest)], 0)
    [many] = chunks_of([batch(single(b"x", event_time=largest, sequence_id=largest))], 0)
    for chunk in (alone, many):
        assert chunk.times_ms is not None
        assert chunk.sequence_ids is not None
        assert np.concatenate((chunk.times_ms, chunk.sequence_ids)).tolist() == [-1, -1]
