"""Parquet files: ``.parquet``.

Promise: a file has its final name when it is complete. What a receipt means: the block's records
are in a file that is complete, synced and under its final name. Before that nothing is confirmed,
because a Parquet file without its footer, which is written last, cannot be read. So receipts come
when a part is full (``rotate_bytes``), at ``drain`` and at ``close``; a long run should rotate. A
run that is killed loses the part that it was writing, and those records stay unconfirmed.

``drain`` completes the file; blocks that are sent after it go to ``out-00002.parquet``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.errors import ConfigError
from iot_producer.fleet import Fleet
from iot_producer.lane import LaneSpec
from iot_producer.sinks.output import OutputFiles, OutputPart
from iot_producer.sinks.receipt_queue import ReceiptQueue
from iot_producer.sinks.sink import Receipt, Sent, SinkCounters

GROUP_ROWS: Final = 65_536


class _Stream:
    """What Arrow writes to: a part, as a Python file; nothing more once the part has failed."""

    def __init__(self, part: OutputPart) -> None:
        self._part: OutputPart | None = part
        self.closed = False

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        if self._part is not None:
            self._part.write(view)
        return view.nbytes

    def tell(self) -> int:
        return 0 if self._part is None else self._part.n_bytes

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def cut(self) -> None:
        self._part = None


class ParquetFileSink:
    """Writes Parquet files, zstd, in row groups of 65,536 records.

    Args:
        path: ends in ``.parquet``; with several lanes each adds its own name.
        fleet: whose records.
        lane: which lane this is.
        clock: stamps.
        rotate_bytes: begin a new file when one has about this size (whole row groups); None for
            one file.
        force: replace an output that is there.

    Raises:
        ConfigError: pyarrow or the directory is missing, or ``rotate_bytes`` is not positive.
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
        try:
            import pyarrow as pa
            import pyarrow.parquet as parquet

            from iot_producer.encoders.arrow import ROW_BYTES, SCHEMA, ArrowEncoder
        except ImportError as error:
            raise ConfigError(
                f"{path!r} needs pyarrow, which is not installed",
                'pip install "iot-producer[parquet]"',
            ) from error
        self._pa = pa
        self._parquet = parquet
        self._schema = SCHEMA
        self._row_bytes = ROW_BYTES
        self._clock = clock
        self._rotate_bytes = rotate_bytes
        self._files = OutputFiles(path, lane, rotated=rotate_bytes is not None, force=force)
        self._encoder = ArrowEncoder(fleet)
        self._queue = ReceiptQueue(clock)
        self._blocks: list[Block] = []
        self._n_rows = 0
        self._part: OutputPart | None = None
        self._is_used = False
        self._open()

    def send(self, block: Block) -> Sent:
        self._is_used = True
        self._blocks.append(block)
        self._n_rows += block.n
        self._queue.add(block)
        n_bytes = block.n * self._row_bytes
        sent = Sent(self._clock.now_ns(), n_bytes, {})
        limit = self._rotate_bytes
        full = limit is not None and self._n_rows * self._row_bytes >= limit
        if self._n_rows >= GROUP_ROWS or full:
            self._write_group()
            if limit is not None and self._part is not None and self._part.n_bytes >= limit:
                self._complete()
        return sent

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        return self._queue.take(timeout_s)

    def drain(self, timeout_s: float) -> None:
        """Complete the file.

        Raises:
            RefusedError: the disk is full; the file's records stay unconfirmed.
        """
        del timeout_s  # the operating system is waited for as long as it takes
        self._is_used = True
        if self._queue.n_waiting:
            self._complete()

    def counters(self) -> SinkCounters:
        return SinkCounters()

    def close(self) -> None:
        """Complete the file, if there is one under way; one that was never used vanishes.

        Raises:
            RefusedError: the disk is full; the file's records stay unconfirmed.
        """
        if not self._is_used:
            self._abandon()
        elif self._part is not None or self._blocks:
            self._complete()

    def _open(self) -> OutputPart:
        part = self._part = self._files.open_part()
        self._stream = _Stream(part)
        self._writer = self._parquet.ParquetWriter(
            self._pa.PythonFile(self._stream, mode="w"), self._schema, compression="zstd"
        )
        return part

    def _write_group(self) -> None:
        if self._part is None:
            self._open()
        blocks, self._blocks, self._n_rows = self._blocks, [], 0
        if blocks:
            rows = self._encoder.encode(
                np.concatenate([block.devices for block in blocks]),
                np.concatenate([block.times_ms for block in blocks]),
            )
            try:
                self._writer.write_batch(rows, row_group_size=rows.num_rows)
            except BaseException:
                self._abandon()
                raise

    def _complete(self) -> None:
        self._write_group()
        part, self._part = self._part, None
        if part is not None:
            try:
                self._writer.close()
            except BaseException:
                self._part = part
                self._abandon()
                raise
            part.complete()
            self._queue.confirm()

    def _abandon(self) -> None:
        """Remove the part: no footer, no records; its blocks stay without a receipt for good."""
        part, self._part = self._part, None
        self._stream.cut()
        self._queue.forget(self._queue.n_waiting)
        if part is not None:
            part.abandon()
