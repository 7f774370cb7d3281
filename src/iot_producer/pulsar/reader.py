"""A reader of one partition: whole entries in their order, on an event loop.

Promise: each entry is delivered once, in order, through lost connections and topics that move; no
more than so many messages and bytes wait for their use, by permits; nothing is left on the broker
(the subscription is not durable), and no topic is made. It must not know what is in an entry, nor
threads.

What the broker does was seen on 4.0.8: after SEEK it closes the consumer first and answers then,
and a new SUBSCRIBE under the same name goes on from the place that was sought. A start message id
without a batch index means "behind it".
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from iot_producer.errors import (
    IotProducerError,
    MissingTopicError,
    NotPulsarError,
    UnreachableError,
)
from iot_producer.pulsar.client import Backoff, PulsarClient
from iot_producer.pulsar.commands import CommandType, MessageMetadata, SubscriptionType
from iot_producer.pulsar.connection import Connection, RefusalError
from iot_producer.pulsar.server_errors import explained
from iot_producer.pulsar.wire import DEFAULT_MAX_MESSAGE_BYTES, Body, WireError, parse_body

_EARLIEST: Final = {"ledger_id": (1 << 64) - 1, "entry_id": (1 << 64) - 1}
_CUMULATIVE: Final = 1
_NO_ENTRY: Final = (1 << 63) - 1  # ids beyond it are −1 as an unsigned number


class EntryId(NamedTuple):
    """Where an entry is stored; they are in order."""

    ledger: int
    entry: int


NOWHERE: Final = EntryId(-1, -1)
"""Before all entries."""
MOST_BYTES: Final = 64 * 1024 * 1024

_UNKNOWN_WORDS: Final = "Consumer not found"


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it is stored.

    Attributes:
        id: where.
        body: its metadata and payload; None where they cannot be parsed.
        n_permits: messages that it counts for.
        n_bytes: of memory that it holds.
        received_ns: when it was here.
    """

    id: EntryId
    body: Body | None
    n_permits: int
    n_bytes: int
    received_ns: int


@dataclass(frozen=True, slots=True)
class End:
    """Where a partition ends, by the broker's word.

    Attributes:
        last: its last entry; NOWHERE where there is none.
        passed: nothing that this reader can still get lies at or before it: acknowledged, before
            the place that was sought, or removed by retention.
    """

    last: EntryId
    passed: EntryId


class PartitionReader:
    """Reads one partition, or a topic that has none.

    Args:
        client: finds the broker.
        topic: the partition's full name.
        deliver: is called with each entry, on the loop.
        failed: is called once with what ends the reader, on the loop.
        now_ns: the time.
        since_ms: begin with the first entry published at or after it, ms since the epoch; None:
            with the first there is.
        is_compacted: of what the broker has compacted, take the last message of each key only.
        n_permits: so many messages may wait for `consumed`.
        most_bytes: about so many bytes may wait.
        give_up_after_s: how long to try to connect again; None: for ever.

    Attributes:
        topic: as given.
        failure: what has ended it; None while it goes on.
    """

    def __init__(
        self,
        client: PulsarClient,
        topic: str,
        deliver: Callable[[StoredEntry], None],
        failed: Callable[[IotProducerError], None],
        now_ns: Callable[[], int],
        *,
        since_ms: int | None = None,
        is_compacted: bool = False,
        n_permits: int = 20_000,
        most_bytes: int = MOST_BYTES,
        give_up_after_s: float | None = 30.0,
    ) -> None:
        self.topic = topic
        self._client = client
        self._deliver = deliver
        self._failed = failed
        self._now_ns = now_ns
        self._since_ms = since_ms
        self._is_compacted = is_compacted
        self._n_permits = n_permits
        self._most_bytes = most_bytes
        self._give_up_after_s = give_up_after_s
        self._subscription = f"iot-producer-{os.urandom(8).hex()}"
        self._connection: Connection | None = None
        self._number = 0
        self._seen = NOWHERE
        self._taken = NOWHERE  # the last entry that was consumed
        self._n_waiting = 0
        self._waiting_bytes = 0
        self._n_left = 0  # permits that the broker has; it may overdraw them by an entry
        self._bytes_a_permit: float | None = None  # not known before the first entry
        self._is_closed = False
        self._is_started = False
        self._again: asyncio.Task[None] | None = None
        self.failure: IotProducerError | None = None

    async def open(self) -> None:
        """Subscribe and go to the place where reading begins; nothing comes before `start`.

        Raises:
            MissingTopicError: it is not there.
            UnreachableError, RefusedError: as PulsarClient.lookup.
        """
        connection = await self._subscribe()
        if self._since_ms is None:
            return
        await self._ask(
            connection,
            CommandType.SEEK,
            consumer_id=self._number,
            message_publish_time=self._since_ms,
        )
        connection.remove_consumer(self._number)
        await self._subscribe()

    def start(self) -> None:
        """Let entries come; from here on it connects again by itself."""
        self._is_started = True
        self._n_left = 0
        self._grant()

    def limit(self, n_permits: int, most_bytes: int) -> None:
        """So many messages and bytes may wait from now on; what waits already, does."""
        self._n_permits = n_permits
        self._most_bytes = most_bytes

    async def end(self) -> End:
        """Where the partition ends now.

        Raises:
            UnreachableError: the broker does not say, for now.
            IotProducerError: what ended the reader.
        """
        if self.failure is not None:
            raise self.failure
        if self._connection is None and not self._is_started and not self._is_closed:
            await self.open()
        connection = self._connection
        if connection is None or not connection.is_open:
            raise UnreachableError(f"the reader of {self.topic} is not connected")
        try:
            answer = await connection.request(
                CommandType.GET_LAST_MESSAGE_ID, consumer_id=self._number
            )
        except RefusalError as error:
            if _UNKNOWN_WORDS in error.said:
                # The broker closed it and its word passed ours: as if it had told us now.
                self.lost("the broker does not know it")
            raise explained(error.error, error.said, connection.where, self.topic) from error
        passed = NOWHERE
        if answer.HasField("consumer_mark_delete_position"):
            passed = entry_id_of(answer.consumer_mark_delete_position)
        return End(entry_id_of(answer.last_message_id), max(passed, self._taken))

    def consumed(self, last: EntryId, n_permits: int, n_bytes: int) -> None:
        """Entries were made use of, up to one: so many permits and bytes are free again."""
        self._taken = last
        self._n_waiting -= n_permits
        self._waiting_bytes -= n_bytes
        if self._grant():
            self.acknowledge()

    def acknowledge(self) -> None:
        """Tell the broker how far we are: its own bookkeeping moves on (it deletes nothing)."""
        if self._connection is not None and self._taken != NOWHERE:
            self._connection.tell(
                CommandType.ACK,
                consumer_id=self._number,
                ack_type=_CUMULATIVE,
                message_id=[{"ledger_id": self._taken.ledger, "entry_id": self._taken.entry}],
            )

    async def close(self) -> None:
        """Leave. The broker forgets the subscription then, as it does when the connection ends."""
        self._is_closed = True
        if self._again is not None:
            self._again.cancel()
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            connection.remove_consumer(self._number)
            with suppress(IotProducerError):  # the connection's end says good-bye too
                await self._ask(connection, CommandType.CLOSE_CONSUMER, consumer_id=self._number)

    # Handler of the connection.

    def received(self, kind: CommandType, payload: Any, body: memoryview | None) -> None:
        if kind is CommandType.MESSAGE:
            self._take(entry_id_of(payload.message_id), body)
        elif kind in (CommandType.CLOSE_CONSUMER, CommandType.TOPIC_MIGRATED):
            self.lost("the broker closed it")

    def lost(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.remove_consumer(self._number)
        self._connection = None
        if self._is_started and not self._is_closed and self._again is None:
            self._again = asyncio.get_running_loop().create_task(self._reconnect())

    def _take(self, place: EntryId, body: memoryview | None) -> None:
        if place <= self._seen:
            return  # it came before the connection broke
        self._seen = place
        parsed = None
        try:
            if body is not None:
                parsed = parse_body(body)
        except WireError:
            pass  # the entry itself is damaged; the frame was not
        n = 1 if parsed is None else n_permits_of(parsed.metadata)
        n_bytes = 0 if body is None else len(body)
        self._n_left -= n
        self._n_waiting += n
        self._waiting_bytes += n_bytes
        # Up at once, down by and by: a topic may hold messages of all sizes.
        mine = max(n_bytes / n, 1.0)
        known = self._bytes_a_permit
        self._bytes_a_permit = mine if known is None else max(mine, (7 * known + mine) / 8)
        self._deliver(StoredEntry(place, parsed, n, n_bytes, self._now_ns()))
        self._grant()

    def _grant(self) -> bool:
        """Give the broker more permits if that is worth a command; whether it was."""
        bytes_a_permit = self._bytes_a_permit or DEFAULT_MAX_MESSAGE_BYTES
        bytes_room = (self._most_bytes - self._waiting_bytes) / bytes_a_permit
        most = min(self._n_permits, int(self._most_bytes / bytes_a_permit))
        room = min(self._n_permits - self._n_waiting, int(bytes_room)) - self._n_left
        if self._n_waiting == 0 and self._n_left <= 0:
            room = max(room, 1 - self._n_left)  # however large the next one is
        if self._connection is None or room < max(most // 2, 1):
            return False
        self._n_left += room
        self._connection.tell(CommandType.FLOW, consumer_id=self._number, message_permits=room)
        return True

    async def _subscribe(self) -> Connection:
        connection = await self._client.lookup(self.topic)
        self._number = self._client.new_number()
        connection.add_consumer(self._number, self)
        start = _EARLIEST
        if self._seen != NOWHERE:
            start = {"ledger_id": self._seen.ledger, "entry_id": self._seen.entry}
        try:
            await self._ask(
                connection,
                CommandType.SUBSCRIBE,
                topic=self.topic,
                subscription=self._subscription,
                sub_type=int(SubscriptionType.EXCLUSIVE),
                consumer_id=self._number,
                consumer_name=self._subscription,
                durable=False,
                start_message_id=start,
                read_compacted=self._is_compacted,
                force_topic_creation=False,
            )
        except BaseException as error:
            connection.remove_consumer(self._number)
            if isinstance(error, MissingTopicError) and self._is_started:
                # It was deleted under way: who writes to it makes it anew, if anybody does.
                raise UnreachableError(error.message, "was it deleted?") from error
            raise
        self._connection = connection
        return connection

    async def _ask(self, connection: Connection, kind: CommandType, **fields: Any) -> Any:
        try:
            return await connection.request(kind, **fields)
        except RefusalError as error:
            raise explained(error.error, error.said, connection.where, self.topic) from error

    async def _reconnect(self) -> None:
        backoff = Backoff()
        began_ns = self._now_ns()
        while not self._is_closed:
            try:
                await self._open_again()
            except (UnreachableError, NotPulsarError) as error:
                limit_s = self._give_up_after_s
                if limit_s is not None and self._now_ns() - began_ns >= limit_s * 1e9:
                    self._give_up(error)
                    return
                await asyncio.sleep(backoff.next_s())
            except IotProducerError as error:
                self._give_up(error)
                return
            else:
                if self._connection is not None:
                    self._again = None
                    return

    def _give_up(self, error: IotProducerError) -> None:
        self.failure = error
        self._failed(error)

    async def _open_again(self) -> None:
        if self._seen == NOWHERE:
            await self.open()
        else:
            await self._subscribe()
        self.start()


def entry_id_of(message_id: Any) -> EntryId:
    """From a `MessageIdData`; NOWHERE for the id that stands for none."""
    if message_id.ledger_id > _NO_ENTRY or message_id.entry_id > _NO_ENTRY:
        return NOWHERE
    return EntryId(message_id.ledger_id, message_id.entry_id)


def n_permits_of(metadata: MessageMetadata) -> int:
    """How many messages the broker counts an entry for."""
    return max(int(metadata.num_messages_in_batch), 1)
