"""The sink that encodes records to JSON, counts them and throws them away: ``null:``.

Promise: the whole cost of making the records, none of sending them. A block is confirmed at once:
nowhere is where its records were to go.
"""

from __future__ import annotations

from collections.abc import Sequence

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import Fleet
from iot_producer.sinks.receipt_queue import ReceiptQueue
from iot_producer.sinks.sink import Receipt, Sent, SinkCounters


class NullSink:
    """Encodes, counts and discards.

    Args:
        fleet: whose records.
        clock: stamps.

    Attributes:
        n_records: how many records were encoded.
        n_bytes: the bytes of their text, without line ends.
    """

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._encoder = JsonEncoder(fleet)
        self._clock = clock
        self._queue = ReceiptQueue(clock)
        self.n_records = 0
        self.n_bytes = 0

    def send(self, block: Block) -> Sent:
        rows = self._encoder.encode(block.devices, block.times_ms)
        sent = Sent(self._clock.now_ns(), len(rows.buffer), {})
        self.n_records += block.n
        self.n_bytes += sent.raw_bytes
        self._queue.add(block)
        self._queue.confirm()
        return sent

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        return self._queue.take(timeout_s)

    def drain(self, timeout_s: float) -> None:
        """Nothing is buffered."""

    def counters(self) -> SinkCounters:
        return SinkCounters()

    def close(self) -> None:
        """Nothing is held."""
