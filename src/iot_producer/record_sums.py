"""A record as 25 integers, and sums of them over many records that do not depend on their order.

Promise: the compiled sums of (device, time) pairs and those of columns of integers that came from
elsewhere are equal exactly when the records are (up to chance of 2**-64). It must not know plans,
text or where records come from.

The checksum of a record is a mixed linear form of its integers with a random odd constant for each
field; that of many records is the sum of theirs, modulo 2**64.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import entry, inlined
from iot_producer.fleet import (
    I_ALTITUDE,
    I_CUSTOMER,
    I_LATITUDE,
    I_LONGITUDE,
    I_SITE,
    I_TYPE,
    IDENTITY_COLUMNS,
    Fleet,
    mix,
    words,
)
from iot_producer.schema import FIELDS
from iot_producer.signals import N_READINGS, TILE, fill_tile, new_tile, readings, readings_of

N_FIELDS: Final = len(FIELDS)

# The order of the schema: device, identity (without the device: 6 columns), time, readings.
_TIME: Final = 1 + IDENTITY_COLUMNS
_FIRST_READING: Final = _TIME + 1
_IDENTITY_ORDER: Final = (
    I_TYPE,
    I_CUSTOMER,
    I_SITE,
    I_LATITUDE,
    I_LONGITUDE,
    I_ALTITUDE,
)

_WEIGHTS: Final = words(np.arange(N_FIELDS, dtype=np.uint64), 1) | np.uint64(1)

_mix = inlined(mix)


@entry
def add_records(
    sums: Any,
    identity: Any,
    devices: Any,
    sites: Any,
    conditions: Any,
    numbers: Any,
    times_ms: Any,
) -> Any:
    """Add the integers of n (device, time) pairs to their sums.

    Args:
        sums: int64[N_FIELDS], changed in place.
        identity, devices, sites: the fleet's tables.
        conditions: the caller's memory of conditions.
        numbers: int32[n], device numbers; n at most 2**20, so that no sum wraps.
        times_ms: int64[n].

    Returns:
        the checksum of these records, uint64.
    """
    checksum = np.uint64(0)
    n = len(numbers)
    tile = new_tile()
    for i in range(n):
        d = numbers[i]
        t = times_ms[i]
        k = i % TILE
        if k == 0:
            fill_tile(tile, devices, sites, conditions, numbers, times_ms, i, 1)
        values = readings(tile, k)
        sums[0] += d
        form = np.uint64(d) * _WEIGHTS[0]
        for j in range(IDENTITY_COLUMNS):
            value = identity[d, _IDENTITY_ORDER[j]]
            sums[1 + j] += value
            form += np.uint64(value) * _WEIGHTS[1 + j]
        sums[_TIME] += t
        form += np.uint64(t) * _WEIGHTS[_TIME]
        for j in range(N_READINGS):
            sums[_FIRST_READING + j] += values[j]
            form += np.uint64(values[j]) * _WEIGHTS[_FIRST_READING + j]
        checksum += _mix(form)
    return checksum


def columns_of(
    fleet: Fleet, devices: NDArray[np.int32], times_ms: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The records of n (device, time) pairs as integers.

    Args:
        fleet: whose devices.
        devices: int32[n], device numbers.
        times_ms: int64[n], milliseconds since the epoch.

    Returns:
        int64[N_FIELDS, n] in the order of the schema: numbers of device, type, customer and site
        for the texts, milliseconds for the time, counts of the resolution for the rest.
    """
    columns = np.empty((N_FIELDS, len(devices)), dtype=np.int64)
    columns[0] = devices
    columns[1:_TIME] = fleet.identity[devices][:, _IDENTITY_ORDER].T
    columns[_TIME] = times_ms
    columns[_FIRST_READING:] = readings_of(fleet, devices, times_ms)
    return columns


def checksums_of(columns: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The checksum of each record, uint64[n], from columns as :func:`columns_of` gives them."""
    with np.errstate(over="ignore"):
        form = (columns.view(np.uint64) * _WEIGHTS[:, None]).sum(axis=0, dtype=np.uint64)
        mixed: NDArray[np.uint64] = mix(form)
    return mixed
