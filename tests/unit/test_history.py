from __future__ import annotations

from dataclasses import replace

from fake_run import MS, RECORD_BYTES, START_NS, S, latencies, snapshot, steady
from iot_producer.history import N_RATES, History, Outline, Readings, Spread
from iot_producer.outcome import TallySnapshot


def after(history: History, seconds: float) -> Readings:
    *_, last = (history.add(each) for each in steady(seconds))
    return last


def test_a_steady_run() -> None:
    readings = after(History(Outline("x")), 10)
    assert readings.confirmed_per_s == 1000.0
    assert readings.target_per_s == 1000.0
    assert readings.raw_bytes_per_s == 1000.0 * RECORD_BYTES
    assert readings.rates == (1000.0,) * 10
    assert readings.window_s == 5.0
    assert readings.recent.response.n == 5000
    assert readings.total.response.n == 10_000
    assert readings.total.response == Spread(10_000, 4_001_000, 4_001_000, 40 * MS)
    assert readings.elapsed_ns == 10 * S
    assert (readings.progress, readings.remaining_ns) == (None, None)


def test_nothing_is_told_before_a_second_is_over() -> None:
    readings = after(History(Outline("x")), 0.75)
    assert readings.confirmed_per_s is None
    assert readings.rates == ()
    assert readings.snapshot.tally.confirmed == 750


def test_a_minute_is_remembered() -> None:
    history = History(Outline("x"))
    after(history, 30)
    for k in range(31, 31 + N_RATES):
        readings = history.add(snapshot(k, 30_000 + 500 * (k - 30)))
    assert readings.rates == (500.0,) * N_RATES


def test_a_silence_fills_its_seconds() -> None:
    history = History(Outline("x"))
    after(history, 2)
    readings = history.add(snapshot(6, 4000))
    assert readings.rates == (1000.0, 1000.0, 500.0, 500.0, 500.0, 500.0)


def test_a_ramp_is_compared_with_the_targets_of_the_same_seconds() -> None:
    history = History(Outline("x"))
    for k in range(6):
        readings = history.add(snapshot(k, 50 * k * k, 100.0 * k))
    assert readings.confirmed_per_s == 250.0
    assert readings.target_per_s == 250.0


def test_other_lanes_begin_anew() -> None:
    history = History(Outline("x"))
    after(history, 5)
    assert history.add(snapshot(6, 9000, n_lanes=2)).confirmed_per_s is None
    assert history.add(snapshot(7, 11_000, n_lanes=2)).confirmed_per_s == 2000.0
    assert history.add(snapshot(8, 500, n_lanes=2)).confirmed_per_s is None
    shrunk = snapshot(9, 900, n_lanes=2, latencies=latencies(3))
    assert history.add(shrunk).confirmed_per_s is None
    assert history.add(replace(shrunk, at_ns=shrunk.at_ns + 2 * S)).confirmed_per_s == 0.0


def test_progress_by_time() -> None:
    readings = after(History(Outline("x", duration_ns=40 * S)), 10)
    assert (readings.progress, readings.remaining_ns) == (0.25, 30 * S)
    late = after(History(Outline("x", duration_ns=5 * S)), 10)
    assert (late.progress, late.remaining_ns) == (1.0, 0)


def test_progress_by_messages() -> None:
    readings = after(History(Outline("x", n_messages=40_000)), 10)
    assert (readings.progress, readings.remaining_ns) == (0.25, 30 * S)
    done = after(History(Outline("x", n_messages=10_000)), 10)
    assert (done.progress, done.remaining_ns) == (1.0, 0)


def test_progress_by_the_limit_that_comes_first() -> None:
    outline = Outline("x", n_messages=10_000, duration_ns=60 * S)
    assert after(History(outline), 10).remaining_ns == 0
    outline = Outline("x", n_messages=1_000_000, duration_ns=20 * S)
    readings = after(History(outline), 10)
    assert (readings.progress, readings.remaining_ns) == (0.5, 10 * S)


def test_without_a_target_the_rate_tells_how_long_messages_take() -> None:
    history = History(Outline("x", n_messages=10_000))
    for k in range(3):
        readings = history.add(snapshot(k, 2000 * k, 0.0))
    assert not readings.has_target
    assert readings.remaining_ns == 3 * S


def test_a_start_to_come() -> None:
    history = History(Outline("x", duration_ns=10 * S, start_ns=START_NS + 5 * S))
    readings = history.add(snapshot(0, 0, tally=TallySnapshot()))
    assert readings.elapsed_ns == -5 * S
    assert readings.progress == 0.0
    assert readings.remaining_ns == 15 * S
