"""Whether a run is alive, and whether it is ready: from its heartbeat and its snapshots.

Promise: alive never depends on the destination: only on whether the run's loop goes round. Ready
says that the load arrives: something was confirmed, and nothing that came due since has waited for
long without any confirmation. So it needs no rate: at one message an hour the pod is ready between
two messages, at any rate it is not ready some seconds after confirmations stop. It must not know
who asks. Safe for several threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from iot_producer.clock import Clock
from iot_producer.snapshot import Snapshot

READY_NS: Final = 10_000_000_000
"""How long what came due may wait without any confirmation; an unloaded broker takes some ms."""
BEAT_NS: Final = 10_000_000_000
"""How long the run's loop may stand still; it goes round many times a second."""
START_NS: Final = 120_000_000_000
"""How long it may take until the loop begins: a topic may be created before."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer to a probe.

    Attributes:
        ok: yes or no.
        why: a line of text.
    """

    ok: bool
    why: str


class Health:
    """The state of a run, as probes see it.

    Args:
        clock: the time; the moments of snapshots are of the same clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started_ns = clock.now_ns()
        self._beat_ns: int | None = None
        self._is_draining = False
        self._is_over = False
        self._n_confirmed = 0
        self._n_due = 0
        self._confirmed_ns: int | None = None
        self._waiting_ns: int | None = None

    @property
    def last_confirmed_ns(self) -> int:
        """When a confirmation was last seen, ns since the epoch; 0: none was."""
        return self._confirmed_ns or 0

    def beat(self) -> None:
        """The run's loop went round."""
        with self._lock:
            self._beat_ns = self._clock.now_ns()

    def see(self, snapshot: Snapshot) -> None:
        """The state of the run."""
        tally = snapshot.tally
        with self._lock:
            self._is_draining = snapshot.is_draining
            if tally.confirmed > self._n_confirmed:
                self._n_confirmed = tally.confirmed
                self._confirmed_ns = snapshot.at_ns
                is_waiting = tally.unconfirmed > 0 or tally.overdue > 0
                self._waiting_ns = snapshot.at_ns if is_waiting else None
            elif self._waiting_ns is None and tally.scheduled > self._n_due:
                self._waiting_ns = snapshot.at_ns
            elif self._waiting_ns is None and snapshot.lag_now_ns > 0:
                # A worker that waits for its destination tells nothing: only its lag grows.
                self._waiting_ns = max(
                    snapshot.at_ns - snapshot.lag_now_ns, self._confirmed_ns or 0
                )
            self._n_due = tally.scheduled

    def end(self) -> None:
        """The run is over."""
        with self._lock:
            self._is_over = True

    def alive(self) -> Verdict:
        """Whether the run's loop goes round."""
        now_ns = self._clock.now_ns()
        with self._lock:
            if self._beat_ns is None:
                silent_ns, limit_ns = now_ns - self._started_ns, START_NS
            else:
                silent_ns, limit_ns = now_ns - self._beat_ns, BEAT_NS
        if silent_ns > limit_ns:
            return Verdict(False, f"the run's loop has stood still for {silent_ns / 1e9:.0f} s")
        return Verdict(True, "alive")

    def ready(self) -> Verdict:
        """Whether the load arrives."""
        now_ns = self._clock.now_ns()
        with self._lock:
            if self._is_draining or self._is_over:
                return Verdict(False, "the run is ending")
            if self._confirmed_ns is None:
                return Verdict(False, "nothing is confirmed yet")
            waiting_ns = 0 if self._waiting_ns is None else now_ns - self._waiting_ns
        if waiting_ns > READY_NS:
            return Verdict(False, f"nothing was confirmed for {waiting_ns / 1e9:.0f} s")
        return Verdict(True, "ready")
