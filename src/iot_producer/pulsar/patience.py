"""Trying again while nobody answers, for code that waits.

Promise: what may pass is tried again, with longer pauses, until somebody answers or the patience
has an end; what cannot pass is raised at once. It must not know what is tried.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeVar

from iot_producer.clock import Clock
from iot_producer.errors import IotProducerError, NameTakenError, UnreachableError

T = TypeVar("T")
Say = Callable[[str], None]
"""Takes one line for the user about what is going on."""

_NS_PER_S: Final = 1_000_000_000
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 10.0


def patiently(
    attempt: Callable[[float | None], T],
    clock: Clock,
    say: Say,
    give_up_after_s: float | None,
    name_wait_s: float = 0.0,
) -> T:
    """What an attempt returns, as soon as one succeeds.

    Args:
        attempt: gets the seconds that are left; None: no end.
        clock: measures and waits.
        say: is told of each failure that is not the last one.
        give_up_after_s: how long to go on while nobody answers; None: for ever.
        name_wait_s: how long to wait for a producer name that is taken.

    Raises:
        UnreachableError: nobody answered in time.
        IotProducerError: what the attempt raises otherwise.
    """
    began_ns = clock.now_ns()
    taken_ns: int | None = None
    pause_s = _FIRST_PAUSE_S
    n_attempts = 0
    while True:
        n_attempts += 1
        try:
            return attempt(_left_s(give_up_after_s, began_ns, clock))
        except NameTakenError as error:
            taken_ns = clock.now_ns() if taken_ns is None else taken_ns
            left_s = _left_s(name_wait_s, taken_ns, clock)
            failure: IotProducerError = error
        except UnreachableError as error:
            taken_ns = None
            left_s = _left_s(give_up_after_s, began_ns, clock)
            failure = error
        if left_s is not None and left_s <= 0:
            raise _given_up(failure, n_attempts, (clock.now_ns() - began_ns) / _NS_PER_S)
        wait_s = pause_s * random.uniform(0.75, 1.25)
        if left_s is not None:
            wait_s = min(wait_s, left_s)
        until = "" if left_s is None else f", for {left_s:.0f} s more"
        say(f"{failure.message}; trying again in {wait_s:.1f} s{until}")
        clock.sleep_until(clock.now_ns() + round(wait_s * _NS_PER_S))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _left_s(limit_s: float | None, since_ns: int, clock: Clock) -> float | None:
    return None if limit_s is None else limit_s - (clock.now_ns() - since_ns) / _NS_PER_S


def _given_up(failure: IotProducerError, n_attempts: int, after_s: float) -> IotProducerError:
    if n_attempts == 1:
        return failure
    message = f"{failure.message}; given up after {n_attempts} attempts in {after_s:.0f} s"
    given_up = type(failure)(message, failure.hint)
    given_up.__cause__ = failure.__cause__
    return given_up
