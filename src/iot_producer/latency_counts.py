"""Counting latencies of whole blocks into HdrHistogram buckets, in compiled code.

Promise: a value goes where ``hdrh``'s ``record_value`` puts it; a negative value counts as 0, one
beyond the last bucket in the last one and as saturated. A block costs about 5 ns a record,
without the GIL.

Counts arrays are laid out by ``latency.empty_counts``. One thread at a time may count into an array
or read it. This module must not know what the stamps mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iot_producer.compiled import entry, inlined
from iot_producer.latency import (
    CELL_MAX_NS,
    CELL_MIN_NS,
    CELL_SATURATED,
    CELL_SUM_REST_NS,
    CELL_SUM_US,
    LIMIT_US,
    N_BUCKETS,
    SUB_BUCKET_BITS,
)

_HALF_BITS = SUB_BUCKET_BITS - 1
_LAST_BUCKET = N_BUCKETS - 1


@inlined
def _bucket_of(value_us: int) -> int:
    """The bucket of a value from 0 to LIMIT_US - 1, microseconds.

    Values below 2^11 have a bucket each; above, the top 11 bits choose one, so each doubling
    shares 2^10 buckets (the layout of HdrHistogram for 3 digits).
    """
    # The number of bits beyond 11, by halving: numba has no bit_length.
    rest = value_us >> SUB_BUCKET_BITS
    shift = 0
    if rest >> 16:
        rest >>= 16
        shift += 16
    if rest >> 8:
        rest >>= 8
        shift += 8
    if rest >> 4:
        rest >>= 4
        shift += 4
    if rest >> 2:
        rest >>= 2
        shift += 2
    if rest >> 1:
        rest >>= 1
        shift += 1
    shift += rest
    return (shift << _HALF_BITS) + (value_us >> shift)


@entry
def count_latencies(
    counts: NDArray[np.int64], stamp_ns: int, intended_ns: NDArray[np.int64]
) -> None:
    """Count ``stamp_ns - intended_ns`` of each message of a block.

    Args:
        counts: int64 of shape (N_CELLS,), changed in place.
        stamp_ns: one stamp for the whole block, nanoseconds.
        intended_ns: int64 of shape (n,), nanoseconds from the same origin as the stamp (the
            block's start serves: pass the stamp and the offsets relative to it).
    """
    n_saturated = 0
    sum_us = 0
    rest_ns = counts[CELL_SUM_REST_NS]
    min_ns = counts[CELL_MIN_NS]
    max_ns = counts[CELL_MAX_NS]
    for i in range(intended_ns.shape[0]):
        value_ns = max(stamp_ns - intended_ns[i], 0)
        min_ns = min(min_ns, value_ns)
        max_ns = max(max_ns, value_ns)
        value_us = value_ns // 1000
        if value_us < LIMIT_US:
            counts[_bucket_of(value_us)] += 1
            rest_ns += value_ns - value_us * 1000
            sum_us += value_us
        else:
            counts[_LAST_BUCKET] += 1
            n_saturated += 1
            sum_us += LIMIT_US
    counts[CELL_SATURATED] += n_saturated
    counts[CELL_MIN_NS] = min_ns
    counts[CELL_MAX_NS] = max_ns
    counts[CELL_SUM_US] += sum_us + rest_ns // 1000
    counts[CELL_SUM_REST_NS] = rest_ns % 1000


@entry
def count_latency(counts: NDArray[np.int64], latency_ns: int, n_messages: int) -> None:
    """Count one value for many messages: the service time of a block.

    Args:
        counts: int64 of shape (N_CELLS,), changed in place.
        latency_ns: the value, nanoseconds.
        n_messages: how often it counts; nothing happens when it is not above 0.
    """
    if n_messages <= 0:
        return
    value_ns = max(latency_ns, 0)
    counts[CELL_MIN_NS] = min(counts[CELL_MIN_NS], value_ns)
    counts[CELL_MAX_NS] = max(counts[CELL_MAX_NS], value_ns)
    value_us = value_ns // 1000
    rest_ns = counts[CELL_SUM_REST_NS]
    if value_us < LIMIT_US:
        counts[_bucket_of(value_us)] += n_messages
        rest_ns += (value_ns - value_us * 1000) * n_messages
    else:
        value_us = LIMIT_US
        counts[_LAST_BUCKET] += n_messages
        counts[CELL_SATURATED] += n_messages
    counts[CELL_SUM_US] += value_us * n_messages + rest_ns // 1000
    counts[CELL_SUM_REST_NS] = rest_ns % 1000
