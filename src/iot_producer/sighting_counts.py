"""Counting sightings of messages in a page of bytes: compiled.

Promise: each sighting counts, in the order given. It must not know which messages a page holds.

A byte holds the fate of its message (three bits) and how often it was seen (five bits, at most 31).
"""

from __future__ import annotations

from typing import Any, Final

from iot_producer.compiled import Int, entry

FATE_SHIFT: Final = 5
COUNT_MASK: Final = 31

EITHER: Final = -1
"""Of ``seen``: seen before or not."""


@entry
def mark_page(page: Any, places: Any, before: Any, took: Any, fates: Int, seen: Int) -> None:
    """Count a sighting at each of ``places``, in order, where the message is one that is meant.

    Args:
        page: uint8[n], changed in place.
        places: int64[k].
        before: uint8[k], receives what the page held there before.
        took: bool[k], receives whether the sighting was counted.
        fates: the fates that are meant, bit by bit.
        seen: 1: only messages that were seen before; 0: only those that were not; -1: any.
    """
    for i in range(len(places)):
        state = page[places[i]]
        before[i] = state
        count = state & COUNT_MASK
        meant = (fates >> (state >> FATE_SHIFT)) & 1 == 1
        if seen == 0:
            meant = meant and count == 0
        elif seen == 1:
            meant = meant and count > 0
        took[i] = meant
        if meant and count != COUNT_MASK:
            page[places[i]] = state + 1
