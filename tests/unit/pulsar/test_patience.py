from __future__ import annotations

import pytest

from iot_producer.clock import ManualClock
from iot_producer.errors import ConfigError, NameTakenError, RefusedError, UnreachableError
from iot_producer.pulsar.patience import patiently

S = 1_000_000_000


class Attempts:
    """Fails with each of the given errors in turn; then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.left: list[float | None] = []

    def __call__(self, left_s: float | None) -> str:
        self.left.append(left_s)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_what_succeeds_at_once_says_nothing():
    said: list[str] = []
    assert patiently(Attempts(), ManualClock(), said.append, 30.0) == "done"
    assert said == []


def test_what_may_pass_is_tried_again_with_longer_pauses():
    clock, said = ManualClock(), list[str]()
    began_ns = clock.now_ns()
    attempts = Attempts(*[UnreachableError("nobody")] * 6)
    assert patiently(attempts, clock, said.append, None) == "done"
    assert attempts.left == [None] * 7
    assert len(said) == 6
    assert said[0].startswith("nobody; trying again in 0.")
    # 0.25, 0.5, 1, 2, 4, 8 s, each by a quarter more or less
    assert 15.75 * 0.75 * S <= clock.now_ns() - began_ns <= 15.75 * 1.25 * S


def test_patience_has_an_end_and_the_last_attempt_is_at_it():
    clock, said = ManualClock(), list[str]()
    attempts = Attempts(*[UnreachableError("nobody", "hint")] * 100)
    with pytest.raises(UnreachableError, match=r"nobody; given up after \d+ attempts in 5 s"):
        patiently(attempts, clock, said.append, 5.0)
    assert attempts.left[0] == 5.0
    assert attempts.left[-1] == pytest.approx(0.0, abs=1e-6)
    assert "for 5 s more" in said[0]


def test_without_patience_the_failure_is_raised_as_it_is():
    with pytest.raises(UnreachableError) as caught:
        patiently(Attempts(UnreachableError("nobody", "hint")), ManualClock(), print, 0.0)
    assert (caught.value.message, caught.value.hint) == ("nobody", "hint")


def test_a_taken_name_has_a_patience_of_its_own():
    clock = ManualClock()
    taken = NameTakenError("taken")
    assert patiently(Attempts(taken, taken), clock, lambda _: None, 0.0, 6.0) == "done"
    with pytest.raises(NameTakenError, match="given up after"):
        patiently(Attempts(*[taken] * 100), clock, lambda _: None, None, 6.0)
    with pytest.raises(NameTakenError, match=r"^taken$"):
        patiently(Attempts(taken), clock, lambda _: None, 30.0)


@pytest.mark.parametrize("error", [RefusedError("no"), ConfigError("bad")])
def test_what_cannot_pass_is_raised_at_once(error: Exception):
    with pytest.raises(type(error)):
        patiently(Attempts(error), ManualClock(), print, None)
