"""What verification finds is the same, whether what is around records comes as objects, as the
official client gives them, or as numbers from whole entries."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from found_records import Record, chunks_of, run_of
from iot_producer.chunk import Chunk
from iot_producer.pulsar.commands import Compression
from iot_producer.schedule import ConstantSchedule
from iot_producer.sources import entry_chunks
from iot_producer.verification import Verification
from stored_entries import batch, entry, single

RUN: Final = run_of(ConstantSchedule(Fraction(1_000)), n_lanes=2, n_per_lane=60)
N: Final = len(RUN.records)


def change(record: Record, kind: int, by: int) -> Record:
    """One thing about a record, changed."""
    other = RUN.records[by % N]
    match kind:
        case 0:
            return replace(record, key=other.key)
        case 1:
            return replace(record, key="")
        case 2:
            return replace(record, time_ms=max(record.time_ms + by - 5, 0))
        case 3:
            return replace(record, properties=other.properties)
        case 4:
            return replace(record, properties={**record.properties, "more": "1"})
        case 5:
            return replace(record, properties={"device_type": "none"})
        case 6:
            place = by % len(record.text)
            text = record.text[:place] + b"7" + record.text[place + 1 :]
            return replace(record, text=text)
        case 7:
            return other
        case 8:
            return replace(other, text=record.text)
        case _:
            return replace(record, text=b"x", properties={}, key="x", time_ms=0)


changes = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(0, 9), st.integers(0, 600)), max_size=12
)
cuts = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def as_entries(records: list[Record], sizes: list[int]) -> list[Chunk]:
    """The records as they come in batches of these sizes; those of one record without a batch."""
    stored, at = [], 0
    while at < len(records):
        n = sizes[len(stored) % len(sizes)]
        part = records[at : at + n]
        at += n
        around = [
            {
                "properties": record.properties,
                "partition_key": record.key,
                "event_time": record.time_ms,
            }
            for record in part
        ]
        if n == 1:
            stored.append(entry(part[0].text, **around[0]))
        else:
            messages = [
                single(record.text, **fields) for record, fields in zip(part, around, strict=True)
            ]
            stored.append(batch(*messages, compression=Compression.LZ4))
    return list(entry_chunks.chunks_of(stored, 0))


def result(chunks: list[Chunk]) -> dict[str, object]:
    verification = Verification(RUN.report)
    for chunk in chunks:
        verification.add(chunk)
    return verification.result("topic", 0.0).to_dict()


@given(changes, cuts)
def test_objects_and_numbers_say_the_same(
    some: list[tuple[int, int, int]], sizes: list[int]
) -> None:
    records = list(RUN.records)
    for place, kind, by in some:
        records[place] = change(records[place], kind, by)
    wanted = result(chunks_of(records, 50))
    assert result(as_entries(records, sizes)) == wanted


def test_nothing_is_wrong_with_what_was_not_changed() -> None:
    report = result(as_entries(RUN.records, [7]))
    assert report["totals"]["changed"] == 0  # type: ignore[index]
    assert report["totals"]["found"] == N  # type: ignore[index]


def test_times_in_the_future_of_all_calendars() -> None:
    record = replace(RUN.records[3], time_ms=2**62)
    records = [*RUN.records[:3], record, *RUN.records[4:]]
    assert np.all(RUN.records[3].time_ms < 2**42)
    assert result(as_entries(records, [5])) == result(chunks_of(records))
