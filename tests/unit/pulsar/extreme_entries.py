"""A program for test_entry_lz4.py, run with the JIT off: entries with values chosen by us.

Each field at the ends of its range and where its text changes length, record behind record, so
that the lengths change between one message and the next. numpy checks the bounds of what is
stored; what would be written behind the room is reported. Prints what it found as JSON.
"""

from __future__ import annotations

import json

import numpy as np

from entry_cases import joined, message, read_block
from iot_producer import compiled, record_sums
from iot_producer.conditions import new_conditions
from iot_producer.encoders import json_rows, text_pieces, words
from iot_producer.encoders.device_text import device_texts
from iot_producer.fleet import I_ALTITUDE, I_LONGITUDE, I_TYPE, FleetSpec, fleet_of
from iot_producer.pulsar import entry_lz4, entry_rows, lz4_record, lz4_sequences, message_frame
from iot_producer.schema import DEVICE_TYPES, FIELDS

fleet = fleet_of(FleetSpec(2_000, 1_000, 100))
text = device_texts(fleet)
chosen: list[list[int]] = []
last_store: dict[int, int] = {}  # by the array's size, relative to its end


def given_readings(*_arguments):
    return tuple(chosen.pop(0))


def nothing(*_arguments):
    pass


def watched_store8(array, position, word):
    behind = int(position) + 8 - len(array)
    last_store[len(array)] = max(last_store.get(len(array), -(10**9)), behind)
    array[position : position + 8] = np.frombuffer(int(word).to_bytes(8, "little"), np.uint8)


for module in (
    compiled,
    json_rows,
    text_pieces,
    lz4_sequences,
    lz4_record,
    message_frame,
    entry_lz4,
):
    module.store8 = watched_store8

for module in (entry_rows, entry_lz4):
    module.readings = given_readings
    module.fill_tile = nothing  # no reading is to be computed

record_sums.readings_of = lambda _fleet, devices, _times: np.zeros((17, len(devices)), np.int64)

READINGS = FIELDS[8:]
LAST_MS = 4_102_444_799_999


def built(kernel, devices, ids, values, *more) -> bytes:
    out = np.zeros(len(devices) * message_frame.MAX_MESSAGE_BYTES + 64, dtype=np.uint8)
    chosen[:] = [list(row) for row in values]
    with np.errstate(over="ignore"):
        stop, *_ = kernel(
            out, 0, text, fleet.device, fleet.site, new_conditions(fleet), devices, ids, *more
        )
    assert not chosen
    return out[:stop].tobytes()


def compare(devices, ids, values) -> list[str]:
    columns = record_sums.columns_of(fleet, devices, ids // 10**6).T.tolist()
    records = [[*row[:8], *own] for row, own in zip(columns, values, strict=True)]
    expected = joined(records, ids.tolist())
    plain = built(entry_rows.write_entry, devices, ids, values)
    block = built(entry_lz4.write_lz4_entry, devices, ids, values, (3, 3, 3))
    restored = read_block(block)[0]
    return [name for name, found in (("plain", plain), ("lz4", restored)) if found != expected]


wrong: list[str] = []
n_tried = 0
rng = np.random.default_rng(3)
for place, field in enumerate(READINGS):
    points = {field.low, field.high}
    points |= {b + d for b in (-1_000, -100, -10, 0, 10, 100, 1_000) for d in (-1, 0, 1)}
    points |= {10**k + d for k in range(4, 17) for d in (-1, 0, 1)}
    inside = [p for p in points if field.low <= p <= field.high]
    values = []
    for value in rng.permutation(np.array(inside)).tolist():
        row = [(f.low + f.high) // 2 for f in READINGS]
        row[place] = value
        values.append(row)
    n = len(values)
    n_tried += n
    devices = rng.integers(0, 2_000, n).astype(np.int32)
    ids = 1_790_000_000 * 10**9 + 333_333 * np.arange(n)
    wrong += [f"{field.name} {name}" for name in compare(devices, ids, values)]
    # And each value as the last one of a block, whose end is special.
    for k in range(0, n, 4):
        n_tried += 2
        pair = [values[k - 1], values[k]]
        wrong += [
            f"{field.name} {values[k]} {name}" for name in compare(devices[:2], ids[:2], pair)
        ]

# Every device's permanent text.
low = [field.low for field in READINGS]
for start in range(0, 2_000, 100):
    devices = np.arange(start, start + 100, dtype=np.int32)
    n_tried += 100
    wrong += compare(devices, np.arange(100) * 10**7, [low] * 100)

# All as short and all as long as they can be, behind each other.
high = [
    max((f.low, f.high), key=lambda value, f=f: len(words.decimal_text(value, f.decimals)))
    for f in READINGS
]
high[13:] = [10**15] * 4
mixed = [high if bit else low for bit in rng.integers(0, 2, 200)]
long_texts = (fleet.identity[:, I_TYPE] == DEVICE_TYPES.index("temperature_sensor")) & (
    (fleet.identity[:, I_LONGITUDE] <= -100_000_000) & (fleet.identity[:, I_ALTITUDE] >= 10_000)
)
longest = int(np.flatnonzero(long_texts)[0])
devices = rng.integers(0, 2_000, 200).astype(np.int32)
last_ns = LAST_MS * 10**6 + 999_999
wrong += compare(devices, last_ns - 10**6 * np.arange(200)[::-1], mixed)
for n in (1, 2, 3, 8):
    wrong += compare(np.full(n, longest, np.int32), np.full(n, last_ns), [high] * n)
    n_tried += n
columns = record_sums.columns_of(
    fleet, np.array([longest], np.int32), np.array([LAST_MS])
).T.tolist()[0]
n_longest = len(message([*columns[:8], *high], last_ns))

# Pieces that are matched by kind, from as far as a match reaches and one byte farther: a message of
# a rare type, state and motion, others of one length, and the rare one again.
kinds = fleet.identity[:, I_TYPE]
rare, usual = (int(np.flatnonzero(kinds == kind)[0]) for kind in (0, 1))
moment = 1_790_000_000 * 10**9
rare_row, usual_row = list(low), list(low)
rare_row[6], rare_row[11:13] = 1, [2, 4]


def length(device: int, row: list[int]) -> int:
    columns = record_sums.columns_of(
        fleet, np.array([device], np.int32), np.array([moment // 10**6])
    )
    return len(message([*columns[:8, 0].tolist(), *row], moment))


n_farthest = {}
for distance in range(65_530, 65_541):
    n_between, more = divmod(distance - length(rare, rare_row), length(usual, usual_row))
    rows = [usual_row, rare_row, *(list(usual_row) for _ in range(n_between)), rare_row]
    for k in range(more):  # digits of counters, spread over the messages between
        rows[2 + k % n_between][13 + k // n_between % 4] += 9 * 10 ** (k // n_between // 4 + 1)
    devices = np.array([usual, rare, *[usual] * n_between, rare], dtype=np.int32)
    ids = np.full(len(devices), moment)
    wrong += [f"distance {distance} {name}" for name in compare(devices, ids, rows)]
    block = built(entry_lz4.write_lz4_entry, devices, ids, rows, (3, 3, 3))
    n_farthest[distance] = sum(match.distance == distance for match in read_block(block)[1])

scratch = message_frame.MAX_MESSAGE_BYTES + message_frame.MAX_METADATA_BYTES + 64
print(
    json.dumps(
        {
            "n_tried": n_tried,
            "wrong": wrong[:5],
            "n_longest": n_longest,
            "last_store": max(v for k, v in last_store.items() if k != scratch),
            "last_scratch_store": last_store[scratch],
            "n_farthest": n_farthest,
        }
    )
)
