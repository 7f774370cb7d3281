"""ClickHouse: a server (``clickhouse://``) or the engine in this process (``chdb:///directory``).

Promise: the same code for both. Blocks are gathered; one thread encodes them as Arrow columns and
inserts them, so that a slow insert does not delay the next block. What a receipt means: the insert
that held the block returned, so its rows can be queried; they survive the death of either process.
(Surviving a power cut is a setting of the table, ``fsync_after_insert``.)

Each insert has a token made of the plan, the lane and the range of its messages. After a failure
whose outcome is unknown it is repeated with the same rows and token, and the table keeps it once.
Where the table does not deduplicate, it is not repeated: its records stay unconfirmed. An insert
that was refused for good becomes failed receipts. The gathering depends on the time, so the token
says nothing about a second run of the same plan.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.errors import ConfigError, DestinationError, UnreachableError
from iot_producer.fleet import Fleet
from iot_producer.lane import LaneSpec
from iot_producer.sinks.clickhouse_client import ClickHouseConfig, connect, failure
from iot_producer.sinks.clickhouse_table import prepare
from iot_producer.sinks.sink import Receipt, Sent, SinkCounters

NS_PER_S: Final = 1_000_000_000
_QUEUE_INSERTS: Final = 4
"""``send`` waits while so many full inserts are queued."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0


class ClickHouseSink:
    """Inserts blocks into a table.

    Args:
        config: where to.
        fleet: whose records.
        lane: which lane this is; part of the tokens.
        plan_identity: what tells this plan from any other; part of the tokens.
        clock: stamps, and the age of what is gathered.

    Raises:
        ConfigError: a package is missing; the directory cannot be one.
        UnreachableError: no server, or it does not answer in time.
        RefusedError: login, rights, a table with other columns, a directory in use.
    """

    def __init__(
        self,
        config: ClickHouseConfig,
        fleet: Fleet,
        lane: LaneSpec,
        plan_identity: str,
        clock: Clock,
    ) -> None:
        try:
            import pyarrow as pa

            from iot_producer.encoders.arrow import ROW_BYTES, ArrowEncoder
        except ImportError as error:
            extra = "embedded" if config.directory else "clickhouse"
            raise ConfigError(
                f"{config.where} needs pyarrow, which is not installed",
                f'pip install "iot-producer[{extra}]"',
            ) from error
        self._pa = pa
        self._row_bytes = ROW_BYTES
        self._config = config
        self._clock = clock
        self._prefix = f"{plan_identity}:{lane.index}of{lane.n_lanes}"
        self._client = connect(config, config.connect_timeout_s)
        try:
            self._repeats = prepare(self._client, config)
            if not config.directory:  # from now on, wait longer for an answer
                self._client.close()
                self._client = connect(config, config.insert_timeout_s)
        except BaseException:
            self._client.close()
            raise
        self._encoder = ArrowEncoder(fleet)
        self._changed = threading.Condition()
        self._queue: deque[tuple[Block, int]] = deque()  # with the time of sending
        self._n_rows = 0
        self._receipts: list[Receipt] = []
        self._inserting = False
        self._flushing = False
        self._error: DestinationError | None = None
        self._closing = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="clickhouse-insert", daemon=True)
        self._thread.start()

    def send(self, block: Block) -> Sent:
        """As the seam says; waits while four full inserts are queued.

        Raises:
            DestinationError: an insert failed for good.
        """
        limit = _QUEUE_INSERTS * self._config.gather_rows
        with self._changed:
            self._changed.wait_for(lambda: self._n_rows < limit or self._error is not None)
            if self._error is not None:
                raise self._error
            now_ns = self._clock.now_ns()
            self._queue.append((block, now_ns))
            self._n_rows += block.n
            if len(self._queue) == 1 or self._n_rows >= self._config.gather_rows:
                self._changed.notify_all()
        return Sent(now_ns, block.n * self._row_bytes, {})

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        with self._changed:
            if timeout_s > 0:
                self._changed.wait_for(lambda: self._receipts, timeout_s)
            taken, self._receipts = self._receipts, []
        return taken

    def drain(self, timeout_s: float) -> None:
        """Insert what is gathered, and wait for it.

        Raises:
            DestinationError: an insert failed for good.
        """
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not (self._queue or self._inserting) or self._error is not None, timeout_s
            )
            self._flushing = False
            if self._error is not None:
                raise self._error

    def counters(self) -> SinkCounters:
        return SinkCounters()

    def close(self) -> None:
        """Wait for the insert under way, if any, and drop what is still gathered."""
        if self._closed:
            return
        self._closed = True
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        # The embedded engine must not be closed under an insert; a server's answer has a time-out.
        self._thread.join(None if self._config.directory else self._config.insert_timeout_s + 5)
        self._client.close()

    def _work(self) -> None:
        while blocks := self._next():
            receipts, error = self._insert(blocks)
            with self._changed:
                self._inserting = False
                self._receipts += receipts
                self._error = error
                self._changed.notify_all()
            if error is not None:
                return

    def _next(self) -> list[Block]:
        """The blocks of the next insert, in one range, when it is due; none at the end."""
        config = self._config
        with self._changed:
            while not self._closing.is_set():
                remaining_s = None
                if self._queue:
                    age_ns = self._clock.now_ns() - self._queue[0][1]
                    remaining_s = config.gather_s - age_ns / NS_PER_S
                    if self._flushing or self._n_rows >= config.gather_rows or remaining_s <= 0:
                        return self._take()
                self._changed.wait(remaining_s)
        return []

    def _take(self) -> list[Block]:
        taken = [self._queue.popleft()[0]]
        n_rows = taken[0].n
        while (
            self._queue
            and n_rows < self._config.gather_rows
            and self._queue[0][0].first == taken[-1].stop
        ):
            taken.append(self._queue.popleft()[0])
            n_rows += taken[-1].n
        self._n_rows -= n_rows
        self._inserting = True
        self._changed.notify_all()
        return taken

    def _insert(self, blocks: list[Block]) -> tuple[list[Receipt], DestinationError | None]:
        """Insert a range, again and again while that makes sense; receipts, and why to stop."""
        from clickhouse_connect.driver.exceptions import ClickHouseError

        config = self._config
        rows = self._encoder.encode(
            np.concatenate([block.devices for block in blocks]),
            np.concatenate([block.times_ms for block in blocks]),
        )
        table = self._pa.Table.from_batches([rows])
        settings = {
            "insert_deduplicate": "1",
            "insert_deduplication_token": f"{self._prefix}:{blocks[0].first}-{blocks[-1].stop}",
            "async_insert": "0",  # a server that collects inserts would forget the token
        }
        give_up_ns = self._clock.now_ns() + round(config.give_up_after_s * NS_PER_S)
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self._client.insert_arrow(config.table, table, config.database, settings)
                return self._stamp(blocks, ""), None
            except (ClickHouseError, OSError) as error:
                found = failure(error, config)
                found.__cause__ = error
            if not isinstance(found, UnreachableError):
                return self._stamp(blocks, found.message), found
            if not self._repeats:
                found.hint = (
                    "the insert was not repeated, because the table would store it twice: "
                    "set its non_replicated_deduplication_window"
                )
                return [], found
            if self._clock.now_ns() >= give_up_ns or self._closing.wait(pause_s):
                return [], found
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _stamp(self, blocks: list[Block], error: str) -> list[Receipt]:
        now_ns = self._clock.now_ns()
        return [Receipt(b.first, b.stop, b.n, now_ns, error=error) for b in blocks]
