from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iot_producer.blocks import Plan
from iot_producer.config import resolve_run
from iot_producer.errors import UsageError
from iot_producer.gap import Gap
from iot_producer.lane_start import LaneStart, Rest, claims_lane, lane_spec_of, lane_start, rest_of
from iot_producer.report import RunReport
from iot_producer.run_config import RunConfig
from iot_producer.run_result import run_report
from iot_producer.schedule import LimitedSchedule, MaxRate, Schedule, unlimited

S = 1_000_000_000
MS = 1_000_000
NOW = 1_780_000_000 * S + 123_456_789
SOON = 1_780_000_000 * S + 323 * MS


def config(**flags: str) -> RunConfig:
    return resolve_run({"to": "pulsar://h", "devices": "100", **flags}, {})


def start_of(run: RunConfig, now_ns: int = NOW, lane: int | None = 0, **known: Any) -> LaneStart:
    found = lane_start(run, now_ns, lane=lane, **known)
    assert found is not None
    return found


def plan_of(start: LaneStart, worker: int = 0) -> Plan:
    schedule = start.config.schedule
    assert not isinstance(schedule, MaxRate)
    return Plan(start.config.fleet, lane_spec_of(start.config, worker), schedule, start.start_ns)


def messages(start: LaneStart, n: int) -> list[tuple[int, int]]:
    """(intended time, device) of the plan's first messages, of all workers."""
    found = []
    for worker in range(start.config.workers):
        block = plan_of(start, worker).block(0, n)
        found += zip(block.intended_ns.tolist(), block.devices.tolist(), strict=True)
    return sorted(found)


def report_of(start: LaneStart) -> RunReport:
    return run_report(
        start.config, [], start_ns=start.start_ns, started_ns=start.start_ns,
        ended_ns=start.start_ns, stop_reason="", raw_bytes=0, error=None, gap=start.gap,
    )  # fmt: skip


def n_messages_of(start: LaneStart) -> int | None:
    assert not isinstance(start.config.schedule, MaxRate)
    return start.config.schedule.n_messages


@pytest.mark.parametrize(
    ("flags", "claims"),
    [
        ({}, True),
        ({"workers": "3"}, True),
        ({"client": "official"}, False),
        ({"shard": "0/1"}, False),
        ({"to": "null:"}, False),
    ],
)
def test_who_claims_a_lane(flags: dict[str, str], claims: bool):
    assert claims_lane(config(**flags)) is claims


class TestWithoutAClaim:
    def test_a_run_begins_soon_on_a_whole_millisecond(self):
        start = start_of(config(to="null:"), lane=None)
        assert start.start_ns == 1_780_000_000 * S + 133 * MS
        start = start_of(config(shard="1/2", rate="3"), lane=None)
        assert start.start_ns == SOON
        assert start.config.schedule == config(shard="1/2", rate="3").schedule
        assert lane_spec_of(start.config, 0).offset == 0
        assert (start.gap, start.news, start.last_ids) == (None, (), ())

    def test_or_when_it_was_asked_to(self):
        assert (
            start_of(config(start="2026-01-02"), lane=None).start_ns == (1_767_225_600 + 86_400) * S
        )

    def test_a_shard_that_goes_on_names_its_gap(self):
        last = NOW - 7 * S
        start = start_of(config(shard="1/2", rate="3"), lane=None, last_ids=((last,),))
        assert start.gap == Gap(last, start.start_ns, None, ((last,),))
        ((level, text),) = start.news
        assert level == "info"
        assert text == (
            "the lane goes on after its last stored message, of 2026-05-28T20:26:33.123Z; "
            "not sent: what was due in the 7.2 s until 2026-05-28T20:26:40.323Z"
        )


class TestTheGrid:
    def test_is_that_of_the_epoch_whenever_the_run_begins(self):
        # 7 messages in 3 s: no grid of whole milliseconds.
        first = start_of(config(rate="7/3"), lane=3)
        n = unlimited(first.config.schedule).first  # type: ignore[arg-type]
        assert first.start_ns == n * 3 * S // 7 >= SOON > (n - 1) * 3 * S // 7
        later = start_of(config(rate="7/3"), NOW + 100 * S, lane=3)
        whole = messages(first, 300)
        assert later.start_ns > first.start_ns
        assert messages(later, 20)[0] in whole
        k = whole.index(messages(later, 20)[0])
        assert messages(later, 20) == whole[k : k + 20]

    def test_begins_at_the_lanes_place_among_the_devices(self):
        """At the epoch lane 0 begins with device order(0) and lane 1 half a cycle later."""
        run = config(rate="1000")
        zero, one = (start_of(run, lane=k) for k in (0, 1))
        assert zero.start_ns == one.start_ns
        mine, other = messages(zero, 100), messages(one, 100)
        assert [d for _, d in mine[50:]] + [d for _, d in mine[:50]] == [d for _, d in other]
        first = unlimited(zero.config.schedule).first  # type: ignore[arg-type]
        assert lane_spec_of(zero.config, 0).offset == first % 100
        assert lane_spec_of(one.config, 0).offset == (first + 50) % 100

    def test_workers_share_the_lane(self):
        alone = start_of(config(rate="1000"), lane=2)
        three = start_of(config(rate="1000", workers="3"), lane=2)
        assert set(messages(three, 30)) >= set(messages(alone, 60))

    def test_limits_count_from_the_start(self):
        assert n_messages_of(start_of(config(rate="1000", messages="50"))) == 50
        start = start_of(config(rate="1000", duration="2s"))
        assert n_messages_of(start) == 2000
        assert plan_of(start).due_ns(1999) < start.start_ns + 2 * S
        assert n_messages_of(start_of(config())) is None

    def test_a_start_that_was_given_is_the_first_message_at_or_after_it(self):
        start = start_of(config(rate="1000", start="2026-01-01"))
        assert start.start_ns == 1_767_225_600 * S

    def test_other_schedules_begin_with_the_run(self):
        toml = {"schedule": {"kind": "ramp", "from": 0, "to": 100, "over": "10s"}}
        run = resolve_run({"to": "pulsar://h", "devices": "100", "duration": "20s"}, {}, toml)
        start = start_of(run, lane=1)
        assert start.start_ns == SOON
        assert start.config.schedule == run.schedule
        assert lane_spec_of(start.config, 0).offset == 50
        fast = start_of(config(rate="max", messages="70", duration="5s"), lane=1)
        assert fast.config.schedule == MaxRate(70, 5 * S)
        assert lane_spec_of(fast.config, 0).offset == 50

    def test_a_word_where_lanes_are_so_many_that_they_may_meet(self):
        assert start_of(config(rate="50000"), lane=1).news == ()
        ((level, text),) = start_of(config(rate="50000"), lane=2).news
        assert level == "warning"
        assert text.startswith("3 lanes at this rate are too many for 100 devices")


class TestAfterAnotherRun:
    def test_the_gap_is_skipped_and_named(self):
        last = NOW - 5 * S
        start = start_of(config(rate="1000"), last_ids=((last, last + S),))
        assert start.start_ns == SOON
        # On the grid a message is due every millisecond; the last one was between two.
        assert start.gap == Gap(last, start.start_ns, 5_199, ((last, last + S),))
        assert start.last_ids == ()
        assert "(5,199 messages at this rate)" in start.news[0][1]

    def test_nothing_known_is_no_gap(self):
        start = start_of(config(), last_ids=((-1, -1), (-1, -1)))
        assert (start.gap, start.news) == (None, ())

    def test_a_clock_that_is_a_little_behind_is_waited_for(self):
        last = NOW + 3 * S
        start = start_of(config(rate="1000"), last_ids=((last,),))
        assert start.start_ns == (last // MS + 1) * MS
        assert start.news[0] == (
            "warning",
            "the lane's last message is 3 s ahead of this machine's clock: "
            "waiting until it is past",
        )

    def test_a_clock_that_is_far_behind_is_an_error(self):
        with pytest.raises(UsageError, match=r"1 h ahead of this machine's clock") as caught:
            start_of(config(), last_ids=((NOW + 3600 * S,),))
        assert "clock" in caught.value.hint

    def test_a_start_before_what_is_stored_is_an_error(self):
        with pytest.raises(UsageError, match=r"starts at 2026-01-01T00:00:00\.000Z, but the topic"):
            start_of(config(start="2026-01-01"), last_ids=((NOW,),))
        start_of(config(start="2026-01-01"), last_ids=((1_767_225_600 * S - 1,),))


class TestCatchUp:
    RUN = config(rate="7/3", on_gap="catch-up", workers="2", duration="1h")

    def before(self, run: RunConfig | None = None, lane: int = 1) -> LaneStart:
        return start_of(run or self.RUN, NOW - 60 * S, lane=lane)

    def last_ids(self, before: LaneStart) -> tuple[tuple[int, ...], ...]:
        """Worker 0 had sent 10 of its messages, worker 1 12, on partitions of its own."""
        one, two = (plan_of(before, worker) for worker in (0, 1))
        return (one.due_ns(9), one.due_ns(8)), (two.due_ns(11), two.due_ns(10))

    def test_begins_with_the_message_after_the_last_that_is_stored(self):
        before = self.before()
        ids = self.last_ids(before)
        start = start_of(self.RUN, lane=1, last_ids=ids, predecessor=report_of(before))
        whole = messages(before, 100)
        k = [at for at, _ in whole].index(min(map(min, ids)))
        assert messages(start, 10) == whole[k + 1 : k + 1 + 20]
        assert start.last_ids == ids
        assert start.gap is not None
        assert start.gap.is_filled
        assert "what was due since then is sent" in start.news[0][1]
        # Its hour counts from now, not from the gap's beginning.
        n = n_messages_of(start)
        assert n is not None
        assert abs(start.config.schedule.due_ns(n - 1) + start.start_ns - (NOW + 3600 * S)) < S  # type: ignore[union-attr]

    def test_fills_no_more_than_the_largest_gap(self):
        before = self.before()
        run = replace(self.RUN, max_gap_ns=20 * S)
        start = start_of(run, lane=1, last_ids=self.last_ids(before), predecessor=report_of(before))
        assert 0 <= start.start_ns - (NOW - 20 * S) < S
        assert start.gap is not None
        assert start.gap.n_messages is not None
        assert start.gap.n_messages > 50

    @pytest.mark.parametrize(
        ("flags", "problem"),
        [
            ({"rate": "2"}, "had another plan"),
            ({"seed": "9"}, "had another plan"),
            ({"workers": "1"}, "had another plan"),
            ({"rate": "max"}, "only a plan of a constant rate"),
            ({"start": "2026-09-01"}, "a start of its own"),
        ],
    )
    def test_only_for_the_same_plan(self, flags: dict[str, str], problem: str):
        before = self.before()
        run = config(**{"rate": "7/3", "on_gap": "catch-up", "workers": "2", **flags})
        start = start_of(run, lane=1, last_ids=self.last_ids(before), predecessor=report_of(before))
        assert start.last_ids == ()
        assert start.start_ns > NOW
        level, text = start.news[0]
        assert level == "warning"
        assert problem in text

    def test_not_where_something_is_unknown(self):
        before = self.before()
        ids = self.last_ids(before)
        for known, last_ids, problem in (
            (None, ids, "nothing is known of the plan"),
            (report_of(self.before(lane=0)), ids, "another plan"),
            (report_of(before), (ids[0], (ids[1][0], -1)), "has no known gap"),
        ):
            start = start_of(self.RUN, lane=1, last_ids=last_ids, predecessor=known)
            assert start.last_ids == ()
            assert problem in start.news[0][1]
        start = start_of(
            replace(self.RUN, shard_is_given=True), lane=None, last_ids=ids,
            predecessor=report_of(before),
        )  # fmt: skip
        assert "the shard was given" in start.news[0][1]


class TestTheRestOfARun:
    def test_has_the_time_and_the_messages_that_are_left(self):
        run = config(rate="1000", duration="1m", messages="5000")
        first = start_of(run, lane=0)
        done = report_of(first)
        assert rest_of(run, [done]) == Rest(first.start_ns, first.start_ns + 60 * S, 5000)
        rest = Rest(first.start_ns, first.start_ns + 60 * S, 4000)
        second = start_of(run, NOW + 10 * S, lane=1, rest=rest)
        assert n_messages_of(second) == 4000
        late = start_of(run, NOW + 58 * S, lane=1, rest=rest)
        assert n_messages_of(late) == 2000
        assert plan_of(late).due_ns(1999) < first.start_ns + 60 * S

    def test_may_be_nothing(self):
        run = config(rate="1000", duration="1m", messages="5000")
        rest = Rest(NOW, NOW + 60 * S, 4000)
        assert lane_start(run, NOW + 60 * S, lane=1, rest=rest) is None
        assert lane_start(run, NOW, lane=1, rest=replace(rest, n_messages=0)) is None
        slow = config(rate="0.001", duration="1m")
        assert lane_start(slow, NOW + 30 * S, lane=1, rest=replace(rest, n_messages=None)) is None

    def test_of_a_shape_goes_on_where_it_was(self):
        steps = [{"rate": 10, "for": "10s"}, {"rate": 100, "for": "10s"}, {"rate": 0, "for": "1s"}]
        toml = {"schedule": {"kind": "steps", "steps": steps}}
        run = resolve_run({"to": "pulsar://h", "devices": "100"}, {}, toml)
        first = start_of(run, lane=0)
        rest = rest_of(run, [report_of(first)])
        second = start_of(run, NOW + 15 * S, lane=1, rest=rest)
        schedule = second.config.schedule
        assert not isinstance(schedule, MaxRate | LimitedSchedule)
        shape: Schedule = unlimited(run.schedule)  # type: ignore[arg-type]
        n = unlimited(schedule).first
        assert second.start_ns == first.start_ns + shape.due_ns(n)
        assert 0 <= second.start_ns - (NOW + 15 * S) < 225 * MS
        assert [plan_of(second).due_ns(i) for i in range(5)] == [
            first.start_ns + shape.due_ns(n + i) for i in range(5)
        ]
        assert lane_spec_of(second.config, 0).offset == (50 + n) % 100
        assert lane_start(run, NOW + 21 * S, lane=1, rest=rest) is None
