"""Standard output as JSON lines: ``-``.

Promise: whole lines in the order of sending, nothing else. What a receipt means: the operating
system has taken the block; when standard output is a pipe, its reader may still end without reading
it. It must not know of terminals or colours, and never prints through Python's own buffers.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Final

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import ConfigError, DestinationError
from iot_producer.fleet import Fleet
from iot_producer.sinks.output import refused
from iot_producer.sinks.receipt_queue import ReceiptQueue
from iot_producer.sinks.sink import Receipt, Sent, SinkCounters

STDOUT: Final = 1


def check_workers(n_workers: int) -> None:
    """Lines of several processes would be cut into each other.

    Raises:
        ConfigError: more than one worker.
    """
    if n_workers > 1:
        raise ConfigError(
            f"{n_workers} workers cannot share standard output", "set WORKERS=1, or write to a file"
        )


class StdoutSink:
    """Writes JSON lines to a file descriptor that is open already.

    Args:
        fleet: whose records.
        clock: stamps.
        fd: the descriptor; it is not closed.
    """

    def __init__(self, fleet: Fleet, clock: Clock, fd: int = STDOUT) -> None:
        self._encoder = JsonEncoder(fleet, newline=True)
        self._clock = clock
        self._queue = ReceiptQueue(clock)
        self._fd = fd

    def send(self, block: Block) -> Sent:
        """As the seam says; waits while a pipe is full.

        Raises:
            DestinationError: the program that reads the pipe has ended.
            RefusedError: the operating system refused (a full disk behind a redirection).
        """
        buffer = self._encoder.encode(block.devices, block.times_ms).buffer
        rest = buffer.data
        try:
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:  # another program made the pipe non-blocking
                    select.select([], [self._fd], [])
        except BrokenPipeError as error:
            raise DestinationError(
                "the program that reads standard output has ended",
                "let it read to the end, or limit the run: --messages",
            ) from error
        except OSError as error:
            raise refused(error, "standard output") from error
        self._queue.add(block)
        self._queue.confirm()
        return Sent(self._clock.now_ns(), len(buffer), {})

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        return self._queue.take(timeout_s)

    def drain(self, timeout_s: float) -> None:
        """Nothing is buffered."""

    def counters(self) -> SinkCounters:
        return SinkCounters()

    def close(self) -> None:
        """The descriptor stays open: it is not ours."""
