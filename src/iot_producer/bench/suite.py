"""Runs a benchmark: every stage with every number of workers, then the start-up of commands.

Promise: what cannot be measured here is left out with its reason, what fails is named as failed,
and all else is measured. It must not print: it is told where news goes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iot_producer import __version__
from iot_producer.bench.bench_options import (
    OFFICIAL,
    PACED,
    PERF,
    VERIFY,
    BenchOptions,
    StageSpec,
    round_topic,
)
from iot_producer.bench.bench_report import (
    BenchReport,
    PacedResult,
    StageResult,
    StartUpResult,
    merged,
)
from iot_producer.bench.measuring import Crew
from iot_producer.bench.start_up import measure_start_up
from iot_producer.clock import Clock, SystemClock
from iot_producer.errors import ConfigError, IotProducerError
from iot_producer.machine import describe_machine
from iot_producer.report import iso_time

if TYPE_CHECKING:
    from iot_producer.bench.load_spec import LoadSpec
    from iot_producer.bench.local_broker import LocalBroker

Say = Callable[[str], None]

_PACKAGES: Final = ("numba", "numpy", "pulsar-client", "pyarrow")
_ALONE: Final = frozenset((PERF, VERIFY))
"""Stages of one process, whatever the number of workers."""
_TOPIC: Final = "persistent://public/default/bench"


def run_bench(options: BenchOptions, say: Say, clock: Clock | None = None) -> BenchReport:
    """Measure.

    Args:
        options: what, and how much of it.
        say: takes a line of news before and after each measurement.
        clock: for the date of the report.

    Returns:
        Its result; a stage that failed while it was measured is named there with the reason.
    """
    date = iso_time((clock or SystemClock()).now_ns())
    versions = _versions()
    results: list[StageResult] = []
    left_out: list[tuple[str, str]] = []
    failed: list[tuple[str, str]] = []
    paced: list[PacedResult] = []
    with ExitStack() as guard:
        broker: LocalBroker | IotProducerError | None = None
        for stage in options.chosen():
            if stage.needs_broker and broker is None:
                # One for all of its stages: their ratios are of one run, of one broker.
                broker = _broker(options, say, guard)
                if not isinstance(broker, IotProducerError):
                    versions["pulsar broker"] = broker.status.version
            missing = _missing(stage, versions, broker)
            if missing is not None:
                say(f"{stage.name}: left out: {_reason(missing)}")
                left_out.append((stage.name, _reason(missing)))
                continue
            mine = broker if stage.needs_broker else None
            assert not isinstance(mine, IotProducerError)
            try:
                if stage.name == PACED and mine is not None:
                    paced.extend(_paced(options, mine, say))
                    continue
                for workers in options.workers[:1] if stage.name in _ALONE else options.workers:
                    results.append(_measured(options, stage, workers, mine, say))
            except IotProducerError as error:
                say(f"{stage.name}: failed: {_reason(error)}")
                failed.append((stage.name, _reason(error)))
    start_up: tuple[StartUpResult, ...] = ()
    if options.start_up:
        start_up = measure_start_up(options.environ, say, 2 if options.quick else 5)
    return BenchReport(
        date=date,
        commit=_commit(Path(__file__).resolve().parents[3]),
        machine=describe_machine(),
        versions=versions,
        settings={
            "fleet": options.fleet.to_dict(),
            "block_records": options.block_records,
            "per_s": options.per_s,
            "quick": options.quick,
        },
        stages=tuple(results),
        start_up=start_up,
        paced=tuple(paced),
        left_out=tuple(left_out),
        failed=tuple(failed),
    )


def _broker(options: BenchOptions, say: Say, guard: ExitStack) -> LocalBroker | IotProducerError:
    """A broker for the rest of the benchmark, or why there is none."""
    try:
        # Here, for without the extra "stack" it cannot be imported.
        from iot_producer.bench.local_broker import local_broker

        return guard.enter_context(local_broker(options, say))
    except IotProducerError as error:
        return error


def _missing(
    stage: StageSpec, versions: dict[str, str], broker: LocalBroker | IotProducerError | None
) -> IotProducerError | None:
    """Why a stage cannot be measured here; None: it can."""
    if stage.needs_broker and isinstance(broker, IotProducerError):
        return broker
    if stage.name == "arrow" and "pyarrow" not in versions:
        return ConfigError("pyarrow is not installed", 'pip install "iot-producer[parquet]"')
    if stage.name == OFFICIAL and "pulsar-client" not in versions:
        return ConfigError("pulsar-client is not installed", 'pip install "iot-producer[official]"')
    return None


def _measured(
    options: BenchOptions,
    stage: StageSpec,
    workers: int,
    broker: LocalBroker | None,
    say: Say,
) -> StageResult:
    if stage.name == PERF and broker is not None:
        from iot_producer.bench.perf_tool import measure_perf

        return measure_perf(broker, options, stage, say)
    if stage.name == VERIFY and broker is not None:
        from iot_producer.bench.read_back import measure_read_back

        return measure_read_back(broker, options, stage, say)
    n_records, n_rounds = options.n_records_of(stage), options.n_rounds_of(stage)
    crew = "1 worker" if workers == 1 else f"{workers} workers"
    say(f"{stage.name}, {crew}: {n_rounds} rounds of {n_records * workers:,} records")
    url = broker.status.pulsar_url if broker else ""
    topic = f"{_TOPIC}-{stage.name}-{workers}" if broker else ""
    samples = []
    wire_bytes = 0.0
    specs = [_load_spec(options, stage, k, workers, url, topic) for k in range(workers)]
    with Crew(specs) as members:
        for turn in range(1 + n_rounds):
            # The first warms up: kernels, caches, the broker's compiler.
            samples.append(members.round(n_records))
            if broker is not None:
                wire_bytes = broker.end_round(round_topic(topic, turn))
        footprints = members.footprints()
    rounds = merged([(s.n_records, s.cpu_s, s.wall_s) for s in each] for each in samples[1:])
    peak_rss_bytes = max(footprint.peak_rss_bytes for footprint in footprints)
    result = StageResult(stage.name, workers, rounds, peak_rss_bytes, wire_bytes)
    say(f"    {result.median_cpu:.3g} CPU-s/M, {result.median_per_s:,.0f} records/s")
    return result


def _paced(options: BenchOptions, broker: LocalBroker, say: Say) -> Iterator[PacedResult]:
    from iot_producer.bench.paced_runs import measure_paced

    return measure_paced(broker, options, say)


def _reason(error: IotProducerError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _load_spec(
    options: BenchOptions, stage: StageSpec, worker: int, workers: int, url: str, topic: str
) -> LoadSpec:
    from iot_producer.bench.load_spec import LoadSpec

    return LoadSpec(
        stage.name,
        worker,
        workers,
        options.fleet,
        options.block_records,
        options.per_s,
        url,
        topic,
    )


def _versions() -> dict[str, str]:
    """Of the packages that matter and are there."""
    found = {"iot-producer": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit(checkout: Path) -> str:
    """The commit of the checkout that these sources are in; ``unknown`` outside of one."""
    head = _git(checkout, "rev-parse", "--short=12", "HEAD")
    top = _git(checkout, "rev-parse", "--show-toplevel")
    # An installed package may lie within somebody else's checkout.
    if not head or top is None or Path(top).resolve() != checkout:
        return "unknown"
    changed = _git(checkout, "status", "--porcelain", "--", "src")
    return f"{head}-dirty" if changed else head


def _git(checkout: Path, *arguments: str) -> str | None:
    """What git says; None when there is no git, or it says no."""
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
