from __future__ import annotations

import numpy as np
import pytest

from iot_producer.fleet import (
    I_ALTITUDE,
    I_CUSTOMER,
    I_LATITUDE,
    I_SITE,
    I_TYPE,
    FleetSpec,
    fleet_of,
)
from iot_producer.record_sums import N_FIELDS, checksums_of, columns_of
from iot_producer.schema import FIELD_INDEX
from iot_producer.signals import readings_of

FLEET = fleet_of(FleetSpec(seed=3))
DEVICES = np.arange(0, 100_000, 50, dtype=np.int32)
TIMES = 1_800_000_000_000 + np.arange(len(DEVICES)) * 977
COLUMNS = columns_of(FLEET, DEVICES, TIMES)


def test_columns_are_in_the_order_of_the_schema():
    assert COLUMNS.shape == (N_FIELDS, len(DEVICES)) == (25, 2_000)
    identity = FLEET.identity[DEVICES]
    for name, values in (
        ("device_id", DEVICES),
        ("device_type", identity[:, I_TYPE]),
        ("customer_id", identity[:, I_CUSTOMER]),
        ("site_id", identity[:, I_SITE]),
        ("latitude", identity[:, I_LATITUDE]),
        ("altitude", identity[:, I_ALTITUDE]),
        ("time", TIMES),
    ):
        assert (COLUMNS[FIELD_INDEX[name]] == values).all(), name
    assert (COLUMNS[8:] == readings_of(FLEET, DEVICES, TIMES)).all()


def test_checksums_of_records_are_all_different():
    assert len(np.unique(checksums_of(COLUMNS))) == len(DEVICES)


@pytest.mark.parametrize("place", range(N_FIELDS))
@pytest.mark.parametrize("change", [1, -1, 1 << 40])
def test_a_change_in_any_field_changes_the_checksum(place: int, change: int):
    changed = COLUMNS.copy()
    changed[place] += change
    assert (checksums_of(changed) != checksums_of(COLUMNS)).all()


def test_swapped_fields_and_swapped_values_change_the_checksum():
    before = checksums_of(COLUMNS)
    sent, received = FIELD_INDEX["bytes_sent"], FIELD_INDEX["bytes_received"]
    swapped = COLUMNS.copy()
    swapped[[sent, received]] = swapped[[received, sent]]
    differ = COLUMNS[sent] != COLUMNS[received]
    assert differ.any()
    assert (checksums_of(swapped) != before)[differ].all()
    # Two records that swap a value keep every sum of a field, but not the checksum.
    mixed = COLUMNS.copy()
    place = FIELD_INDEX["temperature"]
    mixed[place, :2] = mixed[place, 1::-1]
    assert COLUMNS[place, 0] != COLUMNS[place, 1]
    assert checksums_of(mixed).sum(dtype=np.uint64) != before.sum(dtype=np.uint64)
