"""The blocks of a lane that wait for receipts, and the latencies of all that were sent.

Promise: lag counts every message that was sent, service and response time every one that was
confirmed, each once; those of the warm-up are left out. Stamps are passed in. It must not know
which message met which fate in the end (tally.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import Block
from iot_producer.errors import DataError
from iot_producer.latency import Histogram, Latencies, empty_counts
from iot_producer.latency_counts import count_latencies, count_latency
from iot_producer.sinks.sink import Receipt


@dataclass(slots=True)
class _Pending:
    """A block without all of its receipts."""

    start_ns: int
    offsets_ns: NDArray[np.int64]
    sent_ns: int
    n_open: int
    n_cold: int  # messages of the warm-up at its front


class PendingBlocks:
    """What was sent and is not settled.

    Args:
        cold_until_ns: the end of the warm-up: messages intended before it are left out of the
            histograms; ns since the epoch.
    """

    def __init__(self, cold_until_ns: int) -> None:
        self._cold_until_ns = cold_until_ns
        self._waiting: dict[int, _Pending] = {}
        self._uncounted: list[_Pending] = []
        self._lag, self._service, self._response = (empty_counts() for _ in range(3))

    def __len__(self) -> int:
        """How many blocks wait."""
        return len(self._waiting)

    def add(self, block: Block, sent_ns: int) -> None:
        """A block was sent, at ``sent_ns`` since the epoch. Its lags are counted later."""
        n_cold = 0
        if block.start_ns < self._cold_until_ns:
            warm_offset = self._cold_until_ns - block.start_ns
            n_cold = int(np.searchsorted(block.offsets_ns, warm_offset, side="left"))
        pending = _Pending(block.start_ns, block.offsets_ns, sent_ns, block.n, n_cold)
        self._waiting[block.first] = pending
        self._uncounted.append(pending)

    def take(self, receipt: Receipt) -> None:
        """A receipt came.

        Raises:
            DataError: no block waits for it, or it does not name as many messages as it counts.
        """
        pending = self._waiting.get(receipt.first)
        if pending is None:
            span = (receipt.first, receipt.stop, receipt.partition, receipt.n_records)
            raise DataError(f"a receipt for a block that waits for none: {span}")
        if not receipt.error:
            self._count(receipt, pending)
        pending.n_open -= receipt.n_records
        if pending.n_open <= 0:
            del self._waiting[receipt.first]

    def latencies(self) -> Latencies:
        """Of everything until now."""
        for sent in self._uncounted:
            offsets_ns = sent.offsets_ns[sent.n_cold :]
            count_latencies(self._lag, sent.sent_ns - sent.start_ns, offsets_ns)
        self._uncounted.clear()
        counts = (self._lag, self._service, self._response)
        return Latencies(*(Histogram.of_counts(count) for count in counts))

    def _count(self, receipt: Receipt, pending: _Pending) -> None:
        """Service and response times of the messages that a receipt confirms."""
        members, n_cold = receipt.members, pending.n_cold
        n_named = len(pending.offsets_ns) if members is None else len(members)
        if n_named != receipt.n_records:
            raise DataError(f"a receipt for {receipt.n_records} messages that names {n_named}")
        if members is None:
            offsets_ns = pending.offsets_ns[n_cold:]
        else:
            offsets_ns = pending.offsets_ns[members[members >= n_cold]]
        count_latency(self._service, receipt.at_ns - pending.sent_ns, len(offsets_ns))
        count_latencies(self._response, receipt.at_ns - pending.start_ns, offsets_ns)
