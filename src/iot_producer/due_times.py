"""Plans of intended times: when the n-th message is due, whatever has been sent.

Promise: the due time of message n is computed from n alone, in exact integers, so any process can
compute any part of a plan. There is no clock and no waiting: a worker compares ``n_due(elapsed)``
with what it has sent.

This module must not know lanes, devices or blocks (n counts the messages of the whole plan), nor
how a schedule is written down (schedule.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol, cast, overload

import numpy as np
from numpy.typing import NDArray

from iot_producer.errors import ConfigError
from iot_producer.quantities import NS_PER_S, format_duration, format_rate, parse_rate
from iot_producer.rate_curve import RateCurve, floor_line


class Schedule(Protocol):
    """A plan of intended times. Messages are numbered from 0, times count from the plan's start."""

    @property
    def n_messages(self) -> int | None:
        """How many messages there are; None: it has no end."""
        ...

    @property
    def peak_per_s(self) -> Fraction:
        """The highest rate that is ever asked for, messages per second."""
        ...

    def due_ns(self, n: int) -> int:
        """When message ``n`` is due, nanoseconds from the start; it never decreases with n."""
        ...

    def offsets_ns(self, base: int, index: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        """Due times of many messages, relative to one of them.

        Args:
            base: a message number.
            index: int64 of shape (k,), at least 0 and nondecreasing.

        Returns:
            ``due_ns(base)``, and ``due_ns(base + index) - due_ns(base)`` as int64 of shape (k,).
        """
        ...

    def n_due(self, elapsed_ns: int) -> int:
        """How many messages have ``due_ns <= elapsed_ns``; 0 when it is negative."""
        ...

    def n_due_many(self, elapsed_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """``n_due`` of each element; int64 of the same shape."""
        ...

    def rate_at(self, elapsed_ns: int) -> Fraction:
        """The target rate at a time, messages per second, for the live view."""
        ...

    def to_spec(self) -> dict[str, object]:
        """What ``schedule_from_spec`` restores an equal schedule from; fit for JSON."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantSchedule:
    """Messages ``first``, ``first + 1``, … of a grid that begins at 0: number m is due there at
    floor(m * 10^9 / rate) nanoseconds. Here they are numbered from 0, and times count from the
    first one's.

    Args:
        per_s: messages per second, above 0.
        first: the grid's number of message 0.
    """

    per_s: Fraction
    first: int = 0

    def __post_init__(self) -> None:
        parse_rate(self.per_s)
        _check_first(self.first)

    @property
    def start_ns(self) -> int:
        """When message 0 is due on the grid, nanoseconds from the grid's beginning."""
        return self.first * NS_PER_S * self.per_s.denominator // self.per_s.numerator

    @property
    def _phase(self) -> int:
        """What the cut to whole nanoseconds takes from message 0, in 1 / numerator of one."""
        return self.first * NS_PER_S * self.per_s.denominator % self.per_s.numerator

    def at(self, elapsed_ns: int) -> ConstantSchedule:
        """The same grid from the first message on that is due at ``elapsed_ns`` or later.

        Args:
            elapsed_ns: from the beginning of the grid, at least 0.
        """
        per_s = self.per_s
        return ConstantSchedule(
            per_s, -(-elapsed_ns * per_s.numerator // (NS_PER_S * per_s.denominator))
        )

    @property
    def n_messages(self) -> int | None:
        return None

    @property
    def peak_per_s(self) -> Fraction:
        return self.per_s

    def due_ns(self, n: int) -> int:
        if n < 0:
            raise ValueError(f"no message {n}")
        return (n * NS_PER_S * self.per_s.denominator + self._phase) // self.per_s.numerator

    def offsets_ns(self, base: int, index: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        base_ns = self.due_ns(base)
        step = NS_PER_S * self.per_s.denominator
        return base_ns, floor_line(
            base * step + self._phase, step, self.per_s.numerator, index, -base_ns
        )

    def n_due(self, elapsed_ns: int) -> int:
        if elapsed_ns < 0:
            return 0
        per_s = self.per_s
        # Due at most at e, cut to whole nanoseconds, means due before e + 1: a rounded-up count.
        units = (elapsed_ns + 1) * per_s.numerator - self._phase
        return -(-units // (NS_PER_S * per_s.denominator))

    def n_due_many(self, elapsed_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        # Of -1 nanosecond and below nothing is due. A phase is below the numerator, so the line
        # below gives 0 for -1, and at least 1 for 0.
        from_zero = np.maximum(elapsed_ns, -1).ravel() + 1
        per_s = self.per_s
        counts = floor_line(
            -1 - self._phase, per_s.numerator, NS_PER_S * per_s.denominator, from_zero, 1
        )
        return counts.reshape(elapsed_ns.shape)

    def rate_at(self, elapsed_ns: int) -> Fraction:
        return self.per_s

    def to_spec(self) -> dict[str, object]:
        return {"kind": "constant", "rate": format_rate(self.per_s), **_first_spec(self.first)}


@dataclass(frozen=True, slots=True)
class ShapedSchedule:
    """A rate that changes: a ramp, steps, a daily wave, bursts.

    Args:
        spec: what its curve was made from, as ``to_spec`` gives it; two schedules of one spec are
            equal.
        curve: the due times.
        first: the curve's number of message 0, below its end. Times count from that message; where
            it is 0, from the beginning of the curve, which may be a pause.
    """

    spec: Mapping[str, object]
    curve: RateCurve = field(compare=False, repr=False)
    first: int = 0

    def __post_init__(self) -> None:
        _check_first(self.first)
        if self.curve.n_messages is not None and self.first >= self.curve.n_messages:
            raise ConfigError(f"the schedule has no message {self.first}")

    def __hash__(self) -> int:
        return hash((repr(self.spec), self.first))

    @property
    def start_ns(self) -> int:
        """When message 0 is due, nanoseconds from the beginning of the curve."""
        return self.curve.due_ns(self.first) if self.first else 0

    @property
    def n_messages(self) -> int | None:
        n = self.curve.n_messages
        return None if n is None else n - self.first

    @property
    def peak_per_s(self) -> Fraction:
        return self.curve.peak_per_s

    def at(self, elapsed_ns: int) -> ShapedSchedule:
        """The same curve from the first message on that is due at ``elapsed_ns`` or later.

        Args:
            elapsed_ns: from the beginning of the curve, at least 0.

        Raises:
            ConfigError: there is none.
        """
        return replace(self, first=self.curve.n_due(elapsed_ns - 1))

    def due_ns(self, n: int) -> int:
        if not self.first:
            return self.curve.due_ns(n)
        if n < 0:
            raise ValueError(f"no message {n}")
        return self.curve.due_ns(self.first + n) - self.start_ns

    def offsets_ns(self, base: int, index: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        base_ns, offsets_ns = self.curve.offsets_ns(self.first + base, index)
        return base_ns - self.start_ns if self.first else base_ns, offsets_ns

    def n_due(self, elapsed_ns: int) -> int:
        if not self.first:
            return self.curve.n_due(elapsed_ns)
        return 0 if elapsed_ns < 0 else self.curve.n_due(elapsed_ns + self.start_ns) - self.first

    def n_due_many(self, elapsed_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        times, where = np.unique(elapsed_ns, return_inverse=True)
        counts = np.array([self.n_due(time) for time in times.tolist()], dtype=np.int64)
        return counts[where].reshape(elapsed_ns.shape)

    def rate_at(self, elapsed_ns: int) -> Fraction:
        return self.curve.rate_at(elapsed_ns + self.start_ns)

    def to_spec(self) -> dict[str, object]:
        return {**self.spec, **_first_spec(self.first)}


@dataclass(frozen=True, slots=True)
class LimitedSchedule:
    """The first messages of another schedule.

    Args:
        inner: the schedule.
        n_messages: how many of its messages there are, at least 1.
    """

    inner: ConstantSchedule | ShapedSchedule
    n_messages: int

    @property
    def peak_per_s(self) -> Fraction:
        return self.inner.peak_per_s

    def due_ns(self, n: int) -> int:
        return self.inner.due_ns(n)

    def offsets_ns(self, base: int, index: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        return self.inner.offsets_ns(base, index)

    def n_due(self, elapsed_ns: int) -> int:
        return min(self.inner.n_due(elapsed_ns), self.n_messages)

    def n_due_many(self, elapsed_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.minimum(self.inner.n_due_many(elapsed_ns), self.n_messages)

    def rate_at(self, elapsed_ns: int) -> Fraction:
        if self.inner.n_due(elapsed_ns) > self.n_messages:
            return Fraction(0)
        return self.inner.rate_at(elapsed_ns)

    def to_spec(self) -> dict[str, object]:
        return {**self.inner.to_spec(), "n_messages": self.n_messages}


@dataclass(frozen=True, slots=True)
class MaxRate:
    """As fast as the destination takes it: not a plan of times, a mark for the worker.

    The worker starts each block at the time of the moment and keeps those starts in the report.

    Args:
        n_messages: stop after so many; None: no limit.
        duration_ns: stop after this time; None: no limit.
    """

    n_messages: int | None = None
    duration_ns: int | None = None

    def to_spec(self) -> dict[str, object]:
        spec: dict[str, object] = {"kind": "max"}
        if self.n_messages is not None:
            spec["n_messages"] = self.n_messages
        if self.duration_ns is not None:
            spec["duration"] = format_duration(self.duration_ns)
        return spec


@overload
def limit(
    schedule: MaxRate, n_messages: int | None = None, duration_ns: int | None = None
) -> MaxRate: ...
@overload
def limit(
    schedule: Schedule, n_messages: int | None = None, duration_ns: int | None = None
) -> Schedule: ...
def limit(
    schedule: Schedule | MaxRate, n_messages: int | None = None, duration_ns: int | None = None
) -> Schedule | MaxRate:
    """End a schedule after a number of messages, or after a time, or after the first of both.

    Args:
        schedule: any schedule.
        n_messages: at most so many messages; None: no limit.
        duration_ns: only messages that are due before this time; None: no limit.

    Returns:
        A schedule whose ``n_messages`` is set, or the same one when there is no limit.

    Raises:
        ConfigError: a limit is not above 0, or no message is due within it.
    """
    if n_messages is not None and n_messages < 1:
        raise ConfigError(f"the number of messages must be above 0: {n_messages}")
    if duration_ns is not None and duration_ns < 1:
        raise ConfigError(f"the duration must be above 0: {duration_ns} ns")
    if isinstance(schedule, MaxRate):
        return replace(
            schedule,
            n_messages=_least(schedule.n_messages, n_messages),
            duration_ns=_least(schedule.duration_ns, duration_ns),
        )
    if n_messages is None and duration_ns is None:
        return schedule
    n_in_time = None if duration_ns is None else schedule.n_due(duration_ns - 1)
    if n_in_time == 0:
        raise ConfigError(
            "no message is due within the duration", "Run for longer, or at a higher rate."
        )
    least = cast("int", _least(schedule.n_messages, n_messages, n_in_time))
    return LimitedSchedule(unlimited(schedule), least)


def unlimited(schedule: Schedule) -> ConstantSchedule | ShapedSchedule:
    """The schedule without what ``limit`` set."""
    inner = schedule.inner if isinstance(schedule, LimitedSchedule) else schedule
    return cast("ConstantSchedule | ShapedSchedule", inner)


def _check_first(first: int) -> None:
    if first < 0:
        raise ConfigError(f"a schedule has no message {first}")


def _first_spec(first: int) -> dict[str, object]:
    """Part of a spec; nothing where it is 0, so that most specs stay as short as they were."""
    return {"first": first} if first else {}


def _least(*limits: int | None) -> int | None:
    return min((n for n in limits if n is not None), default=None)
