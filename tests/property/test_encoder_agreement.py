"""JSON text, Arrow columns and the integers of the signals say the same, to the last digit."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot_producer.encoders.arrow import ROW_BYTES, SCHEMA, ArrowEncoder
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.schema import DEVICE_TYPES, FIELD_NAMES, FIELDS, Kind
from iot_producer.signals import N_READINGS, readings_of

FLEETS = [
    fleet_of(FleetSpec(devices=1, customers=1, sites=1, seed=0)),
    fleet_of(FleetSpec(devices=997, customers=100, sites=10, seed=3)),
    fleet_of(FleetSpec()),
]
LAST_MS = 2**42 - 1  # the year 2109
NUMBERS = [f for f in FIELDS if f.kind is Kind.NUMBER]
READINGS = FIELDS[-N_READINGS:]


@st.composite
def blocks(draw):
    fleet = draw(st.sampled_from(FLEETS))
    devices = st.integers(0, fleet.spec.devices - 1)
    pairs = draw(st.lists(st.tuples(devices, st.integers(0, LAST_MS)), min_size=1, max_size=40))
    return (
        fleet,
        np.array([d for d, _ in pairs], dtype=np.int32),
        np.array([t for _, t in pairs], dtype=np.int64),
    )


@given(blocks())
@settings(deadline=None)
def test_json_arrow_and_integers_agree(block):
    fleet, devices, times_ms = block
    batch = ArrowEncoder(fleet).encode(devices, times_ms)
    texts = JsonEncoder(fleet).encode(devices, times_ms).split()
    integers = readings_of(fleet, devices, times_ms)
    assert batch.schema == SCHEMA
    assert batch.num_rows == len(texts) == len(devices)
    columns = {
        name: batch.column(name).cast(pa.int64()).to_pylist()
        if name == "time"
        else batch.column(name).to_pylist()
        for name in FIELD_NAMES
    }
    for i, text in enumerate(texts):
        record = json.loads(text, parse_float=Decimal)
        assert list(record) == list(FIELD_NAMES)
        for field in FIELDS:
            value, column = record[field.name], columns[field.name][i]
            if field.name == "time":
                assert column == int(times_ms[i])
                stamp = np.datetime64(column, "ms").astype(object)
                assert value == stamp.isoformat(sep=" ", timespec="milliseconds")
            elif field.kind is Kind.TEXT:
                assert column == value
            elif field.arrow == "float32":
                assert column == float(np.float32(float(value)))
            else:
                assert column == (float(value) if field.decimals else value)
        for field, counts in zip(READINGS, integers, strict=True):
            assert Decimal(record[field.name]).scaleb(field.decimals) == int(counts[i])


@pytest.mark.parametrize(
    "field", [f for f in NUMBERS if f.arrow == "float32"], ids=lambda f: f.name
)
def test_every_float32_is_the_one_next_to_its_decimal(field):
    counts = np.arange(field.low, field.high + 1)
    scale = 10**field.decimals
    floats = (counts / float(scale)).astype(np.float32)
    below = np.nextafter(floats, np.float32(-np.inf)).tolist()
    above = np.nextafter(floats, np.float32(np.inf)).tolist()
    for count, low, found, high in zip(counts.tolist(), below, floats.tolist(), above, strict=True):
        exact, distance = Fraction(count, scale), abs(Fraction(found) - Fraction(count, scale))
        assert distance < min(exact - Fraction(low), Fraction(high) - exact)
        assert round(found * scale) == count


def test_types_are_those_of_the_schema():
    assert SCHEMA.names == list(FIELD_NAMES)
    for field, column in zip(FIELDS, SCHEMA, strict=True):
        assert not column.nullable
        if field.name == "device_type":
            assert column.type == pa.dictionary(pa.int8(), pa.string())
        elif field.kind is Kind.TIME:
            assert str(column.type) == field.arrow
        else:
            assert column.type == pa.type_for_alias(field.arrow)


def test_device_types_share_one_dictionary_in_the_schemas_order():
    encoder = ArrowEncoder(FLEETS[1])
    times_ms = np.full(3, 1_780_000_000_000)
    for devices in ([1, 2, 3], [5, 5, 5]):
        batch = encoder.encode(np.array(devices, dtype=np.int32), times_ms)
        assert batch.column("device_type").dictionary.to_pylist() == list(DEVICE_TYPES)


def test_the_size_of_a_row_is_known_beforehand():
    fleet = FLEETS[2]
    n = 20_000
    batch = ArrowEncoder(fleet).encode(np.arange(n, dtype=np.int32), np.arange(n) + 10**12)
    assert batch.nbytes == pytest.approx(n * ROW_BYTES, rel=0.01)
