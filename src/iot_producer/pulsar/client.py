"""Finding the broker of a topic, and a pool of connections to brokers.

Promise: several service URLs are tried in turn; redirects are followed, through a proxy where the
look-up says so; each broker gets one connection, which is made anew when it is next asked for after
it broke. Every failure is one of our exceptions. It must not know producers nor readers.

All of it runs on one event loop.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from typing import Any, Final

from iot_producer.errors import RefusedError, UnreachableError
from iot_producer.pulsar.commands import CommandType, LookupAnswer, PartitionsAnswer, TopicsOf
from iot_producer.pulsar.connection import Connection, RefusalError, open_connection
from iot_producer.pulsar.connection_config import ConnectionConfig, address
from iot_producer.pulsar.server_errors import explained

_MOST_REDIRECTS: Final = 20
_SILENT: Final = (
    "check PULSAR_URL, and that the broker is up (on this machine: iot-producer stack up)"
)
_BROKER_URL: Final = re.compile(
    r"pulsar(?:\+ssl)?://(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^:\[\]/]+)):(?P<port>\d{1,5})/?"
)


class Backoff:
    """How long to wait before trying again: longer each time, by chance between a half and all of
    it, so that many who lost the same broker do not come back at once.

    Args:
        first_s: the first pause.
        longest_s: no pause is longer.
    """

    def __init__(self, first_s: float = 0.1, longest_s: float = 10.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The next pause, seconds."""
        pause_s = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(2 * self._next_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """It worked: begin again with the first."""
        self._next_s = self._first_s


@dataclass(frozen=True, slots=True)
class _Place:
    """What to connect to, and which broker to ask for there (empty: it is the broker)."""

    host: str
    port: int
    broker: str = ""


class PulsarClient:
    """A Pulsar cluster, as seen from one event loop.

    Args:
        config: how to reach it.
    """

    def __init__(self, config: ConnectionConfig) -> None:
        self.config = config
        self._pool: dict[_Place, asyncio.Task[Connection]] = {}
        self._first_host = 0
        self._n_numbers = 0
        self._is_closed = False

    @property
    def service_url(self) -> str:
        """Where it connects first."""
        return self.config.service_url

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Those that are open."""
        tasks = [task for task in self._pool.values() if task.done() and not task.cancelled()]
        return tuple(t.result() for t in tasks if t.exception() is None and t.result().is_open)

    def new_number(self) -> int:
        """A number that no other producer or consumer of this client has."""
        self._n_numbers += 1
        return self._n_numbers

    async def partitions(self, topic: str, *, may_create: bool = True) -> int:
        """How many partitions a topic has; 0 where it is not partitioned, or not there yet.

        Args:
            topic: full name.
            may_create: a broker that creates topics as partitioned ones creates it now. Without
                that a topic that is not there is an error, or 0 from brokers before 3.0.6.

        Raises:
            MissingTopicError: it is not there, and may not be created.
            UnreachableError, RefusedError: nobody says.
        """
        connection = await self.service()
        answer = await self._ask(
            connection,
            CommandType.PARTITIONED_METADATA,
            topic,
            metadata_auto_creation_enabled=may_create,
        )
        if answer.response != PartitionsAnswer.SUCCESS:
            # A proxy refuses with the answer to a look-up, which has the same members.
            raise explained(answer.error, answer.message, connection.where, topic)
        return int(answer.partitions)

    async def topics_like(self, topic: str) -> tuple[str, ...]:
        """Full names of topics in a topic's namespace: all that begin as it does, perhaps others.

        Raises:
            UnreachableError, RefusedError: nobody says.
        """
        domain, _, rest = topic.partition("://")
        namespace, _, name = rest.rpartition("/")
        of = TopicsOf.PERSISTENT if domain == "persistent" else TopicsOf.NON_PERSISTENT
        connection = await self.service()
        try:
            answer = await connection.request(
                CommandType.GET_TOPICS_OF_NAMESPACE,
                namespace=namespace,
                mode=int(of),
                topics_pattern=_pattern_of(name),
            )
        except RefusalError as error:
            raise explained(error.error, error.said, connection.where, topic) from error
        return tuple(answer.topics)

    async def lookup(self, topic: str) -> Connection:
        """A connection to the broker that serves a topic (or a partition of one).

        Raises:
            UnreachableError, RefusedError: there is none.
        """
        connection = await self.service()
        place = self._place_of(connection)
        authoritative = False
        for _ in range(_MOST_REDIRECTS):
            answer = await self._ask(
                connection, CommandType.LOOKUP, topic, authoritative=authoritative
            )
            if answer.response == LookupAnswer.FAILED:
                raise explained(answer.error, answer.message, connection.where, topic)
            place = self._place_told(answer, place, topic)
            connection = await self.connection(place.host, place.port, place.broker)
            if answer.response == LookupAnswer.CONNECT:
                return connection
            authoritative = answer.authoritative
        raise UnreachableError(
            f"the brokers redirect the look-up of {topic} to each other, {_MOST_REDIRECTS} times",
            "wait until the cluster has settled, and see its logs if it does not",
        )

    async def service(self) -> Connection:
        """A connection to one of the service's hosts, the last that worked first.

        Raises:
            UnreachableError: none of them answers.
            RefusedError: one says no.
        """
        hosts = self.config.hosts
        failures: list[UnreachableError] = []
        for i in range(len(hosts)):
            number = (self._first_host + i) % len(hosts)
            try:
                connection = await self.connection(*hosts[number])
            except UnreachableError as error:
                failures.append(error)
            else:
                self._first_host = number
                return connection
        hint = failures[0].hint if len(failures) == 1 else ""
        raise UnreachableError(
            f"cannot connect to {self.service_url}: "
            + ", ".join(error.message for error in failures),
            hint or _SILENT,
        ) from failures[0]

    async def connection(self, host: str, port: int, broker: str = "") -> Connection:
        """A connection from the pool, made if need be.

        Args:
            host, port: what to connect to: a broker, or a proxy.
            broker: ``host:port`` of the broker that the proxy shall connect to; empty: none.

        Raises:
            UnreachableError, RefusedError, ConfigError: as `open_connection`.
        """
        place = _Place(host, port, broker)
        while True:
            if self._is_closed:
                raise UnreachableError(f"the client of {self.service_url} is closed")
            task = self._pool.get(place)
            if task is None or task.done():
                opened = self._opened(task)
                if opened is not None:
                    return opened
                task = asyncio.create_task(open_connection(self.config, host, port, broker))
                # What nobody waits for any more must not be complained of.
                task.add_done_callback(_look_at)
                self._pool[place] = task
            try:
                connection = await asyncio.shield(task)
            except asyncio.CancelledError:
                if not task.cancelled():
                    raise
                continue
            if connection.is_open:
                return connection

    async def close(self) -> None:
        """Close all connections; nothing else may follow."""
        self._is_closed = True
        tasks = list(self._pool.values())
        self._pool.clear()
        for task in tasks:
            connection = self._opened(task)
            if connection is not None:
                connection.close()
            else:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:  # one that opened while it was cancelled
            connection = self._opened(task)
            if connection is not None:
                connection.close()

    async def _ask(
        self, connection: Connection, kind: CommandType, topic: str, **fields: Any
    ) -> Any:
        if kind is CommandType.LOOKUP and self.config.listener_name:
            fields["advertised_listener_name"] = self.config.listener_name
        try:
            return await connection.request(kind, topic=topic, **fields)
        except RefusalError as error:
            raise explained(error.error, error.said, connection.where, topic) from error

    def _place_of(self, connection: Connection) -> _Place:
        for place, task in self._pool.items():
            if self._opened(task) is connection:
                return place
        raise UnreachableError(f"the connection to {connection.where} broke")

    def _place_told(self, answer: Any, asked: _Place, topic: str) -> _Place:
        """Where a look-up's answer sends us."""
        tls = self.config.security.tls
        url = answer.broker_service_url_tls if tls else answer.broker_service_url
        found = _BROKER_URL.fullmatch(url)
        if not found:
            kind = "with TLS" if tls else "without TLS"
            raise RefusedError(
                f"the broker of {topic} tells no address {kind} ({url or 'nothing'!r})",
                "use pulsar:// or pulsar+ssl:// as the brokers do; a broker behind a proxy must "
                "be asked by way of the proxy",
            )
        host, port = found["ipv6"] or found["host"], int(found["port"])
        # A broker that is not behind a proxy may say so too, of itself.
        if answer.proxy_through_service_url and (host, port) != (asked.host, asked.port):
            return _Place(asked.host, asked.port, address(host, port))
        return _Place(host, port)

    @staticmethod
    def _opened(task: asyncio.Task[Connection] | None) -> Connection | None:
        """What a task has opened, if that is still open."""
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        connection = task.result()
        return connection if connection.is_open else None


def _pattern_of(name: str) -> str:
    """What names that begin so match.

    A broker ignores a pattern of more than 50 characters, and names all topics of the namespace.
    """
    return f".*/{re.sub(r'[^A-Za-z0-9_-]', '.', name)[:40]}.*"


def _look_at(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled():
        task.exception()
