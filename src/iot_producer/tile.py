"""A tile: some records' values in columns, which vector instructions work on.

Promise: knows where each value of a record stands in a tile and how to read one record of it. It
must not know what the values are; signals.py fills it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, inlined, pasted
from iot_producer.conditions import CONDITION_COLUMNS
from iot_producer.fleet import D_KEY_HIGH, D_KEY_LOW, DEVICE_COLUMNS

TILE: Final = 32
"""Records that are computed together: few enough for the first-level cache."""
LANES: Final = 16
"""Records of a step; the last record stands in for those that are missing."""

# Places of the readings in a row of values; the order of schema.FIELDS from temperature on.
TEMPERATURE: Final = 0
HUMIDITY: Final = 1
PRESSURE: Final = 2
CO2: Final = 3
NOISE: Final = 4
LIGHT: Final = 5
MOTION: Final = 6
BATTERY: Final = 7
SIGNAL: Final = 8
MEMORY: Final = 9
CPU: Final = 10
STATUS: Final = 11
ERRORS: Final = 12
PACKETS_SENT: Final = 13
PACKETS_RECEIVED: Final = 14
BYTES_SENT: Final = 15
BYTES_RECEIVED: Final = 16
N_READINGS: Final = 17

ONLINE: Final = 1
OFFLINE: Final = 2
MAINTENANCE: Final = 3
ERROR: Final = 4

# Rows of a tile's values behind the readings.
V_TIME: Final = N_READINGS  # milliseconds since the epoch
V_DAY: Final = N_READINGS + 1  # since the epoch
V_OF_DAY: Final = N_READINGS + 2  # milliseconds
V_OF_DAY_S: Final = N_READINGS + 3  # seconds
V_AGE: Final = N_READINGS + 4  # of the state a device is in, and its length
V_LENGTH: Final = N_READINGS + 5
V_DRAWN: Final = N_READINGS + 6  # 16 bits for the errors in it
VALUE_ROWS: Final = N_READINGS + 7

_LOW32: Final = np.uint64(0xFFFFFFFF)
_32: Final = np.uint64(32)


@pasted
def new_tile() -> Any:
    """Room for a tile; a kernel's own, for the length of a call.

    Returns:
        values int64[rows, TILE], the readings first; int32[16, TILE] each of the devices and of the
        conditions around them; int32[2·TILE, 16], rows of both.
    """
    return (
        np.empty((VALUE_ROWS, TILE), dtype=np.int64),
        np.empty((DEVICE_COLUMNS, TILE), dtype=np.int32),
        np.empty((CONDITION_COLUMNS, TILE), dtype=np.int32),
        np.empty((2 * TILE, DEVICE_COLUMNS), dtype=np.int32),
    )


@pasted
def readings(tile: Any, place: Int) -> Any:
    """The readings of the record at ``place`` of a tile: N_READINGS int64."""
    values = tile[0]
    return (
        values[TEMPERATURE, place],
        values[HUMIDITY, place],
        values[PRESSURE, place],
        values[CO2, place],
        values[NOISE, place],
        values[LIGHT, place],
        values[MOTION, place],
        values[BATTERY, place],
        values[SIGNAL, place],
        values[MEMORY, place],
        values[CPU, place],
        values[STATUS, place],
        values[ERRORS, place],
        values[PACKETS_SENT, place],
        values[PACKETS_RECEIVED, place],
        values[BYTES_SENT, place],
        values[BYTES_RECEIVED, place],
    )


@inlined
def at(columns: Any, row: Int, place: Int) -> Int:
    """A number of a tile's int32 columns, as int64 with and without the JIT."""
    return np.int64(columns[row, place])


@inlined
def key_of(own: Any, place: Int) -> Any:
    """The key of the device at ``place`` of a tile's columns of devices."""
    return np.uint64(own[D_KEY_LOW, place]) & _LOW32 | np.uint64(own[D_KEY_HIGH, place]) << _32
