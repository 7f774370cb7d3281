from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading

import pytest

from iot_producer.command import Command
from iot_producer.stop_requests import ENDING, StopRequests, sheltered_children


def test_nothing_is_asked_for_at_first():
    with StopRequests() as stops:
        assert stops.command is Command.GO_ON
        assert stops.n_interrupts == 0


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_each_signal_asks_for_a_drain(number: signal.Signals):
    with StopRequests() as stops:
        signal.raise_signal(number)
        assert stops.command is Command.DRAIN
        assert stops.name == number.name


def test_a_second_ctrl_c_asks_for_the_end_and_a_third_takes_it():
    with StopRequests() as stops:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert stops.command is Command.ABORT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_terminations_never_abort():
    with StopRequests() as stops:
        for _ in range(5):
            signal.raise_signal(signal.SIGTERM)
        assert stops.command is Command.DRAIN
        signal.raise_signal(signal.SIGINT)
        assert stops.command is Command.DRAIN
        assert stops.n_interrupts == 1
        assert stops.name == "SIGTERM"


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in ENDING]
    with StopRequests():
        assert [signal.getsignal(number) for number in ENDING] != before
    assert [signal.getsignal(number) for number in ENDING] == before


def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequests() as stops:
            signal.raise_signal(signal.SIGHUP)
            assert stops.command is Command.GO_ON
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_children_begin_with_the_signals_blocked_and_the_parent_gets_them_later():
    code = "import signal; print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    # A library of another test may have blocked SIGPIPE in this thread before.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with StopRequests() as stops:
        with sheltered_children():
            child = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert stops.terminations == []
        assert stops.terminations == ["SIGTERM"]
    wanted = before | set(ENDING)
    assert child.stdout.split() == [str(int(number)) for number in sorted(wanted)]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before - set(ENDING)


def _mask(pipe: object) -> None:
    pipe.send(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))  # type: ignore[attr-defined]


def test_so_does_a_process_of_multiprocessing():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_mask, args=(theirs,))
    with sheltered_children():
        process.start()
    assert ours.poll(60)
    assert set(ENDING) <= set(ours.recv())
    process.join(60)
    assert process.exitcode == 0
