"""The stage ``paced``: real runs at a set rate, seen from outside while they go on.

Promise: the CPU time of the command's worker processes alone, between two looks in the middle of
its run, so that its start and end are not in it; latencies are those of its own report, after the
warm-up. It must not know how a run works inside.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psutil

from iot_producer.bench.bench_options import BenchOptions, round_topic
from iot_producer.bench.bench_report import PacedResult, Round
from iot_producer.bench.local_broker import LocalBroker
from iot_producer.bench.real_commands import last_line, start_run
from iot_producer.clock import Clock, SystemClock
from iot_producer.errors import DataError, DestinationError, IotProducerError
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin
from iot_producer.report import RunReport

_TOPIC: Final = "persistent://public/default/bench-paced"
_WARM_UP_S: Final = 3
_N_ROUNDS: Final = 5
_WARM_UP_RECORDS: Final = 4_000_000
_PAUSE_NS: Final = 50_000_000
_PATIENCE_NS: Final = 60_000_000_000
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Pace:
    """A rate, and how long a round of it is, seconds."""

    per_s: int
    round_s: int
    quick_round_s: int


_PACES: Final = (_Pace(1_000, 6, 1), _Pace(100_000, 2, 1))


def measure_paced(
    broker: LocalBroker,
    options: BenchOptions,
    say: Callable[[str], None],
    clock: Clock | None = None,
) -> Iterator[PacedResult]:
    """Run each rate once; a failure leaves the results before it.

    Args:
        broker: that the runs send to.
        options: the fleet, and whether it shall be quick.
        say: takes a line of news.
        clock: for waiting; the machine's by default.

    Yields:
        what each run came to.

    Raises:
        IotProducerError: a run failed, or confirmed less than all.
    """
    # The broker's own compiler shares the caches that a rested worker comes back to.
    _PacedRun(broker, options, f"{_TOPIC}-warm-up", clock or SystemClock()).warm_up()
    for turn, pace in enumerate(_PACES):
        round_s = pace.quick_round_s if options.quick else pace.round_s
        say(f"paced, 1 worker: {pace.per_s:,} msg/s, {_N_ROUNDS} rounds of {round_s} s")
        topic = round_topic(_TOPIC, turn)
        result = _PacedRun(broker, options, topic, clock or SystemClock()).measure(
            pace.per_s, round_s
        )
        broker.end_round(topic)
        say(
            f"    {result.worker_percent:.1f} % of a core, "
            f"lag p99 {result.lag_p99_ms:.1f} ms, response p99 {result.response_p99_ms:.1f} ms"
        )
        yield result


class _PacedRun:
    """One run of the command."""

    def __init__(
        self, broker: LocalBroker, options: BenchOptions, topic: str, clock: Clock
    ) -> None:
        self._broker = broker
        self._options = options
        self._topic = topic
        self._clock = clock
        self._admin = PulsarAdmin(broker.status.admin_url)
        self._file = broker.folder / f"{topic.rpartition('/')[2]}.json"
        self._output = self._file.with_suffix(".log")

    def warm_up(self) -> None:
        """A load for the broker, which is deleted again."""
        n_records = _WARM_UP_RECORDS // (100 if self._options.quick else 1)
        with self._run({"rate": "max", "messages": str(n_records)}):
            pass
        self._broker.end_round(self._topic)

    def measure(self, per_s: int, round_s: int) -> PacedResult:
        """Start it, look at it, wait for its end."""
        seconds = 2 * _WARM_UP_S + _N_ROUNDS * round_s
        flags = {"rate": str(per_s), "duration": f"{seconds}s", "warm-up": f"{_WARM_UP_S}s"}
        with self._run(flags) as child:
            self._wait_for_messages(child)
            self._wait(_WARM_UP_S)
            workers = psutil.Process(child.pid).children()
            rounds = tuple(self._round(workers, per_s, round_s) for _ in range(_N_ROUNDS))
        report = RunReport.from_json(self._file.read_text("utf-8"))
        if not report.tally.complete:
            raise DataError(f"not all was confirmed: {report.tally}", "look at the broker")
        latencies = report.latencies
        return PacedResult(
            per_s,
            rounds,
            latencies.lag.percentile_ns(99) / 1e6,
            latencies.response.percentile_ns(99) / 1e6,
        )

    @contextmanager
    def _run(self, flags: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        """A run, begun; after the block it has ended, and well."""
        with self._output.open("wb") as log:
            child = start_run(self._broker, self._options, self._topic, self._file, flags, log)
            try:
                yield child
                child.wait(_PATIENCE_NS / _NS_PER_S)
            except (psutil.Error, subprocess.TimeoutExpired) as error:
                raise self._failed(child) from error
            finally:
                child.kill()
                child.wait()
        if child.returncode:
            raise self._failed(child)

    def _round(self, workers: Sequence[psutil.Process], per_s: int, seconds: int) -> Round:
        cpu_s, at_ns = _cpu_s_of(workers), self._clock.now_ns()
        self._wait(seconds)
        cpu_s = _cpu_s_of(workers) - cpu_s
        wall_s = (self._clock.now_ns() - at_ns) / _NS_PER_S
        return Round(round(per_s * wall_s), cpu_s, wall_s)

    def _wait_for_messages(self, child: subprocess.Popen[bytes]) -> None:
        deadline_ns = self._clock.now_ns() + _PATIENCE_NS
        while child.poll() is None and self._clock.now_ns() < deadline_ns:
            try:
                if self._admin.n_messages_in(self._topic):
                    return
            except AdminRefusedError:
                pass  # the topic is not there yet
            self._clock.sleep_until(self._clock.now_ns() + _PAUSE_NS)
        raise self._failed(child)

    def _wait(self, seconds: int) -> None:
        self._clock.sleep_until(self._clock.now_ns() + seconds * _NS_PER_S)

    def _failed(self, child: subprocess.Popen[bytes]) -> IotProducerError:
        code = child.poll()
        how = "does not end, or sends nothing" if code is None else f"ended with exit code {code}"
        return DestinationError(f"a run at a set rate {how}", last_line(self._output))


def _cpu_s_of(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds of processes, user and system; psutil.Error where one has ended."""
    times = [process.cpu_times() for process in processes]
    return float(sum(each.user + each.system for each in times))
