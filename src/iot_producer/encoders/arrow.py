"""Records as Arrow columns: whole blocks, with numpy and Arrow alone.

Promise: one column for each field of the schema, in its order and with its types; each number is
the float next to the decimal that any other encoder writes, each text the same text. It must not
know where the columns go.

Texts are gathered from arrays that are rendered once per fleet. A Float32 column is the integer
count divided by 10**decimals in 64 bits, then rounded to 32: with at most 7 digits that is the same
float as the one next to the decimal (a test compares all of them). A call costs 0.2 ms however few
records it has, so a caller with small blocks gathers them first.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from iot_producer.conditions import new_conditions
from iot_producer.fleet import (
    I_ALTITUDE,
    I_CUSTOMER,
    I_LATITUDE,
    I_LONGITUDE,
    I_SITE,
    I_TYPE,
    Fleet,
)
from iot_producer.schema import DEVICE_TYPES, FIELD_INDEX, FIELDS, Field, Kind
from iot_producer.signals import N_READINGS, readings_of

_TIME: Final = pa.timestamp("ms", tz="UTC")
_DICTIONARY: Final = pa.dictionary(pa.int8(), pa.string())
_FIRST_READING: Final = len(FIELDS) - N_READINGS


def _type_of(field: Field) -> pa.DataType:
    if field.clickhouse.startswith("LowCardinality"):
        return _DICTIONARY
    return _TIME if field.kind is Kind.TIME else pa.type_for_alias(field.arrow)


SCHEMA: Final = pa.schema([pa.field(field.name, _type_of(field), False) for field in FIELDS])
"""The record as an Arrow schema; no column is nullable."""

_TEXT_BYTES: Final = len("dev-0000000") + len("cust-000000") + len("site-00000") + 3 * 4
ROW_BYTES: Final = _TEXT_BYTES + sum(
    1 if kind == _DICTIONARY else kind.bit_width // 8
    for kind in SCHEMA.types
    if kind != pa.string()
)
"""Bytes of a record in its columns: texts with their offsets of 4 bytes, and the numbers."""


def _numbered(prefix: str, n_digits: int, n: int) -> pa.Array:
    """The texts ``prefix`` + 0 … n − 1 with leading zeros, as an Arrow string array."""
    width = len(prefix) + n_digits
    texts = np.empty((n, width), dtype=np.uint8)
    texts[:, : len(prefix)] = np.frombuffer(prefix.encode("ascii"), dtype=np.uint8)
    numbers = np.arange(n, dtype=np.int64)
    for i in range(n_digits):
        texts[:, width - 1 - i] = numbers // 10**i % 10 + ord("0")
    offsets = np.arange(n + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(texts))


def _numbers(field: Field, counts: NDArray[np.int32] | NDArray[np.int64]) -> pa.Array:
    """A column from counts of the field's resolution."""
    dtype = np.dtype(SCHEMA.field(field.name).type.to_pandas_dtype())
    if field.decimals:
        return pa.array((counts / float(10**field.decimals)).astype(dtype, copy=False))
    return pa.array(counts.astype(dtype))


class ArrowEncoder:
    """Encodes blocks of one fleet; for one thread at a time.

    Args:
        fleet: whose records.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._conditions = new_conditions(fleet)
        self._devices = _numbered("dev-", 7, fleet.spec.devices)
        self._customers = _numbered("cust-", 6, fleet.spec.customers)
        self._sites = _numbered("site-", 5, fleet.spec.sites)
        self._types = pa.array(DEVICE_TYPES, pa.string())
        # Compile now: those who gather blocks encode for the first time in the middle of a run.
        self.encode(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int64))

    def encode(self, devices: NDArray[np.int32], times_ms: NDArray[np.int64]) -> pa.RecordBatch:
        """The records of n (device, time) pairs, in their order.

        Args:
            devices: int32[n], device numbers.
            times_ms: int64[n], milliseconds since the epoch, 0 … 2**42. The batch keeps this array.

        Returns:
            n rows of :data:`SCHEMA`.
        """
        own = self._fleet.identity[devices]
        types = pa.array(own[:, I_TYPE].astype(np.int8))
        columns = {
            "device_id": self._devices.take(pa.array(devices)),
            "device_type": pa.DictionaryArray.from_arrays(types, self._types),
            "customer_id": self._customers.take(pa.array(own[:, I_CUSTOMER])),
            "site_id": self._sites.take(pa.array(own[:, I_SITE])),
            "latitude": _numbers(FIELDS[FIELD_INDEX["latitude"]], own[:, I_LATITUDE]),
            "longitude": _numbers(FIELDS[FIELD_INDEX["longitude"]], own[:, I_LONGITUDE]),
            "altitude": _numbers(FIELDS[FIELD_INDEX["altitude"]], own[:, I_ALTITUDE]),
            "time": pa.Array.from_buffers(
                _TIME, len(times_ms), [None, pa.py_buffer(np.ascontiguousarray(times_ms))]
            ),
        }
        readings = readings_of(self._fleet, devices, times_ms, self._conditions)
        for field, counts in zip(FIELDS[_FIRST_READING:], readings, strict=True):
            columns[field.name] = _numbers(field, counts)
        return pa.RecordBatch.from_arrays([columns[f.name] for f in FIELDS], schema=SCHEMA)
