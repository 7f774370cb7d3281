"""Which partitions of a topic are really there, found without making any.

Promise: nothing that is asked here creates a topic. What the broker says of the whole topic is not
all there is: when a partitioned topic is deleted while producers are at work on it, they come back,
and the broker makes their partitions anew, each as a topic of its own. The whole topic is missing
then, and yet there are records. It must not know readers nor producers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iot_producer.clock import Clock
from iot_producer.errors import MissingTopicError, RefusedError
from iot_producer.pulsar.client import PulsarClient
from iot_producer.pulsar.connection_config import ConnectionConfig
from iot_producer.pulsar.event_loop import EventLoop
from iot_producer.pulsar.patience import Say, patiently

_REMEDY: Final = (
    "check its name (--topic) and where it is (--pulsar-url), or let a run write to it first"
)
_MOST_PROBED: Final = 1_000


@dataclass(frozen=True, slots=True)
class TopicParts:
    """What a topic consists of.

    Attributes:
        n_partitions: 0: it is not partitioned. Where the whole topic is gone, one more than the
            highest number that is left.
        parts: (number, full name) of each, in order. A topic without partitions has the number 0,
            or the one behind all partitions where there are such of its name too.
    """

    n_partitions: int
    parts: tuple[tuple[int, str], ...]


def partition_name(topic: str, number: int) -> str:
    """The full name of a partition of a topic."""
    return f"{topic}-partition-{number}"


async def find_parts(client: PulsarClient, topic: str) -> TopicParts:
    """What a topic consists of now; one attempt.

    Args:
        client: asks.
        topic: full name.

    Raises:
        MissingTopicError: neither the topic nor any partition of it is there.
        UnreachableError, RefusedError: nobody says.
    """
    missing: MissingTopicError | None = None
    try:
        n = await client.partitions(topic, may_create=False)
    except MissingTopicError as error:
        n, missing = 0, error
    if n:
        return TopicParts(n, tuple((i, partition_name(topic, i)) for i in range(n)))
    try:
        names = frozenset(await client.topics_like(topic))
    except RefusedError:  # no right to see the namespace's topics: ask for each by its name
        numbers = [] if missing is None else await _probed(client, topic)
        is_whole = missing is None
    else:
        numbers = sorted(_numbers(topic, names))
        # Brokers before 3.0.6 say "no partitions" of what is not there.
        is_whole = missing is None and (topic in names or not numbers)
    n = numbers[-1] + 1 if numbers else 0
    parts = tuple((number, partition_name(topic, number)) for number in numbers)
    if is_whole:
        parts += ((n, topic),)
    if missing is not None and not parts:
        raise MissingTopicError(missing.message, _REMEDY) from missing
    return TopicParts(n, parts)


def look_for_parts(
    connection: ConnectionConfig,
    topic: str,
    clock: Clock,
    say: Say,
    give_up_after_s: float | None,
) -> TopicParts:
    """The same for code that waits, with connections of its own.

    Args:
        connection: how to reach Pulsar.
        topic: full name.
        clock: measures waiting.
        say: is told of failed attempts.
        give_up_after_s: how long to go on while nobody answers; None: for ever.

    Raises:
        MissingTopicError, UnreachableError, RefusedError: as `find_parts`.
    """

    async def look() -> TopicParts:
        client = PulsarClient(connection)
        try:
            return await find_parts(client, topic)
        finally:
            await client.close()

    loop = EventLoop("pulsar-topic")

    def attempt(left_s: float | None) -> TopicParts:
        return loop.run(look())

    try:
        return patiently(attempt, clock, say, give_up_after_s)
    finally:
        loop.close()


def _numbers(topic: str, names: frozenset[str]) -> set[int]:
    """The numbers of a topic's partitions among some names."""
    head = partition_name(topic, 0)[:-1]
    tails = [name.removeprefix(head) for name in names if name.startswith(head)]
    # No partition is written 07, and other topics may be called so.
    return {int(t) for t in tails if t.isascii() and t.isdigit() and str(int(t)) == t}


async def _probed(client: PulsarClient, topic: str) -> list[int]:
    """The numbers of partitions from 0 up to the first that is not there."""
    for number in range(_MOST_PROBED):
        try:
            await client.partitions(partition_name(topic, number), may_create=False)
        except MissingTopicError:
            return list(range(number))
    return list(range(_MOST_PROBED))
