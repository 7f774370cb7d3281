"""The producers of all partitions of a topic, under one name.

Promise: who has partition 0 has the name, so it is opened first and the others only after it;
partitions that are added later get a producer too, and that the topic was deleted is said once. It
must not know entries nor threads.

All of it runs on one event loop, but `topic` may be read from any thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from iot_producer.errors import IotProducerError, MissingTopicError, UnreachableError
from iot_producer.pulsar.client import PulsarClient
from iot_producer.pulsar.connection_config import ConnectionConfig
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.producer import Listener, Producer, ProducerConfig

_STEP_S: Final = 1.0


class Topic(NamedTuple):
    """A topic at a moment.

    Attributes:
        n_partitions: 0: it is not partitioned.
        producers: one for each partition; one where there are none.
    """

    n_partitions: int
    producers: tuple[Producer, ...]


class TopicProducers:
    """Open producers; made by `open_producers`.

    Args:
        client: finds brokers; closed with the producers.
        config: of the producers; the topic is the whole one.
        listener: of all of them.
        deduplication: what is known of the topic's.
        topic: what was found.
    """

    def __init__(
        self,
        client: PulsarClient,
        config: ProducerConfig,
        listener: Listener,
        deduplication: Deduplication,
        topic: Topic,
    ) -> None:
        self.topic = topic
        self._client = client
        self._config = config
        self._listener = listener
        self._deduplication = deduplication
        self._watching: asyncio.Task[None] | None = None
        self._is_told_deleted = False

    def watch(self, interval_s: float, tell: Callable[[str], None]) -> None:
        """Take partitions that are added from now on into use, and notice when the topic is gone.

        Args:
            interval_s: how often to ask; more often after a producer has come back.
            tell: is told of changes; called on the event loop.
        """
        if self.topic.n_partitions:
            self._watching = asyncio.create_task(self._watch(interval_s, tell))

    async def close(self, timeout_s: float) -> None:
        """Close the producers, as far as the broker answers in time, and the connections."""
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*(producer.close(timeout_s) for producer in self.topic.producers))
        await self._client.close()

    async def _watch(self, interval_s: float, tell: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        pause_s, looked_s, n_seen = interval_s, loop.time(), 0
        while True:
            await asyncio.sleep(min(_STEP_S, interval_s))
            n_returns = sum(producer.n_reconnects for producer in self.topic.producers)
            if n_returns != n_seen:
                # Producers of a topic that is being deleted are back before the last of it is gone,
                # so one look is not enough.
                n_seen, pause_s = n_returns, 0.0
            if loop.time() - looked_s >= pause_s:
                with suppress(IotProducerError):
                    await self._look(tell)
                looked_s = loop.time()
                pause_s = min(max(2 * pause_s, _STEP_S), interval_s)

    async def _look(self, tell: Callable[[str], None]) -> None:
        name = self._config.topic
        n_before, producers = self.topic
        try:
            # To ask must not make the topic anew: whoever deleted it would find it there again.
            n_now = await self._client.partitions(name, may_create=False)
        except MissingTopicError:
            n_now = 0
        if n_now < n_before:
            self._tell_deleted(n_now, tell)
        if n_now <= n_before:
            return
        config = replace(self._config, name=producers[0].name)
        added = await _opened(
            self._client, config, self._listener, self._deduplication, range(n_before, n_now)
        )
        self.topic = Topic(n_now, producers + added)
        tell(
            f"{name} has {n_now} partitions now, {n_before} before: devices move between them, and "
            "the order of a device holds before and after only"
        )

    def _tell_deleted(self, n_now: int, tell: Callable[[str], None]) -> None:
        if self._is_told_deleted:
            return
        self._is_told_deleted = True
        name, n_before = self._config.topic, self.topic.n_partitions
        now = f", and has {n_now} partitions now" if n_now else ""
        tell(
            f"{name} was deleted under way{now}: what was on its {n_before} partitions is lost, "
            f"and the run goes on on those that the broker has made anew ({name}-partition-0 and "
            "so on). verify reads them and names what is lost"
        )


async def open_producers(
    connection: ConnectionConfig,
    config: ProducerConfig,
    listener: Listener,
    deduplication: Deduplication,
    timeout_s: float | None = None,
) -> TopicProducers:
    """Open a producer on each partition of a topic; one attempt.

    Args:
        connection: how to reach Pulsar.
        config: the topic, and the producers' name.
        listener: of all of them.
        deduplication: is told what they find out.
        timeout_s: for all of it; None: what the single steps take.

    Raises:
        NameTakenError: somebody else has the name.
        UnreachableError: trying again may help.
        RefusedError, ConfigError: it does not.
    """
    client = PulsarClient(connection)
    try:
        async with asyncio.timeout(timeout_s):
            n = await client.partitions(config.topic)
            if not n:
                first = Producer(client, config, listener, deduplication)
                await first.open()
                producers: tuple[Producer, ...] = (first,)
            else:
                producers = await _opened(client, config, listener, deduplication, range(1))
                # Where the broker gives the name, the other partitions get the same.
                named = replace(config, name=producers[0].name)
                producers += await _opened(client, named, listener, deduplication, range(1, n))
    except BaseException as error:
        await client.close()
        if isinstance(error, TimeoutError):
            raise UnreachableError(
                f"{connection.service_url} does not answer, or too slowly, for {config.topic}",
                "is the broker up, or very busy? --give-up-after sets how long to go on",
            ) from error
        raise
    return TopicProducers(client, config, listener, deduplication, Topic(n, producers))


async def _opened(
    client: PulsarClient,
    config: ProducerConfig,
    listener: Listener,
    deduplication: Deduplication,
    partitions: range,
) -> tuple[Producer, ...]:
    producers = tuple(
        Producer(
            client, replace(config, topic=f"{config.topic}-partition-{i}"), listener, deduplication
        )
        for i in partitions
    )
    answers = await asyncio.gather(*(p.open() for p in producers), return_exceptions=True)
    failures = [answer for answer in answers if answer is not None]
    if failures:
        await asyncio.gather(*(producer.close() for producer in producers))
        raise failures[0]
    return producers
