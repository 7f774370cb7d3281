"""The sink that keeps its records in memory: for tests, and for programs that want the records.

Promise: it passes the same contract tests as the sinks with a real destination, and can be told to
behave like a slow, a failing, a partitioned or a vanished one. A block is confirmed when its
records are in :attr:`MemorySink.records`; a receipt may be held back, but it is never made up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import UnreachableError
from iot_producer.fleet import Fleet
from iot_producer.sinks.sink import Receipt, Sent, SinkCounters

NS_PER_S = 1_000_000_000


class MemorySink:
    """Keeps the JSON text of every record.

    Args:
        fleet: whose records.
        clock: stamps, and waits.
        partition_of: the partition of each device of a block (int32[n] → integers[n]); without it
            there are no partitions, and a block gets one receipt.
        failure_of: why a block (or a partition's part of it) fails, empty when it does not; a
            failed part is not kept.
        gone_at: index of a message: a block that holds it, and each after it, finds the
            destination gone.
        holding: receipts wait until :meth:`release`.

    Attributes:
        records: what was kept, in the order of sending; each record's JSON text.
        partitions: the same, by partition; empty without partitions.
        holding: as above, may be changed at any time.
        closed: whether :meth:`close` was called.
    """

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        *,
        partition_of: Callable[[NDArray[np.int32]], NDArray[np.int64]] | None = None,
        failure_of: Callable[[Block, int | None], str] | None = None,
        gone_at: int | None = None,
        holding: bool = False,
    ) -> None:
        self._encoder = JsonEncoder(fleet)
        self._clock = clock
        self._partition_of = partition_of
        self._failure_of = failure_of
        self._gone_at = gone_at
        self._held: list[Receipt] = []
        self._ready: list[Receipt] = []
        self.holding = holding
        self.records: list[bytes] = []
        self.partitions: dict[int, list[bytes]] = {}
        self.closed = False

    def send(self, block: Block) -> Sent:
        if self._gone_at is not None and block.stop > self._gone_at:
            raise UnreachableError(
                f"the memory sink is gone since message {self._gone_at}",
                "it was told to be: gone_at",
            )
        rows = self._encoder.encode(block.devices, block.times_ms)
        texts = rows.split()
        now_ns = self._clock.now_ns()
        n_by_partition: dict[int, int] = {}
        if self._partition_of is None:
            error = self._failure_of(block, None) if self._failure_of else ""
            if not error:
                self.records += texts
            self._add(Receipt(block.first, block.stop, block.n, now_ns, error=error))
        else:
            place = self._partition_of(block.devices)
            failed = np.zeros(block.n, dtype=bool)
            for partition in np.unique(place).tolist():
                members = np.flatnonzero(place == partition).astype(np.int32)
                n_by_partition[partition] = len(members)
                error = self._failure_of(block, partition) if self._failure_of else ""
                if error:
                    failed[members] = True
                else:
                    kept = self.partitions.setdefault(partition, [])
                    kept += [texts[i] for i in members.tolist()]
                self._add(
                    Receipt(
                        block.first, block.stop, len(members), now_ns, partition, members, error
                    )
                )
            self.records += [texts[i] for i in np.flatnonzero(~failed).tolist()]
        return Sent(now_ns, len(rows.buffer), n_by_partition)

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        if not self._ready and timeout_s > 0:
            self._clock.sleep_until(self._clock.now_ns() + round(timeout_s * NS_PER_S))
        taken, self._ready = self._ready, []
        return taken

    def release(self, n: int | None = None) -> None:
        """Let the first ``n`` receipts go that are held back (all when left out), stamped now."""
        going = self._held[:n]
        del self._held[: len(going)]
        now_ns = self._clock.now_ns()
        self._ready += [
            Receipt(r.first, r.stop, r.n_records, now_ns, r.partition, r.members, r.error)
            for r in going
        ]

    def drain(self, timeout_s: float) -> None:
        """Wait for what is held back: until it was released, that is, to the time-out."""
        if self._held and timeout_s > 0:
            self._clock.sleep_until(self._clock.now_ns() + round(timeout_s * NS_PER_S))

    def counters(self) -> SinkCounters:
        return SinkCounters()

    def close(self) -> None:
        """Held receipts will never come."""
        self._held = []
        self.closed = True

    def _add(self, receipt: Receipt) -> None:
        (self._held if self.holding else self._ready).append(receipt)
