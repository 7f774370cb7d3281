"""The state of a running load at one moment: what workers send to their parent, and views draw.

Promise: frozen, small to pickle, and additive: snapshots of lanes merge into one of the run in any
order and grouping. Counts are totals since the start, so a lost snapshot loses nothing; what
happened between two moments is their difference.

This module must not know who draws it, nor read a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from iot_producer.latency import Latencies
from iot_producer.outcome import TallySnapshot
from iot_producer.sink_counters import SinkCounters

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened between two snapshots.

    Args:
        since_ns, until_ns: the two moments, nanoseconds since the epoch.
        n_scheduled, n_sent, n_confirmed, n_failed, n_skipped: messages, in between.
        raw_bytes: bytes of records handed to the destination in between, before compression.
        latencies: what was counted in between.
    """

    since_ns: int
    until_ns: int
    n_scheduled: int
    n_sent: int
    n_confirmed: int
    n_failed: int
    n_skipped: int
    raw_bytes: int
    latencies: Latencies

    @property
    def seconds(self) -> float:
        """Its length; 0 when both snapshots are of the same moment."""
        return max(self.until_ns - self.since_ns, 0) / _NS_PER_S

    @property
    def sent_per_s(self) -> float:
        """Messages handed to the destination, a second."""
        return self._per_s(self.n_sent)

    @property
    def confirmed_per_s(self) -> float:
        """Messages confirmed, a second."""
        return self._per_s(self.n_confirmed)

    @property
    def raw_bytes_per_s(self) -> float:
        """Bytes of records, a second."""
        return self._per_s(self.raw_bytes)

    def _per_s(self, n: int) -> float:
        return n / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one lane or of many.

    Args:
        at_ns: the moment, nanoseconds since the epoch; of many lanes the latest.
        n_lanes: how many lanes it covers.
        target_per_s: the rate that is asked for at the moment, messages per second; 0 when the
            rate is ``max``.
        tally: counts since the start.
        raw_bytes: bytes of records handed to the destination since the start, uncompressed.
        lag_now_ns: how long the oldest overdue message has waited; of many lanes the longest.
        latencies: histograms since the start.
        lane: number of the lane that the pod claimed from the broker; None: none was.
        sink: what the sinks counted since the start.
        is_draining: it was asked to end; nothing more is scheduled.
    """

    at_ns: int
    n_lanes: int = 1
    target_per_s: float = 0.0
    tally: TallySnapshot = field(default_factory=TallySnapshot)
    raw_bytes: int = 0
    lag_now_ns: int = 0
    latencies: Latencies = field(default_factory=Latencies.empty)
    lane: int | None = None
    sink: SinkCounters = field(default_factory=SinkCounters)
    is_draining: bool = False

    @staticmethod
    def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
        """One snapshot of all lanes.

        Raises:
            ValueError: there is none to merge.
        """
        parts = list(snapshots)
        if not parts:
            raise ValueError("there is no snapshot to merge")
        return Snapshot(
            max(part.at_ns for part in parts),
            sum(part.n_lanes for part in parts),
            sum(part.target_per_s for part in parts),
            TallySnapshot.merge(part.tally for part in parts),
            sum(part.raw_bytes for part in parts),
            max(part.lag_now_ns for part in parts),
            Latencies.merge(part.latencies for part in parts),
            next((part.lane for part in parts if part.lane is not None), None),
            SinkCounters.merge(part.sink for part in parts),
            any(part.is_draining for part in parts),
        )

    def since(self, earlier: Snapshot) -> Interval:
        """What happened after an earlier snapshot of the same lanes.

        Raises:
            ValueError: ``earlier`` is not an earlier state of the same lanes.
        """
        now, then = self.tally, earlier.tally
        return Interval(
            earlier.at_ns,
            self.at_ns,
            now.scheduled - then.scheduled,
            now.sent - then.sent,
            now.confirmed - then.confirmed,
            now.failed - then.failed,
            now.skipped - then.skipped,
            self.raw_bytes - earlier.raw_bytes,
            self.latencies.since(earlier.latencies),
        )
