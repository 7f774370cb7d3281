"""The sink that publishes to a Pulsar topic with the official client.

Promise: a message is confirmed only by the broker's receipt for the very entry that it is in. It
must not know pacing, tallies, or how the topic came to be.

A block makes one entry on each partition that it touches, and each of them one receipt.

What may follow a broken connection: the client sends again what has no receipt, in order and with
the same boundaries. What was stored already is then stored twice, unless the broker deduplicates.
What ends the producer (topic terminated, name taken over) leaves the fate of unanswered entries
open: they stay unconfirmed, and the sink raises.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.errors import ConfigError, IotProducerError, UnreachableError
from iot_producer.fleet import I_CUSTOMER, I_TYPE, Fleet
from iot_producer.pulsar.client_errors import explained
from iot_producer.pulsar.client_log import last_words
from iot_producer.pulsar.message_keys import customer_names, device_keys, partition_of
from iot_producer.pulsar.official_client import (
    Say,
    close_client,
    connect,
    n_partitions,
    silent,
)
from iot_producer.pulsar.partition_producer import (
    Message,
    PartitionProducer,
    create_producers,
)
from iot_producer.schema import DEVICE_TYPES
from iot_producer.sinks.pulsar_config import PulsarSinkConfig
from iot_producer.sinks.sink import Receipt, Sent, SinkCounters

_NS_PER_S: Final = 1_000_000_000
_SLICE_S: Final = 0.05
_FIRST_WORD_S: Final = 2.0
# Results that are given to a message that the broker certainly does not have.
_FAILURES: Final = frozenset({"MessageTooBig", "ChecksumError", "CryptoError", "InvalidMessage"})


@dataclass(frozen=True, slots=True)
class _Entry:
    """The messages of one block that go to one partition."""

    producer: PartitionProducer
    first: int
    stop: int
    n: int
    partition: int | None
    members: NDArray[np.int32] | None


_Arrived = tuple[_Entry, str, int, int]
"""An entry, its result's name, the last message's batch index, when (ns since the epoch)."""


class PulsarSink:
    """Publishes to one topic under one producer name; on each partition, where there are any.

    Creating it connects; that may take as long as ``give_up_after_s`` says.

    Args:
        config: where and how.
        fleet: whose records.
        clock: stamps, and waits.
        say: is told of failed attempts to connect, and of a destination that makes it wait.

    Raises:
        UnreachableError: nobody answered in time.
        RefusedError: the topic does not exist and is not created, the name is taken, no rights.
        ConfigError: the service URL or the topic's name is malformed.
    """

    def __init__(
        self, config: PulsarSinkConfig, fleet: Fleet, clock: Clock, say: Say = silent
    ) -> None:
        self._config = config
        self._clock = clock
        self._say = say
        self._encoder = JsonEncoder(fleet)
        self._type_of = fleet.identity[:, I_TYPE]
        self._customer_of = fleet.identity[:, I_CUSTOMER]
        self._arrived: queue.SimpleQueue[_Arrived] = queue.SimpleQueue()
        self._ready: list[Receipt] = []
        self._gone: IotProducerError | None = None
        self._torn: int | None = None
        self._closed = False
        self._client: Any
        self._client, (self._n_partitions, self._producers) = connect(
            config.client, self._open_producers, config.topic, clock, say, config.producer_name
        )
        self._progress_ns = clock.now_ns()

    @property
    def partitions(self) -> int:
        """How many partitions the topic has; 0 where it is not partitioned."""
        return self._n_partitions

    @property
    def n_pending(self) -> int:
        """Messages without a receipt."""
        return sum(producer.n_pending for producer in self._producers)

    def send(self, block: Block) -> Sent:
        most = self._config.max_entry_records
        if block.n > most:
            raise ConfigError(
                f"a block of {block.n} records does not fit into an entry of "
                f"{self._config.max_entry_bytes} bytes",
                f"lower --block-records to {most}",
            )
        self._take_arrived()
        order, entries = self._routed(block)
        self._await(lambda: self._has_room(block.n), "has not confirmed what was sent")
        self._await(lambda: all(e.producer.is_ready for e in entries), "has no connection")
        devices, intended_ns, times_ms = block.devices, block.intended_ns, block.times_ms
        if order is not None:
            devices, intended_ns, times_ms = devices[order], intended_ns[order], times_ms[order]
        rows = self._encoder.encode(devices, times_ms)
        messages = zip(
            rows.split(),
            map(DEVICE_TYPES.__getitem__, self._type_of[devices].tolist()),
            customer_names(self._customer_of[devices]),
            device_keys(devices),
            intended_ns.tolist(),
            times_ms.tolist(),
            strict=True,
        )
        try:
            for entry in entries:
                self._send_entry(entry, list(islice(messages, entry.n)))
        except BaseException:
            # The caller cannot tell what of the block has left: none of it will be confirmed.
            self._torn = block.first
            raise
        n_by_partition = {e.partition: e.n for e in entries if e.partition is not None}
        return Sent(self._clock.now_ns(), len(rows.buffer), n_by_partition)

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        """As in `Sink`.

        Raises:
            UnreachableError: there are none, and nothing came for ``give_up_after_s``.
            RefusedError: there are none, and the producer has come to its end.
        """
        self._take_arrived()
        if not self._ready and not self._closed:
            self._check()
            if timeout_s > 0:
                self._take_arrived(timeout_s)
        taken, self._ready = self._ready, []
        return taken

    def drain(self, timeout_s: float) -> None:
        end_ns = self._clock.now_ns() + round(timeout_s * _NS_PER_S)
        self._take_arrived()
        while self.n_pending and self._gone is None:
            left_s = (end_ns - self._clock.now_ns()) / _NS_PER_S
            if left_s <= 0:
                return
            self._take_arrived(min(left_s, _SLICE_S))

    def counters(self) -> SinkCounters:
        """Only what the client tells: ids of an earlier run that the broker has kept."""
        knows_ids = any(producer.stored_id >= 0 for producer in self._producers)
        return SinkCounters(deduplicates=True if knows_ids else None)

    def close(self) -> None:
        if not self._closed:
            self._take_arrived()
            self._closed = True
            close_client(self._client, self._config.close_timeout_s)
            self._client = None
            for producer in self._producers:
                producer.release()

    def _open_producers(self, client: Any) -> tuple[int, list[PartitionProducer]]:
        config = self._config
        timeout_s = config.client.answer_timeout_s
        n = n_partitions(client, config.topic, timeout_s)
        producers = create_producers(
            client,
            [f"{config.topic}-partition-{i}" for i in range(n)] or [config.topic],
            config.producer_name,
            config.compression,
            config.max_entry_records,
            config.max_entry_bytes,
            timeout_s,
        )
        return n, producers

    def _routed(self, block: Block) -> tuple[NDArray[np.int64] | None, list[_Entry]]:
        """The block's messages in the order of their partitions (None: as they are), cut there."""
        first, stop = block.first, block.stop
        if not self._n_partitions:
            return None, [_Entry(self._producers[0], first, stop, block.n, None, None)]
        places = partition_of(block.devices, self._n_partitions)
        order = np.argsort(places, kind="stable")
        entries = []
        begin = 0
        for place, n in enumerate(np.bincount(places).tolist()):
            if n:
                members = None if n == block.n else order[begin : begin + n].astype(np.int32)
                entries.append(_Entry(self._producers[place], first, stop, n, place, members))
            begin += n
        return order, entries

    def _send_entry(self, entry: _Entry, messages: Sequence[Message]) -> None:
        stored_id = entry.producer.stored_id
        if messages[0][4] <= stored_id:
            # The broker would drop the whole entry, and confirm it all the same.
            self._add(entry, self._clock.now_ns(), self._too_old(stored_id))
            return
        if not self.n_pending:
            self._progress_ns = self._clock.now_ns()
        put, now_ns = self._arrived.put, self._clock.now_ns
        entry.producer.send(messages, partial(_arrive, put, now_ns, entry))

    def _has_room(self, n: int) -> bool:
        n_pending = self.n_pending
        return n_pending == 0 or n_pending + n <= self._config.max_pending

    def _await(self, condition: Callable[[], bool], why: str) -> None:
        """Wait until the condition holds; say so if that takes long.

        Raises:
            DestinationError: it never will, or it takes too long.
        """
        if self._gone is None and condition():
            return
        began_ns = self._clock.now_ns()
        if not self.n_pending:
            self._progress_ns = began_ns
        word_ns = began_ns + round(_FIRST_WORD_S * _NS_PER_S)
        what = f"{self._config.service_url} {why}"
        while True:
            self._check(waiting=True)
            if condition():
                break
            now_ns = self._clock.now_ns()
            if now_ns >= word_ns:
                waited_s = (now_ns - began_ns) / _NS_PER_S
                self._say(f"{what} for {waited_s:.0f} s; waiting. {_last_words()}")
                word_ns = now_ns + 2 * (now_ns - began_ns)
            self._take_arrived(_SLICE_S)
        waited_s = (self._clock.now_ns() - began_ns) / _NS_PER_S
        if waited_s >= _FIRST_WORD_S:
            self._say(f"{self._config.service_url} goes on after {waited_s:.1f} s")

    def _check(self, waiting: bool = False) -> None:
        """Raise what makes it senseless to go on.

        Args:
            waiting: for something else than receipts, too.
        """
        if self._gone is None and any(producer.has_ended for producer in self._producers):
            self._gone = self._explained("TopicTerminated")
        if self._gone is not None:
            raise self._gone
        limit_s = self._config.give_up_after_s
        silent_s = (self._clock.now_ns() - self._progress_ns) / _NS_PER_S
        if limit_s is not None and silent_s >= limit_s and (waiting or self.n_pending):
            raise UnreachableError(
                f"{self._config.service_url} has confirmed nothing for {silent_s:.0f} s; "
                f"{self.n_pending} messages to {self._config.topic} are unconfirmed",
                f"see what the broker does; --give-up-after sets how long to wait. {_last_words()}",
            )

    def _take_arrived(self, timeout_s: float = 0.0) -> None:
        """Turn answers into receipts; wait for the first."""
        if not self._closed:
            for producer in self._producers:
                producer.flush()
        for entry, result, batch_index, at_ns in _drained(self._arrived, timeout_s):
            entry.producer.n_pending -= entry.n
            self._progress_ns = at_ns
            if result == "Ok" and batch_index < entry.n - 1:
                covered = batch_index + 1
                self._say(f"the receipt for {entry.n} messages covers only {covered} of them")
            elif result == "Ok":
                self._add(entry, at_ns, "")
            elif result in _FAILURES:
                self._add(entry, at_ns, self._explained(result).message)
            elif self._gone is None and not self._closed:
                self._gone = self._explained(result)

    def _add(self, entry: _Entry, at_ns: int, error: str) -> None:
        if entry.first != self._torn:
            members, place = entry.members, entry.partition
            self._ready.append(
                Receipt(entry.first, entry.stop, entry.n, at_ns, place, members, error)
            )

    def _explained(self, result: str) -> IotProducerError:
        config = self._config
        return explained(result, config.service_url, config.topic, config.producer_name)

    def _too_old(self, stored_id: int) -> str:
        return (
            f"{self._config.topic} has messages of producer {self._config.producer_name} up to "
            f"{stored_id}: deduplication would drop what is not after it"
        )


def _last_words() -> str:
    words = last_words()
    return f"The client's last word was: {words}" if words else ""


def _arrive(
    put: Callable[[_Arrived], None],
    now_ns: Callable[[], int],
    entry: _Entry,
    result: str,
    batch_index: int,
) -> None:
    put((entry, result, batch_index, now_ns()))


def _drained(arrived: queue.SimpleQueue[_Arrived], timeout_s: float) -> Iterable[_Arrived]:
    try:
        yield arrived.get(timeout=timeout_s) if timeout_s > 0 else arrived.get_nowait()
        while True:
            yield arrived.get_nowait()
    except queue.Empty:
        return
