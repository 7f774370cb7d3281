"""Pieces of an LZ4 block: a run of literals and the match behind it, as few stores.

Promise: the block format's sequences, exactly: ``[token][literals][distance u16][longer match]``.
It must not know what is written, nor where matches come from.

A match is 4 … 273 bytes long, 1 … 65535 bytes back. Stores are of 8 bytes: what lies behind a
sequence is overwritten.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from iot_producer.compiled import Int, inlined, load8, store8
from iot_producer.encoders.text_pieces import put_whole

MIN_MATCH: Final = 4
LONGEST_NIBBLE: Final = 15
MAX_DISTANCE: Final = 65_535
END_LITERALS: Final = 5
"""A block ends with so many literals at least."""
END_MATCH: Final = 12
"""No match begins less than this before a block's end."""

_4: Final = np.uint64(4)
_8: Final = np.uint64(8)
_16: Final = np.uint64(16)
_56: Final = np.uint64(56)
_EXTENDED: Final = MIN_MATCH + LONGEST_NIBBLE


@inlined
def low_nibble(n_match: Int) -> Int:
    """A match's part of the token."""
    return min(n_match - MIN_MATCH, LONGEST_NIBBLE)


@inlined
def put_match(out: Any, p: Int, distance: Int, n_match: Int) -> Int:
    """What comes behind the literals; its nibble is in the token already."""
    if n_match >= _EXTENDED:
        store8(out, p, np.uint64(distance) | np.uint64(n_match - _EXTENDED) << _16)
        return p + 3
    store8(out, p, np.uint64(distance))
    return p + 2


@inlined
def put_bare(out: Any, p: Int, distance: Int, n_match: Int) -> Int:
    """A match without literals before it: one store."""
    token_and_distance = np.uint64(low_nibble(n_match)) | np.uint64(distance) << _8
    if n_match >= _EXTENDED:
        store8(out, p, token_and_distance | np.uint64(n_match - _EXTENDED) << np.uint64(24))
        return p + 4
    store8(out, p, token_and_distance)
    return p + 3


@inlined
def put_chars(out: Any, p: Int, chars: Any, n: Int, distance: Int, n_match: Int) -> Int:
    """``n`` ≤ 7 literals, the low bytes of ``chars``, and a match."""
    store8(out, p, chars << _8 | np.uint64(n << 4 | low_nibble(n_match)))
    return put_match(out, p + 1 + n, distance, n_match)


@inlined
def put_number(out: Any, p: Int, value: Int, distance_from: Int, n_match: Int) -> tuple[Int, Int]:
    """A whole number 0 … 10**16 − 1 and a match.

    Args:
        out: where to.
        p: place in it.
        value: the number.
        distance_from: the match's distance, were the number of no characters.
        n_match: the match's length.

    Returns:
        the place behind, and the number's characters.
    """
    end = put_whole(out, p + 1, value)
    n = end - p - 1
    if n >= LONGEST_NIBBLE:
        out[np.uint64(p)] = LONGEST_NIBBLE << 4 | low_nibble(n_match)
        out[np.uint64(p + 1)] = n - LONGEST_NIBBLE
        end = put_whole(out, p + 2, value)
    else:
        out[np.uint64(p)] = n << 4 | low_nibble(n_match)
    return put_match(out, end, distance_from + n, n_match), n


@inlined
def put_run(out: Any, p: Int, text: Any, n: Int, nibble: Int) -> Int:
    """A token and ``n`` literals of any number, copied from the start of ``text``.

    Up to 7 bytes behind them are read and overwritten.
    """
    if n >= LONGEST_NIBBLE:
        out[np.uint64(p)] = LONGEST_NIBBLE << 4 | nibble
        rest = n - LONGEST_NIBBLE
        p += 1
        while rest >= 255:
            out[np.uint64(p)] = 255
            rest -= 255
            p += 1
        out[np.uint64(p)] = rest
    else:
        out[np.uint64(p)] = n << 4 | nibble
    p += 1
    for i in range(0, n, 8):
        store8(out, p + i, load8(text, i))
    return p + n
