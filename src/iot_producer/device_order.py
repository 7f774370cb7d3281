"""The order of each device's records: within a lane and a partition, as they lie there.

Promise: a record is late where a later one of its device, its lane and its partition was read
before it; partitions may be read in any order and in turns. It must not know what a record says.

A device has one partition as long as the topic has as many, so one time per device is kept; only
where partitions were added while a lane sent, devices have more, and those cost memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import Int, entry


class DeviceOrder:
    """What was newest of each device of a lane.

    Args:
        n_devices: of the fleet.
    """

    def __init__(self, n_devices: int) -> None:
        self._newest = _none_yet(n_devices)
        self._home = np.full(n_devices, -1, dtype=np.int32)
        self._elsewhere: dict[int, NDArray[np.int64]] = {}  # by partition

    def late(
        self, partition: int, devices: NDArray[np.int64], times_ms: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which records come after a later one; each of them counts from now on.

        Args:
            partition: of all of them.
            devices, times_ms: of records, in the order in which they lie there.
        """
        late = np.empty(len(devices), dtype=np.bool_)
        moved = np.empty(len(devices), dtype=np.bool_)
        if mark_order(self._newest, self._home, partition, devices, times_ms, late, moved):
            there = self._elsewhere.get(partition)
            if there is None:
                there = self._elsewhere[partition] = _none_yet(len(self._newest))
            always = np.full(len(self._newest), partition, dtype=np.int32)
            part = np.empty(int(moved.sum()), dtype=np.bool_)
            at_home = np.empty_like(part)
            mark_order(there, always, partition, devices[moved], times_ms[moved], part, at_home)
            late[moved] = part
        return late


@entry
def mark_order(
    newest: Any, home: Any, partition: Int, devices: Any, times_ms: Any, late: Any, moved: Any
) -> int:
    """Which records of a partition come after a later one of the same device.

    Args:
        newest: int64[n_devices], the latest event time seen of each device, -1 for none; changed
            in place.
        home: int32[n_devices], in which partition, -1 where none was seen; changed in place.
        partition: of these records.
        devices, times_ms: int64[k], in the order of reading.
        late: bool[k], receives the answers.
        moved: bool[k], receives whose device has another home; they are not looked at.

    Returns:
        How many have another home.
    """
    n_moved = 0
    for i in range(len(devices)):
        device = devices[i]
        if home[device] < 0:
            home[device] = partition
        moved[i] = home[device] != partition
        late[i] = False
        if moved[i]:
            n_moved += 1
        elif times_ms[i] < newest[device]:
            late[i] = True
        else:
            newest[device] = times_ms[i]
    return n_moved


def _none_yet(n_devices: int) -> NDArray[np.int64]:
    return np.full(n_devices, -1, dtype=np.int64)
