"""What a run and its worker processes say to each other over their pipes.

Promise: frozen values, and nothing else.

    parent → child: ``Open``, ``Go``, then ``Order``s; an ``Order`` in place of one: do not begin
    child → parent: ``Warm``, ``Ready``, ``Snapshot``s, ``Result``; ``News`` at any time

Where a lane is claimed, worker 0 says in ``Ready`` which, and the others are told in ``Open``.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

from iot_producer.command import Command
from iot_producer.errors import IotProducerError
from iot_producer.report import LaneReport, RunReport
from iot_producer.run_config import RunConfig

INTERRUPT: Final = signal.SIGUSR1
"""Breaks off a call into a sink that hangs, when the parent has waited long enough."""


@dataclass(frozen=True, slots=True)
class Open:
    """Connect to the destination. Until then a worker has nothing that must be closed.

    Attributes:
        lane: number of the lane that this pod has claimed. None: none is to be claimed; or this
            worker is to claim one.
        first: where to begin looking for a free one.
    """

    lane: int | None = None
    first: int = 0


@dataclass(frozen=True, slots=True)
class Go:
    """Begin.

    Attributes:
        start_ns: the plan's start, ns since the epoch.
        config: the run, with the plan's schedule and the number of the claimed lane.
        plan: as a run report without lanes, for the lane's journal.
        stored: by partition (one where the topic has none), the sequence ids up to which nothing
            need be sent; empty: nothing of the plan is stored.
    """

    start_ns: int
    config: RunConfig
    plan: RunReport
    stored: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """Tells the running worker what to do from now on."""

    command: Command


@dataclass(frozen=True, slots=True)
class News:
    """A sentence for the user; ``level`` as in ``View.say``."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Warm:
    """Kernels are compiled."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The destination is connected.

    Attributes:
        lane: number of the lane that was claimed; None: none was.
        last_ids: by partition (one where the topic has none), the highest sequence id that the
            destination has stored under the lane's name, −1: none is known; empty: it knows of no
            such ids.
        predecessor: of worker 0, what the lane's last run said of its plan, where it matters.
    """

    lane: int | None = None
    last_ids: tuple[int, ...] = ()
    predecessor: RunReport | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The end of the worker.

    Attributes:
        report: what became of each message; None when it never began.
        raw_bytes: bytes of records handed to the destination.
        error: what ended it early, if anything did.
    """

    report: LaneReport | None
    raw_bytes: int
    error: IotProducerError | None
