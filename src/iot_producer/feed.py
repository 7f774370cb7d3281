"""Which block a lane sends next, and when: the decisions of pacing, without a clock.

Promise: nothing is offered before it is due; a block is cut when it is full or its first message is
``linger_ns`` old. Time is passed in, so a feed can be stepped through by hand. It must not know
sinks, tallies or processes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import NS_PER_MS, Block, Plan, block_at
from iot_producer.lane import Lane

_MOST_AHEAD: Final = 32
_PAGE_RECORDS: Final = 2048


class Feed(Protocol):
    """The messages of one lane, as they come due. Indices are lane-local."""

    def n_due(self, now_ns: int) -> int:
        """How many messages are scheduled up to ``now_ns``, ns since the epoch; never falls."""
        ...

    def next_block(self, first: int, now_ns: int) -> Block | None:
        """The block from message ``first`` on that is to be sent now; None: nothing yet."""
        ...

    def wake_ns(self, first: int) -> int:
        """When the block from ``first`` on will be complete, ns since the epoch."""
        ...

    def ahead(self, first: int) -> Iterable[Block]:
        """The blocks that ``next_block`` will give if it is asked in time, from ``first`` on.

        Some of them, and none while it has blocks left that were asked for before.
        """
        ...

    def is_done(self, first: int) -> bool:
        """Whether message ``first`` will never be due."""
        ...

    def due_ns(self, first: int) -> int:
        """When message ``first`` is (or was) due, ns since the epoch."""
        ...

    def close(self, now_ns: int) -> None:
        """Schedule nothing that is not due at ``now_ns``."""
        ...


class PlannedFeed:
    """Messages at the intended times of a plan.

    Args:
        plan: the lane's plan.
        block_records: the largest block.
        linger_ns: the largest age of a block's first message when it is cut.
    """

    def __init__(self, plan: Plan, block_records: int, linger_ns: int) -> None:
        self._plan = plan
        self._block_records = block_records
        self._linger_ns = linger_ns
        self._limit = plan.n_messages
        self._ahead: deque[tuple[int, Block]] = deque()  # when each is cut

    def n_due(self, now_ns: int) -> int:
        due = self._plan.n_due(now_ns)
        return due if self._limit is None else min(due, self._limit)

    def is_done(self, first: int) -> bool:
        return self._limit is not None and first >= self._limit

    def due_ns(self, first: int) -> int:
        return self._plan.due_ns(first)

    def next_block(self, first: int, now_ns: int) -> Block | None:
        if self._ahead:
            cut_ns, block = self._ahead[0]
            if block.first == first and now_ns < cut_ns + self._linger_ns:
                return None if now_ns < cut_ns else self._ahead.popleft()[1]
            self._ahead.clear()  # it is late, and larger blocks are quicker
        n = min(self.n_due(now_ns) - first, self._block_records)
        if n <= 0:
            return None
        full = n == self._block_records or first + n == self._limit
        if not full and now_ns < self._plan.due_ns(first) + self._linger_ns:
            return None
        return self._plan.block(first, n)

    def ahead(self, first: int) -> Iterator[Block]:
        """As in `Feed`: small blocks only, since the others gain nothing by it."""
        if self._ahead or self.is_done(first) or not self._linger_ns:
            return
        due_ns = self._plan.due_ns(first)
        full = first + self._block_records
        if (self._limit is None or full <= self._limit) and (
            self._plan.due_ns(full - 1) <= due_ns + self._linger_ns
        ):
            return  # the next block will be full
        end_ns = due_ns + _MOST_AHEAD * self._linger_ns
        n = min(self.n_due(end_ns) - first, _PAGE_RECORDS)
        page = self._plan.block(first, n)  # one call instead of many
        offsets_ns = page.offsets_ns.tolist()
        if n == _PAGE_RECORDS:
            end_ns = due_ns + offsets_ns[-1] - 1
        start = 0
        while start < n and len(self._ahead) < _MOST_AHEAD:
            cut_ns = offsets_ns[start] + self._linger_ns
            stop = bisect_right(offsets_ns, cut_ns, start)
            if first + stop == self._limit:
                cut_ns = offsets_ns[stop - 1]
            elif due_ns + cut_ns > end_ns:
                return  # more may be due by then
            if stop - start >= self._block_records:
                return
            block = page.part(start, stop)
            self._ahead.append((due_ns + cut_ns, block))
            yield block
            start = stop

    def wake_ns(self, first: int) -> int:
        if self._ahead and self._ahead[0][1].first == first:
            return self._ahead[0][0]
        last = first + self._block_records - 1
        if self._limit is not None:
            last = min(last, self._limit - 1)
        return min(self._plan.due_ns(first) + self._linger_ns, self._plan.due_ns(last))

    def close(self, now_ns: int) -> None:
        self._limit = self.n_due(now_ns)
        self._ahead.clear()


class MaxFeed:
    """Messages as fast as they are taken: each block starts when it is asked for.

    The last message of a block is intended for the time at which it is made, the others a
    nanosecond before each other. Where the fleet is so small that a device would come up twice in
    one millisecond, the block waits.

    Args:
        members: the lane's messages.
        start_ns: when the run begins, ns since the epoch.
        block_records: size of a block; at most the lane's devices are used.
        n_messages: how many messages; None: no limit.
        duration_ns: how long; None: no limit.
    """

    def __init__(
        self,
        members: Lane,
        start_ns: int,
        block_records: int,
        n_messages: int | None,
        duration_ns: int | None,
    ) -> None:
        self._members = members
        self._start_ns = start_ns
        self._block_records = min(block_records, members.n_per_cycle)
        self._limit = n_messages
        self._end_ns = None if duration_ns is None else start_ns + duration_ns
        self._made = array("q")
        self._n_made = 0
        self._last_ns = start_ns
        self._recent: deque[tuple[int, int]] = deque()  # (first, last_ns) of the last millisecond

    def n_due(self, now_ns: int) -> int:
        return self._n_made

    def ahead(self, first: int) -> Iterable[Block]:
        return ()  # no message is intended for a time before it is made

    def is_done(self, first: int) -> bool:
        return self._limit is not None and first >= self._limit

    def due_ns(self, first: int) -> int:
        return self._last_ns

    def next_block(self, first: int, now_ns: int) -> Block | None:
        if self._end_ns is not None and now_ns >= self._end_ns:
            self.close(now_ns)
        n = self._block_records
        if self._limit is not None:
            n = min(n, self._limit - first)
        if n <= 0 or now_ns < self.wake_ns(first):
            return None
        block = block_at(self._members, first, n, now_ns - (n - 1))
        self._made.extend((n, block.start_ns))
        self._n_made = block.stop
        self._last_ns = now_ns
        while self._recent and self._recent[0][1] + NS_PER_MS < now_ns:
            self._recent.popleft()
        self._recent.append((first, now_ns))
        return block

    def wake_ns(self, first: int) -> int:
        """After the last block, and a millisecond after the last turn of each of its devices."""
        n = self._block_records
        wake_ns = self._last_ns + n
        last_turn = first + n - 1 - self._members.n_per_cycle
        for begin, last_ns in reversed(self._recent):
            if begin <= last_turn:
                return max(wake_ns, last_ns + NS_PER_MS + n)
        return wake_ns

    def close(self, now_ns: int) -> None:
        self._limit = self._n_made

    def blocks(self) -> NDArray[np.int64]:
        """int64[n_blocks, 2]: records and start (ns since the epoch) of each block made so far."""
        return np.frombuffer(self._made.tobytes(), dtype=np.int64).reshape(-1, 2)
