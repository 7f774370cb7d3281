"""The sink that publishes to a Pulsar topic over our own transport.

Promise: a message is confirmed only by the broker's receipt for the very entry that it is in. It
must not know pacing, tallies, or how the topic came to be.

A block makes one entry on each partition that it touches (more, where one would be larger than the
broker takes), and one receipt for each of these partitions. Entries are built in the caller's
thread, the GIL released, while an event loop in a thread of its own sends those before.

A broken connection is made anew, and what has no receipt is sent again, in order and with the same
boundaries. What was stored already is then stored twice, unless the broker deduplicates; the sink
counts what may be. What ends a producer (topic terminated, lane taken over) leaves the fate of
unanswered entries open: they stay unconfirmed, and the sink raises.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from iot_producer.blocks import Block
from iot_producer.clock import Clock
from iot_producer.errors import IotProducerError, UnreachableError
from iot_producer.fleet import Fleet
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.event_loop import EventLoop
from iot_producer.pulsar.patience import Say, patiently
from iot_producer.pulsar.producer import Outgoing, Producer, ProducerConfig
from iot_producer.pulsar.topic_producers import Topic, TopicProducers, open_producers
from iot_producer.sinks.block_entries import EntryMaker, Part, parts_of
from iot_producer.sinks.pulsar_native_config import NativePulsarConfig
from iot_producer.sinks.sink import Receipt, Sent, SinkCounters

__all__ = ["NativePulsarConfig", "NativePulsarSink"]

_NS_PER_S: Final = 1_000_000_000
_SLICE_S: Final = 0.05
_FIRST_WORD_S: Final = 2.0

_Arrived = tuple[Outgoing | None, str, int]
"""An entry, why it failed, when (ns since the epoch); no entry: a sentence, or just a wake-up."""


class NativePulsarSink:
    """Publishes to one topic under one producer name; on each partition, where there are any.

    Creating it connects; that may take as long as ``give_up_after_s`` says.

    Args:
        config: where and how.
        fleet: whose records.
        clock: stamps, and waits.
        say: is told of failed attempts to connect, and of a destination that makes it wait.

    Attributes:
        deduplication: what is known of the topic's; whoever finds out more may tell it.

    Raises:
        UnreachableError: nobody answered in time.
        NameTakenError: another producer has the name.
        RefusedError: the topic does not exist and is not created, no rights.
        ConfigError: the topic's name is malformed, or a file of the security settings is.
    """

    def __init__(self, config: NativePulsarConfig, fleet: Fleet, clock: Clock, say: Say) -> None:
        self._config = config
        self._url = config.connection.service_url
        self._clock = clock
        self._say = say
        self._maker = EntryMaker(fleet, config.compression)
        self._arrived: queue.SimpleQueue[_Arrived] = queue.SimpleQueue()
        self._ready: list[Receipt] = []
        self._n_pending = 0
        self._pending_bytes = 0
        self._torn: int | None = None
        self._is_closed = False
        self.deduplication = Deduplication()
        self._loop = EventLoop()
        try:
            self._producers = patiently(
                self._open, clock, say, config.give_up_after_s, config.name_wait_s
            )
        except BaseException:
            self._loop.close()
            raise
        self._progress_ns = clock.now_ns()
        self._loop.call(self._producers.watch, config.partitions_poll_s, self._tell)

    @property
    def partitions(self) -> int:
        """How many partitions the topic has; 0 where it is not partitioned."""
        return self._topic.n_partitions

    @property
    def n_pending(self) -> int:
        """Messages without a receipt."""
        return self._n_pending

    @property
    def last_ids(self) -> tuple[int, ...]:
        """Highest sequence id of this name at the start, by partition (one where there are none).

        −1: none, or the broker does not deduplicate.
        """
        return tuple(producer.last_id for producer in self._topic.producers)

    @property
    def deduplicates(self) -> bool | None:
        """Whether the broker does; None as long as that cannot be told."""
        return self.deduplication.is_on

    @property
    def n_maybe_duplicated(self) -> int:
        """Messages that may be stored twice, for want of deduplication."""
        return sum(producer.n_maybe_duplicated for producer in self._topic.producers)

    def prepare(self, block: Block) -> None:
        """As in `PreparingSink`."""
        self._maker.prepare(block, self._topic)

    def send(self, block: Block) -> Sent:
        topic = self._topic
        if not self._is_clear(topic, block.n):
            touched = [topic.producers[part.partition or 0] for part in parts_of(block, topic)]
            self._take_arrived()
            self._await(lambda: self._has_room(block.n), "has not confirmed what was sent")
            self._await(lambda: all(each.is_ready for each in touched), "has no connection")
        try:
            now_ns = self._clock.now_ns()
            made = self._maker.take(block, topic, now_ns)
            for part, producer in made.too_old:
                self._add(part, now_ns, self._too_old(producer))
            if not self._n_pending:
                self._progress_ns = now_ns
            for _, entry in made.entries:
                self._n_pending += entry.n_messages
                self._pending_bytes += len(entry.parcel.frame)
            left = [
                (producer, entry) for producer, entry in made.entries if not producer.post(entry)
            ]
            if left:
                self._loop.call(_take_all, left)
        except BaseException:
            # The caller cannot tell what of the block has left: none of it will be confirmed.
            self._torn = block.first
            raise
        n_by_partition = {p.partition: p.n for p in made.parts if p.partition is not None}
        return Sent(self._clock.now_ns(), made.raw_bytes, n_by_partition)

    def receipts(self, timeout_s: float = 0.0) -> Sequence[Receipt]:
        """As in `Sink`.

        Raises:
            UnreachableError: there are none, and nothing came for ``give_up_after_s``.
            RefusedError: there are none, and a producer has come to its end.
        """
        self._take_arrived()
        if not self._ready and not self._is_closed:
            self._check()
            if timeout_s > 0:
                self._take_arrived(timeout_s)
        taken, self._ready = self._ready, []
        return taken

    def drain(self, timeout_s: float) -> None:
        end_ns = self._clock.now_ns() + round(timeout_s * _NS_PER_S)
        self._take_arrived()
        while self._n_pending and self._failure() is None and not self._is_closed:
            left_s = (end_ns - self._clock.now_ns()) / _NS_PER_S
            if left_s <= 0:
                return
            self._take_arrived(min(left_s, _SLICE_S))

    def counters(self) -> SinkCounters:
        producers = self._topic.producers
        return SinkCounters(
            sum(producer.wire_bytes for producer in producers),
            sum(producer.n_reconnects for producer in producers),
            self.n_maybe_duplicated,
            self.deduplicates,
        )

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with suppress(TimeoutError, RuntimeError):
                timeout_s = self._config.close_timeout_s
                self._loop.run(self._producers.close(timeout_s), 2 * timeout_s)
        finally:
            self._loop.close()
            self._take_arrived()

    @property
    def _topic(self) -> Topic:
        return self._producers.topic

    def _open(self, left_s: float | None) -> TopicProducers:
        config = self._config
        timeout_s = None if left_s is None else max(left_s, 1.0)
        producer = ProducerConfig(
            config.topic, config.producer_name, config.send_timeout_s, config.lane_wait_s
        )
        return self._loop.run(
            open_producers(config.connection, producer, self, self.deduplication, timeout_s)
        )

    def _is_clear(self, topic: Topic, n: int) -> bool:
        """Whether nothing keeps a block of ``n`` messages from being sent."""
        for producer in topic.producers:
            if not producer.is_ready or producer.failure is not None:
                return False
        return self._has_room(n)

    def _has_room(self, n: int) -> bool:
        return self._n_pending == 0 or (
            self._n_pending + n <= self._config.max_pending
            and self._pending_bytes < self._config.max_pending_bytes
        )

    def _await(self, condition: Callable[[], bool], why: str) -> None:
        """Wait until the condition holds; say so if that takes long.

        Raises:
            DestinationError: it never will, or it takes too long.
        """
        if condition() and self._failure() is None:
            return
        began_ns = self._clock.now_ns()
        if not self._n_pending:
            self._progress_ns = began_ns
        word_ns = began_ns + round(_FIRST_WORD_S * _NS_PER_S)
        while True:
            self._check(waiting=True)
            if condition():
                break
            now_ns = self._clock.now_ns()
            if now_ns >= word_ns:
                waited_s = (now_ns - began_ns) / _NS_PER_S
                self._say(f"{self._url} {why} for {waited_s:.0f} s; waiting{self._trouble()}")
                word_ns = now_ns + 2 * (now_ns - began_ns)
            self._take_arrived(_SLICE_S)
        waited_s = (self._clock.now_ns() - began_ns) / _NS_PER_S
        if waited_s >= _FIRST_WORD_S:
            self._say(f"{self._url} goes on after {waited_s:.1f} s")

    def _check(self, waiting: bool = False) -> None:
        """Raise what makes it senseless to go on.

        Args:
            waiting: for something else than receipts, too.
        """
        failure = self._failure()
        if failure is not None:
            raise failure
        limit_s = self._config.give_up_after_s
        silent_s = (self._clock.now_ns() - self._progress_ns) / _NS_PER_S
        if limit_s is not None and silent_s >= limit_s and (waiting or self._n_pending):
            raise UnreachableError(
                f"{self._url} has confirmed nothing for {silent_s:.0f} s; {self._n_pending} "
                f"messages to {self._config.topic} are unconfirmed{self._trouble()}",
                "see what the broker does; --give-up-after sets how long to wait",
            )

    def _failure(self) -> IotProducerError | None:
        for producer in self._topic.producers:
            if producer.failure is not None:
                return producer.failure
        return None

    def _trouble(self) -> str:
        troubles = [producer.trouble for producer in self._topic.producers if producer.trouble]
        return f". {troubles[0]}" if troubles else ""

    def _take_arrived(self, timeout_s: float = 0.0) -> None:
        """Turn answers into receipts; wait for the first."""
        for entry, text, at_ns in _drained(self._arrived, timeout_s):
            if entry is None:
                if text:
                    self._say(text)
                continue
            part: Part = entry.tag[0]
            self._n_pending -= entry.n_messages
            self._pending_bytes -= len(entry.parcel.frame)
            self._maker.release(entry)
            self._progress_ns = at_ns
            part.n_open -= 1
            part.error = part.error or text
            if not part.n_open:
                self._add(part, at_ns, part.error)

    def _add(self, part: Part, at_ns: int, error: str) -> None:
        if part.first != self._torn:
            place = part.partition
            self._ready.append(
                Receipt(part.first, part.stop, part.n, at_ns, place, part.members, error)
            )

    def _too_old(self, producer: Producer) -> str:
        return (
            f"{self._config.topic} has messages of producer {producer.name} up to "
            f"{producer.last_id}: deduplication would drop what is not after it"
        )

    # On the loop, as a producer's Listener:

    def settled(self, entry: Outgoing, error: str) -> None:
        """As in `Listener`."""
        self._arrived.put((entry, error, self._clock.now_ns()))

    def changed(self) -> None:
        """As in `Listener`: the caller may wait for it."""
        self._arrived.put((None, "", 0))

    def _tell(self, text: str) -> None:
        self._arrived.put((None, text, 0))


def _take_all(posted: Iterable[tuple[Producer, Outgoing]]) -> None:
    for producer, entry in posted:
        producer.take(entry)


def _drained(arrived: queue.SimpleQueue[_Arrived], timeout_s: float) -> Iterable[_Arrived]:
    try:
        yield arrived.get(timeout=timeout_s) if timeout_s > 0 else arrived.get_nowait()
        while True:
            yield arrived.get_nowait()
    except queue.Empty:
        return
