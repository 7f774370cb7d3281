"""The records that must never change, and how they are made; also a program that prints digests.

    python tests/golden/golden_records.py N_DIGESTED

prints, as JSON, the digests of the first N_DIGESTED records of each seed, made in this process: a
test runs it with another CPU target and with the JIT off.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from iot_producer.blocks import Plan
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.schedule import schedule_from_rate

SEEDS = (1, 2, 2**64 - 1)
N_SHOWN = 20
N_DIGESTED = 100_000
N_DIGESTED_SLOWLY = 600
DIRECTORY = Path(__file__).parent
DIGESTS = DIRECTORY / "digests.json"


def shown_plan(seed: int) -> Plan:
    """The stream of a run with default settings: 1000 records a second."""
    return _plan(seed, "1000", datetime(2026, 1, 1, tzinfo=UTC))


def digested_plan(seed: int) -> Plan:
    """A record every 631 s: 100,000 are two years with a leap day, and each device once."""
    return _plan(seed, "1/631", datetime(2027, 7, 1, tzinfo=UTC))


def _plan(seed: int, rate: str, start: datetime) -> Plan:
    start_ns = int(start.timestamp()) * 10**9
    schedule = schedule_from_rate(rate)
    return Plan(FleetSpec(seed=seed), LaneSpec(), schedule, start_ns)


def text_of(plan: Plan, n: int) -> bytes:
    """The plan's first ``n`` records as JSON lines."""
    encoder = JsonEncoder(fleet_of(plan.fleet), newline=True)
    parts = []
    for block in plan.blocks(0, n, 1_000):
        parts.append(encoder.encode(block.devices, block.times_ms).buffer.tobytes())
    return b"".join(parts)


def digest_of(seed: int, n: int) -> str:
    """SHA-256 of the first ``n`` records of :func:`digested_plan`."""
    return hashlib.sha256(text_of(digested_plan(seed), n)).hexdigest()


def shown_file(seed: int) -> Path:
    """Where the first records of a seed are kept."""
    return DIRECTORY / f"seed-{seed}.jsonl"


if __name__ == "__main__":
    print(json.dumps({str(seed): digest_of(seed, int(sys.argv[1])) for seed in SEEDS}))
