"""Schedules as they are written: a rate, a TOML table, the spec in a run report.

Promise: what ``to_spec`` writes is read back as an equal schedule; a mistake raises ``ConfigError``
with the value and the nearest known name. The kinds of schedules and their arithmetic are in
due_times.py, whose names are exported here too. This module must not know flags or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import cast

from iot_producer.due_times import (
    ConstantSchedule,
    LimitedSchedule,
    MaxRate,
    Schedule,
    ShapedSchedule,
    limit,
    unlimited,
)
from iot_producer.errors import ConfigError
from iot_producer.quantities import (
    NS_PER_S,
    format_duration,
    format_rate,
    parse_duration,
    parse_rate,
)
from iot_producer.rate_curve import RateCurve, Segment
from iot_producer.spelling import did_you_mean

__all__ = [
    "ConstantSchedule",
    "LimitedSchedule",
    "MaxRate",
    "Schedule",
    "ShapedSchedule",
    "limit",
    "parse_duration",
    "parse_rate",
    "scale",
    "schedule_from_rate",
    "schedule_from_spec",
    "schedule_from_toml",
    "unlimited",
]

_DAY_NS = 86_400 * NS_PER_S
_SHORTEST_NS = 1_000_000
# Half a raised cosine, (1 - cos(15 degrees * k)) / 2 in thousandths: a day has 24 such steps.
_WAVE = (0, 17, 67, 146, 250, 371, 500, 629, 750, 854, 933, 983, 1000)


def scale(schedule: Schedule | MaxRate, factor: int) -> Schedule | MaxRate:
    """The same shape with every rate multiplied: the plan of ``factor`` equal pods.

    Raises:
        ConfigError: the rates become too high.
        ValueError: the schedule is limited already, or not whole (scale first, then limit).
    """
    if isinstance(schedule, MaxRate) or factor == 1:
        return schedule
    spec = schedule.to_spec()
    if "n_messages" in spec or "first" in spec:
        raise ValueError("scale a schedule before it is limited")

    def times(table: Mapping[str, object]) -> dict[str, object]:
        return {
            key: format_rate(parse_rate(value, key, zero=True) * factor)
            if key in _RATE_KEYS
            else value
            for key, value in table.items()
        }

    if "steps" in spec:
        spec["steps"] = [times(step) for step in cast("list[dict[str, object]]", spec["steps"])]
    return schedule_from_spec(times(spec))


def schedule_from_rate(text: object) -> Schedule | MaxRate:
    """The schedule of a plain rate (``--rate``, ``MESSAGES_PER_SECOND``): a number or ``max``."""
    if isinstance(text, str) and text.strip().lower() == "max":
        return MaxRate()
    return ConstantSchedule(parse_rate(text))


def schedule_from_spec(spec: Mapping[str, object]) -> Schedule | MaxRate:
    """Restore what ``to_spec`` wrote.

    Raises:
        ConfigError: the spec was not written by ``to_spec``.
    """
    table = dict(spec)
    n_messages = _number_of(table, "n_messages")
    first = _number_of(table, "first")
    duration = table.pop("duration", None)
    schedule = schedule_from_toml(table)
    if first:
        if not isinstance(schedule, ConstantSchedule | ShapedSchedule):
            raise ConfigError("the schedule of kind max has no first message")
        schedule = replace(schedule, first=first)
    if duration is not None and not isinstance(schedule, MaxRate):
        raise ConfigError("only the schedule of kind max has a duration")
    duration_ns = None if duration is None else parse_duration(duration, "duration")
    return limit(schedule, n_messages, duration_ns)


def _number_of(table: dict[str, object], key: str) -> int | None:
    number = table.pop(key, None)
    if number is None or type(number) is int:
        return number
    raise ConfigError(f"{key} of the schedule is not a number: {number!r}")


def schedule_from_toml(table: object) -> Schedule | MaxRate:
    """Read the table ``[schedule]`` of a TOML file.

    Args:
        table: a mapping with ``kind`` and the keys of that kind: ``constant`` rate; ``ramp`` from,
            to, over; ``steps`` steps (a list of tables with rate and for) and repeat; ``wave`` low,
            high, period (24h), peak_at (the middle of the period); ``bursts`` base, burst, every,
            for; ``max`` none. Values: what ``parse_rate`` and ``parse_duration`` read.

    Raises:
        ConfigError: an unknown or missing key (with the nearest known name) or a bad value.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"the schedule is not a table: {table!r}", "write [schedule] and kind = …"
        )
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        if kind is None:
            raise ConfigError("schedule.kind is missing", f"known: {_list(_KINDS)}")
        raise ConfigError(f"schedule.kind is unknown: {kind!r}", did_you_mean(str(kind), _KINDS))
    required, optional, build = _KINDS[kind]
    _check_keys(table, required, optional, f"schedule of kind {kind}")
    return build(table)


def _check_keys(
    table: Mapping[str, object], required: tuple[str, ...], optional: tuple[str, ...], where: str
) -> None:
    known = [*required, *optional]
    for key in table:
        if key not in known and key != "kind":
            raise ConfigError(f"unknown key in the {where}: {key!r}", did_you_mean(key, known))
    for key in required:
        if key not in table:
            raise ConfigError(f"the {where} has no key {key!r}", f"it needs {_list(required)}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _constant(table: Mapping[str, object]) -> ConstantSchedule:
    return ConstantSchedule(parse_rate(table["rate"], "schedule.rate"))


def _ramp(table: Mapping[str, object]) -> ShapedSchedule:
    start, end, over_ns = _rate(table, "from"), _rate(table, "to"), _time(table, "over")
    return _shaped(
        {"kind": "ramp", "from": start, "to": end, "over": over_ns}, [Segment(over_ns, start, end)]
    )


def _steps(table: Mapping[str, object]) -> ShapedSchedule:
    steps, repeat = table["steps"], table.get("repeat", False)
    if not isinstance(steps, list) or not steps:
        raise ConfigError(
            f"schedule.steps must be a list of steps: {steps!r}",
            'Write steps = [{rate = 1000, for = "1m"}, {rate = 5000, for = "1m"}].',
        )
    if not isinstance(repeat, bool):
        raise ConfigError(f"schedule.repeat must be true or false: {repeat!r}")
    segments = []
    for number, step in enumerate(steps, 1):
        if not isinstance(step, Mapping):
            raise ConfigError(f"step {number} of the schedule must be a table: {step!r}")
        _check_keys(step, ("rate", "for"), (), f"schedule's step {number}")
        rate = _rate(step, "rate", f"rate of step {number}")
        segments.append(Segment(_time(step, "for", f"for of step {number}"), rate, rate))
    spec_steps = [
        {"rate": format_rate(s.start_per_s), "for": format_duration(s.duration_ns)}
        for s in segments
    ]
    return _shaped({"kind": "steps", "steps": spec_steps, "repeat": repeat}, segments, repeat)


def _wave(table: Mapping[str, object]) -> ShapedSchedule:
    low, high = _rate(table, "low"), _rate(table, "high")
    period_ns = _time(table, "period") if "period" in table else _DAY_NS
    peak_at_ns = period_ns // 2
    if "peak_at" in table:
        peak_at_ns = parse_duration(table["peak_at"], "schedule.peak_at")
    if low > high:
        raise ConfigError(f"schedule.low is above schedule.high: {low} > {high}")
    if period_ns < 24 * _SHORTEST_NS:
        raise ConfigError(f"schedule.period is too short: {table['period']!r}", "At least 24ms.")
    if peak_at_ns >= period_ns:
        raise ConfigError(
            f"schedule.peak_at is not within the period: {table['peak_at']!r}",
            "It counts from the start of the run; use a time below the period.",
        )
    # Cuts on whole milliseconds keep the arithmetic of a block in 64 bits.
    cuts = [round(Fraction(period_ns * k, 24 * _SHORTEST_NS)) * _SHORTEST_NS for k in range(24)]
    cuts.append(period_ns)
    levels = [low + (high - low) * Fraction(w, 1000) for w in (*_WAVE, *_WAVE[-2::-1])]
    segments = [Segment(cuts[k + 1] - cuts[k], levels[k], levels[k + 1]) for k in range(24)]
    spec = {"kind": "wave", "low": low, "high": high, "period": period_ns, "peak_at": peak_at_ns}
    # The shape's own peak is in its middle: begin so far into it that the peak comes at peak_at.
    return _shaped(spec, segments, True, (period_ns // 2 - peak_at_ns) % period_ns)


def _bursts(table: Mapping[str, object]) -> ShapedSchedule:
    base, burst = _rate(table, "base"), _rate(table, "burst")
    every_ns, for_ns = _time(table, "every"), _time(table, "for")
    if for_ns >= every_ns:
        raise ConfigError(
            f"schedule.for is not shorter than schedule.every: {table['for']!r}",
            "Each period has the base rate first and ends with the burst.",
        )
    spec = {"kind": "bursts", "base": base, "burst": burst, "every": every_ns, "for": for_ns}
    segments = [Segment(every_ns - for_ns, base, base), Segment(for_ns, burst, burst)]
    return _shaped(spec, segments, True)


def _max(_table: Mapping[str, object]) -> MaxRate:
    return MaxRate()


_KINDS: dict[
    str,
    tuple[
        tuple[str, ...],
        tuple[str, ...],
        Callable[[Mapping[str, object]], ConstantSchedule | ShapedSchedule | MaxRate],
    ],
] = {
    "constant": (("rate",), (), _constant),
    "ramp": (("from", "to", "over"), (), _ramp),
    "steps": (("steps",), ("repeat",), _steps),
    "wave": (("low", "high"), ("period", "peak_at"), _wave),
    "bursts": (("base", "burst", "every", "for"), (), _bursts),
    "max": ((), (), _max),
}
_RATE_KEYS = frozenset({"rate", "from", "to", "low", "high", "base", "burst"})


def _shaped(
    spec: dict[str, object], segments: list[Segment], repeat: bool = False, skip_ns: int = 0
) -> ShapedSchedule:
    if all(s.start_per_s == s.end_per_s == 0 for s in segments):
        raise ConfigError("every rate of the schedule is 0", "One of them must be above 0.")
    texts = {
        key: format_rate(value)
        if isinstance(value, Fraction)
        else format_duration(value)
        if type(value) is int
        else value
        for key, value in spec.items()
    }
    return ShapedSchedule(texts, RateCurve(segments, repeat=repeat, skip_ns=skip_ns))


def _rate(table: Mapping[str, object], key: str, name: str = "") -> Fraction:
    return parse_rate(table[key], name or f"schedule.{key}", zero=True)


def _time(table: Mapping[str, object], key: str, name: str = "") -> int:
    duration_ns = parse_duration(table[key], name or f"schedule.{key}")
    if duration_ns < _SHORTEST_NS:
        raise ConfigError(f"{name or f'schedule.{key}'} is below 1 ms: {table[key]!r}")
    return duration_ns
