"""A broker of a few lines, on the test's own event loop: it does what it is told, and writes down.

It answers as a broker that behaves, unless a test has put another answer in its place.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from iot_producer.pulsar.commands import CommandType, LookupAnswer, new_command, payload_of
from iot_producer.pulsar.wire import Frame, FrameReader, encode_command

Answer = Callable[["Session", Any], None]
NOWHERE = 2**64 - 1


class Session:
    """One connection to the broker."""

    def __init__(self, broker: FakeBroker, writer: asyncio.StreamWriter) -> None:
        self.broker = broker
        self.writer = writer
        self.is_reset = False

    def say(self, kind: CommandType, **fields: Any) -> None:
        self.writer.write(encode_command(new_command(kind, **fields)))

    def refuse(self, request: Any, error: int, message: str = "said the broker") -> None:
        self.say(CommandType.ERROR, request_id=request.request_id, error=error, message=message)

    def receipt(self, send: Any, ledger: int = 1) -> None:
        self.say(
            CommandType.SEND_RECEIPT,
            producer_id=send.producer_id,
            sequence_id=send.sequence_id,
            highest_sequence_id=send.highest_sequence_id,
            message_id={"ledger_id": ledger, "entry_id": NOWHERE if ledger == NOWHERE else 1},
        )

    def send_error(self, send: Any, error: int, message: str = "said the broker") -> None:
        self.say(
            CommandType.SEND_ERROR,
            producer_id=send.producer_id,
            sequence_id=send.highest_sequence_id,
            error=error,
            message=message,
        )

    def reset(self) -> None:
        """End the connection with RST; what came already is not looked at."""
        self.is_reset = True
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.writer.transport.abort()


class FakeBroker:
    """Listens on the loopback address while it is entered.

    Attributes:
        answers: what it does with a command; tests change it.
        heard: every command that came, with its body.
        sessions: connections that are open.
        partitions: of every topic.
        last_sequence_id: told to each new producer.
        at_end: awaited before it goes.
    """

    def __init__(self) -> None:
        self.answers: dict[CommandType, Answer] = {
            CommandType.CONNECT: _connected,
            CommandType.LOOKUP: _look_up,
            CommandType.PARTITIONED_METADATA: _partitions,
            CommandType.PRODUCER: _producer,
            CommandType.SEND: Session.receipt,
            CommandType.CLOSE_PRODUCER: _success,
            CommandType.PING: lambda session, _: session.say(CommandType.PONG),
        }
        self.heard: list[tuple[CommandType, Any, bytes]] = []
        self.sessions: list[Session] = []
        self.partitions = 0
        self.last_sequence_id = -1
        self.port = 0
        self.at_end: list[Callable[[], Awaitable[None]]] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.answers[CommandType.CLOSE_PRODUCER] = _success
        for end in reversed(self.at_end):
            await end()
        self._server.close()
        for session in self.sessions:
            session.reset()

    @property
    def host(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        return f"pulsar://127.0.0.1:{self.port}"

    def of(self, kind: CommandType) -> list[Any]:
        """The commands of a type that came."""
        return [payload for heard, payload, _ in self.heard if heard is kind]

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until a condition holds; looks at it whenever something came, and now and then."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.01):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, writer)
        self.sessions.append(session)
        frames = FrameReader()
        try:
            while data := await reader.read(1 << 16):
                frames.feed(data)
                while (frame := frames.next_frame()) is not None:
                    self._take(session, frame)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.sessions.remove(session)
            writer.close()
            self._changed.set()

    def _take(self, session: Session, frame: Frame) -> None:
        if session.is_reset:
            return
        kind, payload = CommandType(frame.command.type), payload_of(frame.command)
        self.heard.append((kind, payload, b"" if frame.body is None else bytes(frame.body)))
        answer = self.answers.get(kind)
        if answer is not None:
            answer(session, payload)
        self._changed.set()


def silent(session: Session, payload: Any) -> None:
    """No answer."""


def _connected(session: Session, _: Any) -> None:
    session.say(
        CommandType.CONNECTED,
        server_version="fake",
        protocol_version=21,
        max_message_size=5_000_000,
    )


def _look_up(session: Session, request: Any) -> None:
    session.say(
        CommandType.LOOKUP_RESPONSE,
        request_id=request.request_id,
        response=LookupAnswer.CONNECT,
        broker_service_url=session.broker.url,
        authoritative=True,
    )


def _partitions(session: Session, request: Any) -> None:
    session.say(
        CommandType.PARTITIONED_METADATA_RESPONSE,
        request_id=request.request_id,
        partitions=session.broker.partitions,
    )


def _producer(session: Session, request: Any) -> None:
    session.say(
        CommandType.PRODUCER_SUCCESS,
        request_id=request.request_id,
        producer_name=request.producer_name or "given",
        last_sequence_id=session.broker.last_sequence_id,
    )


def _success(session: Session, request: Any) -> None:
    session.say(CommandType.SUCCESS, request_id=request.request_id)
