"""The tally balances whatever fails, and in whatever order receipts come."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from iot_producer.tally import LaneRanges, LaneTally, State, TallySnapshot

Fates = dict[State, int]


def run(seed: int, n_blocks: int) -> tuple[LaneTally, Fates, set[int]]:
    """A random lane, and an account of it that is kept message by message.

    Returns:
        The closed tally, how many messages met each fate after they were sent, and the messages
        that were never sent.
    """
    random_ = random.Random(seed)
    tally = LaneTally()
    receipts: list[tuple[int, int, int | None, int]] = []
    not_sent: set[int] = set()
    fates: Fates = dict.fromkeys(State, 0)
    n = 0

    def deliver() -> None:
        first, stop, partition, n_records = receipts.pop(random_.randrange(len(receipts)))
        fate = random_.choice(list(State))
        fates[fate] += n_records
        if fate is State.CONFIRMED:
            tally.confirmed(first, stop, partition, n_records)
        elif fate is State.FAILED:
            tally.failed(first, stop, partition, n_records, random_.choice("ab"))
        # Unconfirmed: the receipt is lost.

    for _ in range(n_blocks):
        stop = n + random_.randint(1, 20)
        tally.schedule_to(stop + random_.randint(0, 5))
        kind = random_.choice(["whole", "whole", "partitions", "partitions", "skip", "pass over"])
        if kind == "whole":
            tally.sent(n, stop)
            middle = random_.randint(n, stop)
            receipts += [(a, b, None, b - a) for a, b in ((n, middle), (middle, stop)) if a < b]
        elif kind == "partitions":
            counts = [0, 0, 0]
            for _message in range(n, stop):
                counts[random_.randrange(3)] += 1
            tally.sent(n, stop, dict(enumerate(counts)))
            for partition, count in enumerate(counts):
                half = random_.randint(0, count)
                receipts += [(n, stop, partition, k) for k in (half, count - half) if k]
        else:
            not_sent.update(range(n, stop))
            if kind == "skip":
                tally.skip(n, stop, "late")
        n = stop
        while receipts and random_.random() < 0.6:
            deliver()
        counts_now = tally.snapshot()
        assert counts_now.scheduled == (
            counts_now.confirmed + counts_now.failed + counts_now.unconfirmed + counts_now.not_sent
        )
    n_answered = random_.randint(0, len(receipts))
    for _ in range(n_answered):
        deliver()
    fates[State.UNCONFIRMED] += sum(receipt[3] for receipt in receipts)
    tally.close()
    not_sent.update(range(n, tally.snapshot().scheduled))
    return tally, fates, not_sent


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_balances(seed: int, n_blocks: int):
    tally, fates, absent = run(seed, n_blocks)
    counts, ranges = tally.snapshot(), tally.ranges()
    assert counts.confirmed == fates[State.CONFIRMED] == ranges.count(State.CONFIRMED)
    assert counts.failed == fates[State.FAILED] == ranges.count(State.FAILED)
    assert counts.unconfirmed == fates[State.UNCONFIRMED] == ranges.count(State.UNCONFIRMED)
    assert counts.not_sent == len(absent) == ranges.not_sent.count
    assert {n for pair in ranges.not_sent for n in range(*pair)} == absent
    ranges.check(counts)
    restored = LaneRanges.from_dict(json.loads(json.dumps(ranges.to_dict())))
    assert restored == ranges
    assert TallySnapshot.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=5))
def test_lanes_add_up_in_any_order(seeds: list[int]):
    parts = [run(seed, 5)[0].snapshot() for seed in seeds]
    total = TallySnapshot.merge(parts)
    assert total == TallySnapshot.merge(reversed(parts))
    assert total == TallySnapshot.merge([TallySnapshot.merge(parts[:2]), *parts[2:]])
    assert total.scheduled == sum(part.scheduled for part in parts)
    assert total.not_sent == sum(part.not_sent for part in parts)
    assert TallySnapshot.merge([]) == TallySnapshot()
