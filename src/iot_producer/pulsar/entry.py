"""A block as the payload of one batch entry: built by compiled code into a pooled buffer.

Promise: one call makes a whole entry, with the GIL released and no Python object for a message;
the payload is the same on every machine. It must not know connections or producers: who sends an
entry fills the room before its payload and gives the buffer back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cramjam
import numpy as np
from numpy.typing import NDArray

from iot_producer.conditions import new_conditions
from iot_producer.encoders.device_text import device_texts
from iot_producer.fleet import Fleet, FleetSpec, fleet_of
from iot_producer.pulsar.entry_lz4 import write_lz4_entry
from iot_producer.pulsar.entry_rows import write_entry
from iot_producer.pulsar.message_frame import MAX_MESSAGE_BYTES
from iot_producer.pulsar.message_keys import DEVICE_DIGITS, DEVICE_PREFIX
from iot_producer.pulsar.wire import HEADROOM

LZ4: Final = "lz4"
LZ4_LIBRARY: Final = "lz4-library"
"""LZ4 of the uncompressed text by the library: the reference for `LZ4`, and slower."""
NONE: Final = "none"

_NS_PER_MS: Final = 1_000_000
_SLACK: Final = 64  # written behind the end by stores of 8 bytes
_MOST_FREE: Final = 48  # buffers that are kept: for what is made ahead and what is on its way

Bytes = NDArray[np.uint8]
Compressor = Callable[[Any, Any], int]
"""Compresses the first array into the second; returns how many bytes it became."""


def _lz4(text: Any, out: Any) -> int:
    return int(cramjam.lz4.compress_block_into(text, out, store_size=False))


def _snappy(text: Any, out: Any) -> int:
    return int(cramjam.snappy.compress_raw_into(text, out))


def _zlib(text: Any, out: Any) -> int:
    return int(cramjam.zlib.compress_into(text, out))


def _zstd(text: Any, out: Any) -> int:
    return int(cramjam.zstd.compress_into(text, out, level=_ZSTD_LEVEL))


_ZSTD_LEVEL: Final = 3  # as the Java client's
_LIBRARIES: Final[dict[str, Compressor]] = {
    LZ4_LIBRARY: _lz4,
    "zstd": _zstd,
    "zlib": _zlib,
    "snappy": _snappy,
}
COMPRESSIONS: Final = (LZ4, *_LIBRARIES, NONE)
"""What an entry may be compressed with."""


@dataclass(frozen=True, slots=True)
class EntryPayload:
    """The payload of one batch entry, in a buffer that belongs to its builder's pool.

    Attributes:
        buffer: uint8 array; the payload is ``buffer[start:stop]``, all before it is free.
        start, stop: where the payload lies; ``start`` is wire.HEADROOM.
        n_records: messages in the entry.
        uncompressed_bytes: of the payload.
        raw_bytes: of the records alone.
        first_id, last_id: sequence ids of the first and the last message.
        first_event_ms: event time of the first message.
        first_key: key of the first message.
    """

    buffer: Bytes
    start: int
    stop: int
    n_records: int
    uncompressed_bytes: int
    raw_bytes: int
    first_id: int
    last_id: int
    first_event_ms: int
    first_key: bytes

    @property
    def n_bytes(self) -> int:
        """Of the payload, as it is stored."""
        return self.stop - self.start

    @property
    def data(self) -> Bytes:
        """uint8[n_bytes]: the payload, not copied."""
        return self.buffer[self.start : self.stop]


class EntryBuilder:
    """Builds the entries of one fleet; `build` is for one thread at a time.

    Args:
        fleet: whose records.
        compression: one of :data:`COMPRESSIONS`.

    Raises:
        ValueError: there is no such compression.
    """

    def __init__(self, fleet: Fleet, compression: str = LZ4) -> None:
        if compression not in COMPRESSIONS:
            raise ValueError(f"compression is {compression!r}, not one of {COMPRESSIONS}")
        self.compression = compression
        self._fleet = fleet
        self._text = device_texts(fleet)
        self._conditions = new_conditions(fleet)
        self._zeros = _common_zeros(fleet.spec)
        self._library = _LIBRARIES.get(compression)
        self._plain = np.empty(0, dtype=np.uint8)
        self._free: deque[Bytes] = deque()  # its append and pop need no lock
        self._capacity = 0

    def build(self, devices: NDArray[np.int32], intended_ns: NDArray[np.int64]) -> EntryPayload:
        """The entry of a block.

        Args:
            devices: int32[n], device numbers; n ≥ 1.
            intended_ns: int64[n], ns since the epoch, 0 … 2**42 ms; also the sequence ids.

        Returns:
            The payload; to be given to `release` when its buffer is not needed any more.

        Raises:
            ValueError: the block is empty, its arrays differ in length, or a device or a time is
                outside.
        """
        n = len(devices)
        if n == 0 or len(intended_ns) != n:
            raise ValueError(f"{n} devices and {len(intended_ns)} times are no block")
        devices, intended_ns = _frozen(devices, np.int32), _frozen(intended_ns, np.int64)
        buffer = self._buffer(HEADROOM + _room(n))
        with np.errstate(over="ignore"):
            stop, n_text, n_raw = self._write(buffer, devices, intended_ns)
        if n_raw == 0:
            self._free.append(buffer)
            raise ValueError(
                f"a device is outside 0 … {self._fleet.spec.devices - 1}, or a time is outside "
                "0 … 2**42 ms since the epoch"
            )
        first_id = int(intended_ns[0])
        return EntryPayload(
            buffer,
            HEADROOM,
            int(stop),
            n,
            int(n_text),
            int(n_raw),
            first_id,
            int(intended_ns[-1]),
            first_id // _NS_PER_MS,
            b"%b%0*d" % (DEVICE_PREFIX.encode(), DEVICE_DIGITS, int(devices[0])),
        )

    def release(self, payload: EntryPayload) -> None:
        """Give a payload's buffer back; from any thread, once. The payload is void then."""
        if len(payload.buffer) >= self._capacity and len(self._free) < _MOST_FREE:
            self._free.append(payload.buffer)

    def _write(
        self, buffer: Bytes, devices: NDArray[np.int32], intended_ns: NDArray[np.int64]
    ) -> tuple[int, int, int]:
        fleet = self._fleet
        tables = (self._text, fleet.device, fleet.site, self._conditions)
        if self.compression == LZ4:
            result: tuple[int, int, int] = write_lz4_entry(
                buffer, HEADROOM, *tables, devices, intended_ns, self._zeros
            )
            return result
        if self._library is None:
            stop, n_raw = write_entry(buffer, HEADROOM, *tables, devices, intended_ns)
            return stop, stop - HEADROOM, n_raw
        if len(self._plain) < _room(len(devices)):
            self._plain = np.empty(_room(len(devices)), dtype=np.uint8)
        n_text, n_raw = write_entry(self._plain, 0, *tables, devices, intended_ns)
        n_bytes = self._library(self._plain[:n_text], buffer[HEADROOM:])
        return HEADROOM + n_bytes, n_text, n_raw

    def _buffer(self, capacity: int) -> Bytes:
        """A free buffer; all are of the largest capacity that was asked for so far."""
        self._capacity = max(self._capacity, capacity)
        while True:
            try:
                buffer = self._free.pop()  # the last one used is the one in the cache
            except IndexError:
                return np.empty(self._capacity, dtype=np.uint8)
            if len(buffer) >= self._capacity:
                return buffer


def warm_up_entry(fleet: FleetSpec, compression: str = LZ4) -> None:
    """Compile or load the kernel that entries of a compression need, before the clock runs."""
    builder = EntryBuilder(fleet_of(fleet), compression)
    builder.build(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int64))


def _room(n_records: int) -> int:
    """Enough for the text of so many records and for what any compressor makes of it."""
    # Snappy's library asks for a sixth and 32 bytes more than the text. What is not written to
    # takes no memory: buffers are allocated as pages of zeros.
    return n_records * MAX_MESSAGE_BYTES * 7 // 6 + _SLACK


def _frozen(numbers: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Contiguous and read-only: a kernel is compiled anew for each kind of array that it meets."""
    view = np.ascontiguousarray(numbers, dtype=dtype).view()
    view.flags.writeable = False
    return view


def _common_zeros(spec: FleetSpec) -> tuple[int, int, int]:
    """How many digits are 0 in the numbers of all devices, customers and sites."""
    counts: Any = ((7, spec.devices), (6, spec.customers), (5, spec.sites))
    device, customer, site = (digits - len(str(n - 1)) for digits, n in counts)
    return device, customer, site
