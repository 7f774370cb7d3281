"""Every schedule is exact, monotone, and the same wherever it is split."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from iot_producer.rate_curve import RateCurve, Segment, floor_line
from iot_producer.schedule import (
    ConstantSchedule,
    MaxRate,
    Schedule,
    ShapedSchedule,
    limit,
    schedule_from_spec,
    schedule_from_toml,
)

S = 10**9

rates = st.one_of(
    st.integers(1, 2_000_000).map(Fraction),
    st.fractions(Fraction(1, 100), 5000, max_denominator=1000),
)
rates_or_0 = st.one_of(rates, st.just(Fraction(0)))
durations_ns = st.one_of(st.integers(1, 300).map(lambda s: s * S), st.integers(1_000_000, 400 * S))


def as_text(duration_ns: int) -> str:
    return f"{duration_ns // 1000}us"


def table(**items: object) -> Schedule:
    schedule = schedule_from_toml({key.rstrip("_"): value for key, value in items.items()})
    assert not isinstance(schedule, MaxRate)
    return schedule


constants = rates.map(ConstantSchedule)
ramps = st.builds(
    lambda a, b, d: table(kind="ramp", from_=a, to=b, over=as_text(d)),
    rates_or_0,
    rates,
    durations_ns,
)
steps = st.builds(
    lambda parts, last, repeat: table(
        kind="steps",
        steps=[{"rate": r, "for": as_text(d)} for r, d in [*parts, (last, S)]],
        repeat=repeat,
    ),
    st.lists(st.tuples(rates_or_0, durations_ns), max_size=4),
    rates,
    st.booleans(),
)
waves = st.builds(
    lambda low, more, d, peak: table(
        kind="wave",
        low=low,
        high=Fraction(round((low + more) * 1000), 1000),
        period=as_text(d * 100),
        peak_at=as_text(d * peak),
    ),
    st.integers(0, 1000).map(Fraction),
    rates,
    durations_ns,
    st.integers(0, 99),
)
bursts = st.builds(
    lambda base, burst, d, rest: table(
        kind="bursts", base=base, burst=burst, every=as_text(d + rest), for_=as_text(d)
    ),
    rates_or_0,
    rates,
    durations_ns,
    durations_ns,
)
whole_schedules = st.one_of(constants, ramps, steps, waves, bursts)
# From a later message on, as far as a grid has come that began with the epoch.
later_schedules = st.builds(
    lambda schedule, first: replace(schedule, first=first),
    whole_schedules,
    st.one_of(st.integers(1, 5000), st.integers(1, 10**15)),
)
schedules = st.one_of(whole_schedules, later_schedules)
# Up to an epoch-based number at a high rate.
messages = st.one_of(st.integers(0, 5000), st.integers(0, 10**15))


@settings(deadline=None)
@given(schedules, messages)
def test_n_due_is_the_inverse_of_due_ns(schedule: Schedule, n: int):
    due_ns = schedule.due_ns(n)
    assert due_ns >= 0
    assert schedule.n_due(due_ns) > n
    assert schedule.n_due(due_ns - 1) <= n
    assert schedule.due_ns(n + 1) >= due_ns


@settings(deadline=None)
@given(schedules, st.integers(-S, 10**6 * S))
def test_due_ns_is_the_inverse_of_n_due(schedule: Schedule, elapsed_ns: int):
    n = schedule.n_due(elapsed_ns)
    assert n >= 0
    assert schedule.due_ns(n) > elapsed_ns
    if n:
        assert schedule.due_ns(n - 1) <= elapsed_ns


@settings(deadline=None)
@given(schedules, messages, st.lists(st.integers(0, 200), max_size=60))
def test_blocks_are_the_same_as_one_by_one(schedule: Schedule, base: int, gaps: list[int]):
    index = np.cumsum(np.array([0, *gaps], np.int64))[1:]
    base_ns, offsets = schedule.offsets_ns(base, index)
    assert base_ns == schedule.due_ns(base)
    assert offsets.dtype == np.int64
    assert [base_ns + o for o in offsets.tolist()] == [
        schedule.due_ns(base + i) for i in index.tolist()
    ]


@settings(deadline=None)
@given(schedules, messages, st.integers(1, 300), st.data())
def test_splitting_a_block_changes_nothing(
    schedule: Schedule, base: int, n: int, data: st.DataObject
):
    split = data.draw(st.integers(0, n))
    base_ns, whole = schedule.offsets_ns(base, np.arange(n, dtype=np.int64))
    left_ns, left = schedule.offsets_ns(base, np.arange(split, dtype=np.int64))
    right_ns, right = schedule.offsets_ns(base + split, np.arange(n - split, dtype=np.int64))
    assert [base_ns + o for o in whole.tolist()] == [
        *(left_ns + o for o in left.tolist()),
        *(right_ns + o for o in right.tolist()),
    ]


@settings(deadline=None)
@given(schedules, st.lists(st.integers(-10, 10**5 * S), max_size=20))
def test_counting_many_is_counting_each(schedule: Schedule, times: list[int]):
    counted = schedule.n_due_many(np.array(times, np.int64))
    assert counted.tolist() == [schedule.n_due(time) for time in times]


@settings(deadline=None)
@given(schedules, st.integers(1, 10**7), st.integers(1_000_000_000, 100 * S))
def test_limits_cut_and_change_nothing_else(schedule: Schedule, n: int, duration_ns: int):
    cut = limit(schedule, n_messages=n)
    assert cut.n_messages == n
    assert cut.due_ns(n - 1) == schedule.due_ns(n - 1)
    assert cut.n_due(schedule.due_ns(n) + duration_ns) == n
    in_time = schedule.n_due(duration_ns - 1)
    if in_time:
        assert limit(schedule, duration_ns=duration_ns).n_messages == in_time
        assert schedule.due_ns(in_time - 1) < duration_ns <= schedule.due_ns(in_time)


@settings(deadline=None)
@given(whole_schedules, st.integers(0, 10**15), st.integers(0, 5000))
def test_from_a_later_message_on_it_is_the_same(whole: Schedule, first: int, n: int):
    assert isinstance(whole, ConstantSchedule | ShapedSchedule)
    later = replace(whole, first=first)
    assert later.start_ns == whole.due_ns(first)
    assert later.start_ns + later.due_ns(n) == whole.due_ns(first + n)
    assert schedule_from_spec(later.to_spec()) == later
    assert later.rate_at(S) == whole.rate_at(later.start_ns + S)


@settings(deadline=None)
@given(whole_schedules, st.integers(0, 2 * 10**9 * S))
def test_at_a_time_begins_with_the_first_message_that_is_due_then(whole: Schedule, at_ns: int):
    assert isinstance(whole, ConstantSchedule | ShapedSchedule)
    found = whole.at(at_ns)
    assert whole.due_ns(found.first) >= at_ns
    assert found.first == 0 or whole.due_ns(found.first - 1) < at_ns
    assert found.at(at_ns) == found


@settings(deadline=None)
@given(
    st.lists(st.tuples(durations_ns, rates_or_0, rates_or_0), min_size=1, max_size=4),
    st.integers(0, 1000),
)
def test_the_count_is_the_integral_of_the_rate(
    parts: list[tuple[int, Fraction, Fraction]], part: int
):
    segments = [Segment(*each) for each in [*parts, (S, Fraction(5), Fraction(5))]]
    curve = RateCurve(segments)
    # Exact at the ends of segments; inside, within what the rate rises in one slice.
    total, start_ns = Fraction(0), 0
    for segment in segments:
        d, a, b = segment.duration_ns, segment.start_per_s, segment.end_per_s
        t = d * part // 1000
        inside = total + (a * t + (b - a) * Fraction(t * t, 2 * d)) / S
        slice_ns = max(S // 10, d // 1000 + 1_000_000)
        slack = 1 + abs(b - a) * Fraction(slice_ns**2, 8 * d * S)
        # What is due before a time: at most a nanosecond before it.
        assert abs(curve.n_due(start_ns + t - 1) - inside) <= slack
        total += (a + b) * d / (2 * S)
        start_ns += d
        assert curve.n_due(start_ns - 1) == -(-total.numerator // total.denominator)


big = st.integers(-(10**30), 10**30)


@given(
    big,
    st.integers(0, 10**20),
    st.one_of(st.integers(1, 10**6), st.integers(1, 10**25)),
    st.lists(st.integers(0, 10**6), max_size=10),
)
def test_a_line_is_exact_or_says_that_it_is_too_long(
    first: int, step: int, divisor: int, index: list[int]
):
    wanted = [(first + step * i) // divisor - first // divisor for i in index]
    try:
        got = floor_line(first, step, divisor, np.array(index, np.int64), -(first // divisor))
    except OverflowError:
        assert max(wanted) > 2**63 - 1
    else:
        assert got.tolist() == wanted
