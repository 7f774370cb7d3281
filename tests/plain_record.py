"""A record's text from its integers, written independently of the package: slow and plain.

Shares nothing with the code under test: names, order, decimals and device types are those of the
record's contract, typed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

NAMES = (
    *("device_id", "device_type", "customer_id", "site_id", "latitude", "longitude", "altitude"),
    *("time", "temperature", "humidity", "pressure", "co2_level", "noise_level", "light_level"),
    *("motion_detected", "battery_level", "signal_strength", "memory_usage", "cpu_usage"),
    *("status", "error_count", "packets_sent", "packets_received", "bytes_sent", "bytes_received"),
)
TYPES = (
    *("temperature_sensor", "humidity_sensor", "pressure_sensor", "motion_sensor"),
    *("light_sensor", "co2_sensor", "noise_sensor", "multisensor", "smart_thermostat"),
    *("air_quality", "water_quality", "soil_moisture", "wind_speed", "rain_gauge", "uv_sensor"),
    *("vibration_sensor", "proximity_sensor", "gas_detector", "smoke_detector", "door_sensor"),
)
DECIMALS = (0, 0, 0, 0, 6, 6, 1, 0, 2, 2, 2, 1, 1, 1, 0, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0)


def plain_time(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def plain_json(numbers: Sequence[int]) -> str:
    """One record's 25 integers, in the order of the contract, as JSON text."""
    device, kind, customer, site = (int(number) for number in numbers[:4])
    texts = [
        f'"dev-{device:07d}"',
        f'"{TYPES[kind]}"',
        f'"cust-{customer:06d}"',
        f'"site-{site:05d}"',
    ]
    for place in range(4, 25):
        number = int(numbers[place])
        if place == 7:
            texts.append(f'"{plain_time(number)}"')
        else:
            texts.append(f"{Decimal(number).scaleb(-DECIMALS[place]):f}")
    return "{" + ",".join(f'"{n}":{t}' for n, t in zip(NAMES, texts, strict=True)) + "}"
