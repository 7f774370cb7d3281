"""Compiles every kernel into $NUMBA_CACHE_DIR, while an image is built.

Promise: afterwards no command of the image compiles anything, or this fails and names the kernel
that is left. A kernel is compiled for the kinds of arrays that it meets, so the kernels are called
the way `run`, `preview` and `verify` call them. It needs the package and a directory for a file.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iot_producer.cpu_target import check_cpu
from iot_producer.errors import ConfigError
from iot_producer.kernel_cache import KERNEL_MODULES

if TYPE_CHECKING:
    from iot_producer.blocks import Plan
    from iot_producer.chunk import Chunk
    from iot_producer.report import RunReport

N_MESSAGES: Final = 2_000
BLOCK_RECORDS: Final = 200
N_PARTITIONS: Final = 3
START_NS: Final = 1_780_000_000_123_456_789


def main() -> int:
    """Compile all; the exit code."""
    target = os.environ.get("NUMBA_CPU_NAME", "")
    if not target:
        print("error: CPU_TARGET is empty: name a CPU, such as x86-64-v3", file=sys.stderr)
        return 2
    try:
        check_cpu(os.environ)
    except ConfigError as error:
        print(f"error: {error.message}; {error.hint}", file=sys.stderr)
        return int(error.exit_code)
    with tempfile.TemporaryDirectory() as folder:
        call_all(Path(folder))
    left = [name for name, function in kernels() if not function.signatures]
    if left:
        print(f"error: nothing here calls {', '.join(left)}: extend {__file__}", file=sys.stderr)
        return 1
    files = sorted(Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc"))
    n_bytes = sum(path.stat().st_size for path in files)
    print(f"{len(files)} kernels for {target}, {n_bytes / 1e6:.1f} MB")
    return 0


def call_all(folder: Path) -> None:
    """What `run` does before its clock starts, what `verify` does with a file and with a topic."""
    from iot_producer.blocks import Plan
    from iot_producer.encoders.json_rows import JsonEncoder
    from iot_producer.fleet import FleetSpec, fleet_of
    from iot_producer.lane import LaneSpec
    from iot_producer.pulsar.entry import COMPRESSIONS
    from iot_producer.pulsar.message_keys import partition_of
    from iot_producer.schedule import ConstantSchedule
    from iot_producer.signals import readings_of
    from iot_producer.truth import truth_of
    from iot_producer.verify import run_verify_file, verify_chunks
    from iot_producer.worker_process import warm_up

    fleet = FleetSpec(1_000, 100, 10)
    for compression in (None, *COMPRESSIONS):
        warm_up(fleet, compression)
    plan = Plan(fleet, LaneSpec(), ConstantSchedule(Fraction(100_000)), START_NS)
    block = plan.block(0, N_MESSAGES)
    readings_of(fleet_of(fleet), block.devices, block.times_ms)
    report = report_of(plan)
    truth_of(plan, [(0, N_MESSAGES)])
    written = folder / "records.jsonl"
    encoder = JsonEncoder(fleet_of(fleet), newline=True)
    written.write_bytes(encoder.encode(block.devices, block.times_ms).buffer.tobytes())
    in_file = run_verify_file(report, str(written))
    chunks = list(topic_of(plan))
    by_key = lambda devices: partition_of(devices, N_PARTITIONS)  # noqa: E731
    on_topic = verify_chunks(report, chunks, "a topic", partition_of=by_key)
    # As the official client gives them, and as a lane's earlier partition is read.
    plain = [replace(chunk, around=None) for chunk in chunks]
    moved = [replace(chunk, partition=0) for chunk in chunks[::-1]]
    verify_chunks(report, plain, "a topic", partition_of=by_key)
    verify_chunks(report, moved, "a topic", partition_of=by_key)
    for found in (in_file, on_topic):
        if found.totals.found != N_MESSAGES or found.n_foreign:
            raise SystemExit(f"error: what was made here is not what is verified: {found.totals}")


def topic_of(plan: Plan) -> Iterator[Chunk]:
    """What a reader gives of a topic that has the plan's messages."""
    from iot_producer.fleet import fleet_of
    from iot_producer.pulsar.commands import Compression, MessageMetadata
    from iot_producer.pulsar.entry import EntryBuilder
    from iot_producer.pulsar.reader import EntryId, StoredEntry
    from iot_producer.pulsar.routing import grouped
    from iot_producer.pulsar.wire import Body
    from iot_producer.sources.entry_chunks import chunks_of

    builder = EntryBuilder(fleet_of(plan.fleet))
    partitions: list[list[StoredEntry]] = [[] for _ in range(N_PARTITIONS)]
    for block in plan.blocks(0, N_MESSAGES, BLOCK_RECORDS):
        order, bounds = grouped(block.devices, N_PARTITIONS)
        for partition, entries in enumerate(partitions):
            mine = order[bounds[partition] : bounds[partition + 1]]
            made = builder.build(block.devices[mine], block.intended_ns[mine])
            metadata = MessageMetadata(
                producer_name="iot-producer-0",
                sequence_id=made.first_id,
                publish_time=made.first_event_ms,
                compression=int(Compression.LZ4),
                uncompressed_size=made.uncompressed_bytes,
                num_messages_in_batch=made.n_records,
            )
            body = Body(metadata, memoryview(made.data.tobytes()), True)
            stored = StoredEntry(EntryId(1, len(entries)), body, made.n_records, made.n_bytes, 1)
            entries.append(stored)
    for partition, entries in enumerate(partitions):
        yield from chunks_of(entries, partition)


def report_of(plan: Plan) -> RunReport:
    """The report of a run that sent the plan's messages, all confirmed."""
    from iot_producer.blocks import DATA_VERSION
    from iot_producer.lane_report import LaneReport
    from iot_producer.report import RunReport, iso_time
    from iot_producer.tally import LaneTally

    tally = LaneTally()
    tally.schedule_to(N_MESSAGES)
    tally.sent(0, N_MESSAGES)
    tally.confirmed(0, N_MESSAGES, None, N_MESSAGES)
    tally.close()
    return RunReport(
        data_version=DATA_VERSION,
        tool_version="",
        machine={},
        config={},
        fleet=plan.fleet.to_dict(),
        schedule=plan.schedule.to_spec(),
        start_ns=plan.start_ns,
        n_lanes=1,
        lanes=[LaneReport(0, tally.snapshot(), tally.ranges())],
        started_at=iso_time(plan.start_ns),
        ended_at=iso_time(plan.start_ns),
        stop_reason="the end of the plan",
        destination="null:",
    )


def kernels() -> Iterator[tuple[str, Any]]:
    """Every entry point that is compiled, with its name."""
    from numba.core.caching import FunctionCache

    for file in KERNEL_MODULES:
        module = importlib.import_module(f"iot_producer.{file[:-3].replace('/', '.')}")
        for name, value in vars(module).items():
            is_here = getattr(value, "__module__", None) == module.__name__
            if is_here and isinstance(getattr(value, "_cache", None), FunctionCache):
                yield f"{file}: {name}", value


if __name__ == "__main__":
    raise SystemExit(main())
