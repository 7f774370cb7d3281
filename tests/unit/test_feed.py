from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from iot_producer.blocks import Block, Plan
from iot_producer.feed import MaxFeed, PlannedFeed
from iot_producer.fleet import FleetSpec
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.schedule import ConstantSchedule, Schedule, limit

START = 1_780_000_000_000_000_000
MS = 1_000_000
FLEET = FleetSpec(devices=10, customers=5, sites=2, seed=3)


def planned(
    per_s: int = 1000,
    n: int | None = None,
    block_records: int = 100,
    linger_ns: int = 2 * MS,
    lane: LaneSpec = LaneSpec(),  # noqa: B008
) -> PlannedFeed:
    schedule: Schedule = limit(ConstantSchedule(Fraction(per_s)), n)
    return PlannedFeed(Plan(FLEET, lane, schedule, START), block_records, linger_ns)


class TestPlannedFeed:
    def test_nothing_before_the_start(self):
        feed = planned()
        assert feed.n_due(START - 1) == 0
        assert feed.next_block(0, START - 1) is None
        assert feed.wake_ns(0) == START + 2 * MS

    def test_a_block_is_cut_when_its_first_message_is_as_old_as_linger(self):
        feed = planned()
        assert feed.next_block(0, START + 2 * MS - 1) is None
        block = feed.next_block(0, START + 2 * MS)
        assert block is not None
        assert (block.first, block.n) == (0, 3)  # due at 0, 1 and 2 ms
        assert block.intended_ns.tolist() == [START, START + MS, START + 2 * MS]
        assert feed.wake_ns(3) == START + 5 * MS

    def test_a_full_block_does_not_linger(self):
        feed = planned(per_s=100_000, block_records=50, linger_ns=10 * MS)
        assert feed.wake_ns(0) == START + 49 * 10_000
        block = feed.next_block(0, START + 49 * 10_000)
        assert block is not None
        assert block.n == 50
        assert block.last_ns == START + 490_000

    def test_the_last_block_does_not_linger(self):
        feed = planned(n=2)
        assert feed.wake_ns(0) == START + MS
        assert feed.next_block(0, START + MS - 1) is None
        block = feed.next_block(0, START + MS)
        assert block is not None
        assert block.n == 2
        assert not feed.is_done(1)
        assert feed.is_done(2)
        assert feed.n_due(START + 10**12) == 2

    def test_debt_is_offered_in_full_blocks(self):
        feed = planned(block_records=100)
        block = feed.next_block(0, START + 1_000 * MS)
        assert block is not None
        assert (block.n, block.start_ns) == (100, START)
        assert feed.n_due(START + 1_000 * MS) == 1001

    def test_after_close_what_is_due_comes_at_once_and_nothing_else(self):
        feed = planned()
        feed.close(START + MS)
        block = feed.next_block(0, START + MS)
        assert block is not None
        assert block.n == 2
        assert feed.is_done(2)
        assert feed.n_due(START + 10**12) == 2
        assert feed.next_block(2, START + 10**12) is None

    def test_a_lane_has_its_own_messages_at_the_times_of_the_plan(self):
        lanes = [planned(n=20, lane=LaneSpec(i, 2)) for i in range(2)]
        blocks = [lane.next_block(0, START + 19 * MS) for lane in lanes]
        intended = sorted(t for b in blocks if b for t in b.intended_ns.tolist())
        assert intended == [START + i * MS for i in range(20)]
        for index, block in enumerate(blocks):
            assert block is not None
            assert set(block.devices % 2) == {index}


def same(one: Block | None, other: Block | None) -> bool:
    assert one is not None
    assert other is not None
    return (one.first, one.devices.tolist(), one.intended_ns.tolist()) == (
        other.first,
        other.devices.tolist(),
        other.intended_ns.tolist(),
    )


class TestBlocksAhead:
    @pytest.mark.parametrize("per_s", [1, 90, 400, 1000, 7777, 40_000, 49_000])
    @pytest.mark.parametrize("n", [None, 1, 2, 37, 40])
    def test_are_those_that_are_given_when_nobody_is_late(self, per_s: int, n: int | None):
        ready, plain = planned(per_s, n), planned(per_s, n)
        first = 0
        for ahead in itertools.islice(ready.ahead(0), 40):
            wake_ns = plain.wake_ns(first)
            assert ready.wake_ns(first) == wake_ns
            assert ready.next_block(first, wake_ns - 1) is None
            assert same(ahead, plain.next_block(first, wake_ns))
            assert ready.next_block(first, wake_ns) is ahead
            first = ahead.stop
        assert first > 0
        assert first == n or first > 5 or per_s < 1000

    def test_only_as_long_as_there_are_none(self):
        feed = planned()
        some = list(itertools.islice(feed.ahead(0), 3))
        assert [b.first for b in some] == [0, 3, 6]
        assert list(feed.ahead(9)) == []
        first = 0
        for each in some:
            assert feed.next_block(first, feed.wake_ns(first)) is each
            first = each.stop
        assert next(iter(feed.ahead(9))).first == 9

    def test_a_message_that_comes_due_between_the_cut_and_the_turn_is_left_for_the_next(self):
        feed = planned(per_s=5000)
        ahead = next(iter(feed.ahead(0)))
        assert ahead.n == 11
        assert feed.next_block(0, START + 2 * MS + 900_000) is ahead
        assert feed.n_due(START + 2 * MS + 900_000) == 15

    def test_whoever_is_late_gets_larger_ones(self):
        feed = planned()
        made = list(feed.ahead(0))
        assert len(made) > 10
        late = feed.next_block(0, START + 50 * MS)
        assert late is not None
        assert late.n == 51
        assert feed.next_block(late.stop, START + 50 * MS) is None
        assert next(iter(feed.ahead(late.stop))).first == 51

    def test_what_was_given_up_is_passed_over(self):
        feed = planned()
        assert len(list(feed.ahead(0))) > 10
        block = feed.next_block(4, START + 6 * MS)
        assert block is not None
        assert (block.first, block.n) == (4, 3)

    def test_after_close_nothing_that_is_not_due(self):
        feed = planned()
        assert len(list(feed.ahead(0))) > 10
        feed.close(START + MS)
        block = feed.next_block(0, START + MS)
        assert block is not None
        assert block.n == 2
        assert list(feed.ahead(2)) == []

    def test_full_blocks_are_not_even_looked_up(self, monkeypatch: pytest.MonkeyPatch):
        def looked_up(*_: object) -> Block:
            raise AssertionError("a page that nobody needs")

        monkeypatch.setattr(Plan, "block", looked_up)
        assert list(planned(per_s=500_000, block_records=1000).ahead(0)) == []
        assert list(planned(n=100, block_records=1).ahead(0)) == []
        with pytest.raises(AssertionError):
            list(planned(n=50, per_s=500_000, block_records=1000).ahead(0))  # the last one is not

    def test_none_that_are_full_and_none_without_linger(self):
        assert list(planned(per_s=100_000, block_records=50).ahead(0)) == []
        assert list(planned(linger_ns=0).ahead(0)) == []
        assert list(max_feed(1000).ahead(0)) == []

    def test_not_without_bound(self):
        assert len(list(planned(per_s=2000).ahead(0))) <= 32
        many = list(planned(per_s=400_000, block_records=1000).ahead(0))
        assert [b.n for b in many] == [801] * 2  # a page has room for as many


def max_feed(devices: int, block_records: int = 4, **limits: int | None) -> MaxFeed:
    members = lane_of(devices, LaneSpec())
    return MaxFeed(
        members, START, block_records, limits.get("n_messages"), limits.get("duration_ns")
    )


def all_blocks(feed: MaxFeed, now_ns: int, step_ns: int, n: int) -> list[Block]:
    """Ask again and again, ``step_ns`` apart, until there are ``n`` blocks."""
    blocks: list[Block] = []
    first = 0
    while len(blocks) < n and not feed.is_done(first):
        block = feed.next_block(first, now_ns)
        if block is not None:
            blocks.append(block)
            first = block.stop
        now_ns += step_ns
    return blocks


class TestMaxFeed:
    def test_a_block_ends_at_the_time_it_is_asked_for(self):
        feed = max_feed(1000)
        now_ns = START + 5 * MS
        block = feed.next_block(0, now_ns)
        assert block is not None
        assert block.n == 4
        assert block.last_ns == now_ns
        assert block.intended_ns.tolist() == [now_ns - 3, now_ns - 2, now_ns - 1, now_ns]
        assert feed.blocks().tolist() == [[4, now_ns - 3]]
        assert feed.n_due(0) == 4

    def test_times_grow_even_where_the_clock_stands(self):
        feed = max_feed(1000)
        now_ns = START + MS
        assert feed.next_block(0, now_ns) is not None
        assert feed.next_block(4, now_ns) is None
        assert feed.wake_ns(4) == now_ns + 4
        block = feed.next_block(4, now_ns + 4)
        assert block is not None
        assert block.start_ns == now_ns + 1

    def test_it_does_not_begin_before_the_start(self):
        feed = max_feed(1000)
        assert feed.next_block(0, START) is None
        block = feed.next_block(0, feed.wake_ns(0))
        assert block is not None
        assert block.start_ns > START

    @pytest.mark.parametrize("devices", [1, 2, 10, 100])
    @pytest.mark.parametrize("step_ns", [1, 100_000, 700_000, 5 * MS])
    def test_no_device_comes_up_twice_in_a_millisecond(self, devices, step_ns):
        feed = max_feed(devices, block_records=7)
        seen: set[tuple[int, int]] = set()
        now_ns, first = START + 1, 0
        for _ in range(200):
            now_ns = max(now_ns + step_ns, feed.wake_ns(first))
            block = feed.next_block(first, now_ns)
            assert block is not None
            assert block.n == min(7, devices)
            pairs = list(zip(block.devices.tolist(), block.times_ms.tolist(), strict=True))
            assert seen.isdisjoint(pairs)
            assert len(set(pairs)) == block.n
            seen.update(pairs)
            first = block.stop

    def test_a_small_fleet_waits_no_longer_than_it_must(self):
        feed = max_feed(1, block_records=1)
        blocks = all_blocks(feed, START + 1, 1000, 100)
        gaps = {b.start_ns - a.start_ns for a, b in itertools.pairwise(blocks)}
        assert max(gaps) <= MS + 1001

    def test_a_large_fleet_does_not_wait(self):
        feed = max_feed(1000, block_records=100)
        blocks = all_blocks(feed, START + 1000, 150_000, 100)
        gaps = {b.start_ns - a.start_ns for a, b in itertools.pairwise(blocks)}
        assert gaps == {150_000}

    def test_what_it_remembers_is_bounded(self):
        feed = max_feed(1_000_000, block_records=1)
        all_blocks(feed, START + 1, 10_000, 5_000)
        assert len(feed._recent) <= 102  # a millisecond's, 10 µs apart

    def test_a_limit_of_messages(self):
        feed = max_feed(1000, n_messages=10)
        blocks = all_blocks(feed, START + 1, MS, 100)
        assert [b.n for b in blocks] == [4, 4, 2]
        assert feed.is_done(10)
        assert feed.blocks()[:, 0].tolist() == [4, 4, 2]

    def test_a_limit_of_time(self):
        feed = max_feed(1000, duration_ns=10 * MS)
        blocks = all_blocks(feed, START + MS, MS, 100)
        assert len(blocks) == 9
        assert blocks[-1].last_ns < START + 10 * MS
        assert feed.is_done(36)

    def test_close_ends_it(self):
        feed = max_feed(1000)
        assert feed.next_block(0, START + MS) is not None
        feed.close(START + MS)
        assert feed.is_done(4)
        assert feed.next_block(4, START + 5 * MS) is None
