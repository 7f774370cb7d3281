"""The first few records of each fault, with what is different about them, field by field.

Promise: only the first few cost anything. A change is told by the fields of the two texts as they
are written, and by key, event time and properties of the message. It must not decide what a fault
is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import NS_PER_MS
from iot_producer.chunk import Chunk
from iot_producer.fleet import I_CUSTOMER, I_TYPE
from iot_producer.identification import Identified, Identifier
from iot_producer.plan_set import PlanSet
from iot_producer.schema import DEVICE_TYPES, FIELD_NAMES
from iot_producer.verify_report import Difference, Fault, LostRange, Offender

MOST_OFFENDERS: Final = 5
"""Of each fault."""

_TEXT_SHOWN: Final = 120
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Offenders:
    """Keeps the first few of each fault.

    Args:
        plans: whose records they are.
        identifier: has the fleets and makes the expected texts; must not be in use while a fault is
            noted.
    """

    def __init__(self, plans: PlanSet, identifier: Identifier) -> None:
        self._plans = plans
        self._identifier = identifier
        self._known: dict[Fault, list[Offender]] = {fault: [] for fault in Fault}

    def all(self) -> tuple[Offender, ...]:
        """Those of one fault behind those of the other."""
        return tuple(offender for known in self._known.values() for offender in known)

    def note(
        self, fault: Fault, chunk: Chunk, found: Identified, places: NDArray[np.int64], before: int
    ) -> None:
        """Note records of a chunk.

        Args:
            fault: what is wrong with them.
            chunk, found: the chunk.
            places: int64[k], which of its records.
            before: how many records of the partition were read before this chunk.
        """
        known = self._known[fault]
        for place in places[: MOST_OFFENDERS - len(known)].tolist():
            device, time_ms = int(found.devices[place]), int(found.times_ms[place])
            number = int(found.slots[place])
            slot = self._plans.slots[number] if number >= 0 else None
            known.append(
                Offender(
                    fault,
                    device_id(device) if device >= 0 else "",
                    time_text(time_ms) if time_ms >= 0 else "",
                    None if slot is None else slot.lane,
                    None if slot is None else int(found.messages[place]),
                    chunk.partition,
                    before + place,
                    self._differences(chunk, place, device, time_ms, slot.fleet)
                    if fault is Fault.CHANGED and slot is not None
                    else (),
                    _shown(chunk.text(place)) if fault is Fault.FOREIGN else "",
                    "" if slot is None else slot.name,
                )
            )

    def note_lost(self, ranges: Iterable[tuple[int, LostRange]]) -> None:
        """Name the first messages of the lost ranges, in place of those named before.

        Args:
            ranges: each with the number of its slot.
        """
        plans = self._plans
        known = self._known[Fault.LOST] = []
        for slot, lost in ranges:
            for message in range(lost.first, lost.stop):
                if len(known) == MOST_OFFENDERS:
                    return
                device = device_id(plans.device(slot, message))
                time = time_text(plans.intended_ns(slot, message) // NS_PER_MS)
                known.append(Offender(Fault.LOST, device, time, lost.lane, message, run=lost.run))

    def _properties(self, device: int, fleet: int) -> dict[str, str]:
        """What a message about a device carries."""
        identity = self._identifier.fleets[fleet].identity[device]
        return {
            FIELD_NAMES[1]: DEVICE_TYPES[identity[I_TYPE]],
            FIELD_NAMES[2]: f"cust-{identity[I_CUSTOMER]:06d}",
        }

    def _differences(
        self, chunk: Chunk, place: int, device: int, time_ms: int, fleet: int
    ) -> tuple[Difference, ...]:
        made = self._identifier.encoders[fleet].encode(
            np.array([device], dtype=np.int32), np.array([time_ms], dtype=np.int64)
        )
        differences = text_differences(made.buffer.tobytes(), chunk.text(place))
        if chunk.keys is not None and chunk.keys[place] != device_id(device):
            differences.append(_difference("key", device_id(device), chunk.keys[place]))
        if chunk.times_ms is not None and int(chunk.times_ms[place]) != time_ms:
            found = time_text(int(chunk.times_ms[place]))
            differences.append(Difference("event time", time_text(time_ms), found))
        if chunk.properties is not None:
            wanted = self._properties(device, fleet)
            differences += _table_differences(wanted, chunk.properties[place], "property ")
        return tuple(differences)


def text_differences(expected: bytes, found: bytes) -> list[Difference]:
    """How two texts of a record differ: field by field, as they are written; empty when equal."""
    if expected == found:
        return []
    wanted = json.loads(expected, parse_float=str, parse_int=str)
    try:
        got = json.loads(found, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        got = None
    if not isinstance(got, dict):
        return [Difference("text", _shown(expected), _shown(found))]
    differences = _table_differences(wanted, got)
    return differences or [Difference("text", "the same fields", "written in another way")]


def device_id(device: int) -> str:
    """As in the record."""
    return f"dev-{device:07d}"


def time_text(time_ms: int) -> str:
    """A time as in the record: ``2026-11-22 16:00:00.000``."""
    try:
        moment = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms since the epoch"
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def _table_differences(
    wanted: Mapping[str, object], got: Mapping[str, object], prefix: str = ""
) -> list[Difference]:
    return [
        _difference(prefix + name, str(wanted.get(name, "(none)")), got.get(name, "(missing)"))
        for name in {**wanted, **got}
        if name not in wanted or name not in got or wanted[name] != got[name]
    ]


def _difference(field: str, expected: str, found: object) -> Difference:
    return Difference(field[:_TEXT_SHOWN], expected, _cut(str(found)))


def _shown(text: bytes) -> str:
    return _cut(text.decode("utf-8", "backslashreplace"))


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else text[: _TEXT_SHOWN - 1] + "…"
