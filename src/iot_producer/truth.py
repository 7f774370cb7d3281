"""What must have arrived: expected count, sums and checksum of any part of a plan, recomputed.

Promise: a truth is a value of the records alone; their order, the blocks and the lanes that they
came from do not matter, so truths of parts merge into the truth of the whole. It must not know what
arrived, nor where.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import Plan
from iot_producer.conditions import new_conditions
from iot_producer.fleet import Fleet, fleet_of
from iot_producer.record_sums import N_FIELDS, add_records, checksums_of

_BLOCK_RECORDS: Final = 8_192
_MOST_AT_ONCE: Final = 1 << 20  # 2**20 times of 2**42 ms fill 62 bits
_MODULUS: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known about a multiset of records.

    Attributes:
        n_records: how many.
        sums: for each field of the schema the sum of its integers: counts of the resolution,
            milliseconds for the time; for texts the numbers in them, and the place in DEVICE_TYPES.
        checksum: 0 … 2**64 − 1; the sum of the records' checksums, modulo 2**64.
    """

    n_records: int = 0
    sums: tuple[int, ...] = field(default=(0,) * N_FIELDS)
    checksum: int = 0

    def merge(self, other: Truth) -> Truth:
        """The truth of both multisets together; ``Truth()`` is that of none."""
        return Truth(
            self.n_records + other.n_records,
            tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            (self.checksum + other.checksum) % _MODULUS,
        )


class TruthCounter:
    """Adds up the truth of (device, time) pairs of one fleet; for one thread at a time.

    Args:
        fleet: whose records.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._conditions = new_conditions(fleet)
        self._truth = Truth()

    @property
    def truth(self) -> Truth:
        """Of all that was added so far."""
        return self._truth

    def add(self, devices: NDArray[np.int32], times_ms: NDArray[np.int64]) -> None:
        """Add records.

        Args:
            devices: int32[n], device numbers.
            times_ms: int64[n], milliseconds since the epoch, 0 … 2**42.
        """
        for start in range(0, len(devices), _MOST_AT_ONCE):
            part = slice(start, start + _MOST_AT_ONCE)
            sums = np.zeros(N_FIELDS, dtype=np.int64)
            with np.errstate(over="ignore"):
                checksum = add_records(
                    sums,
                    self._fleet.identity,
                    self._fleet.device,
                    self._fleet.site,
                    self._conditions,
                    devices[part],
                    times_ms[part],
                )
            found = Truth(len(devices[part]), tuple(sums.tolist()), int(checksum))
            self._truth = self._truth.merge(found)


def truth_of(plan: Plan, ranges: Iterable[tuple[int, int]]) -> Truth:
    """The truth of a plan's messages.

    Args:
        plan: of one lane.
        ranges: pairs (first, stop) of lane-local message indices, such as a RangeSet's.
    """
    counter = TruthCounter(fleet_of(plan.fleet))
    for first, stop in ranges:
        for block in plan.blocks(first, stop, _BLOCK_RECORDS):
            counter.add(block.devices, block.times_ms)
    return counter.truth


def truth_of_columns(columns: NDArray[np.int64]) -> Truth:
    """The truth of records that are at hand as integers, such as those read from a table.

    Args:
        columns: int64[N_FIELDS, n], as ``record_sums.columns_of`` gives them.
    """
    truth = Truth()
    for start in range(0, columns.shape[1], _MOST_AT_ONCE):
        part = columns[:, start : start + _MOST_AT_ONCE]
        checksum = int(checksums_of(part).sum(dtype=np.uint64))
        truth = truth.merge(Truth(part.shape[1], tuple(part.sum(axis=1).tolist()), checksum))
    return truth
