"""Counting sightings of messages in a page of bytes: compiled.

Promise: each sighting counts, in the order given. It must not know which messages a page holds.

A byte holds the fate of its message (two bits) and how often it was seen (six bits, at most 63).
"""

from __future__ import annotations

from typing import Any, Final

from iot_producer.compiled import entry

FATE_SHIFT: Final = 6
COUNT_MASK: Final = 63


@entry
def mark_page(page: Any, places: Any, before: Any) -> None:
    """Count a sighting at each of ``places``, in order.

    Args:
        page: uint8[n], changed in place.
        places: int64[k].
        before: uint8[k], receives what the page held there before.
    """
    for i in range(len(places)):
        state = page[places[i]]
        before[i] = state
        if state & COUNT_MASK != COUNT_MASK:
            page[places[i]] = state + 1


@entry
def mark_order(newest: Any, devices: Any, messages: Any, before: Any, late: Any) -> None:
    """Which first sightings come after a later message of the same device.

    Args:
        newest: int64[n_devices], the highest message number seen of each device, −1 for none;
            changed in place.
        devices, messages: int64[k].
        before: uint8[k], from :func:`mark_page`.
        late: bool[k], receives the answers.
    """
    for i in range(len(devices)):
        late[i] = False
        if before[i] & COUNT_MASK == 0:
            device = devices[i]
            if messages[i] < newest[device]:
                late[i] = True
            else:
                newest[device] = messages[i]
