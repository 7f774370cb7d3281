"""What every sink keeps, whatever its destination: the promises of the seam, tested on each."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from sink_cases import CASES, Case, block, row_of, texts_of

from iot_producer.blocks import Block
from iot_producer.clock import ManualClock
from iot_producer.sinks.sink import Receipt, Sent, Sink

SIZES = (1, 7, 2, 2, 60, 1, 200, 33)
DRAIN_S = 20.0


def in_one_range() -> list[Block]:
    blocks, first = [], 100
    for n in SIZES:
        blocks.append(block(first, n))
        first += n
    return blocks


def with_gaps() -> list[Block]:
    """What a lane sends that dropped messages: ranges with holes between them."""
    return [block(1_000 * i, n) for i, n in enumerate(SIZES)]


PLANS = [pytest.param(in_one_range, id="one-range"), pytest.param(with_gaps, id="gaps")]
each_sink = pytest.mark.parametrize("case", CASES)
each_plan = pytest.mark.parametrize("plan", PLANS)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def send_all(sink: Sink, blocks: list[Block], clock: ManualClock) -> list[Sent]:
    sent = []
    for one in blocks:
        clock.advance(1_000_000)
        sent.append(sink.send(one))
    return sent


def check_complete(blocks: list[Block], sent: list[Sent], receipts: list[Receipt]) -> None:
    """Each block has exactly one set of receipts, which names each of its records once."""
    by_range = defaultdict(list)
    for receipt in receipts:
        by_range[receipt.first, receipt.stop].append(receipt)
    assert sorted(by_range) == [(one.first, one.stop) for one in blocks]
    for one, what in zip(blocks, sent, strict=True):
        own = by_range[one.first, one.stop]
        assert {r.partition: r.n_records for r in own} == (what.n_by_partition or {None: one.n})
        assert len(own) == len(what.n_by_partition or [None])
        assert all(r.error == "" for r in own)
        assert all(r.at_ns >= what.at_ns for r in own)
        if what.n_by_partition:
            named = sorted(place for r in own for place in r.members.tolist())
            assert named == list(range(one.n))
        else:
            assert own[0].members is None


@each_sink
@each_plan
def test_each_block_gets_one_set_of_receipts(
    case: Case, plan, tmp_path: Path, clock: ManualClock
) -> None:
    sink = case.open(tmp_path, clock)
    blocks, receipts = plan(), []
    sent = []
    for one in blocks:
        sent += send_all(sink, [one], clock)
        receipts += sink.receipts()
    sink.drain(DRAIN_S)
    receipts += sink.receipts()
    check_complete(blocks, sent, receipts)
    firsts = [r.first for r in receipts]
    assert firsts == sorted(firsts)
    assert sum(r.n_records for r in receipts) == sum(SIZES)
    sink.close()


@each_sink
def test_after_drain_receipts_returns_all_at_once_and_only_once(
    case: Case, tmp_path: Path, clock: ManualClock
) -> None:
    sink = case.open(tmp_path, clock)
    blocks = in_one_range()
    sent = send_all(sink, blocks, clock)
    sink.drain(DRAIN_S)
    check_complete(blocks, sent, list(sink.receipts()))
    sink.drain(DRAIN_S)
    assert list(sink.receipts()) == []
    sink.close()
    assert list(sink.receipts()) == []


@each_sink
def test_it_can_be_used_again_after_drain(case: Case, tmp_path: Path, clock: ManualClock) -> None:
    sink = case.open(tmp_path, clock)
    blocks = in_one_range()
    sent, receipts = [], []
    for half in (blocks[:5], blocks[5:]):
        sent += send_all(sink, half, clock)
        sink.drain(DRAIN_S)
        receipts += sink.receipts()
    check_complete(blocks, sent, receipts)
    sink.close()
    if case.rows is not None:
        assert len(case.rows(tmp_path, sink)) == sum(SIZES)


@each_sink
@each_plan
def test_nothing_is_confirmed_before_it_is_where_it_is_claimed(
    case: Case, plan, tmp_path: Path, clock: ManualClock
) -> None:
    sink = case.open(tmp_path, clock)
    confirmed = 0
    for one in plan():
        send_all(sink, [one], clock)
        confirmed += sum(r.n_records for r in sink.receipts())
        assert confirmed <= case.landed(tmp_path, sink)
    sink.drain(DRAIN_S)
    confirmed += sum(r.n_records for r in sink.receipts())
    assert confirmed == case.landed(tmp_path, sink) == sum(SIZES)
    sink.close()


@each_sink
@each_plan
def test_what_is_read_back_is_the_plan(
    case: Case, plan, tmp_path: Path, clock: ManualClock
) -> None:
    sink = case.open(tmp_path, clock)
    blocks = plan()
    send_all(sink, blocks, clock)
    sink.drain(DRAIN_S)
    sink.close()
    expected = texts_of(*blocks)
    if case.texts is not None:
        assert case.texts(tmp_path, sink) == expected
    if case.rows is not None:
        rows, of_the_plan = case.rows(tmp_path, sink), [row_of(text) for text in expected]
        assert rows == (of_the_plan if case.ordered else sorted(of_the_plan))


@each_sink
def test_closing_without_drain_confirms_nothing_that_is_not_there(
    case: Case, tmp_path: Path, clock: ManualClock
) -> None:
    sink = case.open(tmp_path, clock)
    send_all(sink, in_one_range(), clock)
    sink.close()
    confirmed = sum(r.n_records for r in sink.receipts())
    assert confirmed <= case.landed(tmp_path, sink) <= sum(SIZES)


@each_sink
def test_closing_twice_is_closing_once(case: Case, tmp_path: Path, clock: ManualClock) -> None:
    sink = case.open(tmp_path, clock)
    send_all(sink, in_one_range(), clock)
    sink.drain(DRAIN_S)
    sink.close()
    before = sorted(p.name for p in tmp_path.iterdir())
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@each_sink
def test_it_counts_what_it_may_and_says_so_after_its_end(
    case: Case, tmp_path: Path, clock: ManualClock
) -> None:
    sink = case.open(tmp_path, clock)
    before = sink.counters()
    assert (before.wire_bytes, before.n_reconnects, before.n_maybe_duplicated) == (0, 0, 0)
    sent = send_all(sink, in_one_range(), clock)
    sink.drain(DRAIN_S)
    sink.close()
    after = sink.counters()
    assert 0 <= after.wire_bytes <= sum(each.raw_bytes for each in sent)
    assert (after.n_reconnects, after.n_maybe_duplicated) == (0, 0)


@each_sink
def test_a_run_without_messages_ends_well(case: Case, tmp_path: Path, clock: ManualClock) -> None:
    sink = case.open(tmp_path, clock)
    assert list(sink.receipts()) == []
    sink.drain(DRAIN_S)
    assert list(sink.receipts()) == []
    sink.close()
    if case.rows is not None:
        assert case.rows(tmp_path, sink) == []


@each_sink
def test_a_block_says_when_it_was_sent_and_how_large_it_was(
    case: Case, tmp_path: Path, clock: ManualClock
) -> None:
    sink = case.open(tmp_path, clock)
    (small,) = send_all(sink, [block(0, 1)], clock)
    assert small.at_ns == clock.now_ns()
    (large,) = send_all(sink, [block(1, 200)], clock)
    assert large.at_ns == small.at_ns + 1_000_000
    assert 150 * small.raw_bytes < large.raw_bytes < 250 * small.raw_bytes
    assert 100 <= small.raw_bytes <= 700
    sink.drain(DRAIN_S)
    sink.close()
