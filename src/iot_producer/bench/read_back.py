"""The stage ``verify``: what a run at the maximum rate confirmed, read back by the real command.

Promise: a round counts only if every record of it was found as it should be. CPU time is that of
the whole command, its start included; records a second are those of its own report, while it
reads. It must not know how records are compared.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from iot_producer.bench.bench_options import BenchOptions, StageSpec, round_topic
from iot_producer.bench.bench_report import Round, StageResult
from iot_producer.bench.local_broker import LocalBroker
from iot_producer.bench.real_commands import last_line, start_run, start_verify
from iot_producer.errors import DataError, DestinationError, ExitCode
from iot_producer.pulsar.admin import PulsarAdmin

_NAMESPACE: Final = "public/bench-verify"
_TOPIC: Final = f"persistent://{_NAMESPACE}/bench-verify"
_PATIENCE_S: Final = 300.0
_PAUSE_S: Final = 0.02


def measure_read_back(
    broker: LocalBroker, options: BenchOptions, stage: StageSpec, say: Callable[[str], None]
) -> StageResult:
    """Produce and verify, round by round.

    Args:
        broker: which keeps the records.
        options: the fleet, and how many rounds.
        stage: `bench_options.VERIFY`.
        say: takes a line of news.

    Raises:
        IotProducerError: a command failed, or a record was not as it should be.
    """
    n_records, n_rounds = options.n_records_of(stage), options.n_rounds_of(stage)
    say(f"{stage.name}, 1 process: {n_rounds} rounds of {n_records:,} records")
    admin = PulsarAdmin(broker.status.admin_url)
    admin.call("PUT", f"/admin/v2/namespaces/{_NAMESPACE}", {})
    admin.set_retention(_NAMESPACE, -1, -1)  # elsewhere the broker keeps next to nothing
    rounds, wire_bytes, most_bytes = [], 0.0, 0
    for turn in range(1 + n_rounds):  # the first warms up
        topic = round_topic(_TOPIC, turn)
        one, rss_bytes = _round(broker, options, topic, n_records)
        rounds.append(one)
        most_bytes = max(most_bytes, rss_bytes)
        wire_bytes = broker.end_round(topic)
    result = StageResult(stage.name, 1, tuple(rounds[1:]), most_bytes, wire_bytes)
    say(f"    {result.median_cpu:.3g} CPU-s/M, {result.median_per_s:,.0f} records/s")
    return result


def _round(
    broker: LocalBroker, options: BenchOptions, topic: str, n_records: int
) -> tuple[Round, int]:
    """One round, and the largest resident memory of the command."""
    report = broker.folder / f"{topic.rpartition('/')[2]}.json"
    answer, output = report.with_suffix(".verify.json"), report.with_suffix(".log")
    with output.open("wb") as log, answer.open("wb") as found:
        flags = {"rate": "max", "messages": str(n_records)}
        _end(start_run(broker, options, topic, report, flags, log), output)
        verify = start_verify(broker, options, report, found, log)
        cpu_s, rss_bytes = _end(verify, output, (ExitCode.OK, ExitCode.FAILED))
    result = json.loads(answer.read_text("utf-8"))
    if not result["ok"] or result["totals"]["found"] != n_records:
        raise DataError(f"not all was there: {result['totals']}", "look at the broker")
    return Round(n_records, cpu_s, result["seconds"]), rss_bytes


def _end(
    child: subprocess.Popen[bytes], output: Path, codes: tuple[int, ...] = (ExitCode.OK,)
) -> tuple[float, int]:
    """Wait for a command; its CPU seconds and largest resident memory, as last seen."""
    cpu_s, rss_bytes = 0.0, 0
    try:
        process = psutil.Process(child.pid)
        for _ in range(round(_PATIENCE_S / _PAUSE_S)):
            times, memory = process.cpu_times(), process.memory_info()
            if process.status() != psutil.STATUS_ZOMBIE:
                cpu_s = times.user + times.system
                rss_bytes = max(rss_bytes, memory.rss)
            try:
                child.wait(_PAUSE_S)
                break
            except subprocess.TimeoutExpired:
                continue
    except psutil.NoSuchProcess:
        child.wait(_PATIENCE_S)
    finally:
        child.kill()
        child.wait()
    if child.returncode not in codes:
        raise DestinationError(f"a command ended with {child.returncode}", last_line(output))
    return cpu_s, rss_bytes
