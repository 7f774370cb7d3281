"""The settings of how a run's records travel: who sends them, in blocks of what size, how packed.

Promise: the part of the table in options.py that changes how fast a run is, and nothing that it
sends. Import `OPTIONS` from there.
"""

from __future__ import annotations

from typing import Final

from iot_producer.option import Group, Kind, Option

PIPELINE_OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "client",
        ("--client",),
        "IOT_PRODUCER_CLIENT",
        "pulsar.client",
        Kind.CHOICE,
        Group.PIPELINE,
        "Who talks to Pulsar: native, the transport of this program, or official, the Python "
        "client of the Pulsar project, as a reference.",
        commands=("run", "verify"),
        choices=("native", "official"),
        default="native",
    ),
    Option(
        "block_records",
        ("--block-records",),
        "IOT_PRODUCER_BLOCK_RECORDS",
        "pipeline.block_records",
        Kind.NUMBER,
        Group.PIPELINE,
        "Largest number of records in a block, the unit of work.",
        commands=("run", "bench"),
        default="1000",
        least=1,
        most=2000,
    ),
    Option(
        "linger",
        ("--linger",),
        "IOT_PRODUCER_LINGER",
        "pipeline.linger",
        Kind.DURATION,
        Group.PIPELINE,
        "A block is cut when it is full or this old; nothing is sent before it is due.",
        default="4ms",
    ),
    Option(
        "compression",
        ("--compression",),
        "IOT_PRODUCER_COMPRESSION",
        "pulsar.compression",
        Kind.CHOICE,
        Group.PIPELINE,
        "Compression of what goes to Pulsar.",
        choices=("lz4", "zstd", "zlib", "snappy", "none"),
        default="lz4",
    ),
    Option(
        "max_pending",
        ("--max-pending",),
        "IOT_PRODUCER_MAX_PENDING",
        "pipeline.max_pending",
        Kind.NUMBER,
        Group.PIPELINE,
        "Messages that a worker may have sent and not seen confirmed; at the limit it waits.",
        default="50000",
        least=1,
        most=10_000_000,
    ),
    Option(
        "rotate_bytes",
        ("--rotate", "--rotate-bytes"),
        "IOT_PRODUCER_ROTATE",
        "output.rotate",
        Kind.SIZE,
        Group.PIPELINE,
        "Begin a new numbered file when one has reached this size (256MB, 1GiB).",
        default_note="one file",
    ),
)
