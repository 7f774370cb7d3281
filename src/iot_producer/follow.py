"""Following a topic while a run goes on: how long records take from when they were due to a reader.

Promise: a record counts once, with the time between its intended time and its arrival here (so
queueing anywhere shows); those that were due before following began do not count: they waited for
us. It must not know what is expected, nor how news are shown.

Both times are of this machine and of the producer's: where these are two, their clocks must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.chunk import Chunk
from iot_producer.clock import Clock
from iot_producer.latency import Histogram, empty_counts
from iot_producer.latency_counts import count_latencies

NEWS_NS: Final = 1_000_000_000
"""News come so often."""

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FollowSnapshot:
    """What was seen so far.

    Attributes:
        n_read: records that came.
        n_early: of them, those that were due before following began, or say no time.
        n_ahead: of them, those that came before they were due: clocks disagree. They count as 0.
        seconds: since following began.
        latency: intended time → arrival here.
        recent: the same, since the snapshot before.
        recent_per_s: records a second since then.
    """

    n_read: int
    n_early: int
    n_ahead: int
    seconds: float
    latency: Histogram
    recent: Histogram
    recent_per_s: float

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "n_read": self.n_read,
            "n_early": self.n_early,
            "n_ahead": self.n_ahead,
            "seconds": round(self.seconds, 3),
            "latency": self.latency.to_dict(),
        }


News = Callable[[FollowSnapshot], None]
"""Called every second, and at the end."""
IsOver = Callable[[int | None], bool]
"""Whether nothing more is to be expected, after so many ns of silence (None: nothing ever came)."""


class Follower:
    """Counts what comes.

    Args:
        began_ns: when following began, ns since the epoch.
    """

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self._counts = empty_counts()
        self._n_read = 0
        self._n_early = 0
        self._n_ahead = 0
        self._before: FollowSnapshot | None = None

    def add(self, chunk: Chunk, now_ns: int) -> None:
        """Count the records of a chunk.

        Args:
            chunk: as it came.
            now_ns: when, where the chunk does not say.
        """
        intended_ns = intended_times_ns(chunk)
        counted = intended_ns >= self._began_ns
        waits_ns = intended_ns - (now_ns if chunk.received_ns is None else chunk.received_ns)
        if not counted.all():
            waits_ns = waits_ns[counted]
        count_latencies(self._counts, 0, waits_ns)
        self._n_read += chunk.n
        self._n_early += chunk.n - len(waits_ns)
        self._n_ahead += int((waits_ns > 0).sum())

    def snapshot(self, now_ns: int) -> FollowSnapshot:
        """What was seen so far; what is recent begins at the last call."""
        latency = Histogram.of_counts(self._counts)
        before = self._before
        seconds = (now_ns - self._began_ns) / _NS_PER_S
        recent = latency if before is None else latency.since(before.latency)
        n_before, seconds_before = (0, 0.0) if before is None else (before.n_read, before.seconds)
        span_s = seconds - seconds_before
        self._before = FollowSnapshot(
            self._n_read,
            self._n_early,
            self._n_ahead,
            seconds,
            latency,
            recent,
            (self._n_read - n_before) / span_s if span_s > 0 else 0.0,
        )
        return self._before


def follow(
    chunks: Iterable[Chunk | None],
    clock: Clock,
    *,
    news: News | None = None,
    is_over: IsOver,
) -> FollowSnapshot:
    """Follow until it is over, or Ctrl-C.

    Args:
        chunks: as they come; None now and then, when nothing comes.
        clock: measures.
        news: told every second, and at the end.
        is_over: asked when nothing comes.

    Returns:
        the last snapshot.
    """
    began_ns = clock.now_ns()
    follower = Follower(began_ns)
    last_ns: int | None = None
    next_ns = began_ns + NEWS_NS
    try:
        for chunk in chunks:
            now_ns = clock.now_ns()
            if chunk is not None:
                follower.add(chunk, now_ns)
                last_ns = now_ns
            elif is_over(None if last_ns is None else now_ns - last_ns):
                break
            if now_ns >= next_ns:
                next_ns += (now_ns - next_ns) // NEWS_NS * NEWS_NS + NEWS_NS
                if news is not None:
                    news(follower.snapshot(now_ns))
    except KeyboardInterrupt:
        pass  # how people end it
    snapshot = follower.snapshot(clock.now_ns())
    if news is not None:
        news(snapshot)
    return snapshot


def intended_times_ns(chunk: Chunk) -> NDArray[np.int64]:
    """int64[n]: when each record was due, ns since the epoch; 0 or below where nobody says.

    The sequence id is the intended time in ns where a native lane wrote the record; else there is
    the event time, which is the same in ms.
    """
    if chunk.times_ms is None:
        return np.zeros(chunk.n, dtype=np.int64)
    times_ns = chunk.times_ms * _NS_PER_MS
    ids = chunk.sequence_ids
    if ids is None:
        return times_ns
    intended_ns: NDArray[np.int64] = np.where(ids // _NS_PER_MS == chunk.times_ms, ids, times_ns)
    return intended_ns
