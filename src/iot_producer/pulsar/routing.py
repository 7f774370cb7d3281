"""Which messages of a block go to which partition: a compiled, stable grouping.

Promise: the partition of a device is that of message_keys.partition_of, and messages of one
partition keep their order. It must not know where partitions are.

The hash is computed for each message (about 10 ns) instead of being looked up in a table: a pool of
ten million devices needs no memory and no time at the start for it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import Int, entry, inlined
from iot_producer.pulsar.message_keys import DEVICE_DIGITS, DEVICE_PREFIX


def _hash_of(text: str) -> int:
    """Java's ``String.hashCode()`` without its sign: the lower 31 bits."""
    total = 0
    for character in text:
        total = 31 * total + ord(character)
    return total & _LOW_31


_LOW_31: Final = 0x7FFFFFFF
_OF_ZERO: Final = _hash_of(DEVICE_PREFIX + "0" * DEVICE_DIGITS)


@inlined
def _place(device: Int, n_partitions: Int) -> Int:
    """The key's hash is that of device 0 plus each digit times its power of 31."""
    total = _OF_ZERO
    power = 1
    rest = device
    for _ in range(DEVICE_DIGITS):
        total += (rest % 10) * power
        rest //= 10
        power *= 31
    return (total & _LOW_31) % n_partitions


@entry
def _group(devices: NDArray[np.int32], order: NDArray[np.int32], bounds: NDArray[np.int64]) -> None:
    n_partitions = len(bounds) - 1
    places = np.empty(len(devices), dtype=np.int32)
    for i in range(len(devices)):
        place = _place(np.int64(devices[i]), n_partitions)
        places[i] = place
        bounds[place + 1] += 1
    for place in range(n_partitions):
        bounds[place + 1] += bounds[place]
    at = bounds[:-1].copy()
    for i in range(len(devices)):
        place = places[i]
        order[at[place]] = i
        at[place] += 1


def grouped(
    devices: NDArray[np.int32], n_partitions: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The messages of a block in the order of their partitions.

    Args:
        devices: int32[n], device numbers of the messages.
        n_partitions: of the topic, at least 1.

    Returns:
        int32[n], places in the block, and int64[n_partitions + 1]: those of partition p are
        ``order[bounds[p]:bounds[p + 1]]``, ascending.
    """
    order = np.empty(len(devices), dtype=np.int32)
    bounds = np.zeros(n_partitions + 1, dtype=np.int64)
    if devices.flags.writeable:  # the other kind would be compiled a second time
        devices = devices.view()
        devices.flags.writeable = False
    _group(devices, order, bounds)
    return order, bounds


def warm_up_routing() -> None:
    """Compile or load the kernel, before the clock runs."""
    grouped(np.zeros(1, dtype=np.int32), 1)
