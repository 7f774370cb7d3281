"""The producer of one partition: entries go out in order, and each is settled once.

Promise: an entry is confirmed only by the broker's receipt for it. Whatever breaks, the producer
comes back under its name and sends again what has no receipt, in order, with the same boundaries;
or it ends with an exception of ours that says why. It must not know blocks, records or the clock.

What a receipt means, and what does not (found in the broker's source, docs/adr/0008):

- The last sequence id that the broker tells when a producer is made counts what was *begun* to be
  stored, so it settles nothing. An entry is sent again, and its receipt is 1:2 or, of an entry that
  is stored already, −1:−1.
- −1:−1 for an entry that the broker cannot have says that its id is not above those stored: it was
  dropped, though it is new. That is an error.
- While an entry is being stored, the same entry sent again is refused ("cannot determine"): then
  the producer closes, which waits until all is stored, and comes back.
- A name that has stored something that is not ours was somebody else's meanwhile: the lane is lost.

All of it runs on one event loop, but for `Producer.post`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any, Final

from iot_producer.errors import (
    IotProducerError,
    MissingTopicError,
    NameTakenError,
    NotPulsarError,
    UnreachableError,
)
from iot_producer.pulsar.client import Backoff, PulsarClient
from iot_producer.pulsar.commands import CommandType, ServerError
from iot_producer.pulsar.connection import Connection
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.outgoing import Listener, Outgoing, ProducerConfig
from iot_producer.pulsar.registration import register, unregister
from iot_producer.pulsar.server_errors import FINAL_ERRORS, explained, lost_lane

__all__ = ["Listener", "Outgoing", "Producer", "ProducerConfig"]

_NOWHERE: Final = 2**64 - 1
_MOST_DAMAGED: Final = 3
_CLOSE_S: Final = 5.0
_TICKS: Final = 4
_SMALL_BYTES: Final = 64 * 1024


class Producer:
    """A producer, to be opened with `open`.

    Args:
        client: finds its broker.
        config: what to produce to.
        listener: is told of entries.
        deduplication: what is known of the topic's; None: this producer alone finds out.

    Attributes:
        number: its id on connections; frames must carry it.
        name: as the broker calls it, once it is open.
        last_id: highest sequence id under this name before it was opened; −1: none, or the broker
            does not deduplicate.
        is_ready: whether entries go out at once.
        trouble: what keeps it from that; empty when nothing does.
        failure: why it has ended for good; None: it has not.
        n_reconnects: how often it came back.
        wire_bytes: of the entries that were handed to connections, those sent again included.
        max_message_bytes: largest entry that its broker takes.
    """

    def __init__(
        self,
        client: PulsarClient,
        config: ProducerConfig,
        listener: Listener,
        deduplication: Deduplication | None = None,
    ) -> None:
        self.number = client.new_number()
        self.name = config.name
        self.last_id = -1
        self.is_ready = False
        self.trouble = ""
        self.failure: IotProducerError | None = None
        self.n_reconnects = 0
        self.wire_bytes = 0
        self.max_message_bytes = 0
        self._client = client
        self._config = config
        self._listener = listener
        self._deduplication = deduplication or Deduplication()
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._epoch = 0
        self._pending: deque[Outgoing] = deque()
        self._sent_id = -1
        self._settled_id = -1
        self._n_sent_again = 0
        self._n_confirmed = 0
        self._was_shut = False
        self._is_open = False
        self._return: asyncio.Task[None] | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._n_idle_ticks = 0
        self._n_posted = 0
        # Held by whoever looks at or changes what is pending, or whether it goes out at once.
        self._lock = threading.RLock()

    @property
    def topic(self) -> str:
        """What it produces to."""
        return self._config.topic

    @property
    def deduplicates(self) -> bool | None:
        """Whether the broker does; None as long as that cannot be told."""
        return self._deduplication.is_on

    @property
    def n_maybe_duplicated(self) -> int:
        """Messages that may be stored twice, for want of deduplication."""
        return 0 if self.deduplicates else self._n_sent_again

    @property
    def n_pending(self) -> int:
        """Entries that are not settled."""
        return len(self._pending)

    async def open(self) -> None:
        """Make it on the broker; one attempt.

        Raises:
            NameTakenError: somebody else has the name.
            UnreachableError: trying again may help.
            RefusedError: it does not.
        """
        self.last_id = self._settled_id = self._sent_id = await self._create()
        self._deduplication.heard(self.last_id, has_stored=False)
        self._is_open = True
        self._set_ready()
        self._tick_timer = self._loop.call_later(self._config.send_timeout_s / _TICKS, self._tick)

    def send(self, entry: Outgoing) -> None:
        """Send an entry after all before it; when the producer is not ready, as soon as it is.

        One whose ids are not above all before it fails at once: a broker that deduplicates would
        drop it, and could not tell it from one that is sent again.
        """
        with self._lock:
            self._send(entry)

    def post(self, entry: Outgoing) -> bool:
        """Send an entry from another thread, always the same one.

        A small entry goes out here and now where nothing is in its way: waking the loop's thread
        costs more than to send it. A large one is left to the loop, so that the caller can make the
        next one meanwhile.

        Returns:
            whether it went. If not, the caller must let the loop call `take`, in order.
        """
        with self._lock:
            if (
                self._n_posted == 0
                and self.is_ready
                and self._connection is not None
                and self._connection.takes_from_any_thread
                and len(entry.parcel.frame) <= _SMALL_BYTES
            ):
                self._send(entry)
                return True
            self._n_posted += 1
            return False

    def take(self, entry: Outgoing) -> None:
        """Send an entry that did not go when it was posted."""
        with self._lock:
            self._n_posted -= 1
            self._send(entry)

    async def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Say good-bye to the broker, which frees the name; what is not settled stays so."""
        with self._lock:
            self._is_open = False
            self.is_ready = False
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        if self._return is not None:
            self._return.cancel()
        if self._connection is not None:
            self._connection.withdraw(self)
            await unregister(self._connection, self.number, timeout_s)
            self._connection.remove_producer(self.number)

    # Called by the connection:

    def received(self, kind: CommandType, payload: Any, body: memoryview | None) -> None:
        """As in `Handler`."""
        with self._lock:
            if kind is CommandType.SEND_RECEIPT:
                self._take_receipt(payload)
            elif kind is CommandType.SEND_ERROR:
                self._take_error(payload)
            else:  # the topic moves, or was closed
                self._was_shut = True
                self._come_back("the broker closed the producer")

    def lost(self, reason: str) -> None:
        """As in `Handler`."""
        with self._lock:
            self._was_shut = True
            self._come_back(reason)

    # What becomes of entries; the lock is held:

    def _send(self, entry: Outgoing) -> None:
        if entry.first_id <= self._sent_id:
            self._listener.settled(
                entry,
                f"its id {entry.first_id} is not above {self._sent_id}, which was sent before",
            )
            return
        self._sent_id = entry.last_id
        if not self._pending:
            self._n_idle_ticks = 0
        self._pending.append(entry)
        if self.is_ready:
            self._write(entry)

    def _write(self, entry: Outgoing) -> None:
        assert self._connection is not None
        self.wire_bytes += len(entry.parcel.frame)
        self._connection.write(entry.parcel)

    def _take_receipt(self, receipt: Any) -> None:
        if not self._pending or receipt.sequence_id < self._pending[0].first_id:
            return  # of an entry that was settled, and sent twice
        entry = self._pending[0]
        if receipt.sequence_id != entry.first_id:
            self._drop_connection(
                f"a receipt for {receipt.sequence_id}, where {entry.first_id} is next"
            )
            return
        self._n_idle_ticks = 0
        if receipt.message_id.ledger_id != _NOWHERE:
            self._settle(entry, "")
        elif entry.n_damaged:
            self._settle(entry, "damaged on its way, and what follows it is stored already")
        elif entry.maybe_stored:
            self._settle(entry, "")
        else:
            self._settle(
                entry,
                f"{self.topic} has messages of producer {self.name} at or after "
                f"{entry.first_id}: deduplication dropped what is not after them",
            )

    def _take_error(self, refusal: Any) -> None:
        entry = next((e for e in self._pending if e.last_id == refusal.sequence_id), None)
        if entry is None:
            return
        if refusal.error in FINAL_ERRORS:
            self._fail(self._explained(refusal.error, refusal.message))
            return
        entry.n_damaged += refusal.error == ServerError.CHECKSUM
        if refusal.error == ServerError.NOT_ALLOWED or entry.n_damaged >= _MOST_DAMAGED:
            self._settle(entry, self._explained(refusal.error, refusal.message).message)
        else:
            self._come_back(refusal.message, closes=True)

    def _settle(self, entry: Outgoing, error: str) -> None:
        if entry is self._pending[0]:
            self._pending.popleft()
        else:
            self._pending.remove(entry)
        self._settled_id = max(self._settled_id, entry.last_id)
        self._n_confirmed += not error
        self._listener.settled(entry, error)

    # Coming back:

    def _come_back(self, reason: str, closes: bool = False) -> None:
        """Make the producer anew, from the look-up on.

        Args:
            reason: why.
            closes: close it on the broker first, which stores what it has taken.
        """
        if self._is_open and self.failure is None and self._return is None:
            self.is_ready = False
            if self._connection is not None:
                # What waits there would follow the new producer, before what must be sent again.
                self._connection.withdraw(self)
            self.trouble = reason
            self._return = asyncio.create_task(self._return_with_patience(closes))

    async def _return_with_patience(self, closes: bool) -> None:
        if closes and self._connection is not None:
            trouble = await unregister(self._connection, self.number, _CLOSE_S)
            self._drop_connection(trouble)
        backoff, refused_s = Backoff(), 0.0  # since when
        while True:
            self._note_written()
            try:
                last_id = await self._create()
                break
            except (NameTakenError, MissingTopicError) as error:
                # A topic that is being deleted is refused until that is done, then made anew.
                refused_s = refused_s or self._loop.time()
                if self._loop.time() - refused_s >= self._config.name_wait_s:
                    is_taken = isinstance(error, NameTakenError)
                    self._fail(lost_lane(self.name, self.topic, error) if is_taken else error)
                    return
                self.trouble = error.message
            except (UnreachableError, NotPulsarError) as error:
                refused_s = 0.0
                self.trouble = error.message
            except IotProducerError as error:
                self._fail(error)
                return
            await asyncio.sleep(backoff.next_s())
        self._return = None
        with self._lock:
            self._resume(last_id)

    def _note_written(self) -> None:
        """Which entries the broker may have: those that left as a whole."""
        with self._lock:
            for entry in self._pending:
                entry.maybe_stored |= entry.parcel.is_written

    async def _create(self) -> int:
        """One attempt to make the producer; the last sequence id that the broker tells."""
        connection = await self._client.lookup(self.topic)
        if self._connection is not None and self._connection is not connection:
            self._connection.remove_producer(self.number)
        self._was_shut = False
        made = await register(
            connection,
            self,
            self.topic,
            self.number,
            self.name,
            self._epoch,
            is_given_name=bool(self._config.name),
        )
        if self._was_shut:
            raise UnreachableError(f"{connection.where} closed the producer as it was made")
        self._connection = connection
        self._epoch += 1
        self.name = made.producer_name
        self.max_message_bytes = connection.max_message_bytes
        return int(made.last_sequence_id)

    def _resume(self, last_id: int) -> None:
        """Send again what has no receipt."""
        sent = [entry for entry in self._pending if entry.maybe_stored]
        if last_id > self._settled_id and all(entry.last_id != last_id for entry in sent):
            self._fail(lost_lane(self.name, self.topic))
            return
        has_stored = self.last_id >= 0 or self._n_confirmed > 0
        self._deduplication.heard(last_id, has_stored=has_stored)
        if last_id < 0:
            self._n_sent_again += sum(entry.n_messages for entry in sent)
        self.n_reconnects += 1
        self._set_ready()
        for entry in self._pending:
            self._write(entry)

    def _set_ready(self) -> None:
        self._n_idle_ticks = 0
        self.trouble = ""
        self.is_ready = True
        self._listener.changed()

    def _fail(self, error: IotProducerError) -> None:
        with self._lock:
            if self.failure is None:
                self.failure = error
                self.is_ready = False
                self._listener.changed()

    def _drop_connection(self, reason: str) -> None:
        if reason and self._connection is not None:
            self._connection.close(reason)

    def _tick(self) -> None:
        """Count the time without receipts in ticks: a stop of this process does not count."""
        waits = self.is_ready and bool(self._pending)
        self._n_idle_ticks = self._n_idle_ticks + 1 if waits else 0
        seconds = self._config.send_timeout_s
        if self._n_idle_ticks > _TICKS:
            self._drop_connection(f"no receipt for {seconds:g} s")
        self._tick_timer = self._loop.call_later(seconds / _TICKS, self._tick)

    def _explained(self, error: int, said: str) -> IotProducerError:
        where = self._client.service_url if self._connection is None else self._connection.where
        return explained(error, said, where, self.topic, self.name)
