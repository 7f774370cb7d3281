"""Random words, smooth noise and sine as compiled scalar functions of integers.

Promise: pure integer functions, the same on every machine; each is inlined into the kernel that
uses it. It must not know about devices, sites or fields.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, inlined
from iot_producer.fixedpoint import SINE
from iot_producer.fleet import INDEX_STEP, mix

SECOND: Final = 1_000
MINUTE: Final = 60_000
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR

BELL_SIGMA: Final = 37_837
SMOOTH_SIGMA: Final = 30_894

_16: Final = np.uint64(16)
_32: Final = np.uint64(32)
_48: Final = np.uint64(48)
_LOW16: Final = np.uint64(0xFFFF)

_mix = inlined(mix)


def reciprocal(divisor: int, bits: int) -> int:
    """What to multiply with instead of dividing.

    ``value * reciprocal(divisor, bits) >> bits`` is ``value // divisor`` for 0 ≤ value <
    2**bits / divisor, if the product fits into 63 bits. Processors multiply many numbers at once,
    and divide one.
    """
    return (1 << bits) // divisor + 1


@inlined
def word(key: Any, stream: Any, index: Int) -> Any:
    """The 64-bit word ``index`` of a stream (a random constant) under a key (uint64 both)."""
    return _mix(key ^ stream ^ (np.uint64(index) * INDEX_STEP))


@inlined
def share(random: Any, shift: Any) -> Int:
    """0 … 65535: the 16 bits of a word above ``shift`` (uint64)."""
    return np.int64((random >> shift) & _LOW16)


@inlined
def bell(random: Any) -> Int:
    """About normal, σ = BELL_SIGMA, within ±131,070: four uniforms added."""
    total = (random & _LOW16) + ((random >> _16) & _LOW16)
    total += ((random >> _32) & _LOW16) + (random >> _48)
    return np.int64(total) - 131_070


@inlined
def smooth(key: Any, stream: Any, t: Int, period: Int) -> Int:
    """Lattice noise: independent bells at multiples of ``period``, linear between them.

    σ over time is BELL_SIGMA·sqrt(2/3) = SMOOTH_SIGMA; bounded by ±131,070.
    """
    index = t // period
    before = bell(word(key, stream, index))
    after = bell(word(key, stream, index + 1))
    return before + (after - before) * (t - index * period) // period


@inlined
def sine(turn: Int) -> Int:
    """Sine of ``turn`` (2**-24 turns), 16 fraction bits."""
    turn = turn & 0xFFFFFF
    place = turn >> 14
    low = SINE[place]
    return low + ((SINE[place + 1] - low) * (turn & 0x3FFF) >> 14)


@inlined
def clamped(value: Int, low: Int, high: Int) -> Int:
    """``value``, or the end of the range that it is beyond."""
    return min(max(value, low), high)
