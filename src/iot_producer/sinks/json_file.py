"""Files of JSON lines, plain or compressed: ``.jsonl`` and ``.jsonl.gz``.

Promise: a file holds whole blocks only, in the order of sending, also after a full disk. What a
receipt means: the operating system has taken the block's records into the partial file (output.py),
where they survive the end of this process, however it comes. ``drain`` adds that the disk has them;
``close`` gives the file its final name; one that was never used vanishes, and what was there stays.

Compressed records are gathered up to 256 KiB or half a second and become one gzip member, so that
what was confirmed of a partial file can be read to its last byte; ``zcat`` and every reader that
follows the gzip format reads members one behind the other.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import ConfigError
from iot_producer.fleet import Fleet
from iot_producer.lane import LaneSpec
from iot_producer.sinks.output import OutputFiles, OutputPart
from iot_producer.sinks.receipt_queue import NS_PER_S, ReceiptQueue
from iot_producer.sinks.sink import Receipt, Sent, SinkCounters

GATHER_BYTES: Final = 256 * 1024
GATHER_NS: Final = 500_000_000
_GZIP: Final = 31  # zlib: the gzip format, window of 32 KiB
_LEVEL: Final = 1


class JsonFileSink:
    """Writes JSON lines.

    Args:
        path: ends in ``.jsonl`` or ``.jsonl.gz``; with several lanes each adds its own name.
        fleet: whose records.
        lane: which lane this is.
        clock: stamps, and the age of what is gathered.
        rotate_bytes: begin a new file when one has this size; None for one file.
        force: replace an output that is there.

    Raises:
        ConfigError: the directory is missing, or ``rotate_bytes`` is not positive.
        OutputExistsError: the output is there already.
        RefusedError: the directory cannot be written, or another process writes the file.
    """

    def __init__(
        self,
        path: str,
        fleet: Fleet,
        lane: LaneSpec,
        clock: Clock,
        *,
        rotate_bytes: int | None = None,
        force: bool = False,
    ) -> None:
        if rotate_bytes is not None and rotate_bytes < 1:
            raise ConfigError(f"rotating at {rotate_bytes} bytes", "give a size above 0")
        self._compressed = path.endswith(".gz")
        self._clock = clock
        self._rotate_bytes = rotate_bytes
        self._files = OutputFiles(path, lane, rotated=rotate_bytes is not None, force=force)
        self._part: OutputPart | None = self._files.open_part()
        self._encoder = JsonEncoder(fleet, newline=True)
        self._queue = ReceiptQueue(clock)
        self._gathered = bytearray()
        self._gathered_from_ns = 0
        self._is_used = False

    def send(self, block: Block) -> Sent:
        self._is_used = True
        buffer = self._encoder.encode(block.devices, block.times_ms).buffer
        if self._compressed:
            now_ns = self._clock.now_ns()
            if not self._gathered:
                self._gathered_from_ns = now_ns
            self._gathered += buffer.data
            self._queue.add(block)
            if len(self._gathered) >= GATHER_BYTES or now_ns - self._gathered_from_ns >= GATHER_NS:
                self._write_gathered()
        else:
            now_ns = self._clock.now_ns()
            self._write(buffer.data)
            self._queue.add(block)
            self._queue.confirm()
        return Sent(now_ns, len(buffer), {})

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        """As the seam says; also writes what was gathered long enough.

        Raises:
            RefusedError: the disk is full.
        """
        if not self._gathered:
            return self._queue.take(timeout_s)
        due_ns = self._gathered_from_ns + GATHER_NS
        if not self._queue.n_ready and timeout_s > 0:
            until_ns = self._clock.now_ns() + round(timeout_s * NS_PER_S)
            self._clock.sleep_until(min(until_ns, due_ns))
        if self._clock.now_ns() >= due_ns:
            self._write_gathered()
        return self._queue.take()

    def drain(self, timeout_s: float) -> None:
        """Write what is gathered and sync the file.

        Raises:
            RefusedError: the disk is full.
        """
        del timeout_s  # the operating system is waited for as long as it takes
        self._is_used = True
        self._write_gathered()
        if self._part is not None:
            self._part.sync()

    def counters(self) -> SinkCounters:
        return SinkCounters()

    def close(self) -> None:
        """Write what is gathered; the file gets its final name, unless it was never used.

        Raises:
            RefusedError: the disk is full; what was confirmed is in the file all the same.
        """
        try:
            self._write_gathered()
        finally:
            part, self._part = self._part, None
            if part is not None and self._is_used:
                part.complete()
            elif part is not None:
                part.abandon()

    def _write_gathered(self) -> None:
        if self._gathered:
            # Either all of it reaches the file, or its blocks stay without a receipt for good.
            text, self._gathered = self._gathered, bytearray()
            try:
                self._write(zlib.compress(text, _LEVEL, _GZIP))
            except BaseException:
                self._queue.forget(self._queue.n_waiting)
                raise
            self._queue.confirm()

    def _write(self, data: bytes | memoryview) -> None:
        if self._part is None:
            self._part = self._files.open_part()
        self._part.write(data)
        if self._rotate_bytes is not None and self._part.n_bytes >= self._rotate_bytes:
            part, self._part = self._part, None
            part.complete()
