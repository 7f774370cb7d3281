"""Which device the n-th message of lane i of n is about.

Promise: one sequence of messages, filtered. Message m of a plan is about device
``order(m mod devices)``, ``order`` being a fixed affine permutation; lane i of n keeps the messages
whose device is ≡ i modulo n. So any number of lanes gives the same messages, each device's messages
have one total order, and no two lanes share a device. It must not know about time or values.
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


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """Lane ``index`` of ``n_lanes``; ``index`` counts from 0.

    With ``SHARD=i/n`` and ``WORKERS=w`` a worker k's lane is ``i·w + k`` of ``n·w``.
    """

    index: int = 0
    n_lanes: int = 1

    def __post_init__(self) -> None:
        if self.n_lanes < 1 or not 0 <= self.index < self.n_lanes:
            raise ConfigError(
                f"lane {self.index} of {self.n_lanes} does not exist",
                "lanes are numbered from 0 to n − 1",
            )


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
    cycle = np.arange(n_devices, dtype=np.int64)
    devices = cycle * order_step(n_devices) % n_devices
    kept = np.flatnonzero(devices % spec.n_lanes == spec.index)
    mine = devices[kept].astype(np.int32)
    rank = np.full(n_devices, -1, dtype=np.int32)
    rank[mine] = np.arange(len(mine), dtype=np.int32)
    for array in (kept, mine, rank):
        array.flags.writeable = False
    return Lane(n_devices, kept, mine, rank)
