"""One producer of the official client, on one partition: entries go out as they are cut here.

Promise: messages that are sent by one call make one entry on the wire, and its answer is given
once, to the function that came with them. It must not know blocks or receipts.

There is one callback an entry, on its last message: one for each message would cost more than all
the rest. That is sound because the client never cuts an entry by itself: its batch timer and
limits do not strike before we flush, and the batch index that comes with the answer tells how many
messages were in the entry.

A flush takes the client's lock while it holds the GIL, and a reconnection that fails for good calls
back under that lock. So only a connected producer is flushed, with no Python between the question
and the flush; otherwise the flush waits for the connection.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import takewhile
from typing import Any, Final

import _pulsar

from iot_producer.pulsar.official_client import answer_of, name_of

COMPRESSIONS: Final = {
    "lz4": _pulsar.CompressionType.LZ4,
    "zstd": _pulsar.CompressionType.ZSTD,
    "zlib": _pulsar.CompressionType.ZLib,
    "snappy": _pulsar.CompressionType.SNAPPY,
    "none": _pulsar.CompressionType.NONE,
}
"""What messages may be compressed with, by name."""

Message = tuple[bytes, str, str, str, int, int]
"""Payload, device type, customer, key, sequence id, event time in ms since the epoch."""

Answer = Callable[[str, int], None]
"""Takes the name of the result of an entry and the last message's batch index. It is called on the
client's thread, where an exception would end the process."""

_NEVER_MS: Final = 24 * 3_600_000
_CLOSED: Final = "AlreadyClosed"


class PartitionProducer:
    """A connected producer.

    Attributes:
        n_pending: messages without an answer; its owner counts down.
        stored_id: highest sequence id that the broker had of this name when the producer was made;
            −1 where it does not deduplicate.
    """

    __slots__ = ("_is_held_back", "_producer", "n_pending", "stored_id")

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._is_held_back = False
        self.n_pending = 0
        # Later the client itself counts on from what was confirmed.
        self.stored_id: int = producer.last_sequence_id()

    @property
    def is_ready(self) -> bool:
        """Connected, and nothing held back."""
        return self._producer.is_connected() and self.flush()

    @property
    def has_ended(self) -> bool:
        """Whether the client gave it up for good; where something is pending, its answer tells."""
        if self.n_pending or self._producer.is_connected():
            return False
        # Nothing is pending, so nothing is called back under the lock, and the answer is at once.
        answers: list[str] = []
        self._producer.flush_async(lambda result: answers.append(result.name))
        return answers == [_CLOSED]

    def send(self, messages: Sequence[Message], answer: Answer) -> None:
        """Send messages as one entry; to be called when `is_ready`.

        Args:
            messages: at least one; together below the limits that the producer was made with.
            answer: gets the result.
        """
        self.n_pending += len(messages)
        self._is_held_back = True
        _send(self._producer.send_async, messages[:-1], None)
        _send(self._producer.send_async, messages[-1:], partial(_pass_on, answer))
        self.flush()

    def release(self) -> None:
        """Let go of the client, one of whose threads ends only then. Nothing else may follow."""
        self._producer = None

    def flush(self) -> bool:
        """Send what the client holds back, if it is connected; whether nothing is held back."""
        if self._is_held_back:
            steps = (self._producer.is_connected, partial(self._producer.flush_async, None))
            # One True is the connected producer's; the None that ends it is the flush's.
            answers = list(takewhile(operator.truth, map(operator.call, steps)))
            self._is_held_back = answers != [True]
        return not self._is_held_back


def create_producers(
    client: Any,
    topics: Iterable[str],
    name: str,
    compression: str,
    max_entry_records: int,
    max_entry_bytes: int,
    timeout_s: float,
) -> list[PartitionProducer]:
    """A producer on each of several topics, in order: who has the first has the others too.

    Args:
        client: a ``_pulsar.Client``.
        topics: full names, of unpartitioned topics or single partitions.
        name: of the producers; empty: the broker gives names.
        compression: one of `COMPRESSIONS`.
        max_entry_records, max_entry_bytes: no call of ``send`` will exceed them.
        timeout_s: for each answer of the broker.

    Raises:
        ClientFailure: one could not be created.
    """
    configuration = _pulsar.ProducerConfiguration()
    if name:
        configuration.producer_name(name)
    configuration.compression_type(COMPRESSIONS[compression])
    # A message that "timed out" may be stored all the same; the sink has a watchdog instead, and
    # counts what is pending.
    configuration.send_timeout_millis(0)
    configuration.max_pending_messages(0)
    configuration.batching_enabled(True)
    configuration.batching_max_messages(max_entry_records)
    configuration.batching_max_allowed_size_in_bytes(max_entry_bytes)
    configuration.batching_max_publish_delay_ms(_NEVER_MS)
    return [
        PartitionProducer(
            answer_of(client.create_producer_async, topic, configuration, timeout_s=timeout_s)
        )
        for topic in topics
    ]


def _send(
    send_async: Any, messages: Iterable[Message], answer: Callable[[Any, Any], None] | None
) -> None:
    """Hand messages to a producer.

    A Python loop over messages: these eight calls are the only way into the client, and they make 5
    of the 9 µs that a message costs in all (docs/adr/0007).
    """
    new = _pulsar.MessageBuilder
    try:
        for payload, kind, customer, key, sequence_id, time_ms in messages:
            message = new()
            message.content(payload)
            message.property("device_type", kind)
            message.property("customer_id", customer)
            message.partition_key(key)
            message.sequence_id(sequence_id)
            message.event_timestamp(time_ms)
            send_async(message.build(), answer)
    except (SystemError, KeyboardInterrupt) as error:
        # What a signal handler raises within send_async comes out as the cause of a SystemError, or
        # of a SIGINT that send_async makes up.
        raise error.__cause__ or error from None


def _pass_on(answer: Answer, result: Any, message_id: Any) -> None:
    answer(name_of(result), message_id.batch_index())
