"""Pulsar's frames, without I/O: commands to bytes and back, an entry's frame around its payload.

Promise: whatever bytes arrive, the answer is a frame, "not yet", or a `WireError`; what was whole
before a fault is given first. It must not know sockets, nor what a command means.

    simple    [total][command size][command]
    payload   [total][command size][command][body]
    body      [0x0e02][size][broker entry metadata]   only from a broker, and only if it adds them
              [0x0e01][CRC-32C]                       over all that follows
              [metadata size][metadata][payload]

Numbers are big-endian, of 4 bytes (the two marks: 2). A size does not count itself.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Final, TypeVar

import google_crc32c
import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from iot_producer.pulsar.commands import (
    BaseCommand,
    BrokerEntryMetadata,
    CommandType,
    MessageMetadata,
    is_whole,
    missing_fields,
    new_command,
)

__all__ = [
    "DEFAULT_MAX_MESSAGE_BYTES",
    "FRAME_MARGIN_BYTES",
    "HEADROOM",
    "Body",
    "Frame",
    "FrameReader",
    "HttpError",
    "WireError",
    "crc32c",
    "encode_command",
    "parse_body",
    "send_frame",
]

HEADROOM: Final = 1024
"""Bytes that an entry's buffer leaves free before its payload, for the rest of its frame."""
DEFAULT_MAX_MESSAGE_BYTES: Final = 5 * 1024 * 1024
"""The largest message of a broker that does not tell another limit in CONNECTED."""
FRAME_MARGIN_BYTES: Final = 10 * 1024
"""A frame may be longer than the largest message by so much, as with the broker."""

_CHECKSUM_MARK: Final = b"\x0e\x01"
_BROKER_MARK: Final = b"\x0e\x02"
_SIZE: Final = struct.Struct(">I")
_TWO_SIZES: Final = struct.Struct(">II")
_CHECKED: Final = struct.Struct(">2sI")  # mark, checksum
_HTTP: Final = b"HTTP"
"""How an answer in HTTP begins; as a size these bytes are more than any frame may have."""
_M = TypeVar("_M", bound=Message)


class WireError(Exception):
    """Bytes that are no frame of the protocol: a fault of the connection or of the other end."""


class HttpError(WireError):
    """The other end speaks HTTP, as a broker's admin API does."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that arrived.

    Attributes:
        command: its command.
        body: what follows the command, to be read by :func:`parse_body`; None where nothing does.
    """

    command: BaseCommand
    body: memoryview | None


@dataclass(frozen=True, slots=True)
class Body:
    """What lies behind the command of a SEND or a MESSAGE.

    Attributes:
        metadata: of the entry.
        payload: of the entry, as it was stored (compressed, a batch).
        checksum_ok: whether the checksum fits; True too where none was sent.
        broker_entry: what the broker added; None where nothing.
    """

    metadata: MessageMetadata
    payload: memoryview
    checksum_ok: bool
    broker_entry: BrokerEntryMetadata | None = None


def encode_command(command: BaseCommand) -> bytes:
    """The simple frame of a command.

    Raises:
        ValueError: a field that it must have is missing.
    """
    text = _serialized(command)
    return _TWO_SIZES.pack(len(text) + _SIZE.size, len(text)) + text


def send_frame(
    buffer: NDArray[np.uint8],
    start: int,
    stop: int,
    *,
    producer_id: int,
    sequence_id: int,
    highest_sequence_id: int,
    n_messages: int,
    metadata: bytes,
) -> memoryview:
    """Write the frame of a SEND around a payload, without moving the payload.

    Args:
        buffer: uint8[n], has the payload in ``[start, stop)``; what lies before it is written over.
        start, stop: of the payload; HEADROOM is enough before it unless the metadata are unusual.
        producer_id, sequence_id, highest_sequence_id: as the broker knows them.
        n_messages: in the entry.
        metadata: the serialized `MessageMetadata`.

    Returns:
        The whole frame, a view into the buffer.

    Raises:
        ValueError: the space before the payload is too small.
    """
    command = _serialized(
        new_command(
            CommandType.SEND,
            producer_id=producer_id,
            sequence_id=sequence_id,
            highest_sequence_id=highest_sequence_id,
            num_messages=n_messages,
        )
    )
    checked_at = start - len(metadata) - _SIZE.size
    first = checked_at - _CHECKED.size - len(command) - _TWO_SIZES.size
    if first < 0:
        raise ValueError(
            f"a frame's head of {start - first} bytes does not fit before a payload at {start}"
        )
    view = memoryview(buffer.data)
    _SIZE.pack_into(view, checked_at, len(metadata))
    view[checked_at + _SIZE.size : start] = metadata
    _TWO_SIZES.pack_into(view, first, stop - first - _SIZE.size, len(command))
    command_at = first + _TWO_SIZES.size
    view[command_at : command_at + len(command)] = command
    _CHECKED.pack_into(
        view, command_at + len(command), _CHECKSUM_MARK, crc32c(buffer[checked_at:stop])
    )
    return view[first:stop]


def crc32c(data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> int:
    """The CRC-32C (Castagnoli) of some bytes, by the processor's instruction where it has one."""
    # The library takes bytes and arrays, but no view that could be written.
    checked = data if isinstance(data, bytes | np.ndarray) else np.frombuffer(data, dtype=np.uint8)
    return int(google_crc32c.value(checked))


def parse_body(body: memoryview) -> Body:
    """Take apart what follows the command of a SEND or a MESSAGE.

    Args:
        body: of a Frame; the payload stays a view into it.

    Raises:
        WireError: sizes or metadata are corrupt. A wrong checksum alone is no error here.
    """
    at = 0
    broker_entry = None
    if bytes(body[:2]) == _BROKER_MARK:
        at = 2
        part, at = _sized(body, at, "broker entry metadata")
        broker_entry = _parsed(BrokerEntryMetadata(), part, "broker entry metadata")
    checksum_ok = True
    if bytes(body[at : at + 2]) == _CHECKSUM_MARK:
        if len(body) - at < _CHECKED.size:
            raise WireError("a message ends within its checksum")
        _, checksum = _CHECKED.unpack_from(body, at)
        at += _CHECKED.size
        checksum_ok = crc32c(body[at:]) == checksum
    part, at = _sized(body, at, "metadata")
    metadata = _parsed(MessageMetadata(), part, "metadata")
    return Body(metadata, body[at:], checksum_ok, broker_entry)


class FrameReader:
    """Cuts a stream of bytes into frames.

    Args:
        max_message_bytes: of the broker; a frame that is longer by more than a margin is corrupt.
    """

    def __init__(self, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES) -> None:
        self._most_bytes = 0
        self.limit(max_message_bytes)
        self._size = bytearray()
        self._part: bytearray | None = None  # the frame that is arriving
        self._n_filled = 0
        self._whole: deque[bytearray] = deque()
        self._fault: WireError | None = None

    def limit(self, max_message_bytes: int) -> None:
        """Set the largest message, once CONNECTED has told it."""
        self._most_bytes = max_message_bytes + FRAME_MARGIN_BYTES

    @property
    def is_within_frame(self) -> bool:
        """Whether a frame has begun and not ended: an end of the stream here cuts it off."""
        return bool(self._size) or self._part is not None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes as they arrive, in pieces of any length. Faults show in `next_frame`."""
        view = memoryview(data)
        at, n = 0, len(view)
        if n >= 2 * _SIZE.size and not self.is_within_frame and self._fault is None:
            (n_bytes,) = _SIZE.unpack_from(view)
            if n_bytes == n - _SIZE.size and n_bytes <= self._most_bytes:
                self._whole.append(bytearray(view[_SIZE.size :]))  # just one, as receipts come
                return
        while at < n and self._fault is None:
            if self._part is None:
                n_head = min(_SIZE.size - len(self._size), n - at)
                self._size += view[at : at + n_head]
                at += n_head
                if len(self._size) == _SIZE.size:
                    self._begin()
                continue
            n_more = min(len(self._part) - self._n_filled, n - at)
            self._part[self._n_filled : self._n_filled + n_more] = view[at : at + n_more]
            self._n_filled += n_more
            at += n_more
            if self._n_filled == len(self._part):
                self._whole.append(self._part)
                self._part = None

    def next_frame(self) -> Frame | None:
        """The next whole frame; None when more bytes are needed.

        Raises:
            WireError: what arrived is no frame; from then on always.
        """
        if self._whole:
            data = self._whole.popleft()
            try:
                return _frame_of(data)
            except WireError as error:
                self._fault = error
                self._whole.clear()
                raise
        if self._fault is not None:
            raise self._fault
        return None

    def _begin(self) -> None:
        (n_bytes,) = _SIZE.unpack(self._size)
        is_http = self._size == _HTTP
        self._size.clear()
        if not _SIZE.size <= n_bytes <= self._most_bytes:
            self._fault = (
                HttpError("an answer in HTTP")
                if is_http
                else WireError(f"a frame of {n_bytes} bytes; it may have 4 to {self._most_bytes}")
            )
            return
        self._part = bytearray(n_bytes)
        self._n_filled = 0


def _frame_of(data: bytearray) -> Frame:
    view = memoryview(data).toreadonly()
    text, at = _sized(view, 0, "command")
    command = _parsed(BaseCommand(), text, "command")
    if not is_whole(command):
        raise WireError(f"a command of type {command.type} without its fields")
    return Frame(command, view[at:] if at < len(view) else None)


def _sized(data: memoryview, at: int, what: str) -> tuple[memoryview, int]:
    """The bytes whose size stands at a place, and the place behind them."""
    if len(data) - at < _SIZE.size:
        raise WireError(f"no room for the size of the {what}")
    (n_bytes,) = _SIZE.unpack_from(data, at)
    at += _SIZE.size
    if n_bytes > len(data) - at:
        raise WireError(f"{what} of {n_bytes} bytes, where {len(data) - at} are left")
    return data[at : at + n_bytes], at + n_bytes


def _parsed(message: _M, data: memoryview, what: str) -> _M:
    try:
        message.ParseFromString(data)  # type: ignore[arg-type]  # takes any buffer
    except DecodeError as error:
        raise WireError(f"{what} cannot be parsed: {error}") from error
    if not message.IsInitialized():
        raise WireError(f"{what} without {missing_fields(message)}")
    return message


def _serialized(command: BaseCommand) -> bytes:
    if not command.IsInitialized():
        raise ValueError(f"a command without {missing_fields(command)}")
    return command.SerializeToString()
