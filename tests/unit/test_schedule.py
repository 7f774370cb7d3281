from __future__ import annotations

import json
import pickle
from fractions import Fraction

import numpy as np
import pytest

from iot_producer.errors import ConfigError
from iot_producer.schedule import (
    ConstantSchedule,
    MaxRate,
    Schedule,
    limit,
    scale,
    schedule_from_rate,
    schedule_from_spec,
    schedule_from_toml,
)

S = 10**9


def shaped(**table: object) -> Schedule:
    schedule = schedule_from_toml({key.rstrip("_"): value for key, value in table.items()})
    assert not isinstance(schedule, MaxRate)
    return schedule


ALL = [
    ConstantSchedule(Fraction(1000)),
    ConstantSchedule(Fraction(1, 3)),
    shaped(kind="ramp", from_=1000, to=50_000, over="5m"),
    shaped(kind="ramp", from_=100, to=0, over="10s"),
    shaped(kind="steps", steps=[{"rate": 10, "for": "1s"}, {"rate": "1/3", "for": "3s"}]),
    shaped(kind="steps", steps=[{"rate": 0, "for": 1}, {"rate": 7, "for": "1s"}], repeat=True),
    shaped(kind="wave", low=100, high=1000, peak_at="15h"),
    shaped(kind="bursts", base=10, burst=1000, every="10s", for_="1s"),
]


class TestConstant:
    def test_is_exact_for_ever(self):
        schedule = ConstantSchedule(Fraction(900))
        assert [schedule.due_ns(n) for n in (0, 1, 2, 9, 900)] == [
            0,
            1_111_111,
            2_222_222,
            10_000_000,
            S,
        ]
        # An epoch-based number times 10^9 is far beyond 64 bits.
        n = 900 * 1_790_000_000
        assert schedule.due_ns(n) == 1_790_000_000 * S

    def test_blocks_far_from_the_start(self):
        schedule = ConstantSchedule(Fraction(1000, 3))
        base = 10**15
        due_ns, offsets = schedule.offsets_ns(base, np.array([0, 1, 2, 1000], np.int64))
        assert due_ns == 3 * 10**21
        assert offsets.tolist() == [0, 3_000_000, 6_000_000, 3 * S]

    def test_counts_what_is_due(self):
        schedule = ConstantSchedule(Fraction(1000))
        assert [schedule.n_due(t) for t in (-1, 0, 999_999, 1_000_000, S)] == [0, 1, 1, 2, 1001]
        assert schedule.n_due_many(np.array([[-5, 0], [S, 1_000_000]])).tolist() == [
            [0, 1],
            [1001, 2],
        ]

    def test_a_rate_that_shares_no_round_unit_stays_exact(self):
        # A prime numerator and denominator near 10^9: products leave 64 bits within a block.
        schedule = ConstantSchedule(Fraction(999_999_937, 999_999_929))
        index = np.array([0, 1, 10**8, 3 * 10**9], np.int64)
        base_ns, offsets = schedule.offsets_ns(10**12, index)
        assert [base_ns + o for o in offsets.tolist()] == [
            schedule.due_ns(10**12 + i) for i in index.tolist()
        ]

    def test_offsets_beyond_64_bits_do_not_wrap(self):
        with pytest.raises(OverflowError):
            ConstantSchedule(Fraction(1, 1000)).offsets_ns(0, np.array([10**8], np.int64))

    @pytest.mark.parametrize("per_s", [0, -1, 10**12])
    def test_impossible_rates(self, per_s: int):
        with pytest.raises(ConfigError, match=str(per_s)):
            ConstantSchedule(Fraction(per_s))


class TestShapes:
    def test_ramp_integrates_its_rate_and_holds_the_target(self):
        schedule = shaped(kind="ramp", from_=0, to=100, over="10s")
        # The integral is 5 t^2, and exact at each cut.
        assert [schedule.due_ns(n) for n in (20, 45, 80, 500)] == [2 * S, 3 * S, 4 * S, 10 * S]
        assert schedule.due_ns(600) == 11 * S
        assert schedule.due_ns(100_500) == 1010 * S
        assert schedule.peak_per_s == 100
        assert schedule.n_messages is None
        assert [schedule.rate_at(t) for t in (-1, 0, 5 * S, 10 * S, 99 * S)] == [0, 0, 50, 100, 100]

    def test_a_ramp_to_nothing_ends(self):
        schedule = shaped(kind="ramp", from_=100, to=0, over="10s")
        assert schedule.n_messages == 500
        assert schedule.n_due(10**20) == 500
        assert schedule.due_ns(499) < 10 * S
        with pytest.raises(ValueError, match="ends after 500"):
            schedule.due_ns(500)

    def test_steps_are_exact_and_the_last_goes_on(self):
        steps = [{"rate": 10, "for": "1s"}, {"rate": 0, "for": "2s"}, {"rate": 4, "for": "500ms"}]
        schedule = shaped(kind="steps", steps=steps)
        assert [schedule.due_ns(n) for n in (0, 1, 9)] == [0, S // 10, 9 * S // 10]
        # Nothing in the pause: the next one is at its end.
        assert [schedule.due_ns(n) for n in (10, 11, 12, 16)] == [
            3 * S,
            3 * S + S // 4,
            3 * S + S // 2,
            4 * S + S // 2,
        ]
        assert [schedule.n_due(t) for t in (S, 3 * S - 1, 3 * S)] == [10, 10, 11]
        assert [schedule.rate_at(t) for t in (0, S, 3 * S, 9 * S)] == [10, 0, 4, 4]

    def test_bursts_repeat_without_drift(self):
        schedule = shaped(kind="bursts", base="1/3", burst=100, every="10s", for_="2s")
        # 8/3 + 200 messages a period: three periods are 608 exactly.
        assert schedule.due_ns(608) == 30 * S
        assert schedule.due_ns(608 * 10**9) == 30 * S * 10**9
        assert schedule.n_due(30 * S - 1) == 608
        assert schedule.peak_per_s == 100
        assert [schedule.rate_at(t * S) for t in (0, 7, 8, 9, 10, 19)] == [
            *(Fraction(1, 3), Fraction(1, 3), 100, 100, Fraction(1, 3), 100)
        ]

    def test_bursts_without_a_base_start_at_the_burst(self):
        schedule = shaped(kind="bursts", base=0, burst=10, every="10s", for_="1s")
        assert [schedule.due_ns(n) for n in (0, 9, 10)] == [9 * S, 9 * S + 9 * S // 10, 19 * S]

    def test_wave_peaks_when_asked_and_averages_its_middle(self):
        schedule = shaped(kind="wave", low=100, high=900, peak_at="15h")
        hour = 3600 * S
        assert schedule.rate_at(15 * hour) == 900
        assert schedule.rate_at(3 * hour) == 100
        assert schedule.rate_at(9 * hour) == 500
        assert schedule.rate_at((24 + 15) * hour) == 900
        assert schedule.due_ns(500 * 86_400) == 24 * hour
        assert schedule.due_ns(500 * 86_400 * 365) == 365 * 24 * hour
        assert schedule.peak_per_s == 900

    def test_wave_of_an_odd_period(self):
        schedule = shaped(kind="wave", low=1, high="7/3", period="1.000000007s", peak_at=0)
        index = np.arange(0, 5000, 7, dtype=np.int64)
        base_ns, offsets = schedule.offsets_ns(12_345, index)
        assert [base_ns + o for o in offsets.tolist()] == [
            schedule.due_ns(12_345 + i) for i in index.tolist()
        ]


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: str(s.to_spec()["kind"]))
class TestEvery:
    def test_is_restored_from_its_spec(self, schedule: Schedule):
        restored = schedule_from_spec(json.loads(json.dumps(schedule.to_spec())))
        assert restored == schedule
        assert hash(restored) == hash(schedule)
        assert pickle.loads(pickle.dumps(schedule)).due_ns(77) == schedule.due_ns(77)
        limited = limit(schedule, n_messages=100)
        assert schedule_from_spec(json.loads(json.dumps(limited.to_spec()))) == limited
        assert limited != schedule

    def test_scales(self, schedule: Schedule):
        tripled = scale(schedule, 3)
        assert not isinstance(tripled, MaxRate)
        assert tripled.peak_per_s == 3 * schedule.peak_per_s
        assert tripled.due_ns(3 * 50) == schedule.due_ns(50)
        assert scale(schedule, 1) == schedule

    def test_an_empty_block_has_no_offsets(self, schedule: Schedule):
        due_ns, offsets = schedule.offsets_ns(5, np.empty(0, np.int64))
        assert due_ns == schedule.due_ns(5)
        assert offsets.shape == (0,)
        assert schedule.n_due_many(np.empty(0, np.int64)).shape == (0,)

    def test_has_no_message_before_the_first(self, schedule: Schedule):
        with pytest.raises(ValueError, match="-1"):
            schedule.due_ns(-1)


class TestLimit:
    def test_by_messages_duration_or_the_first_of_both(self):
        constant = ConstantSchedule(Fraction(1000))
        assert limit(constant) is constant
        assert limit(constant, n_messages=5).n_messages == 5
        assert limit(constant, duration_ns=20 * S).n_messages == 20_000
        assert limit(constant, 30_000, 20 * S).n_messages == 20_000
        assert limit(constant, 10_000, 20 * S).n_messages == 10_000
        twice = limit(limit(constant, 10_000), duration_ns=S)
        assert twice.n_messages == 1000
        assert twice.due_ns(999) == 999_000_000

    def test_nothing_is_due_after_the_end(self):
        schedule = limit(ConstantSchedule(Fraction(10)), n_messages=5)
        assert schedule.n_due(10**20) == 5
        assert schedule.n_due_many(np.array([0, 10 * S])).tolist() == [1, 5]
        assert schedule.rate_at(S // 4) == 10
        assert schedule.rate_at(S) == 0
        assert schedule.peak_per_s == 10

    def test_an_end_of_its_own_counts(self):
        ramp = shaped(kind="ramp", from_=100, to=0, over="10s")
        assert limit(ramp, n_messages=10_000).n_messages == 500

    def test_max_keeps_its_limits(self):
        schedule = limit(limit(MaxRate(), n_messages=7), n_messages=9, duration_ns=S)
        assert schedule == MaxRate(7, S)
        assert schedule.to_spec() == {"kind": "max", "n_messages": 7, "duration": "1s"}
        assert schedule_from_spec(schedule.to_spec()) == schedule
        assert scale(schedule, 3) == schedule

    @pytest.mark.parametrize(
        ("n_messages", "duration_ns"), [(0, None), (-1, None), (None, 0), (None, -5)]
    )
    def test_must_be_above_0(self, n_messages: int | None, duration_ns: int | None):
        with pytest.raises(ConfigError, match="must be above 0"):
            limit(ConstantSchedule(Fraction(10)), n_messages, duration_ns)

    def test_must_leave_a_message(self):
        late = shaped(kind="bursts", base=0, burst=10, every="10s", for_="1s")
        with pytest.raises(ConfigError, match="no message is due"):
            limit(late, duration_ns=S)

    def test_scale_first(self):
        with pytest.raises(ValueError, match="before it is limited"):
            scale(limit(ConstantSchedule(Fraction(10)), 5), 2)


class TestWritten:
    def test_plain_rates(self):
        assert schedule_from_rate("1000") == ConstantSchedule(Fraction(1000))
        assert schedule_from_rate(" MAX ") == MaxRate()
        with pytest.raises(ConfigError, match="0"):
            schedule_from_rate("0")

    def test_tables(self):
        assert schedule_from_toml({"kind": "constant", "rate": "50k"}) == ConstantSchedule(
            Fraction(50_000)
        )
        assert schedule_from_toml({"kind": "max"}) == MaxRate()
        assert shaped(kind="ramp", from_=1, to=2.5, over="5m").to_spec() == {
            "kind": "ramp",
            "from": "1",
            "to": "5/2",
            "over": "300s",
        }

    @pytest.mark.parametrize(
        ("table", "message", "hint"),
        [
            (5, "the schedule is not a table: 5", "[schedule]"),
            ([{"kind": "max"}], "the schedule is not a table", "[schedule]"),
            ({"rate": 5}, "schedule.kind is missing", "ramp"),
            ({"kind": "rampe"}, "'rampe'", "ramp"),
            ({"kind": 5}, "kind is unknown: 5", "bursts"),
            ({"kind": "constant"}, "no key 'rate'", "rate"),
            ({"kind": "constant", "rtae": 5}, "'rtae'", "rate"),
            ({"kind": "constant", "rate": 0}, "schedule.rate must be above 0: 0", "1000"),
            ({"kind": "constant", "rate": "x"}, "schedule.rate is not a rate: 'x'", "1000"),
            ({"kind": "max", "rate": 5}, "unknown key in the schedule of kind max: 'rate'", ""),
            ({"kind": "ramp", "from": 1, "to": 2}, "no key 'over'", "over"),
            ({"kind": "ramp", "from": 1, "to": 2, "over": "x"}, "schedule.over", "20s"),
            ({"kind": "ramp", "from": 1, "to": 2, "over": 0}, "schedule.over is below 1 ms", ""),
            ({"kind": "ramp", "from": 0, "to": 0, "over": 1}, "every rate", "above 0"),
            ({"kind": "steps", "steps": []}, "must be a list of steps", "steps = "),
            ({"kind": "steps", "steps": [5]}, "step 1 of the schedule must be a table", ""),
            ({"kind": "steps", "steps": [{"rate": 5}]}, "step 1 has no key 'for'", "rate, for"),
            ({"kind": "steps", "steps": [{"rate": 5, "fro": 1}]}, "'fro'", "for"),
            (
                {"kind": "steps", "steps": [{"rate": -5, "for": 1}]},
                "rate of step 1 must not be negative",
                "1000",
            ),
            (
                {"kind": "steps", "steps": [{"rate": 5, "for": 1}], "repeat": 1},
                "repeat must be true or false",
                "",
            ),
            ({"kind": "wave", "low": 5, "high": 4}, "schedule.low is above", ""),
            ({"kind": "wave", "low": 1, "high": 4, "peak_at": "25h"}, "peak_at", "period"),
            ({"kind": "wave", "low": 1, "high": 4, "period": "20ms"}, "too short", "24ms"),
            (
                {"kind": "bursts", "base": 1, "burst": 4, "every": "1s", "for": "1s"},
                "not shorter than",
                "period",
            ),
        ],
    )
    def test_mistakes_are_named(self, table: object, message: str, hint: str):
        with pytest.raises(ConfigError) as caught:
            schedule_from_toml(table)
        assert message in caught.value.message
        assert hint in caught.value.hint

    @pytest.mark.parametrize(
        "spec",
        [
            {"kind": "constant", "rate": "5", "n_messages": "5"},
            {"kind": "constant", "rate": "5", "duration": "5s"},
            {"kind": "constant", "rate": "5", "n_messages": 0},
            {},
        ],
    )
    def test_a_damaged_spec_is_refused(self, spec: dict[str, object]):
        with pytest.raises(ConfigError):
            schedule_from_spec(spec)
