from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from found_records import SMALL
from iot_producer.blocks import Plan
from iot_producer.lane import LaneSpec
from iot_producer.lane_report import LaneReport
from iot_producer.lane_succession import NOT_STORED, close_predecessor, known_runs
from iot_producer.outcome import State
from iot_producer.run_journal import LaneEntry, settled
from iot_producer.schedule import ConstantSchedule, MaxRate, limit
from iot_producer.tally import LaneTally
from lane_journals import (
    MS,
    START_NS,
    S,
    by_two,
    entry_of,
    head_of,
    max_entry_of,
    plan_of,
    report_of,
)

LATER = START_NS + 10 * S
"""When somebody claims the lane again: 10,000 messages are due by then."""


def close(entry: LaneEntry, *last_ids: int, until_ns: int = LATER) -> LaneEntry:
    closed = close_predecessor(entry, last_ids, by_two, until_ns=until_ns)
    closed.lane.ranges.check(closed.lane.tally)
    assert closed.has_ended
    if not entry.head.may_skip:
        again = close_predecessor(closed, last_ids, by_two, until_ns=until_ns)
        assert again.lane == closed.lane
    return closed


def lists(entry: LaneEntry) -> dict[str, list[list[int]]]:
    ranges = entry.lane.ranges
    names = ("confirmed", "failed", "unconfirmed", "not_sent")
    return {name: found for name in names if (found := getattr(ranges, name).to_list())}


def test_what_is_stored_up_to_the_last_id_is_confirmed():
    entry = entry_of(head_of(), 40, 20)
    plan = plan_of(entry.head)
    assert lists(close(entry, plan.due_ns(1233))) == {"confirmed": [[0, 1234]]}
    assert lists(close(entry, plan.due_ns(1234) - 1)) == {"confirmed": [[0, 1234]]}


def test_what_was_sent_and_is_not_stored_was_not_sent():
    closed = close(entry_of(head_of(), 40, 20), plan_of(head_of()).due_ns(49))
    assert lists(closed) == {"confirmed": [[0, 50]], "not_sent": [[50, 60]]}
    assert closed.lane.ranges.not_sent_reasons == {NOT_STORED: 10}
    assert (closed.lane.tally.sent, closed.lane.tally.confirmed) == (50, 50)


def test_what_was_confirmed_stays_so_whatever_the_broker_says():
    assert lists(close(entry_of(head_of(), 40, 20), plan_of(head_of()).due_ns(9))) == {
        "confirmed": [[0, 40]],
        "not_sent": [[40, 60]],
    }


def test_where_the_broker_knows_nothing_all_may_be_there():
    closed = close(entry_of(head_of(), 40, 20), -1)
    assert lists(closed) == {"confirmed": [[0, 40]], "unconfirmed": [[40, 10_001]]}
    assert (
        close_predecessor(entry_of(head_of(), 40, 20), (), by_two, until_ns=LATER).lane
        == closed.lane
    )


def test_a_plan_that_has_come_to_its_end_goes_no_further():
    head = head_of(limit(ConstantSchedule(Fraction(1000)), 70))
    assert lists(close(entry_of(head, 40, 20), -1)) == {
        "confirmed": [[0, 40]],
        "unconfirmed": [[40, 70]],
    }
    assert lists(close(entry_of(head, 40, 20), LATER)) == {"confirmed": [[0, 70]]}


def test_each_partition_has_a_last_id_of_its_own():
    head = head_of(last_ids=(-1, -1))
    plan = plan_of(head)
    closed = close(entry_of(head, 40, 20), plan.due_ns(99), plan.due_ns(149))
    block = plan.block(0, 150)
    odd = block.devices % 2 == 1
    numbers = np.arange(150)
    there = (numbers < 40) | np.where(odd, numbers <= 149, numbers <= 99)
    assert [n for n in range(150) if n in closed.lane.ranges.confirmed] == numbers[there].tolist()
    assert [n for n in range(150) if n in closed.lane.ranges.not_sent] == numbers[~there].tolist()
    assert closed.lane.tally.scheduled == 150


def test_of_a_partition_without_a_last_id_nothing_is_known_up_to_those_of_the_others():
    head = head_of(last_ids=(-1, -1))
    plan = plan_of(head)
    closed = close(entry_of(head, 40, 20), -1, plan.due_ns(149))
    even = plan.block(0, 150).devices % 2 == 0
    numbers = np.arange(150)
    perhaps = numbers[even & (numbers >= 40)].tolist()
    assert [n for n in range(150) if n in closed.lane.ranges.unconfirmed] == perhaps
    assert closed.lane.ranges.not_sent.count == 0


def test_where_partitions_were_added_only_what_all_agree_on_is_known():
    head = head_of(last_ids=(-1,))
    plan = plan_of(head)
    closed = close(entry_of(head, 40, 20), plan.due_ns(99), plan.due_ns(149))
    assert lists(closed) == {"confirmed": [[0, 100]], "unconfirmed": [[100, 150]]}
    closed = close(entry_of(head, 40, 20), plan.due_ns(99), -1)
    assert lists(closed) == {"confirmed": [[0, 40]], "unconfirmed": [[40, 100]]}


def test_a_lane_that_leaves_out_what_is_late_may_have_left_out_any():
    closed = close(entry_of(head_of(may_skip=True), 40, 20), plan_of(head_of()).due_ns(99))
    assert lists(closed) == {"confirmed": [[0, 60]], "unconfirmed": [[60, 100]]}


def test_of_a_lane_that_had_ended_only_what_it_had_sent_is_decided():
    plan = plan_of(head_of())
    ended = entry_of(head_of(), 40, 20, has_ended=True)
    assert lists(close(ended, plan.due_ns(5000))) == {"confirmed": [[0, 60]]}
    assert lists(close(ended, plan.due_ns(49))) == {
        "confirmed": [[0, 50]],
        "not_sent": [[50, 60]],
    }
    assert lists(close(ended, -1)) == {"confirmed": [[0, 40]], "unconfirmed": [[40, 60]]}


def torn(states: dict[int, State]) -> LaneEntry:
    """A lane of which a block of 20 went to two partitions, with these results."""
    head = head_of(last_ids=(-1, -1))
    places = by_two(plan_of(head).block(10, 20).devices, 2)
    counts = {p: int((places == p).sum()) for p in (0, 1)}
    tally = LaneTally()
    tally.schedule_to(30)
    tally.sent(0, 10)
    tally.confirmed(0, 10, None, 10)
    tally.sent(10, 30, counts)
    for partition, state in states.items():
        if state is State.CONFIRMED:
            tally.confirmed(10, 30, partition, counts[partition])
        elif state is State.FAILED:
            tally.failed(10, 30, partition, counts[partition], "too large")
    return LaneEntry(head, report_of(tally, head), START_NS + S)


def test_a_block_of_which_one_part_is_confirmed_is_decided_by_message():
    entry = torn({1: State.CONFIRMED})
    plan = plan_of(entry.head)
    assert lists(close(entry, plan.due_ns(29), plan.due_ns(29))) == {"confirmed": [[0, 30]]}
    closed = close(entry, plan.due_ns(19), plan.due_ns(29))
    even = plan.block(0, 30).devices % 2 == 0
    gone = [n for n in range(20, 30) if even[n]]
    assert [n for n in range(30) if n in closed.lane.ranges.not_sent] == gone
    assert closed.lane.ranges.partial == ()


def test_a_block_of_which_one_part_failed_stays_as_it_is():
    entry = torn({1: State.FAILED})
    closed = close(entry, plan_of(entry.head).due_ns(29), plan_of(entry.head).due_ns(29))
    assert closed.lane.ranges.partial == entry.lane.ranges.partial
    assert closed.lane.tally.failed == entry.lane.tally.failed > 0


def test_several_workers_close_their_own_lanes():
    for index in (0, 1):
        head = head_of(index=index, n_lanes=2)
        plan = Plan(SMALL, LaneSpec(index, 2), ConstantSchedule(Fraction(1000)), START_NS)
        closed = close(entry_of(head, 40), START_NS + S)
        assert lists(closed) == {"confirmed": [[0, plan.n_due(START_NS + S)]]}
        assert 450 < plan.n_due(START_NS + S) < 550


def test_at_the_maximum_rate_what_came_after_the_last_word_is_not_known():
    head = head_of(MaxRate())
    entry = max_entry_of(head, 20, 4)
    blocks = entry.lane.blocks
    assert blocks is not None
    last_ns = int(blocks[18, 1]) + 4
    closed = close(entry, last_ns)
    assert lists(closed) == {"confirmed": [[0, 185]], "not_sent": [[185, 200]]}
    assert closed.open_until_ns == last_ns
    beyond = close(entry, int(blocks[-1, 1]) + S)
    assert lists(beyond) == {"confirmed": [[0, 200]]}
    assert beyond.open_until_ns == int(blocks[-1, 1]) + S
    unknown = close(entry, -1)
    assert lists(unknown) == {"confirmed": [[0, 160]], "unconfirmed": [[160, 200]]}
    assert unknown.open_until_ns == LATER
    ended = close(replace(entry, has_ended=True), last_ns)
    assert ended.open_until_ns == 0


def test_each_lane_is_closed_by_who_claimed_it_next():
    plan = plan_of(head_of())
    first = entry_of(head_of(), 40, 20)
    second = entry_of(
        head_of(start_ns=LATER, claimed_ns=LATER - MS, last_ids=(plan.due_ns(99),)), 30
    )
    third = entry_of(
        head_of(start_ns=LATER + S, claimed_ns=LATER + S, last_ids=(LATER + 49 * MS,)), 10, 10
    )
    other = entry_of(head_of(name="iot-producer-1", claimed_ns=LATER), 500, has_ended=True)
    runs = known_runs([third, other, first, second], LATER + 5 * S, by_two)
    by_lane: dict[str, list[Any]] = {}
    for run in runs:
        (lane,) = run.report.lanes
        by_lane.setdefault(run.lane, []).append((lane.tally.confirmed, run.open_until_ns))
        assert run.name.startswith(f"{run.lane} of 2026-")
    assert by_lane == {
        "iot-producer-0": [(100, 0), (50, 0), (10, LATER + 5 * S)],
        "iot-producer-1": [(500, 0)],
    }


def test_claims_are_in_the_order_of_what_the_broker_told_not_of_clocks():
    plan = plan_of(head_of())
    first = entry_of(head_of(claimed_ns=START_NS), 40, 20)
    second = entry_of(
        head_of(start_ns=LATER, claimed_ns=LATER, last_ids=(plan.due_ns(99),)), 30, 30
    )
    # Its clock is a minute slow.
    third = entry_of(
        head_of(start_ns=LATER + S, claimed_ns=LATER - 60 * S, last_ids=(LATER + 49 * MS,)), 10
    )
    runs = known_runs([first, second, third], LATER + 5 * S, by_two)
    found = {run.report.start_ns: run.report.tally for run in runs}
    assert [found[start].confirmed for start in (START_NS, LATER, LATER + S)] == [100, 50, 10]
    assert found[LATER].not_sent == 10


def test_a_lane_of_several_partial_fates_is_closed_whatever_its_account():
    """Skipped, passed over, confirmed, open: nothing is decided twice."""
    tally = LaneTally()
    tally.schedule_to(200)
    tally.sent(0, 10)
    tally.skip(10, 20, "too late")
    tally.sent(30, 50)
    tally.failed(30, 50, None, 20, "no")
    tally.sent(50, 60)
    head = head_of()
    lane = LaneReport(0, *settled(tally))
    closed = close(LaneEntry(head, lane, START_NS), plan_of(head).due_ns(54))
    assert lists(closed) == {
        "confirmed": [[0, 10], [50, 55]],
        "failed": [[30, 50]],
        "not_sent": [[10, 30], [55, 60]],
    }
    reasons = closed.lane.ranges.not_sent_reasons
    assert reasons == {"too late": 10, "passed over": 10, NOT_STORED: 5}


@pytest.mark.parametrize("n_partitions", [1, 7])
def test_many_messages_are_decided_in_pieces(n_partitions: int):
    head = head_of(last_ids=(-1,) * n_partitions)
    plan = plan_of(head)
    ids = [plan.due_ns(150_000 + p) for p in range(n_partitions)]
    closed = close(entry_of(head, 40), *ids, until_ns=START_NS + 200 * S)
    assert closed.lane.tally.scheduled == 150_000 + n_partitions
    assert closed.lane.ranges.confirmed.contains(0, 150_001)
