"""Restoring what clients of any language have compressed.

Promise: all of Pulsar's compressions; damaged data give False, never an exception and never bytes
outside of the output. It must not know entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cramjam
import numpy as np
from numpy.typing import NDArray

from iot_producer.pulsar.commands import Compression

MOST_BYTES: Final = 1 << 28
"""No payload may become larger: whoever says so has been damaged."""

# LZ4 blocks without a size, and raw Snappy: that is how Pulsar's clients write them.
_INTO: Final[dict[int, Callable[[Any, Any], int]]] = {
    Compression.LZ4: cramjam.lz4.decompress_block_into,
    Compression.ZLIB: cramjam.zlib.decompress_into,
    Compression.ZSTD: cramjam.zstd.decompress_into,
    Compression.SNAPPY: cramjam.snappy.decompress_raw_into,
}


def restore_into(compression: int, payload: memoryview, out: NDArray[np.uint8]) -> bool:
    """Uncompress a payload; releases the GIL.

    Args:
        compression: as the metadata say.
        payload: as it was stored.
        out: uint8[n], n as the metadata say; is filled.

    Returns:
        whether it became exactly that long.
    """
    if compression == Compression.NONE:
        if len(payload) != len(out):
            return False
        out[:] = np.frombuffer(payload, dtype=np.uint8)
        return True
    into = _INTO.get(compression)
    if into is None or not len(payload):
        return False
    try:
        return into(payload, out) == len(out)
    except cramjam.DecompressionError:
        return False
