"""The texts around a record (key, customer) for whole blocks, and the partition that a key goes to.

Promise: they equal what the record's own text says, and the partition is the one that the Java
client's default routing would choose. Texts are rendered for each block (0.1 µs each), so a pool
of ten million devices costs no memory. It must not know any client.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

DEVICE_PREFIX: Final = "dev-"
DEVICE_DIGITS: Final = 7
CUSTOMER_PREFIX: Final = "cust-"
CUSTOMER_DIGITS: Final = 6

_GROUP: Final = 10_000
_GROUP_DIGITS: Final = 4
_DIGITS: Final = np.frombuffer(
    "".join(f"{i:04d}" for i in range(_GROUP)).encode(), dtype=np.uint8
).reshape(_GROUP, _GROUP_DIGITS)


def device_keys(devices: NDArray[np.int32]) -> list[str]:
    """The message key of each device: ``dev-0000000`` ….

    Args:
        devices: int32[n], device numbers, 0 … 9,999,999.
    """
    return _split(_table(devices, DEVICE_PREFIX, DEVICE_DIGITS))


def customer_names(customers: NDArray[np.int32]) -> list[str]:
    """The name of each customer: ``cust-000000`` ….

    Args:
        customers: int32[n], customer numbers, 0 … 999,999.
    """
    return _split(_table(customers, CUSTOMER_PREFIX, CUSTOMER_DIGITS))


def partition_of(devices: NDArray[np.int32], n_partitions: int) -> NDArray[np.int64]:
    """The partition of each device's key: Java's ``String.hashCode() & 0x7fffffff``, modulo n.

    Args:
        devices: int32[n], device numbers.
        n_partitions: partitions of the topic, at least 1.

    Returns:
        int64[n], 0 … n_partitions − 1.
    """
    state = np.zeros(len(devices), dtype=np.uint32)
    for column in _table(devices, DEVICE_PREFIX, DEVICE_DIGITS).T:
        state = state * np.uint32(31) + column  # wraps, as Java's int does
    return (state & np.uint32(0x7FFFFFFF)).astype(np.int64) % n_partitions


def _table(numbers: NDArray[np.int32], prefix: str, n_digits: int) -> NDArray[np.uint8]:
    """uint8[n, len(prefix) + n_digits]: one text a row; ``n_digits`` is 5 … 8."""
    table = np.empty((len(numbers), len(prefix) + n_digits), dtype=np.uint8)
    table[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    high, low = np.divmod(numbers, _GROUP)
    table[:, len(prefix) : -_GROUP_DIGITS] = _DIGITS[high, 2 * _GROUP_DIGITS - n_digits :]
    table[:, -_GROUP_DIGITS:] = _DIGITS[low]
    return table


def _split(table: NDArray[np.uint8]) -> list[str]:
    n, width = table.shape
    whole = table.tobytes().decode("ascii")
    return [whole[start : start + width] for start in range(0, n * width, width)]
