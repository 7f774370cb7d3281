"""The stage ``pulsar-perf``: the Java load tool of the same distribution, sending our records.

Promise: the CPU time of its process alone, between messages that the broker counted, so that its
start and the warm-up of its compiler are not in it. It only sends: records come from a file. It
must not know other stages.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from iot_producer.bench.bench_options import BenchOptions, StageSpec
from iot_producer.bench.bench_report import Round, StageResult
from iot_producer.bench.load_spec import LoadSpec
from iot_producer.bench.local_broker import LocalBroker
from iot_producer.clock import Clock, SystemClock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import DestinationError, IotProducerError
from iot_producer.fleet import fleet_of
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin
from iot_producer.stack.server_tools import PERF, tool_command

_N_PAYLOADS: Final = 10_000
_ANY_RATE: Final = 10_000_000
_MOST_PENDING: Final = 50_000  # as ours
_BATCH: Final = 1_000
_PAUSE_NS: Final = 20_000_000
_PATIENCE_NS: Final = 120_000_000_000
_TOPIC: Final = "persistent://public/default/bench-perf"


def measure_perf(
    broker: LocalBroker,
    options: BenchOptions,
    stage: StageSpec,
    say: Callable[[str], None],
    clock: Clock | None = None,
) -> StageResult:
    """Run the tool until enough rounds have passed, and end it.

    Args:
        broker: that it sends to.
        options: how many records and rounds.
        stage: `bench_options.PERF`.
        say: takes a line of news.
        clock: for waiting; the machine's by default.

    Raises:
        IotProducerError: it ended by itself, or sends nothing.
    """
    n_records, n_rounds = options.n_records_of(stage), options.n_rounds_of(stage)
    say(f"{stage.name}, 1 process: {n_rounds} rounds of {n_records:,} records")
    payloads = broker.folder / "payloads.jsonl"
    _write_payloads(options, payloads)
    output = broker.folder / "pulsar-perf.log"
    command = [
        *tool_command(broker.java, broker.server, PERF),
        "produce",
        *("--service-url", broker.status.pulsar_url),
        *("--payload-file", str(payloads)),
        *("--compression", "LZ4"),
        *("--message-key-generation-mode", "random"),
        *("--rate", str(_ANY_RATE)),
        *("--batch-max-messages", str(_BATCH)),
        *("--max-outstanding", str(_MOST_PENDING)),
        *("--max-outstanding-across-partitions", str(_MOST_PENDING)),
        _TOPIC,
    ]
    with output.open("wb") as log:
        child = subprocess.Popen(
            command, cwd=broker.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            watch = _Watch(broker, child, output, clock or SystemClock())
            watch.next_round(n_records)  # its start and its compiler
            rounds = tuple(watch.next_round(n_records) for _ in range(n_rounds))
            rss_bytes = psutil.Process(child.pid).memory_info().rss
        finally:
            child.kill()
            child.wait()
    result = StageResult(stage.name, 1, rounds, rss_bytes, broker.end_round(_TOPIC))
    say(f"    {result.median_cpu:.3g} CPU-s/M, {result.median_per_s:,.0f} records/s")
    return result


def _write_payloads(options: BenchOptions, path: Path) -> None:
    """Records of the plan that is measured elsewhere too, one a line."""
    spec = LoadSpec("json", 0, 1, options.fleet, options.block_records, options.per_s)
    block = spec.plan().block(0, _N_PAYLOADS)
    rows = JsonEncoder(fleet_of(options.fleet), newline=True).encode(block.devices, block.times_ms)
    path.write_bytes(rows.buffer.tobytes())


class _Watch:
    """Looks at the broker's counter and the tool's CPU time together."""

    def __init__(
        self, broker: LocalBroker, child: subprocess.Popen[bytes], output: Path, clock: Clock
    ) -> None:
        self._admin = PulsarAdmin(broker.status.admin_url)
        self._child = child
        self._output = output
        self._clock = clock
        self._last = (0, 0.0, clock.now_ns())

    def next_round(self, n_records: int) -> Round:
        """Wait for so many messages more."""
        n_before, cpu_before_s, before_ns = self._last
        while True:
            n, cpu_s, now_ns = self._last = self._look()
            if n >= n_before + n_records:
                return Round(n - n_before, cpu_s - cpu_before_s, (now_ns - before_ns) / 1e9)
            if now_ns >= before_ns + _PATIENCE_NS:
                raise DestinationError(
                    f"pulsar-perf sent {n - n_before:,} of {n_records:,} messages in "
                    f"{_PATIENCE_NS / 1e9:.0f} s",
                    self._said(),
                )
            self._clock.sleep_until(now_ns + _PAUSE_NS)

    def _look(self) -> tuple[int, float, int]:
        """Messages that the broker has, CPU seconds of the tool, and when."""
        code = self._child.poll()
        if code is not None:
            raise IotProducerError(f"pulsar-perf ended with exit code {code}", self._said())
        try:
            n = self._admin.n_messages_in(_TOPIC)
        except AdminRefusedError:  # the topic is not there yet
            n = 0
        times = psutil.Process(self._child.pid).cpu_times()
        return n, times.user + times.system, self._clock.now_ns()

    def _said(self) -> str:
        lines = self._output.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"
