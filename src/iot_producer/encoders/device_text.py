"""The permanent text of each device: ids and place, rendered once, one cache line a device.

Promise: the same text as any other encoder gives for these fields. It must not know about time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.encoders.words import decimal_text, word_of
from iot_producer.fleet import (
    I_ALTITUDE,
    I_CUSTOMER,
    I_LATITUDE,
    I_LONGITUDE,
    I_SITE,
    I_TYPE,
    Fleet,
)

# A device's permanent text, uint8[n_devices, 64]: one cache line.
T_DEVICE: Final = 0  # 7 digits, as a word
T_CUSTOMER: Final = 8  # 6 digits, as a word
T_SITE: Final = 16  # 5 digits, as a word
T_LATITUDE: Final = 24  # 9 characters
T_LONGITUDE: Final = 33  # up to 11 characters
T_LONGITUDE_LENGTH: Final = 45
T_ALTITUDE: Final = 46  # as a word
T_TYPE: Final = 54
TEXT_BYTES: Final = 64


@lru_cache(maxsize=1)
def _altitude_words() -> NDArray[np.uint8]:
    """0.0 … 3000.0 as words: uint8[30001 · 8]."""
    words = [word_of(decimal_text(value, 1)) for value in range(30_001)]
    return np.array(words, dtype="<u8").view(np.uint8)


def device_texts(fleet: Fleet) -> NDArray[np.uint8]:
    """The permanent text of each device: uint8[n_devices, 64], each row one cache line."""
    n = fleet.spec.devices
    room = np.zeros(n * TEXT_BYTES + 64, dtype=np.uint8)
    skip = -room.ctypes.data % 64
    table = room[skip : skip + n * TEXT_BYTES].reshape(n, TEXT_BYTES)
    identity = fleet.identity.astype(np.int64)

    def digits(values: NDArray[np.int64], place: int, width: int) -> None:
        for i in range(width):
            table[:, place + width - 1 - i] = values // 10**i % 10 + ord("0")

    def word(values: NDArray[np.int64], place: int, width: int) -> None:
        digits(values, place, width)
        table[:, place + 7] = width

    word(np.arange(n, dtype=np.int64), T_DEVICE, 7)
    word(identity[:, I_CUSTOMER], T_CUSTOMER, 6)
    word(identity[:, I_SITE], T_SITE, 5)
    latitude = identity[:, I_LATITUDE]
    digits(latitude // 1_000_000, T_LATITUDE, 2)
    table[:, T_LATITUDE + 2] = ord(".")
    digits(latitude % 1_000_000, T_LATITUDE + 3, 6)
    west = -identity[:, I_LONGITUDE]
    long = west >= 100_000_000
    table[:, T_LONGITUDE] = ord("-")
    for rows, width in ((long, 3), (~long, 2)):
        part = np.zeros((int(rows.sum()), 12), dtype=np.uint8)
        whole, rest = west[rows] // 1_000_000, west[rows] % 1_000_000
        for i in range(width):
            part[:, width - 1 - i] = whole // 10**i % 10 + ord("0")
        part[:, width] = ord(".")
        for i in range(6):
            part[:, width + 6 - i] = rest // 10**i % 10 + ord("0")
        table[rows, T_LONGITUDE + 1 : T_LONGITUDE + 12] = part[:, :11]
        table[rows, T_LONGITUDE_LENGTH] = width + 8
    altitudes = _altitude_words()
    table[:, T_ALTITUDE : T_ALTITUDE + 8] = altitudes.reshape(-1, 8)[identity[:, I_ALTITUDE]]
    table[:, T_TYPE] = identity[:, I_TYPE]
    return table
