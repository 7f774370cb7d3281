"""One connection to a broker: handshake, keep-alive, requests and their answers, dispatch.

Promise: every request ends, with its answer or with an exception of ours; a dead peer is noticed
within `ConnectionConfig.keep_alive_s`; a token that the broker asks for again is read again. It
must not know topics, entries, nor how a broker is found.

All of it runs on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from iot_producer import __version__
from iot_producer.errors import IotProducerError, UnreachableError
from iot_producer.pulsar.channel import Channel, Parcel, connect
from iot_producer.pulsar.commands import (
    PROTOCOL_VERSION,
    BaseCommand,
    CommandType,
    ServerError,
    new_command,
    payload_of,
)
from iot_producer.pulsar.connection_config import ConnectionConfig, address
from iot_producer.pulsar.security import read_token, ssl_context
from iot_producer.pulsar.server_errors import RefusalError, explained, speaks_http
from iot_producer.pulsar.wire import (
    DEFAULT_MAX_MESSAGE_BYTES,
    FrameReader,
    HttpError,
    WireError,
    encode_command,
)

__all__ = [
    "Connection",
    "ConnectionConfig",
    "Handler",
    "RefusalError",
    "open_connection",
]

_TICKS: Final = 6
_PING_AT: Final = 3
_CLIENT_VERSION: Final = f"iot-producer-{__version__}"
_OF_PRODUCERS: Final = frozenset(
    (CommandType.SEND_RECEIPT, CommandType.SEND_ERROR, CommandType.CLOSE_PRODUCER)
)
_OF_CONSUMERS: Final = frozenset(
    (
        CommandType.MESSAGE,
        CommandType.CLOSE_CONSUMER,
        CommandType.ACTIVE_CONSUMER_CHANGE,
        CommandType.REACHED_END_OF_TOPIC,
    )
)
_MIGRATED_PRODUCER: Final = 0


class Handler(Protocol):
    """A producer or consumer of a connection."""

    def received(self, kind: CommandType, payload: Any, body: memoryview | None) -> None:
        """A command with its id arrived; the body of a MESSAGE stays valid."""
        ...

    def lost(self, reason: str) -> None:
        """The connection has ended."""
        ...


class Connection:
    """An open connection; made by `open_connection`.

    Attributes:
        where: the broker, for messages.
        max_message_bytes: largest message that the broker takes.
        server_version: as the broker calls itself.
        protocol_version: what both speak.
        lost_reason: why it has ended; empty while it is open.
    """

    def __init__(self, config: ConnectionConfig, where: str) -> None:
        self.where = where
        self.max_message_bytes = DEFAULT_MAX_MESSAGE_BYTES
        self.server_version = ""
        self.protocol_version = 0
        self.lost_reason = ""
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._greeting: asyncio.Future[None] = self._loop.create_future()
        self._requests: dict[int, asyncio.Future[Any]] = {}
        self._n_requests = 0
        self._producers: dict[int, Handler] = {}
        self._consumers: dict[int, Handler] = {}
        self._channel: Channel | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._n_silent = 0
        self._is_paused = False
        self._on_lost: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return not self.lost_reason

    async def request(
        self, kind: CommandType, *, timeout_s: float | None = None, **fields: Any
    ) -> Any:
        """Send a request and wait for its answer.

        Args:
            kind: of the command.
            timeout_s: None: the config's.
            fields: of the command, but its request id.

        Returns:
            the message inside the answer.

        Raises:
            RefusalError: the broker answered with an error.
            UnreachableError: the connection ended, or the answer did not come in time.
        """
        self._require_open()
        self._n_requests += 1
        number = self._n_requests
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._requests[number] = answer
        seconds = self._config.operation_timeout_s if timeout_s is None else timeout_s
        try:
            self.tell(kind, request_id=number, **fields)
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            what = kind.name.replace("_", " ")
            raise UnreachableError(
                f"{self.where} has not answered {what} within {seconds:g} s",
                "is the broker overloaded, or its storage stuck?",
            ) from error
        finally:
            del self._requests[number]

    def tell(self, kind: CommandType, **fields: Any) -> None:
        """Send a command that has no answer, before entries that wait (if it is open)."""
        if self._channel is not None:
            self._channel.write_first(encode_command(new_command(kind, **fields)))

    def write(self, parcel: Parcel) -> None:
        """Send the frame of an entry; when the connection has ended it stays unwritten."""
        if self._channel is not None:
            self._channel.write(parcel)

    @property
    def takes_from_any_thread(self) -> bool:
        """Whether `write` may be called from a thread that is not the loop's."""
        return self._channel is not None and self._channel.takes_from_any_thread

    def withdraw(self, owner: object) -> None:
        """Do not send what an owner's parcels hold, but for a frame that has begun."""
        if self._channel is not None:
            self._channel.withdraw(owner)

    def add_producer(self, number: int, handler: Handler) -> None:
        """Commands for a producer go to its handler from now on."""
        self._require_open()
        self._producers[number] = handler

    def remove_producer(self, number: int) -> None:
        """They are dropped from now on."""
        self._producers.pop(number, None)

    def add_consumer(self, number: int, handler: Handler) -> None:
        """Commands for a consumer go to its handler from now on."""
        self._require_open()
        self._consumers[number] = handler

    def remove_consumer(self, number: int) -> None:
        """They are dropped from now on."""
        self._consumers.pop(number, None)

    def when_lost(self, function: Callable[[], None]) -> None:
        """Call a function when the connection has ended."""
        self._on_lost.append(function)

    def pause_reading(self) -> None:
        """Take nothing more from the broker for now; the peer does not count as silent."""
        self._is_paused = True
        if self._channel is not None:
            self._channel.pause()

    def resume_reading(self) -> None:
        """Go on."""
        self._is_paused = False
        self._n_silent = 0
        if self._channel is not None:
            self._channel.resume()

    def close(self, reason: str = "closed") -> None:
        """End it now; requests that wait fail, handlers are told."""
        self._lose(reason)

    # The rest is called by the channel, the loop and open_connection.

    async def _open(self, host: str, port: int, broker: str) -> None:
        config = self._config
        connected = await connect(
            host, port, ssl_context(config.security), config.connect_timeout_s
        )
        self._channel = Channel(connected, self._received, self._lose)
        try:
            self._greet(broker)
            async with asyncio.timeout(config.connect_timeout_s):
                await self._greeting
        except TimeoutError as error:
            self._lose("no greeting")
            raise UnreachableError(
                f"{self.where} does not greet within {config.connect_timeout_s:g} s",
                "is this its binary port (6650), not its admin API? With TLS (6651), the URL "
                "begins with pulsar+ssl://",
            ) from error
        except BaseException as error:
            self._lose(str(error) or "closed")
            raise
        self._tick_timer = self._loop.call_later(config.keep_alive_s / _TICKS, self._tick)

    def _greet(self, broker: str) -> None:
        security = self._config.security
        fields: dict[str, Any] = {
            "client_version": _CLIENT_VERSION,
            "protocol_version": PROTOCOL_VERSION,
            "feature_flags": {"supports_auth_refresh": True},
            "auth_method_name": security.auth_method,
        }
        if security.has_token:
            fields["auth_data"] = read_token(security).encode()
        if broker:
            fields["proxy_to_broker_url"] = broker
        self.tell(CommandType.CONNECT, **fields)

    def _received(self, data: memoryview) -> None:
        n_silent, self._n_silent = self._n_silent, 0
        self._reader.feed(data)
        try:
            while (frame := self._reader.next_frame()) is not None:
                if frame.command.type == CommandType.PING:
                    self._n_silent = n_silent  # the peer lives, but does it hear us?
                self._take(frame.command, frame.body)
                if self.lost_reason:
                    return
        except WireError as error:
            if isinstance(error, HttpError) and not self._greeting.done():
                # Whoever answers a greeting so will not do otherwise the next time.
                self._greeting.set_exception(speaks_http(self.where))
            self._lose(f"what came is not Pulsar's protocol: {error}")

    def _take(self, command: BaseCommand, body: memoryview | None) -> None:
        kind = command.type
        payload = payload_of(command)
        if kind in _OF_PRODUCERS:
            handler = self._producers.get(payload.producer_id)
            if handler is not None:
                handler.received(CommandType(kind), payload, body)
        elif kind in _OF_CONSUMERS:
            handler = self._consumers.get(payload.consumer_id)
            if handler is not None:
                handler.received(CommandType(kind), payload, body)
        elif kind == CommandType.PING:
            self.tell(CommandType.PONG)
        elif kind == CommandType.CONNECTED:
            self._greeted(payload)
        elif kind == CommandType.AUTH_CHALLENGE:
            self._answer_challenge()
        elif kind == CommandType.ERROR:
            self._refused(payload)
        elif kind == CommandType.TOPIC_MIGRATED:
            handlers = (
                self._producers if payload.resource_type == _MIGRATED_PRODUCER else self._consumers
            )
            handler = handlers.get(payload.resource_id)
            if handler is not None:
                handler.received(CommandType.TOPIC_MIGRATED, payload, body)
        elif payload is not None and "request_id" in payload.DESCRIPTOR.fields_by_name:
            self._answered(payload.request_id, payload)
        # PONG has done its work by arriving; what is not known is no business of ours.

    def _greeted(self, payload: Any) -> None:
        self.server_version = payload.server_version
        self.protocol_version = min(payload.protocol_version, PROTOCOL_VERSION)
        if payload.max_message_size > 0:
            self.max_message_bytes = payload.max_message_size
            self._reader.limit(payload.max_message_size)
        if not self._greeting.done():
            self._greeting.set_result(None)

    def _answer_challenge(self) -> None:
        security = self._config.security
        try:
            token = read_token(security)
        except IotProducerError as error:
            self._lose(error.message)
            return
        self.tell(
            CommandType.AUTH_RESPONSE,
            client_version=_CLIENT_VERSION,
            protocol_version=PROTOCOL_VERSION,
            response={"auth_method_name": security.auth_method, "auth_data": token.encode()},
        )

    def _refused(self, payload: Any) -> None:
        if not self._greeting.done():
            self._greeting.set_exception(explained(payload.error, payload.message, self.where))
            return
        answer = self._requests.get(payload.request_id)
        if answer is not None:
            if not answer.done():
                answer.set_exception(RefusalError(payload.error, payload.message))
        elif payload.error == ServerError.AUTHENTICATION:
            self._lose(payload.message)  # of a token that was shown again

    def _answered(self, number: int, payload: Any) -> None:
        answer = self._requests.get(number)
        if answer is not None and not answer.done():
            answer.set_result(payload)

    def _tick(self) -> None:
        """Count silence in ticks: after a stop of this process, what waits is read first."""
        if not self._is_paused:
            self._n_silent += 1
        if self._n_silent > _TICKS:
            self._lose(f"{self.where} has been silent for {self._config.keep_alive_s:g} s")
            return
        if self._n_silent == _PING_AT:
            self.tell(CommandType.PING)
        self._tick_timer = self._loop.call_later(self._config.keep_alive_s / _TICKS, self._tick)

    def _lose(self, reason: str) -> None:
        if self.lost_reason:
            return
        self.lost_reason = reason or "closed"
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        if self._channel is not None:
            self._channel.close(reason)
        failure = self._ended()
        if not self._greeting.done():
            self._greeting.set_exception(failure)
            self._greeting.exception()  # it may be that nobody waits for it
        for answer in self._requests.values():
            if not answer.done():
                answer.set_exception(failure)
        handlers = [*self._producers.values(), *self._consumers.values()]
        self._producers.clear()
        self._consumers.clear()
        for handler in handlers:
            handler.lost(self.lost_reason)
        for function in self._on_lost:
            function()

    def _require_open(self) -> None:
        if self.lost_reason:
            raise self._ended()

    def _ended(self) -> UnreachableError:
        return UnreachableError(
            f"the connection to {self.where} broke: {self.lost_reason}",
            "see what the broker or the network between does",
        )


async def open_connection(
    config: ConnectionConfig, host: str, port: int, broker: str = ""
) -> Connection:
    """Connect and greet.

    Args:
        config: how.
        host, port: what to connect to: a broker, or a proxy.
        broker: ``host:port`` of the broker that a proxy shall connect to; empty: none.

    Raises:
        UnreachableError: nobody answers as Pulsar does.
        RefusedError: TLS or the broker says no, or it is the port of an admin API.
        ConfigError: a file of the security settings cannot be used.
    """
    where = address(host, port)
    connection = Connection(config, f"{broker} (by way of {where})" if broker else where)
    await connection._open(host, port, broker)
    return connection
