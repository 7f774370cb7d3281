"""A program: prints digests of entries, built here, as JSON; a test compares environments."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.pulsar.entry import EntryBuilder


def digest(compression: str, step_ns: int) -> str:
    fleet = fleet_of(FleetSpec(20_000, 1_000, 100, seed=12))
    builder = EntryBuilder(fleet, compression)
    rng = np.random.default_rng(4)
    found = hashlib.sha256()
    for n, start_ns in ((1, 0), (2, 10**9), (40, 1_709_164_799_990_000_000), (120, 2**56 - 5)):
        devices = rng.integers(0, 20_000, n).astype(np.int32)
        payload = builder.build(devices, start_ns + step_ns * np.arange(n))
        found.update(payload.data.tobytes())
    return found.hexdigest()


print(json.dumps({f"{c} {s}": digest(c, s) for c in ("lz4", "none") for s in (1_000, 300_000_007)}))
