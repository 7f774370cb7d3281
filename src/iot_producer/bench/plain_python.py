"""The reference: records of the same 25 fields, as one would write them with the standard library.

Promise: a fair opponent. Straightforward, idiomatic Python without detours: the devices are made
once, a record is one dictionary of rounded random numbers, and `json.dumps` writes it. Its values
are much simpler than ours: no sun, weather, people or epochs. It must not know the signals.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime

from iot_producer.fleet import FleetSpec
from iot_producer.schema import DEVICE_TYPES


@dataclass(frozen=True, slots=True)
class _Device:
    device_id: str
    device_type: str
    customer_id: str
    site_id: str
    latitude: float
    longitude: float
    altitude: float


class PlainGenerator:
    """Generates records of a fleet, one at a time.

    Args:
        spec: how many devices, customers and sites, and the seed.
    """

    def __init__(self, spec: FleetSpec) -> None:
        self._random = random.Random(spec.seed)
        self._devices = [self._device(number, spec) for number in range(spec.devices)]

    def _device(self, number: int, spec: FleetSpec) -> _Device:
        rng = self._random
        return _Device(
            f"dev-{number:07d}",
            rng.choice(DEVICE_TYPES),
            f"cust-{rng.randrange(spec.customers):06d}",
            f"site-{rng.randrange(spec.sites):05d}",
            round(rng.uniform(25, 49), 6),
            round(rng.uniform(-125, -67), 6),
            round(rng.uniform(0, 3000), 1),
        )

    def record(self, time_s: float) -> bytes:
        """One record of a random device as JSON text in UTF-8.

        Args:
            time_s: event time, seconds since the epoch.
        """
        rng = self._random
        device = rng.choice(self._devices)
        time = datetime.fromtimestamp(time_s, UTC)
        status = rng.choices((1, 2, 3, 4), weights=(85, 5, 5, 5))[0]
        packets_sent = rng.randint(1_000, 1_000_000)
        packets_received = rng.randint(1_000, 1_000_000)
        record = {
            "device_id": device.device_id,
            "device_type": device.device_type,
            "customer_id": device.customer_id,
            "site_id": device.site_id,
            "latitude": device.latitude,
            "longitude": device.longitude,
            "altitude": device.altitude,
            "time": time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "temperature": round(rng.gauss(25, 7.5), 2),
            "humidity": round(rng.uniform(20, 80), 2),
            "pressure": round(rng.uniform(980, 1030), 2),
            "co2_level": round(rng.uniform(400, 2000), 1),
            "noise_level": round(rng.uniform(30, 90), 1),
            "light_level": round(rng.uniform(0, 1000), 1),
            "motion_detected": int(rng.random() < 0.2),
            "battery_level": round(rng.uniform(0, 100), 2),
            "signal_strength": round(rng.uniform(-90, -40), 1),
            "memory_usage": round(rng.uniform(10, 95), 1),
            "cpu_usage": round(rng.uniform(0, 100), 1),
            "status": status,
            "error_count": rng.randint(1, 20) if status == 4 else 0,
            "packets_sent": packets_sent,
            "packets_received": packets_received,
            "bytes_sent": packets_sent * rng.randint(200, 1200),
            "bytes_received": packets_received * rng.randint(200, 1200),
        }
        return json.dumps(record, separators=(",", ":")).encode()
