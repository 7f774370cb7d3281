"""The work of each stage, on the parts that a run uses too.

Promise: what is prepared is not measured, what is run is: always new records, in the order and with
the times of a real plan, for a block that is used twice is faster by a quarter to a half (its
devices are in the cache). It must not know clocks other than those that parts ask for, nor
processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from iot_producer.bench.bench_options import (
    ENTRY,
    NATIVE,
    OFFICIAL,
    READY,
    REFERENCE,
    round_topic,
)
from iot_producer.bench.load_spec import START_NS, LoadSpec
from iot_producer.clock import SystemClock
from iot_producer.conditions import new_conditions
from iot_producer.config import resolve_run
from iot_producer.errors import DataError
from iot_producer.feed import MaxFeed
from iot_producer.fleet import fleet_of
from iot_producer.lane import lane_of
from iot_producer.sinks.opening import open_sink
from iot_producer.worker import Worker, WorkerConfig

Encode = Callable[[NDArray[np.int32], NDArray[np.int64]], object]


class Load(Protocol):
    """A stage's work in one process."""

    def prepare(self, n: int) -> None:
        """Make ready what is needed for the next ``n`` records; not measured."""
        ...

    def run(self) -> int:
        """Do it; measured. Returns the number of records."""
        ...


class PlainLoad:
    """Records of the reference."""

    def __init__(self, spec: LoadSpec) -> None:
        from iot_producer.bench.plain_python import PlainGenerator

        self._generator = PlainGenerator(spec.fleet)
        self._step_s = 1 / spec.per_s
        self._time_s = START_NS / 1e9
        self._n = 0

    def prepare(self, n: int) -> None:
        self._n = n

    def run(self) -> int:
        generator, time_s, step_s = self._generator, self._time_s, self._step_s
        for _ in range(self._n):
            generator.record(time_s)
            time_s += step_s
        self._time_s = time_s
        return self._n


class BlocksLoad:
    """Blocks of a plan: devices and times."""

    def __init__(self, spec: LoadSpec) -> None:
        self._plan = spec.plan()
        self._block_records = spec.block_records
        self._next = 0
        self._n = 0

    def prepare(self, n: int) -> None:
        self._n = n

    def run(self) -> int:
        stop = self._next + self._n
        made = 0
        for block in self._plan.blocks(self._next, stop, self._block_records):
            made += len(block.times_ms)
        self._next = stop
        return made


class EncodeLoad:
    """Devices and times that were made before, as values, text or columns.

    Args:
        spec: which devices and times.
        encode: takes both of a block.
        block_records: records in a block, where that is not the spec's.
        times: of a block, as ``encode`` wants them: ``times_ms`` or ``intended_ns``.
    """

    def __init__(
        self,
        spec: LoadSpec,
        encode: Encode,
        block_records: int | None = None,
        times: str = "times_ms",
    ) -> None:
        self._plan = spec.plan()
        self._encode = encode
        self._times = attrgetter(times)
        self._block_records = block_records or spec.block_records
        self._next = 0
        self._blocks: list[tuple[NDArray[np.int32], NDArray[np.int64]]] = []

    def prepare(self, n: int) -> None:
        stop = self._next + n
        blocks = self._plan.blocks(self._next, stop, self._block_records)
        self._blocks = [(block.devices, self._times(block)) for block in blocks]
        self._next = stop

    def run(self) -> int:
        encode = self._encode
        n = 0
        for devices, times_ms in self._blocks:
            encode(devices, times_ms)
            n += len(devices)
        return n


class LoopLoad:
    """A worker's whole loop at the maximum rate: feed, sink, receipts, tally, histograms.

    Each round is a run of its own: it connects while it is prepared, and is measured from its first
    block until all is confirmed and the sink is closed.

    Args:
        spec: which lane.
        to: the destination as for ``--to``.
        client: of Pulsar, where it is the destination.
    """

    def __init__(self, spec: LoadSpec, to: str, client: str = "") -> None:
        fleet = spec.fleet.to_dict()
        flags: dict[str, str | bool | None] = {name: str(n) for name, n in fleet.items()}
        flags |= {
            "to": to,
            "rate": "max",
            "workers": str(spec.n_workers),
            "block_records": str(spec.block_records),
            "give_up_after": "30s",
        }
        if client:
            flags |= {"topic": spec.topic, "client": client}
        self._spec = spec
        self._config = resolve_run(flags, {})
        self._clock = SystemClock()
        self._worker: Worker | None = None
        self._turn = 0
        self._n = 0

    def prepare(self, n: int) -> None:
        spec, clock = self._spec, self._clock
        destination = self._config.destination
        if spec.topic:
            destination = replace(destination, topic=round_topic(spec.topic, self._turn))
        self._turn += 1
        config = replace(self._config, destination=destination)
        sink = open_sink(config, spec.worker, clock, lambda _: None)
        members = lane_of(spec.fleet.devices, spec.lane)
        start_ns = clock.now_ns()
        feed = MaxFeed(members, start_ns, spec.block_records, n, None)
        self._worker = Worker(WorkerConfig(spec.worker, start_ns), feed, sink, clock)
        self._n = n

    def run(self) -> int:
        if self._worker is None:
            raise ValueError("prepare first")
        report, error = self._worker.run()
        self._worker = None
        if error is not None:
            raise error
        if report.tally.confirmed != self._n:
            raise DataError(
                f"of {self._n:,} records only {report.tally.confirmed:,} were confirmed",
                "a rate is worth nothing then: look for the reason with iot-producer run",
            )
        return self._n


def load_of(spec: LoadSpec) -> Load:
    """The work of a stage; compiles or loads its kernels.

    Raises:
        ConfigError: a package that the stage needs is missing.
    """
    if spec.stage == REFERENCE:
        return PlainLoad(spec)
    if spec.stage == "blocks":
        return BlocksLoad(spec)
    if spec.stage == "null":
        return LoopLoad(spec, "null:")
    if spec.stage in (NATIVE, OFFICIAL):
        return LoopLoad(spec, spec.pulsar_url, spec.stage)
    if spec.stage == READY:
        from iot_producer.bench.ready_entries import ReadyLoad

        return ReadyLoad(spec)
    fleet = fleet_of(spec.fleet)
    if spec.stage == ENTRY:
        from iot_producer.pulsar.entry import EntryBuilder

        builder = EntryBuilder(fleet)
        return EncodeLoad(
            spec, lambda devices, t: builder.release(builder.build(devices, t)), times="intended_ns"
        )
    if spec.stage == "values":
        from iot_producer.signals import readings_of

        conditions = new_conditions(fleet)
        return EncodeLoad(spec, lambda devices, t: readings_of(fleet, devices, t, conditions))
    if spec.stage == "json":
        from iot_producer.encoders.json_rows import JsonEncoder

        return EncodeLoad(spec, JsonEncoder(fleet).encode)
    from iot_producer.encoders.arrow import ArrowEncoder
    from iot_producer.sinks.parquet_file import GROUP_ROWS

    # Sinks with columns gather blocks first, for a call costs 0.2 ms however few records it has.
    return EncodeLoad(spec, ArrowEncoder(fleet).encode, GROUP_ROWS)
