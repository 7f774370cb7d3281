"""Rates and durations as people write them, read into exact numbers.

Promise: no float ever decides a rate or a duration; what cannot be read raises ``ConfigError`` with
the value and a remedy. This module must not know what the numbers are used for.
"""

from __future__ import annotations

import re
from fractions import Fraction

from iot_producer.errors import ConfigError

NS_PER_S = 1_000_000_000

MAX_RATE_PER_S = Fraction(10**9)
"""One message a nanosecond: beyond it, intended times in nanoseconds could not differ."""
MIN_RATE_PER_S = Fraction(1, 10**6)
"""Slower than one message in eleven days, offsets inside a block could leave 64 bits."""
_MAX_DENOMINATOR = 10**9
_MAX_DURATION_NS = 3660 * 86_400 * NS_PER_S
_MAX_TEXT = 40

_NUMBER = r"[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+"
_RATE = re.compile(
    rf"(?P<number>{_NUMBER})(?:[eE](?P<exponent>[+-]?[0-9]{{1,2}}))?(?:/(?P<divisor>[0-9]+))?"
    r"\s*(?P<unit>[kKM])?\s*(?:/\s*s)?"
)
_RATE_UNITS = {None: 1, "k": 1000, "K": 1000, "M": 1_000_000}
_RATE_HINT = "Write messages per second: 1000, 0.5, 1/3, 50k or 1M; at most 1000000000."

_PART = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>us|µs|ms|s|m|h|d)")
_PART_NS = {
    "us": 1000,
    "µs": 1000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
_DURATION_HINT = "Write 250ms, 20s, 5m, 1h30m or 1d; a plain number is seconds; at most 10 years."


def parse_rate(value: object, name: str = "rate", *, zero: bool = False) -> Fraction:
    """Read a rate in messages per second.

    Args:
        value: an int, a float (read by its shortest decimal form), a Fraction, or a text such as
            ``1000``, ``1e3``, ``0.5``, ``1/3``, ``50k``, ``1M``, ``1000/s``.
        name: what the error calls it.
        zero: whether 0 is allowed (a pause in a shape).

    Returns:
        The exact rate, messages per second.

    Raises:
        ConfigError: not a number, 0 (unless allowed), negative, out of range or too precise.
    """
    text = _text_of(value)
    match = _RATE.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None or (match["divisor"] is not None and int(match["divisor"]) == 0):
        if text.startswith("-"):
            raise ConfigError(f"{name} must not be negative: {_shown(value)}", _RATE_HINT)
        raise ConfigError(f"{name} is not a rate: {_shown(value)}", _RATE_HINT)
    rate = _fraction(match["number"]) * Fraction(10) ** int(match["exponent"] or 0)
    rate = rate / int(match["divisor"] or 1) * _RATE_UNITS[match["unit"]]
    if rate == 0:
        if zero:
            return rate
        raise ConfigError(f"{name} must be above 0: {_shown(value)}", _RATE_HINT)
    if rate > MAX_RATE_PER_S:
        raise ConfigError(f"{name} is above 1000000000 a second: {_shown(value)}", _RATE_HINT)
    if rate < MIN_RATE_PER_S:
        raise ConfigError(
            f"{name} is below one message in eleven days: {_shown(value)}", _RATE_HINT
        )
    if rate.denominator > _MAX_DENOMINATOR:
        raise ConfigError(
            f"{name} has too many digits: {_shown(value)}",
            "Use at most 9 decimals, or write a fraction such as 1/3.",
        )
    return rate


def format_rate(rate: Fraction) -> str:
    """The text that ``parse_rate`` reads back exactly: ``1000`` or ``1/3``."""
    return str(rate)


def parse_duration(value: object, name: str = "duration") -> int:
    """Read a duration.

    Args:
        value: a text such as ``250ms``, ``20s``, ``5m``, ``1h30m``, ``1d``; a number, or a text
            that is one, counts seconds.
        name: what the error calls it.

    Returns:
        Nanoseconds, at least 0; parts of a nanosecond are cut off.

    Raises:
        ConfigError: not a duration, negative, or longer than ten years.
    """
    text = _text_of(value)
    total = Fraction(0)
    if len(text) > _MAX_TEXT or not text:
        raise ConfigError(f"{name} is not a duration: {_shown(value)}", _DURATION_HINT)
    if re.fullmatch(_NUMBER, text):
        total = _fraction(text) * NS_PER_S
    else:
        position = 0
        while position < len(text):
            match = _PART.match(text, position)
            if match is None:
                problem = "must not be negative" if text[0] == "-" else "is not a duration"
                raise ConfigError(f"{name} {problem}: {_shown(value)}", _DURATION_HINT)
            total += _fraction(match["number"]) * _PART_NS[match["unit"]]
            position = match.end()
            while position < len(text) and text[position] == " ":
                position += 1
    duration_ns = int(total)
    if duration_ns > _MAX_DURATION_NS:
        raise ConfigError(f"{name} is longer than ten years: {_shown(value)}", _DURATION_HINT)
    return duration_ns


def format_duration(duration_ns: int) -> str:
    """The text that ``parse_duration`` reads back exactly: ``300s``."""
    return f"{duration_ns // NS_PER_S}.{duration_ns % NS_PER_S:09d}".rstrip("0").rstrip(".") + "s"


def _text_of(value: object) -> str:
    """The decimal text of a value; a text that nothing reads when it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        return ""
    if isinstance(value, float):
        # repr is the shortest text that reads back as this float: 0.1 means 1/10, as it was typed.
        text = repr(value)
        return f"{value:.0f}" if text.endswith(".0") or abs(value) >= 1e16 else text
    return str(value).strip()


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 2 * _MAX_TEXT else f"{text[: 2 * _MAX_TEXT]}…"


def _fraction(number: str) -> Fraction:
    return Fraction(number.replace("_", "").rstrip(".") or "0")
