"""A program for test_json_rows.py, run with the JIT off: the kernel with values chosen by us.

The kernel looks its values up in tables and stores 8 bytes at a time without a bounds check, so the
boundary of every table and the longest possible record are tried here, where numpy checks bounds.
Prints what it found as JSON.
"""

from __future__ import annotations

import json

import numpy as np

from iot_producer import compiled
from iot_producer.conditions import new_conditions
from iot_producer.encoders import device_text, json_rows, text_pieces, words
from iot_producer.fleet import I_ALTITUDE, I_LONGITUDE, I_TYPE, Fleet, FleetSpec, fleet_of
from iot_producer.record_sums import columns_of
from iot_producer.schema import DEVICE_TYPES, FIELDS
from plain_record import plain_json

fleet = fleet_of(FleetSpec(2_000, 1_000, 100))
text = device_text.device_texts(fleet)
chosen = np.zeros(17, dtype=np.int64)
last_store = 0


def given_readings(*_arguments):
    return tuple(chosen)


def watched_store8(array, position, word):
    global last_store
    last_store = max(last_store, int(position) + 8)
    array[position : position + 8] = np.frombuffer(int(word).to_bytes(8, "little"), np.uint8)


def row(fleet: Fleet, text, device: int, t: int, newline: int = 0) -> str:
    out = np.zeros(json_rows.MAX_RECORD_BYTES, dtype=np.uint8)
    ends = np.zeros(1, dtype=np.int64)
    with np.errstate(over="ignore"):
        n = json_rows.write_rows(
            out,
            ends,
            text,
            fleet.device,
            fleet.site,
            new_conditions(fleet),
            np.array([device], dtype=np.int32),
            np.array([t]),
            newline,
        )
    assert n == ends[0]
    return out[:n].tobytes().decode()


def expected(fleet: Fleet, device: int, t: int) -> str:
    columns = columns_of(fleet, np.array([device], dtype=np.int32), np.array([t]))[:, 0]
    return plain_json([*columns[:8], *chosen])


json_rows.readings = given_readings
json_rows.fill_tile = given_readings  # nothing is to be computed
for module in (compiled, json_rows, text_pieces):
    module.store8 = watched_store8

# Each field at the ends of its range and at the boundaries of the pieces that numbers are put
# together from, the others in the middle.
wrong: list[list[str]] = []
n_tried = 0
for place, field in enumerate(FIELDS[8:]):
    points = {field.low, field.high}
    points |= {b + d for b in (-1_000, -100, -10, 0, 10, 100, 1_000) for d in (-1, 0, 1)}
    points |= {10**k + d for k in range(4, 17) for d in (-1, 0, 1)}
    for value in sorted(p for p in points if field.low <= p <= field.high):
        chosen[:] = [(f.low + f.high) // 2 for f in FIELDS[8:]]
        chosen[place] = value
        n_tried += 1
        found = row(fleet, text, 7, 1_790_000_000_000)
        if found != expected(fleet, 7, 1_790_000_000_000):
            wrong.append([found, expected(fleet, 7, 1_790_000_000_000)])

# Every device's permanent text.
chosen[:] = [field.low for field in FIELDS[8:]]
for device in range(2_000):
    n_tried += 1
    found = row(fleet, text, device, 0)
    if found != expected(fleet, device, 0):
        wrong.append([found, expected(fleet, device, 0)])

# The longest record: each value as long as its range allows, behind the longest device texts.
chosen[:] = [
    max((f.low, f.high), key=lambda value, f=f: len(words.decimal_text(value, f.decimals)))
    for f in FIELDS[8:]
]
chosen[13:] = 10**15
long_texts = (fleet.identity[:, I_TYPE] == DEVICE_TYPES.index("temperature_sensor")) & (
    (fleet.identity[:, I_LONGITUDE] <= -100_000_000) & (fleet.identity[:, I_ALTITUDE] >= 10_000)
)
device = int(np.flatnonzero(long_texts)[0])
n_longest = len(row(fleet, text, device, 4_102_444_799_999, 1))

print(
    json.dumps(
        {
            "n_tried": n_tried,
            "wrong": wrong[:3],
            "n_longest": n_longest,
            "last_store": last_store,
        }
    )
)
