"""Time as a value that is passed in: the wall clock, and one for tests that moves by hand.

Only this module reads the machine's clock. It must not know what the time is used for.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the edge of the program asks for the time, and to wait."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch (UTC)."""
        ...

    def sleep_until(self, when_ns: int) -> None:
        """Return at ``when_ns`` (epoch, ns) or as soon after it as can be; at once when past."""
        ...


class SystemClock:
    """The machine's wall clock, made monotonic within a process.

    The wall clock is read once; later times are that reading plus the monotonic clock, so that a
    step of the wall clock (NTP) in the middle of a run neither stalls nor floods it.
    """

    __slots__ = ("_offset_ns",)

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns() + self._offset_ns

    def sleep_until(self, when_ns: int) -> None:
        remaining_ns = when_ns - self.now_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / 1e9)


class ManualClock:
    """A clock that stands still until it is told to move; sleeping moves it.

    Args:
        now_ns: its first time, nanoseconds since the epoch.
    """

    __slots__ = ("_now_ns",)

    def __init__(self, now_ns: int = 1_767_225_600_000_000_000) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_until(self, when_ns: int) -> None:
        self._now_ns = max(self._now_ns, when_ns)

    def advance(self, duration_ns: int) -> None:
        """Move on by ``duration_ns`` nanoseconds; it never moves back."""
        if duration_ns < 0:
            raise ValueError(f"a clock does not go back: {duration_ns} ns")
        self._now_ns += duration_ns
