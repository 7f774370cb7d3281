"""Sine, exponential and logarithm as integer tables: the same on every machine.

Promise: the tables are made by integer arithmetic alone (no libm, no floating point), so a value
that is derived from them has the same digits on every CPU. It must not know what they are used for.
"""

from __future__ import annotations

from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

_PRECISION: Final = 96  # bits of the intermediate fixed-point numbers
_ONE: Final = 1 << _PRECISION
# π to 40 digits.
_PI: Final = 3_141_592_653_589_793_238_462_643_383_279_502_884_197 * _ONE // 10**39

SINE_BITS: Final = 10
"""log2 of the number of steps of :data:`SINE` in one turn."""
EXP2_BITS: Final = 8
LOG2_BITS: Final = 8


def _sine(angle: int) -> int:
    term = total = angle
    n = 1
    while term:
        term = -term * angle // _ONE * angle // _ONE // ((n + 1) * (n + 2))
        if term == -1:  # floor division never reaches 0 from below
            break
        total += term
        n += 2
    return total


def _rounded(value: int, bits: int) -> int:
    """``value`` (96 fraction bits) to ``bits`` fraction bits, halves upwards."""
    return (value + (1 << (_PRECISION - bits - 1))) >> (_PRECISION - bits)


def _sine_table() -> NDArray[np.int64]:
    steps = 1 << SINE_BITS
    quarter = [_rounded(_sine(2 * _PI * i // steps), 16) for i in range(steps // 4 + 1)]
    half = quarter + quarter[-2::-1]
    turn = half + [-value for value in half[1:]]
    return np.array(turn, dtype=np.int64)


def _exp2_table() -> NDArray[np.int64]:
    root = 2 * _ONE
    for _ in range(EXP2_BITS):
        root = isqrt(root << _PRECISION)
    values, power = [], _ONE
    for _ in range((1 << EXP2_BITS) + 1):
        values.append(_rounded(power, 30))
        power = power * root >> _PRECISION
    return np.array(values, dtype=np.int64)


def _log2(value: int) -> int:
    """log2 of a number in [1, 2] (96 fraction bits), with 40 fraction bits, bit by bit."""
    if value >= 2 * _ONE:
        return 1 << 40
    result = 0
    for _ in range(40):
        value = value * value >> _PRECISION
        result <<= 1
        if value >= 2 * _ONE:
            result |= 1
            value >>= 1
    return result


def _log2_table() -> NDArray[np.int64]:
    steps = 1 << LOG2_BITS
    values = [_log2(_ONE + _ONE * i // steps) >> 24 for i in range(steps + 1)]
    return np.array(values, dtype=np.int64)


def _log2_vapour_table() -> NDArray[np.int64]:
    """log2 of the saturation vapour pressure over water, relative to 0 °C.

    Magnus: e(T) = e(0 °C)·exp(17.625·T / (243.04 + T)), T in °C (Alduchov and Eskridge 1996), at
    −64.000 °C and every 0.256 °C above it; 16 fraction bits.
    """
    log2_e = 14_426_950_408_889_634  # 10**-16
    values = []
    for i in range(512):
        milli = -64_000 + 256 * i
        values.append((17_625 * milli * log2_e << 16) // ((243_040 + milli) * 10**19))
    return np.array(values, dtype=np.int64)


SINE: Final = _sine_table()
"""int64[1025]: sin(2π·i/1024) with 16 fraction bits, the last equal to the first."""
EXP2: Final = _exp2_table()
"""int64[257]: 2**(i/256) with 30 fraction bits."""
LOG2: Final = _log2_table()
"""int64[257]: log2(1 + i/256) with 16 fraction bits."""
LOG2_VAPOUR: Final = _log2_vapour_table()
"""int64[512]: see :func:`_log2_vapour_table`."""
