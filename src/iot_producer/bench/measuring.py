"""Stages in processes of their own, round by round: CPU time, wall-clock time, memory.

Promise: each figure is the whole process's (all threads, user and system) and of its rounds alone;
processes of one measurement begin each round together. None is left behind. It must not know what a
stage does.

    parent → child: ``Prepare``, ``RUN``, ``END``
    child → parent: ``READY``, ``Sample``, ``Footprint``, an ``IotProducerError``
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from iot_producer.errors import IotProducerError
from iot_producer.stop_requests import ENDING, sheltered_children

if TYPE_CHECKING:  # it loads numba, which only the processes need
    from iot_producer.bench.load_spec import LoadSpec

_T = TypeVar("_T")

READY: Final = "ready"
RUN: Final = "run"
END: Final = "end"

_LOST_S: Final = 600.0  # longer than any round takes


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make ``n_records`` ready."""

    n_records: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one process.

    Attributes:
        n_records: what was done.
        cpu_s: CPU time of the process, user and system, all threads.
        wall_s: time that passed.
    """

    n_records: int
    cpu_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Footprint:
    """The largest resident memory of a process in its life; 0 where it is not to be had."""

    peak_rss_bytes: int


def main(pipe: Connection, spec: LoadSpec) -> None:
    """The life of a measured process.

    Args:
        pipe: to the parent.
        spec: its work.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # see stop_requests.sheltered_children
    try:
        _obey(pipe, spec)
    except IotProducerError as error:
        pipe.send(error)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone


def _obey(pipe: Connection, spec: LoadSpec) -> None:
    from iot_producer.bench.loads import load_of

    load = load_of(spec)
    pipe.send(READY)
    while (order := pipe.recv()) != END:
        if isinstance(order, Prepare):
            load.prepare(order.n_records)
            pipe.send(READY)
        else:
            cpu_ns, wall_ns = time.process_time_ns(), time.monotonic_ns()
            n = load.run()
            cpu_ns, wall_ns = time.process_time_ns() - cpu_ns, time.monotonic_ns() - wall_ns
            pipe.send(Sample(n, cpu_ns / 1e9, wall_ns / 1e9))
    pipe.send(Footprint(_peak_rss_bytes()))


def _peak_rss_bytes() -> int:
    # Not getrusage: its maximum survives exec, so a child would inherit that of its parent.
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Crew:
    """The processes of one measurement; use it in a ``with`` statement, which ends them.

    Args:
        specs: the work of each.
    """

    def __init__(self, specs: Sequence[LoadSpec]) -> None:
        self._specs = specs
        self._members: list[tuple[BaseProcess, Connection]] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        try:
            for spec in self._specs:
                ours, theirs = context.Pipe()
                process = context.Process(target=main, args=(theirs, spec), daemon=True)
                with sheltered_children():
                    process.start()
                    self._members.append((process, ours))
                theirs.close()
            self._answers(str)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def round(self, n_records: int) -> list[Sample]:
        """Prepare and run ``n_records`` in each process, all at once.

        Raises:
            IotProducerError: what a process said, or that it died.
        """
        self._tell(Prepare(n_records))
        self._answers(str)
        self._tell(RUN)
        return self._answers(Sample)

    def footprints(self) -> list[Footprint]:
        """The end: what each process took in memory. Nothing can be run afterwards."""
        self._tell(END)
        return self._answers(Footprint)

    def _tell(self, order: object) -> None:
        for process, pipe in self._members:
            try:
                pipe.send(order)
            except (BrokenPipeError, ConnectionResetError) as error:
                raise _died(process) from error

    def _answers(self, kind: type[_T]) -> list[_T]:
        """One answer of each, in the order of the processes."""
        found: dict[int, _T] = {}
        while len(found) < len(self._members):
            waiting = {self._members[i][1]: i for i in range(len(self._members)) if i not in found}
            ready = wait(list(waiting), _LOST_S)
            if not ready:
                raise IotProducerError(
                    f"a measured process has said nothing for {_LOST_S:g} s", "is the broker alive?"
                )
            for pipe in ready:
                place = waiting[pipe]  # type: ignore[index]
                process, ours = self._members[place]
                answer = _received(process, ours)
                if isinstance(answer, IotProducerError):
                    raise answer
                assert isinstance(answer, kind)
                found[place] = answer
        return [found[i] for i in range(len(self._members))]

    def _end(self) -> None:
        for _, pipe in self._members:
            pipe.close()
        for process, _ in self._members:
            process.join(2.0)
            if process.is_alive():
                process.kill()
                process.join()
        self._members = []


def _received(process: BaseProcess, pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        raise _died(process) from error


def _died(process: BaseProcess) -> IotProducerError:
    process.join(1.0)
    code = process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return IotProducerError(f"a measured process died ({how})", "its own words are above, if any")
