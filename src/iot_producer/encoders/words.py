"""Values as words of text: a uint64 with up to 7 characters, and their number in its top byte.

Promise: each table is rendered once; one 8-byte store writes a value, its top byte says how far to
go. It must not know about records.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Literal = tuple[np.int64, np.uint64, np.uint64, np.uint64]
"""A constant piece of text: its length (up to 24) and three words of it.

Of numpy's types: for each int that a function is called with, numba would compile it anew (a fifth
of the whole compilation)."""


def word_of(text: str) -> int:
    """Up to 7 ASCII characters and their number as one word."""
    raw = text.encode("ascii")
    if len(raw) > 7:
        raise ValueError(f"{text!r} does not fit into a word of 7 characters")
    return int.from_bytes(raw.ljust(7, b" ") + bytes([len(raw)]), "little")


def literal_of(text: str) -> Literal:
    """Up to 24 ASCII characters as a constant of the kernel."""
    raw = text.encode("ascii")
    if len(raw) > 24:
        raise ValueError(f"{text!r} does not fit into a literal of 24 characters")
    padded = raw.ljust(24, b" ")
    first, second, third = np.frombuffer(padded, dtype=np.uint64)
    return np.int64(len(raw)), first, second, third


def decimal_text(value: int, decimals: int) -> str:
    """An integer count of 10**-decimals as text with exactly that many decimals."""
    if decimals == 0:
        return str(value)
    sign = "-" if value < 0 else ""
    whole, part = divmod(abs(value), 10**decimals)
    return f"{sign}{whole}.{part:0{decimals}d}"


def _words(texts: Iterable[str]) -> NDArray[np.uint64]:
    table = np.array([word_of(text) for text in texts], dtype=np.uint64)
    table.flags.writeable = False
    return table


LOW_2: Final = -3_000
"""The first value of :data:`DECIMAL_2`."""
LOW_1: Final = -1_100
"""The first value of :data:`DECIMAL_1`."""
LOW_PRESSURE: Final = 98_000
"""The first value of :data:`PRESSURE_2`."""

DECIMAL_2: Final = _words(decimal_text(value, 2) for value in range(LOW_2, 10_001))
"""-30.00 … 100.00, as words."""
PRESSURE_2: Final = _words(decimal_text(value, 2) for value in range(LOW_PRESSURE, 103_001))
"""980.00 … 1030.00, as words."""
DECIMAL_1: Final = _words(decimal_text(value, 1) for value in range(LOW_1, 20_001))
"""-110.0 … 2000.0, as words."""
WHOLE: Final = _words(str(value) for value in range(10_000))
"""0 … 9999, as words."""
PADDED: Final = _words(f"{value:04d}" for value in range(10_000))
"""0000 … 9999, as words."""
