from __future__ import annotations

from fractions import Fraction

import pytest

from iot_producer.errors import ConfigError
from iot_producer.quantities import format_duration, format_rate, parse_duration, parse_rate


@pytest.mark.parametrize(
    ("written", "per_s"),
    [
        ("1000", 1000),
        (1000, 1000),
        ("1e3", 1000),
        ("2.5E-1", Fraction(1, 4)),
        ("0.5", Fraction(1, 2)),
        (0.1, Fraction(1, 10)),
        (1e9, 10**9),
        ("1/3", Fraction(1, 3)),
        (Fraction(1, 3), Fraction(1, 3)),
        ("50k", 50_000),
        ("1.5M", 1_500_000),
        (" 1000/s ", 1000),
        ("50k/s", 50_000),
        ("1/3/s", Fraction(1, 3)),
        ("10_000", 10_000),
        (".5", Fraction(1, 2)),
    ],
)
def test_reads_rates_exactly(written: object, per_s: Fraction | int):
    assert parse_rate(written) == per_s


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("0", "must be above 0: '0'"),
        (0, "must be above 0: 0"),
        ("0/5", "must be above 0"),
        ("-5", "must not be negative: '-5'"),
        (-0.5, "must not be negative: -0.5"),
        ("fast", "is not a rate: 'fast'"),
        ("", "is not a rate: ''"),
        ("1/0", "is not a rate"),
        ("1000 m", "is not a rate"),
        ("nan", "is not a rate"),
        (float("nan"), "is not a rate: nan"),
        (float("inf"), "is not a rate: inf"),
        (True, "is not a rate: True"),
        (None, "is not a rate: None"),
        ([1], r"is not a rate: \[1\]"),
        ("1e12", "is above 1000000000 a second: '1e12'"),
        (10**12, "is above 1000000000 a second"),
        (1e300, "is not a rate|is above"),
        ("1e-9", "is below one message in eleven days"),
        ("0.3333333333333", "has too many digits"),
        ("1" * 5000, "is not a rate"),
        ("1e999999999", "is not a rate"),
    ],
)
def test_says_what_is_wrong_with_a_rate(written: object, problem: str):
    with pytest.raises(ConfigError, match=f"^--rate ({problem})") as caught:
        parse_rate(written, "--rate")
    assert caught.value.hint
    assert len(caught.value.message) < 200


def test_a_shape_may_pause():
    assert parse_rate("0", zero=True) == 0


@pytest.mark.parametrize(
    ("written", "duration_ns"),
    [
        ("20s", 20 * 10**9),
        ("5m", 300 * 10**9),
        ("1h30m", 5400 * 10**9),
        ("1h 30m 1.5s", 5401_500_000_000),
        ("250ms", 250_000_000),
        ("10us", 10_000),
        ("1d", 86_400 * 10**9),
        ("20", 20 * 10**9),
        (20, 20 * 10**9),
        (0.25, 250_000_000),
        ("0", 0),
        ("1.5h", 5400 * 10**9),
    ],
)
def test_reads_durations(written: object, duration_ns: int):
    assert parse_duration(written) == duration_ns


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("soon", "is not a duration: 'soon'"),
        ("", "is not a duration: ''"),
        ("5 parsecs", "is not a duration"),
        ("s", "is not a duration"),
        ("-5s", "must not be negative: '-5s'"),
        (-5, "must not be negative: -5"),
        (float("nan"), "is not a duration: nan"),
        (True, "is not a duration: True"),
        ("20y", "is not a duration"),
        ("4000d", "is longer than ten years: '4000d'"),
        ("9" * 41, "is not a duration"),
    ],
)
def test_says_what_is_wrong_with_a_duration(written: object, problem: str):
    with pytest.raises(ConfigError, match=f"^--duration {problem}") as caught:
        parse_duration(written, "--duration")
    assert caught.value.hint


@pytest.mark.parametrize("duration_ns", [0, 1, 999_999_999, 10**9, 86_400 * 10**9, 1_500_000_001])
def test_formatted_durations_read_back(duration_ns: int):
    assert parse_duration(format_duration(duration_ns)) == duration_ns


@pytest.mark.parametrize("rate", [Fraction(1000), Fraction(1, 3), Fraction(10**9)])
def test_formatted_rates_read_back(rate: Fraction):
    assert parse_rate(format_rate(rate)) == rate
