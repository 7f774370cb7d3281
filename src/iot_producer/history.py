"""What a view remembers of a run: the rates of the last minute, the latencies of the last seconds.

Promise: snapshots go in, in the order of their times, and `Readings` come out: frozen, complete,
and calm, for figures that jump (rates, percentiles) are worked out once a second. Memory is bounded
however long a run goes on. Time is that of the snapshots: this module reads no clock, and must not
know how anything is drawn.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from iot_producer.latency import Histogram, Latencies
from iot_producer.snapshot import Interval, Snapshot

N_RATES: Final = 60
"""How many seconds of rates are kept."""
WINDOW_S: Final = 5
"""Rates and latencies are those of the last so many seconds: a second jumps too much to be read."""
_STEP_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a run beforehand.

    Attributes:
        title: the run in one line.
        n_messages: how many messages there will be; None: nobody knows.
        duration_ns: how long it will last; None: nobody knows.
        start_ns: the plan's start, ns since the epoch; None: the first snapshot's moment.
    """

    title: str
    n_messages: int | None = None
    duration_ns: int | None = None
    start_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """A histogram in three figures, nanoseconds; all 0 when ``n`` is."""

    n: int = 0
    p50_ns: int = 0
    p99_ns: int = 0
    max_ns: int = 0

    @classmethod
    def of(cls, histogram: Histogram) -> Spread:
        """Read a histogram; takes a millisecond or two."""
        p50_ns, p99_ns = histogram.percentiles_ns((50, 99))
        return cls(histogram.n, p50_ns, p99_ns, histogram.max_ns)


@dataclass(frozen=True, slots=True)
class Spreads:
    """The three histograms of a time."""

    lag: Spread = field(default_factory=Spread)
    service: Spread = field(default_factory=Spread)
    response: Spread = field(default_factory=Spread)

    @classmethod
    def of(cls, latencies: Latencies) -> Spreads:
        """Read all three."""
        return cls(
            Spread.of(latencies.lag), Spread.of(latencies.service), Spread.of(latencies.response)
        )


@dataclass(frozen=True, slots=True)
class Readings:
    """All that a picture shows of a run at one moment.

    Attributes:
        snapshot: the state of the run.
        elapsed_ns: since the start; negative before it.
        remaining_ns: until the end of the plan; None: nobody knows.
        progress: how much of the plan is past, 0 … 1; None: nobody knows.
        has_target: whether there ever was a target; False for a run at rate ``max``.
        confirmed_per_s, target_per_s, raw_bytes_per_s: means over the window; None before there is
            anything to tell.
        rates: confirmed messages in each of the last seconds, the latest last.
        window_s: seconds that ``recent`` and the means cover, about `WINDOW_S`.
        recent, total: latencies of the window, and since the start.
    """

    snapshot: Snapshot
    elapsed_ns: int = 0
    remaining_ns: int | None = None
    progress: float | None = None
    has_target: bool = False
    confirmed_per_s: float | None = None
    target_per_s: float | None = None
    raw_bytes_per_s: float | None = None
    rates: tuple[float, ...] = ()
    window_s: float = 0.0
    recent: Spreads = field(default_factory=Spreads)
    total: Spreads = field(default_factory=Spreads)


@dataclass(frozen=True, slots=True)
class _Means:
    """What is worked out once a second."""

    confirmed_per_s: float | None = None
    target_per_s: float | None = None
    raw_bytes_per_s: float | None = None
    window_s: float = 0.0
    recent: Spreads = field(default_factory=Spreads)
    total: Spreads = field(default_factory=Spreads)


class History:
    """Makes readings of snapshots.

    Args:
        outline: what is known of the run beforehand.
    """

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._start_ns: int | None = outline.start_ns
        self._has_target = False
        self._marks: deque[Snapshot] = deque(maxlen=WINDOW_S)  # a second or more apart
        self._rates: deque[float] = deque(maxlen=N_RATES)
        self._means = _Means()

    def add(self, snapshot: Snapshot) -> Readings:
        """The readings of a moment; snapshots of earlier moments must have been added before."""
        if self._start_ns is None:
            self._start_ns = snapshot.at_ns
        self._has_target = self._has_target or snapshot.target_per_s > 0
        if not self._marks:
            self._marks.append(snapshot)
        elif snapshot.at_ns - self._marks[-1].at_ns >= _STEP_NS:
            self._mark(snapshot)
        elapsed_ns = snapshot.at_ns - self._start_ns
        progress, remaining_ns = self._progress(snapshot, elapsed_ns)
        means = self._means
        return Readings(
            snapshot,
            elapsed_ns,
            remaining_ns,
            progress,
            self._has_target,
            means.confirmed_per_s,
            means.target_per_s,
            means.raw_bytes_per_s,
            tuple(self._rates),
            means.window_s,
            means.recent,
            means.total,
        )

    def _mark(self, snapshot: Snapshot) -> None:
        """Close a second, or several when no snapshot came for so long."""
        last = _between(snapshot, self._marks[-1])
        window = _between(snapshot, self._marks[0])
        if last is None or window is None:
            # Not a later state of the same lanes: what was before says nothing about it.
            self._marks.clear()
            self._marks.append(snapshot)
            self._means = _Means(total=Spreads.of(snapshot.latencies))
            return
        self._rates.extend([last.confirmed_per_s] * min(round(last.seconds), N_RATES))
        targets = [mark.target_per_s for mark in (*self._marks, snapshot)]
        self._marks.append(snapshot)
        self._means = _Means(
            window.confirmed_per_s,
            sum(targets) / len(targets),
            window.raw_bytes_per_s,
            window.seconds,
            Spreads.of(window.latencies),
            Spreads.of(snapshot.latencies),
        )

    def _progress(self, snapshot: Snapshot, elapsed_ns: int) -> tuple[float | None, int | None]:
        """How much of the plan is past, and how long it will still take."""
        shares: list[float] = []
        rests_ns: list[int] = []
        duration_ns, n_messages = self._outline.duration_ns, self._outline.n_messages
        if duration_ns is not None:
            shares.append(elapsed_ns / duration_ns)
            rests_ns.append(duration_ns - elapsed_ns)
        if n_messages is not None:
            n_past = snapshot.tally.scheduled
            shares.append(n_past / n_messages)
            per_s = snapshot.target_per_s or self._means.confirmed_per_s or 0.0
            if n_past >= n_messages:
                rests_ns.append(0)
            elif duration_ns is None and per_s:
                rests_ns.append(int((n_messages - n_past) / per_s * 1e9))
        # The limit that is reached first ends the run.
        progress = min(max(*shares, 0.0), 1.0) if shares else None
        return progress, max(min(rests_ns), 0) if rests_ns else None


def _between(later: Snapshot, earlier: Snapshot) -> Interval | None:
    if later.n_lanes != earlier.n_lanes or later.tally.confirmed < earlier.tally.confirmed:
        return None
    try:
        return later.since(earlier)
    except ValueError:
        return None
