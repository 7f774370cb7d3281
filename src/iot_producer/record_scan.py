"""Reading the identity of records from their text, and comparing texts: compiled, whole chunks.

Promise: only a text in exactly the record's form gives a device or a time; anything else gives −1.
It must not know which records are expected.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import Int, entry, inlined, load8
from iot_producer.schema import FIELD_NAMES

_DEVICE_PREFIX: Final = np.frombuffer(f'{{"{FIELD_NAMES[0]}":"dev-'.encode(), dtype=np.uint8)
_KEY_PREFIX: Final = np.frombuffer(b"dev-", dtype=np.uint8)
_TIME_NAME: Final = np.frombuffer(f'"{FIELD_NAMES[7]}":"'.encode(), dtype=np.uint8)
_TIME_FORM: Final = np.frombuffer(b"0000-00-00 00:00:00.000", dtype=np.uint8)
_DIGITS: Final = 7
_QUOTE: Final = 0x22
_ZERO: Final = 0x30
_NINE: Final = 0x39


@inlined
def starts_with(buffer: Any, at: Int, end: Int, piece: Any) -> bool:
    """Whether the bytes in ``[at, end)`` begin with a piece (uint8[k])."""
    if end - at < len(piece):
        return False
    for k in range(len(piece)):  # noqa: SIM110 - numba has no generator expressions
        if buffer[at + k] != piece[k]:
            return False
    return True


@inlined
def number_at(buffer: Any, at: Int, n_digits: Int) -> Int:
    """The number that ``n_digits`` characters write; −1 when one is no digit."""
    value = np.int64(0)
    for k in range(n_digits):
        character = np.int64(buffer[at + k])
        if character < _ZERO or character > _NINE:
            return np.int64(-1)
        value = value * 10 + (character - _ZERO)
    return value


@entry
def scan_devices(buffer: Any, starts: Any, ends: Any, found: Any) -> None:
    """The device numbers in the texts of records.

    Args:
        buffer, starts, ends: as in a Chunk.
        found: int64[n], receives them; −1 where there is none.
    """
    skip = len(_DEVICE_PREFIX)
    for i in range(len(starts)):
        found[i] = -1
        at = starts[i]
        end = ends[i]
        if end - at > skip + _DIGITS and starts_with(buffer, at, end, _DEVICE_PREFIX):
            at += skip
            if buffer[at + _DIGITS] == _QUOTE:
                found[i] = number_at(buffer, at, _DIGITS)


@inlined
def device_of_key(buffer: Any, at: Int, end: Int) -> Int:
    """The device number in a key, which is a device id; −1 where it is none."""
    skip = len(_KEY_PREFIX)
    if end - at != skip + _DIGITS or not starts_with(buffer, at, end, _KEY_PREFIX):
        return np.int64(-1)
    return number_at(buffer, at + skip, _DIGITS)


@entry
def scan_keys(buffer: Any, starts: Any, ends: Any, found: Any) -> None:
    """The device numbers in keys, which are device ids; arguments as in :func:`scan_devices`."""
    for i in range(len(starts)):
        found[i] = device_of_key(buffer, starts[i], ends[i])


@inlined
def _time_at(buffer: Any, at: Int) -> Int:
    """Milliseconds since the epoch of ``YYYY-MM-DD hh:mm:ss.mmm``; −1 where it is not that."""
    for k in range(len(_TIME_FORM)):
        if _TIME_FORM[k] != _ZERO and buffer[at + k] != _TIME_FORM[k]:
            return np.int64(-1)
    year = number_at(buffer, at, 4)
    month = number_at(buffer, at + 5, 2)
    day = number_at(buffer, at + 8, 2)
    hour = number_at(buffer, at + 11, 2)
    minute = number_at(buffer, at + 14, 2)
    second = number_at(buffer, at + 17, 2)
    milli = number_at(buffer, at + 20, 3)
    if min(year, month, day, hour, minute, second, milli) < 0 or not 1 <= month <= 12:
        return np.int64(-1)
    if hour > 23 or minute > 59 or second > 59 or not 1 <= day <= 31:
        return np.int64(-1)
    # Days since the epoch in the Gregorian calendar, counted from 1 March of year 0.
    year_from_march = year - 1 if month <= 2 else year
    month_from_march = month + 9 if month <= 2 else month - 3
    era = year_from_march // 400
    of_era = year_from_march - era * 400
    of_year = (153 * month_from_march + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return (days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000 + milli


@entry
def scan_times(buffer: Any, starts: Any, ends: Any, found: Any) -> None:
    """The times in the texts of records, milliseconds since the epoch, as :func:`scan_devices`."""
    width = len(_TIME_NAME) + len(_TIME_FORM)
    for i in range(len(starts)):
        found[i] = -1
        end = ends[i]
        for at in range(starts[i], end - width):
            if buffer[at] == _QUOTE and starts_with(buffer, at, end, _TIME_NAME):
                if buffer[at + width] == _QUOTE:
                    found[i] = _time_at(buffer, at + len(_TIME_NAME))
                break


@entry
def compare_texts(
    buffer: Any, starts: Any, ends: Any, places: Any, made: Any, made_ends: Any, same: Any
) -> None:
    """Compare texts with those that were made again, byte by byte.

    Args:
        buffer, starts, ends: as in a Chunk.
        places: int64[k], which of its texts.
        made: uint8[n_bytes], k texts one behind the other.
        made_ends: int64[k], where each of them ends.
        same: bool[k], receives whether they are equal.
    """
    made_at = np.int64(0)
    for i in range(len(places)):
        at = starts[places[i]]
        n = made_ends[i] - made_at
        equal = ends[places[i]] - at == n
        if equal:
            k = np.int64(0)
            while k + 8 <= n:
                if load8(buffer, at + k) != load8(made, made_at + k):
                    equal = False
                    break
                k += 8
            while equal and k < n:
                equal = buffer[at + k] == made[made_at + k]
                k += 1
        same[i] = equal
        made_at = made_ends[i]


@entry
def compare_around(
    places: Any,
    wanted: Any,
    identity: Any,
    i_kind: Int,
    i_customer: Int,
    devices: Any,
    kinds: Any,
    customers: Any,
    same: Any,
) -> None:
    """Which messages are about a device as their key and properties say, and no other.

    Args:
        places: int64[k], which of the messages.
        wanted: int64[k], the devices that they should be about.
        identity: the fleet's table.
        i_kind, i_customer: its columns of types and customers.
        devices, kinds, customers: int64[n], as in a Chunk's `Around`.
        same: bool[k], receives the answers.
    """
    for i in range(len(places)):
        place = places[i]
        device = wanted[i]
        same[i] = (
            devices[place] == device
            and kinds[place] == identity[device, i_kind]
            and customers[place] == identity[device, i_customer]
        )


def devices_of(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """int64[n]: the device numbers in the texts of records; −1 where there is none."""
    found = np.empty(len(starts), dtype=np.int64)
    scan_devices(frozen(buffer), starts, ends, found)
    return found


def times_of(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """int64[n]: the times in the texts of records, ms since the epoch; −1 where there is none."""
    found = np.empty(len(starts), dtype=np.int64)
    scan_times(frozen(buffer), starts, ends, found)
    return found


def devices_of_keys(keys: list[str]) -> NDArray[np.int64]:
    """int64[n]: the device numbers in keys; −1 where there is none."""
    # Each character counts, so one beyond ASCII must not become several bytes.
    joined = "".join(keys).encode("ascii", "replace")
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    ends = np.cumsum(lengths)
    found = np.empty(len(keys), dtype=np.int64)
    scan_keys(np.frombuffer(joined, dtype=np.uint8), ends - lengths, ends, found)
    return found


def same_texts(
    buffer: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    places: NDArray[np.int64],
    made: NDArray[np.uint8],
    made_ends: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """bool[k]: which of the texts at ``places`` equal the made ones; see :func:`compare_texts`."""
    same = np.empty(len(places), dtype=np.bool_)
    compare_texts(frozen(buffer), starts, ends, places, made, made_ends, same)
    return same


def frozen(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A view that cannot be written: numba compiles again for one that can."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view
