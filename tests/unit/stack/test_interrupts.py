"""Signals that this process sends to itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from iot_producer.stack.interrupts import held_signals, unwinding_on_signals


@contextmanager
def noting(steps: list[str], step: str) -> Iterator[None]:
    """Note a step when the block is left, however it is left."""
    try:
        yield
    finally:
        steps.append(step)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ending_signal_unwinds(number: signal.Signals) -> None:
    steps: list[str] = []
    with pytest.raises(SystemExit) as caught, unwinding_on_signals(), noting(steps, "cleaned"):
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert steps == ["cleaned"]
    assert signal.getsignal(number) is signal.SIG_DFL


def test_somebody_elses_handler_stays() -> None:
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("theirs"))
    try:
        with unwinding_on_signals():
            signal.raise_signal(signal.SIGTERM)
        assert came == ["theirs"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_held_signal_comes_after_the_block() -> None:
    steps: list[str] = []
    with (
        pytest.raises(KeyboardInterrupt),
        noting(steps, "after the hold"),
        held_signals(),
        noting(steps, "inside"),
    ):
        signal.raise_signal(signal.SIGINT)
    assert steps == ["inside", "after the hold"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nothing_inside_the_hold_is_cut_off() -> None:
    steps: list[str] = []

    def work() -> None:
        with held_signals():
            signal.raise_signal(signal.SIGINT)
            steps.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["went on"]


def test_a_held_signal_finds_the_handler_around_it() -> None:
    with pytest.raises(SystemExit), unwinding_on_signals(), held_signals():
        signal.raise_signal(signal.SIGTERM)


def test_other_threads_are_left_alone() -> None:
    seen = []

    def work() -> None:
        with unwinding_on_signals(), held_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
