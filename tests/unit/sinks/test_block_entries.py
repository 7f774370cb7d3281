from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from iot_producer.blocks import Block
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.pulsar.message_keys import partition_of
from iot_producer.pulsar.topic_producers import Topic
from iot_producer.pulsar.wire import FrameReader, parse_body
from iot_producer.sinks.block_entries import BlockEntries, EntryMaker

FLEET = fleet_of(FleetSpec(devices=200, customers=10, sites=5, seed=3))
START = 1_780_000_000_000_000_000
MS = 1_000_000
S = 1_000_000_000


def topic(n_partitions: int = 0, last_ids: tuple[int, ...] = ()) -> Topic:
    producers = [
        SimpleNamespace(
            number=i,
            name="lane-0",
            last_id=last_ids[i] if last_ids else -1,
            max_message_bytes=5 * 1024 * 1024,
        )
        for i in range(max(n_partitions, 1))
    ]
    return Topic(n_partitions, cast("Any", tuple(producers)))


def block(first: int, n: int = 3) -> Block:
    _, _, devices = lane_of(FLEET.spec.devices, LaneSpec()).block(first, n)
    return Block(first, devices, START + first * MS, np.arange(n, dtype=np.int64) * MS)


def maker() -> EntryMaker:
    return EntryMaker(FLEET, "lz4")


def sent(made: BlockEntries) -> list[tuple[int, int, bytes]]:
    """Producer, publish time and payload of each entry."""
    found = []
    for producer, entry in made.entries:
        reader = FrameReader()
        reader.feed(entry.parcel.frame)
        frame = reader.next_frame()
        assert frame is not None
        assert frame.body is not None
        body = parse_body(frame.body)
        assert body.checksum_ok
        found.append((producer.number, body.metadata.publish_time, bytes(body.payload)))
    return found


def test_what_is_prepared_is_what_is_taken():
    one, to = maker(), topic()
    blocks = [block(0), block(3), block(6)]
    for each in blocks:
        one.prepare(each, to)
    plain = maker()
    for each in blocks:
        now_ns = each.last_ns + MS
        made, other = one.take(each, to, now_ns), plain.take(each, to, now_ns)
        assert made.raw_bytes == other.raw_bytes > 1000
        assert [(p, data) for p, _, data in sent(made)] == [(p, data) for p, _, data in sent(other)]
        # The time of publishing alone tells which was made ahead.
        assert [ms for _, ms, _ in sent(made)] == [each.last_ns // MS]
        assert [ms for _, ms, _ in sent(other)] == [now_ns // MS]


def later_ms(made: BlockEntries) -> int:
    """How long after its block's last message the entry says that it was published."""
    return sent(made)[0][1] - made.block.last_ns // MS


def test_another_block_is_made_anew_and_what_is_passed_over_is_dropped():
    one, to = maker(), topic()
    passed, next_one = block(0), block(3)
    for each in (passed, next_one):
        one.prepare(each, to)
    larger = block(0, 5)
    made = one.take(larger, to, larger.last_ns + 7 * MS)
    assert made.block is larger
    assert later_ms(made) == 7
    assert later_ms(one.take(next_one, to, next_one.last_ns + 7 * MS)) == 7


def test_blocks_that_were_given_up_are_passed_over():
    one, to = maker(), topic()
    blocks = [block(0), block(3), block(6)]
    for each in blocks:
        one.prepare(each, to)
    assert later_ms(one.take(blocks[2], to, blocks[2].last_ns + 7 * MS)) == 0


@pytest.mark.parametrize("late_ns", [S, 30 * S])
def test_what_waited_for_long_is_made_anew(late_ns: int):
    one, to = maker(), topic()
    late = block(0)
    one.prepare(late, to)
    assert later_ms(one.take(late, to, late.last_ns + late_ns)) == late_ns // MS


def test_a_topic_that_got_partitions_is_another():
    one, before, after = maker(), topic(2), topic(3)
    each = block(0, 30)
    one.prepare(each, before)
    made = one.take(each, after, each.last_ns + 7 * MS)
    assert made.topic is after
    assert [p for p, _, _ in sent(made)] == [0, 1, 2]
    assert later_ms(made) == 7


def test_each_partition_gets_its_messages_in_order():
    each = block(0, 50)
    places = partition_of(each.devices, 7)
    made = maker().take(each, topic(7), each.last_ns)
    assert [part.partition for part in made.parts] == sorted(set(places.tolist()))
    for part in made.parts:
        assert part.members is not None
        assert part.members.tolist() == np.flatnonzero(places == part.partition).tolist()
        assert (part.n, part.n_open, part.first, part.stop) == (len(part.members), 1, 0, 50)


@pytest.mark.parametrize("prepares", [False, True])
def test_what_the_broker_would_drop_has_no_entry(prepares: bool):
    each = block(0, 50)
    to = topic(3, (-1, each.start_ns, each.last_ns))
    one = maker()
    if prepares:
        one.prepare(each, to)
    made = one.take(each, to, each.last_ns)
    places = partition_of(each.devices, 3)
    old = [
        p for p in range(3)
        if each.intended_ns[np.flatnonzero(places == p)[0]] <= to.producers[p].last_id
    ]  # fmt: skip
    assert 2 in old
    assert [part.partition for part, _ in made.too_old] == old
    assert [p for p, _, _ in sent(made)] == [p for p in range(3) if p not in old]


def test_the_buffer_of_what_was_dropped_is_used_again():
    one, to = maker(), topic()
    one.prepare(block(0), to)
    dropped = one._ahead[0].entries[0][1].parcel.frame.obj
    made = one.take(block(0), to, START)  # another object
    assert made.entries[0][1].parcel.frame.obj is dropped
