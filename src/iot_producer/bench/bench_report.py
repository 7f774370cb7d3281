"""The results of a benchmark: what was measured, ratios to the reference, bars.

Promise: frozen, and fit for JSON; every ratio and median is computed here, from the rounds. It must
not know how anything was measured or how it is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from iot_producer.bench.bench_options import BY_NAME, NATIVE, OFFICIAL, PERF, REFERENCE, VERIFY

JSON_CPU_BAR: Final = 0.25
JSON_RATIO_BAR: Final = 200.0
NATIVE_CPU_BAR: Final = 0.6
NATIVE_RATE_BAR: Final = 900_000.0
NATIVE_TO_PERF_BAR: Final = 0.2
NATIVE_TO_OFFICIAL_BAR: Final = 0.06
WIRE_BAR: Final = 1.4
OFFICIAL_CPU_BAR: Final = 15.0
VERIFY_RATE_BAR: Final = 500_000.0
LOW_RATE: Final = 1_000
HIGH_RATE: Final = 100_000
LOW_RATE_CPU_BAR: Final = 5.0
LOW_RATE_LAG_BAR: Final = 5.0
HIGH_RATE_RESPONSE_BAR: Final = 25.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a stage, all its processes together.

    Attributes:
        n_records: records of all.
        cpu_s: CPU time of all.
        wall_s: of the slowest.
    """

    n_records: int
    cpu_s: float
    wall_s: float

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds per million records."""
        return self.cpu_s * 1e6 / self.n_records

    @property
    def records_per_s(self) -> float:
        """Records a second by the wall clock."""
        return self.n_records / self.wall_s if self.wall_s else 0.0


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage with a number of workers.

    Attributes:
        stage: its name.
        workers: processes at once.
        rounds: those that count, at least one.
        peak_rss_bytes: largest resident memory of a process; 0 where it is not known.
        wire_bytes: of a message, by the broker's counters; 0 where there is no broker.
    """

    stage: str
    workers: int
    rounds: tuple[Round, ...]
    peak_rss_bytes: int
    wire_bytes: float = 0.0

    @property
    def title(self) -> str:
        """What the stage does."""
        return BY_NAME[self.stage].title

    @property
    def best_cpu(self) -> float:
        """CPU seconds per million records of the best round."""
        return min(r.cpu_s_per_million for r in self.rounds)

    @property
    def median_cpu(self) -> float:
        """CPU seconds per million records, median of the rounds: the figure to quote."""
        return median(r.cpu_s_per_million for r in self.rounds)

    @property
    def median_per_s(self) -> float:
        """Records a second by the wall clock, median of the rounds."""
        return median(r.records_per_s for r in self.rounds)

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON file."""
        return {
            "stage": self.stage,
            "title": self.title,
            "workers": self.workers,
            "n_records_per_round": self.rounds[0].n_records,
            "cpu_s_per_million_best": _rounded(self.best_cpu),
            "cpu_s_per_million_median": _rounded(self.median_cpu),
            "cpu_s_per_million": [_rounded(r.cpu_s_per_million) for r in self.rounds],
            "records_per_s_median": round(self.median_per_s),
            "peak_rss_bytes": self.peak_rss_bytes,
            "wire_bytes_per_message": round(self.wire_bytes, 1) or None,
        }


@dataclass(frozen=True, slots=True)
class StartUpResult:
    """How long something takes to begin.

    Attributes:
        name: what.
        seconds: wall-clock time of each try.
        cpu_seconds: CPU time of each try, until the end of the command.
        bar_s: what it may take.
        error: why it could not be measured; empty when it was.
    """

    name: str
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    bar_s: float
    error: str = ""

    @property
    def best_s(self) -> float:
        """The best try, by the wall clock."""
        return min(self.seconds)

    @property
    def best_cpu_s(self) -> float:
        """The best try, in CPU seconds."""
        return min(self.cpu_seconds)

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON file."""
        return {
            "name": self.name,
            "seconds": [_rounded(s) for s in self.seconds],
            "cpu_seconds": [_rounded(s) for s in self.cpu_seconds],
            "bar_s": self.bar_s,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class PacedResult:
    """A run at a set rate, with one worker.

    Attributes:
        per_s: messages a second.
        rounds: pieces of it, one after the other, with the CPU time of the worker's process.
        lag_p99_ms, response_p99_ms: 99th percentiles of the whole run but its warm-up.
    """

    per_s: int
    rounds: tuple[Round, ...]
    lag_p99_ms: float
    response_p99_ms: float

    @property
    def worker_percent(self) -> float:
        """CPU of the worker, in per cent of a core; median of the rounds."""
        return median(100 * r.cpu_s / r.wall_s for r in self.rounds)

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds of the worker per million messages; median of the rounds."""
        return median(r.cpu_s_per_million for r in self.rounds)

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON file."""
        return {
            "messages_per_s": self.per_s,
            "worker_cpu_percent": _rounded(self.worker_percent),
            "worker_cpu_percents": [_rounded(100 * r.cpu_s / r.wall_s) for r in self.rounds],
            "cpu_s_per_million": _rounded(self.cpu_s_per_million),
            "lag_p99_ms": _rounded(self.lag_p99_ms),
            "response_p99_ms": _rounded(self.response_p99_ms),
        }


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with its limit.

    Attributes:
        name: what must hold.
        value: what was measured.
        limit: the bar.
        at_least: the value must not be below it; else not above.
        unit: of both.
    """

    name: str
    value: float
    limit: float
    at_least: bool
    unit: str

    @property
    def is_met(self) -> bool:
        """Whether the value is on the right side."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON file."""
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "limit": self.limit,
            "at_least": self.at_least,
            "unit": self.unit,
            "is_met": self.is_met,
        }


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All of a benchmark.

    Attributes:
        date: of its start, ISO 8601 in UTC.
        commit: of the sources, ``-dirty`` behind it when they were changed; ``unknown`` outside a
            checkout.
        machine: see machine.describe_machine.
        versions: by package.
        settings: fleet, block size and the rest that figures depend on.
        stages: what was measured.
        start_up: how long commands take to begin.
        paced: runs at set rates.
        left_out: (stage, reason) of what was asked for and cannot be measured here.
        failed: (stage, reason) of what went wrong while it was measured.
    """

    date: str
    commit: str
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    settings: Mapping[str, object]
    stages: tuple[StageResult, ...]
    start_up: tuple[StartUpResult, ...] = ()
    paced: tuple[PacedResult, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing failed; a bar that is missed is no failure."""
        return not self.failed and not any(start.error for start in self.start_up)

    def result(self, stage: str, workers: int = 1) -> StageResult | None:
        """A stage's result with so many workers."""
        for found in self.stages:
            if found.stage == stage and found.workers == workers:
                return found
        return None

    def ratio(self, result: StageResult) -> float | None:
        """How many times less CPU than the reference with as many workers; medians of both."""
        reference = self.result(REFERENCE, result.workers)
        if reference is None or not result.median_cpu:
            return None
        return reference.median_cpu / result.median_cpu

    def bars(self) -> tuple[Bar, ...]:
        """The bars of what was measured, with their figures (medians, one worker)."""
        bars = []
        text = self.result("json")
        if text is not None:
            bars.append(Bar("values + JSON text", text.median_cpu, JSON_CPU_BAR, False, "CPU-s/M"))
            ratio = self.ratio(text)
            if ratio is not None:
                name = "values + JSON text against the reference"
                bars.append(Bar(name, ratio, JSON_RATIO_BAR, True, "×"))
        bars += self._pulsar_bars()
        bars += self._paced_bars()
        for start in self.start_up:
            if start.seconds:
                bars.append(Bar(start.name, start.best_s, start.bar_s, False, "s"))
        return tuple(bars)

    def _pulsar_bars(self) -> list[Bar]:
        native, official, perf = (self.result(name) for name in (NATIVE, OFFICIAL, PERF))
        bars = []
        if native is not None:
            name = "native, generated and confirmed"
            bars.append(Bar(name, native.median_cpu, NATIVE_CPU_BAR, False, "CPU-s/M"))
            bars.append(Bar("native", native.median_per_s, NATIVE_RATE_BAR, True, "msg/s"))
        if native is not None and perf is not None:
            ratio = native.median_cpu / perf.median_cpu
            bars.append(Bar("native to pulsar-perf, CPU", ratio, NATIVE_TO_PERF_BAR, False, "×"))
        if native is not None and official is not None:
            ratio = native.median_cpu / official.median_cpu
            bars.append(Bar("native to official, CPU", ratio, NATIVE_TO_OFFICIAL_BAR, False, "×"))
            if native.wire_bytes and official.wire_bytes:
                ratio = native.wire_bytes / official.wire_bytes
                bars.append(Bar("native to official, bytes sent", ratio, WIRE_BAR, False, "×"))
        read_back = self.result(VERIFY)
        if read_back is not None:
            bars.append(Bar("verify", read_back.median_per_s, VERIFY_RATE_BAR, True, "records/s"))
        if official is not None:
            name = "official, generated and confirmed"
            bars.append(Bar(name, official.median_cpu, OFFICIAL_CPU_BAR, False, "CPU-s/M"))
        return bars

    def _paced_bars(self) -> list[Bar]:
        bars = []
        for run in self.paced:
            at = f"at {run.per_s:,} msg/s"
            if run.per_s == LOW_RATE:
                share = run.worker_percent
                bars.append(Bar(f"worker {at}", share, LOW_RATE_CPU_BAR, False, "% of a core"))
                bars.append(Bar(f"lag p99 {at}", run.lag_p99_ms, LOW_RATE_LAG_BAR, False, "ms"))
            if run.per_s == HIGH_RATE:
                p99_ms = run.response_p99_ms
                bars.append(Bar(f"response p99 {at}", p99_ms, HIGH_RATE_RESPONSE_BAR, False, "ms"))
        return bars

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON file."""
        stages = []
        for result in self.stages:
            ratio = self.ratio(result)
            times = {"times_less_than_reference": None if ratio is None else round(ratio, 1)}
            stages.append({**result.to_dict(), **times})
        return {
            "date": self.date,
            "commit": self.commit,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "stages": stages,
            "paced": [run.to_dict() for run in self.paced],
            "start_up": [start.to_dict() for start in self.start_up],
            "bars": [bar.to_dict() for bar in self.bars()],
            "left_out": [{"stage": stage, "reason": reason} for stage, reason in self.left_out],
            "failed": [{"stage": stage, "reason": reason} for stage, reason in self.failed],
        }

    def to_json(self) -> str:
        """The same as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"


def merged(samples: Iterable[Sequence[tuple[int, float, float]]]) -> tuple[Round, ...]:
    """Rounds from what each process measured in them.

    Args:
        samples: of each round the (records, CPU seconds, wall-clock seconds) of each process.
    """
    return tuple(
        Round(sum(n for n, _, _ in each), sum(c for _, c, _ in each), max(w for _, _, w in each))
        for each in samples
    )


def _rounded(value: float) -> float:
    """To 4 significant digits: there are no more."""
    return float(f"{value:.4g}")
