"""Which device the n-th message of lane i of n is about.

Promise: one sequence of messages, filtered. Message m of a plan is about device
``order((m + offset) mod devices)``, ``order`` being a fixed affine permutation; lane i of n keeps
the messages whose device is ≡ i modulo n. So any number of lanes gives the same messages, each
device's messages have one total order, and no two lanes of a plan share a device. It must not know
about time or values.

The offset tells plans apart that run at the same time (claimed lanes, docs/adr/0009): they are in
different places of one cycle, as far from each other as their number allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from iot_producer.errors import ConfigError

# The golden ratio's fraction as a rational, so that the step is the same on every machine.
_GOLDEN_NUMERATOR = 6_180_339_887
_GOLDEN_DENOMINATOR = 10_000_000_000


def order_step(n_devices: int) -> int:
    """The multiplier of the permutation: next to the golden section of the pool, coprime to it."""
    if n_devices < 3:
        return 1
    step = n_devices * _GOLDEN_NUMERATOR // _GOLDEN_DENOMINATOR
    while gcd(step, n_devices) != 1:
        step += 1
    return step


def device_offset(k: int, n_devices: int) -> int:
    """Where the plan of claimed lane ``k`` begins in the order of the devices.

    The van der Corput sequence in base 2: the lanes 0 … 2^b − 1 divide the cycle evenly, for every
    b, without knowing how many there will be.

    Args:
        k: the lane's number, from 0; lane 0 begins at 0.
        n_devices: devices of the fleet.
    """
    n_bits = k.bit_length()
    reversed_bits = int(f"{k:b}"[::-1], 2)
    return reversed_bits * n_devices >> n_bits


def least_distance(n: int, n_devices: int) -> int:
    """How close the claimed lanes 0 … n − 1 come to each other, in messages of a cycle.

    Lanes at the same constant rate never send the same device within a millisecond, and so no
    record twice, while a millisecond has no more messages than this.

    Args:
        n: how many lanes, at least 1.
        n_devices: devices of the fleet.
    """
    places = sorted(device_offset(k, n_devices) for k in range(n))
    ends = [*places[1:], places[0] + n_devices]
    return min(end - place for place, end in zip(places, ends, strict=True))


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """Lane ``index`` of ``n_lanes``; ``index`` counts from 0.

    With ``SHARD=i/n`` and ``WORKERS=w`` a worker k's lane is ``i·w + k`` of ``n·w``.

    Attributes:
        index, n_lanes: which messages of the plan.
        offset: place in the cycle of the devices where the plan's message 0 is.
    """

    index: int = 0
    n_lanes: int = 1
    offset: int = 0

    def __post_init__(self) -> None:
        if self.n_lanes < 1 or not 0 <= self.index < self.n_lanes:
            raise ConfigError(
                f"lane {self.index} of {self.n_lanes} does not exist",
                "lanes are numbered from 0 to n − 1",
            )
        if self.offset < 0:
            raise ConfigError(f"a plan cannot begin at place {self.offset} of the devices")


@dataclass(frozen=True, slots=True)
class Lane:
    """The messages of one lane, by random access.

    Attributes:
        n_devices: devices of the whole fleet; the sequence repeats after as many messages.
        positions: int64, sorted: positions within the cycle of the messages that the lane keeps.
        devices: int32, same length: the device at each of those positions.
        rank: int32 of length n_devices: index into ``positions`` by device, −1 for devices of
            other lanes.
    """

    n_devices: int
    positions: NDArray[np.int64]
    devices: NDArray[np.int32]
    rank: NDArray[np.int32]

    @property
    def n_per_cycle(self) -> int:
        """How many messages of a cycle belong to the lane."""
        return len(self.positions)

    def message_of(self, n: int) -> int:
        """The plan's number m of the lane's n-th message."""
        if self.n_per_cycle == self.n_devices:
            return n
        cycle, place = divmod(n, self.n_per_cycle)
        return cycle * self.n_devices + int(self.positions[place])

    def n_before(self, m: int) -> int:
        """How many messages of the lane have a number below m (m ≥ 0)."""
        if self.n_per_cycle == self.n_devices:
            return m
        cycle, place = divmod(m, self.n_devices)
        return cycle * self.n_per_cycle + int(self.positions.searchsorted(place))

    def block(self, first: int, n: int) -> tuple[int, NDArray[np.int64], NDArray[np.int32]]:
        """The lane's messages ``first … first + n − 1``.

        Returns:
            the plan's number of the first one (a Python integer: it may exceed 64 bits), the
            distances of all n from it (int64) and their devices (int32).
        """
        cycle, place = divmod(first, self.n_per_cycle)
        if place + n <= self.n_per_cycle:
            positions = self.positions[place : place + n]
            base = int(positions[0])
            return cycle * self.n_devices + base, positions - base, self.devices[place : place + n]
        places = place + np.arange(n, dtype=np.int64)
        cycles, places = np.divmod(places, self.n_per_cycle)
        base = int(self.positions[place])
        distances = cycles * self.n_devices + self.positions[places] - base
        return cycle * self.n_devices + base, distances, self.devices[places]


@lru_cache(maxsize=64)
def lane_of(n_devices: int, spec: LaneSpec) -> Lane:
    """The lane of a pool; computed once per process.

    Raises:
        ConfigError: more lanes than devices.
    """
    if spec.n_lanes > n_devices:
        raise ConfigError(
            f"{spec.n_lanes} lanes for {n_devices} devices: a lane would be empty",
            "lower WORKERS or SHARD's n, or raise DEVICES",
        )
    if spec.offset:
        return _turned(lane_of(n_devices, LaneSpec(spec.index, spec.n_lanes)), spec.offset)
    cycle = np.arange(n_devices, dtype=np.int64)
    devices = cycle * order_step(n_devices) % n_devices
    kept = np.flatnonzero(devices % spec.n_lanes == spec.index)
    mine = devices[kept].astype(np.int32)
    rank = np.full(n_devices, -1, dtype=np.int32)
    rank[mine] = np.arange(len(mine), dtype=np.int32)
    return _frozen(n_devices, kept, mine, rank)


def _turned(lane: Lane, offset: int) -> Lane:
    """The same lane of a plan that begins ``offset`` places later in the cycle."""
    n = lane.n_devices
    offset %= n
    k = int(lane.positions.searchsorted(offset))
    positions = np.concatenate((lane.positions[k:] - offset, lane.positions[:k] + (n - offset)))
    devices = np.concatenate((lane.devices[k:], lane.devices[:k]))
    rank = np.full(n, -1, dtype=np.int32)
    rank[devices] = np.arange(len(devices), dtype=np.int32)
    return _frozen(n, positions, devices, rank)


def _frozen(
    n_devices: int,
    positions: NDArray[np.int64],
    devices: NDArray[np.int32],
    rank: NDArray[np.int32],
) -> Lane:
    for array in (positions, devices, rank):
        array.flags.writeable = False
    return Lane(n_devices, positions, devices, rank)
