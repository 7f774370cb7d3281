"""Blocks that wait for their confirmation, and receipts that wait to be fetched.

Promise: every block that is added becomes exactly one receipt, in the order of sending, at the time
of its confirmation. It must not know what confirms a block. For sinks that confirm in the thread
that sends.
"""

from __future__ import annotations

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.sinks.sink import Receipt

NS_PER_S = 1_000_000_000


class ReceiptQueue:
    """The receipts of one sink.

    Args:
        clock: stamps the receipts, and waits.
    """

    __slots__ = ("_clock", "_ready", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[int, int]] = []
        self._ready: list[Receipt] = []

    @property
    def n_waiting(self) -> int:
        """Blocks without a receipt."""
        return len(self._waiting)

    @property
    def n_ready(self) -> int:
        """Receipts that were not taken yet."""
        return len(self._ready)

    def add(self, block: Block) -> None:
        """A block was taken and is not yet confirmed."""
        self._waiting.append((block.first, block.stop))

    def confirm(self) -> None:
        """Everything that was added is where the sink promises it to be."""
        if self._waiting:
            now_ns = self._clock.now_ns()
            self._ready += [
                Receipt(first, stop, stop - first, now_ns) for first, stop in self._waiting
            ]
            self._waiting = []

    def forget(self, n_blocks: int) -> None:
        """The last ``n_blocks`` were not written: they stay without a receipt."""
        del self._waiting[len(self._waiting) - n_blocks :]

    def take(self, timeout_s: float = 0.0) -> list[Receipt]:
        """The receipts since the last call; sleeps ``timeout_s`` when there are none.

        Nothing else can confirm a block meanwhile: a sink that can does so before it calls this.
        """
        if not self._ready and timeout_s > 0:
            self._clock.sleep_until(self._clock.now_ns() + round(timeout_s * NS_PER_S))
        taken, self._ready = self._ready, []
        return taken
