"""What needs no process; the rest is in tests/integration/test_run.py."""

from __future__ import annotations

from iot_producer.episode import _aged
from iot_producer.outcome import TallySnapshot
from iot_producer.snapshot import Snapshot

NOW = 1_780_000_000_000_000_000
S = 1_000_000_000


def test_a_worker_that_speaks_is_shown_as_it_says():
    snapshot = Snapshot(NOW - S, lag_now_ns=5)
    assert _aged(snapshot, NOW) is snapshot


def test_a_worker_that_is_silent_gets_later_and_later():
    snapshot = Snapshot(NOW - 3 * S, 1, 100.0, TallySnapshot(10, 10, 9), 7, lag_now_ns=5)
    aged = _aged(snapshot, NOW)
    assert (aged.at_ns, aged.lag_now_ns) == (NOW, 3 * S + 5)
    assert (aged.tally, aged.target_per_s, aged.raw_bytes) == (snapshot.tally, 100.0, 7)
    assert aged.since(snapshot).sent_per_s == 0
