"""Alive and ready, on a clock that is moved by hand."""

from __future__ import annotations

from iot_producer.clock import ManualClock
from iot_producer.metrics.health import BEAT_NS, READY_NS, START_NS, Health
from iot_producer.outcome import TallySnapshot
from iot_producer.snapshot import Snapshot

MS = 1_000_000
S = 1_000_000_000
HOUR = 3600 * S


class Run:
    """A run that is looked at four times a second."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.health = Health(self.clock)

    def see(self, *counts: int, lag_ns: int = 0, is_draining: bool = False) -> None:
        """A snapshot of this moment: scheduled, sent, confirmed, failed, skipped."""
        tally = TallySnapshot(*counts)
        now_ns = self.clock.now_ns()
        self.health.see(Snapshot(now_ns, tally=tally, lag_now_ns=lag_ns, is_draining=is_draining))

    def later(self, duration_ns: int) -> Run:
        self.clock.advance(duration_ns)
        return self

    @property
    def ready(self) -> str:
        verdict = self.health.ready()
        assert verdict.ok == (verdict.why == "ready")
        return verdict.why


class TestReady:
    def test_not_before_the_first_confirmation(self):
        run = Run()
        assert run.ready == "nothing is confirmed yet"
        run.see(100, 50, 0)
        assert run.ready == "nothing is confirmed yet"
        assert run.health.last_confirmed_ns == 0
        run.later(S).see(200, 150, 1)
        assert run.ready == "ready"
        assert run.health.last_confirmed_ns == run.clock.now_ns()

    def test_as_long_as_confirmations_come(self):
        run = Run()
        for n in range(1, 200):
            run.later(S // 4).see(n * 250, n * 250, n * 250 - 3)
            assert run.ready == "ready"

    def test_no_more_when_they_stop(self):
        run = Run()
        run.see(1000, 1000, 990)
        for n in range(1, 41):
            run.later(S // 4).see(1000 + n * 250, 1000 + n * 250, 990)
            assert run.ready == "ready"
        run.later(S // 4).see(12_000, 12_000, 990)
        assert run.ready == "nothing was confirmed for 10 s"
        run.later(S).see(12_000, 12_000, 991)
        assert run.ready == "ready"

    def test_the_time_between_two_messages_of_a_low_rate_does_not_count(self):
        run = Run()
        run.see(1, 1, 1)
        for n in range(1, 4):
            for _ in range(10):
                run.later(HOUR // 10).see(n, n, n)
                assert run.ready == "ready"
            run.see(n + 1, n + 1, n)  # on its way
            assert run.ready == "ready"
            run.later(S // 4).see(n + 1, n + 1, n + 1)
        run.see(5, 5, 4)
        assert run.later(READY_NS).ready == "ready"
        assert run.later(1 * S).ready == "nothing was confirmed for 11 s"

    def test_a_worker_that_waits_for_its_destination_shows_by_its_lag_alone(self):
        """It tells nothing more of what comes due, and its parent lets its lag grow."""
        run = Run()
        run.see(100, 100, 100)
        run.later(8 * S).see(100, 100, 100, lag_ns=8 * S)
        assert run.later(READY_NS - 8 * S).ready == "ready"
        assert run.later(S // 2).ready == "nothing was confirmed for 10 s"

    def test_to_catch_up_is_to_be_ready(self):
        run = Run()
        run.see(100, 100, 100)
        for n in range(1, 100):
            run.later(S // 4).see(100_000, 100 + n, 100 + n, lag_ns=600 * S)
            assert run.ready == "ready"

    def test_failures_confirm_nothing(self):
        run = Run()
        run.see(100, 100, 100)
        run.later(S).see(200, 200, 100, 100)
        run.later(READY_NS).see(1200, 1200, 100, 1100)
        assert run.later(1).ready == "nothing was confirmed for 10 s"

    def test_what_is_dropped_confirms_nothing(self):
        run = Run()
        run.see(100, 100, 100)
        run.later(S).see(200, 100, 100, 0, 100)
        assert run.later(READY_NS + 1).ready == "nothing was confirmed for 10 s"

    def test_not_when_it_is_to_end(self):
        run = Run()
        run.see(100, 100, 100)
        run.later(S // 4).see(200, 200, 150, is_draining=True)
        assert run.ready == "the run is ending"
        other = Run()
        other.see(100, 100, 100)
        other.health.end()
        assert other.ready == "the run is ending"

    def test_another_lane_after_one_that_was_lost_makes_it_ready_again(self):
        run = Run()
        run.see(100, 100, 90)
        run.later(S).see(150, 150, 100, is_draining=True)
        assert run.ready == "the run is ending"
        run.later(9 * S).see(200, 200, 160)
        assert run.ready == "ready"


class TestAlive:
    def test_from_the_start_and_as_long_as_the_loop_goes_round(self):
        run = Run()
        assert run.health.alive().ok
        assert run.later(START_NS).health.alive().ok
        for _ in range(50):
            run.later(S // 10).health.beat()
            assert run.health.alive().ok
        assert run.later(BEAT_NS).health.alive().ok
        verdict = run.later(1 * S).health.alive()
        assert (verdict.ok, verdict.why) == (False, "the run's loop has stood still for 11 s")
        run.health.beat()
        assert run.health.alive().ok

    def test_a_start_that_never_ends(self):
        verdict = Run().later(START_NS + S).health.alive()
        assert (verdict.ok, verdict.why) == (False, "the run's loop has stood still for 121 s")

    def test_snapshots_do_not_matter(self):
        run = Run()
        run.health.beat()
        run.later(BEAT_NS + 1).see(100, 100, 100)
        assert not run.health.alive().ok
