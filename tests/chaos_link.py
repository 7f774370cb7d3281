"""One connection through the chaos proxy: two sockets, and what is wrong between them.

It must not know who commands the faults. All of it runs in one event loop.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Final

_CHUNK_BYTES: Final = 1 << 16
_MOST_HELD_BYTES: Final = 1 << 22
_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER, 0 s


class Way(Enum):
    """A direction of the bytes."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


class Cut:
    """Where connections break: behind ``n_left`` more bytes of a direction; ``hard``: with RST."""

    def __init__(self, way: Way, n_left: int, hard: bool) -> None:
        self.way = way
        self.n_left = n_left
        self.hard = hard


class Fault:
    """What is wrong now, for all connections."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.stalled = False
        self.cut: Cut | None = None
        self._changed = asyncio.Event()

    def become(self, delay_s: float = 0.0, stalled: bool = False, cut: Cut | None = None) -> None:
        """Change to this fault from whatever it was."""
        self.delay_s, self.stalled, self.cut = delay_s, stalled, cut
        self._changed.set()
        self._changed = asyncio.Event()

    async def until_due(self, came_s: float) -> None:
        """Wait until a piece that came then (the loop's time) may be passed on."""
        loop = asyncio.get_running_loop()
        while True:
            left_s = None if self.stalled else came_s + self.delay_s - loop.time()
            if left_s is not None and left_s <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_s)

    async def until_taking(self) -> None:
        """Wait while nothing shall be taken."""
        while self.stalled:
            await self._changed.wait()


class Link:
    """A client's connection and the one to the server that belongs to it.

    Args:
        client: the accepted socket, not blocking.
        fault: what is wrong; shared.
        n_forwarded: bytes passed on by direction; shared, and counted up.
    """

    def __init__(self, client: socket.socket, fault: Fault, n_forwarded: dict[Way, int]) -> None:
        self._client = client
        self._server = socket.socket()
        self._server.setblocking(False)
        self._fault = fault
        self._n_forwarded = n_forwarded
        self._swallowed: set[Way] = set()
        self._n_streams = len(Way)
        self._over = asyncio.Event()
        self._hard = False
        self.n_held = 0

    def swallow(self, way: Way) -> None:
        """Lose what goes in this direction from now on, the end of the stream too."""
        self._swallowed.add(way)

    def end(self, hard: bool) -> None:
        """Let `run` close both sides; ``hard``: with RST."""
        if not self._over.is_set():
            self._hard = hard
            self._over.set()

    async def run(self, server: tuple[str, int]) -> None:
        """Connect and pass bytes on; returns when both sides are closed."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await asyncio.get_running_loop().sock_connect(self._server, server)
            for way, source, sink in (
                (Way.TO_SERVER, self._client, self._server),
                (Way.TO_CLIENT, self._server, self._client),
            ):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                held = _Held()
                for pump in (partial(self._take, source), partial(self._give, way, sink)):
                    tasks.append(asyncio.create_task(self._or_reset(pump, held)))
            await self._over.wait()
        except OSError:
            self._hard = True
        finally:
            # Only then are the sockets closed: their numbers are used again at once.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (self._client, self._server):
                with suppress(OSError):
                    if self._hard:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
                end.close()

    async def _or_reset(self, pump: Callable[[_Held], Awaitable[None]], held: _Held) -> None:
        try:
            await pump(held)
        except OSError:
            self.end(hard=True)

    async def _take(self, source: socket.socket, held: _Held) -> None:
        loop = asyncio.get_running_loop()
        data = b"."
        while data:
            await self._fault.until_taking()
            await held.until_room()
            data = await loop.sock_recv(source, _CHUNK_BYTES)
            self.n_held += len(data)
            held.put(loop.time(), data)

    async def _give(self, way: Way, sink: socket.socket, held: _Held) -> None:
        while True:
            came_s, data = await held.get()
            await self._fault.until_due(came_s)
            if not data:
                break
            self.n_held -= len(data)
            if way not in self._swallowed:
                await self._pass(way, sink, data)
        # The stream has ended: tell the other side, and close when both have.
        self._n_streams -= 1
        if not self._n_streams:
            self.end(hard=False)
        elif way not in self._swallowed:
            sink.shutdown(socket.SHUT_WR)

    async def _pass(self, way: Way, sink: socket.socket, data: bytes) -> None:
        cut = self._fault.cut
        if cut is None or cut.way is not way:
            cut = None
        else:
            data = data[: cut.n_left]
            cut.n_left -= len(data)
            if not cut.n_left:
                self._fault.become()  # it strikes once
        self._n_forwarded[way] += len(data)
        await asyncio.get_running_loop().sock_sendall(sink, data)
        if cut is not None and not cut.n_left:
            self.end(cut.hard)
            await asyncio.Event().wait()  # until `run` cancels


class _Held:
    """Pieces on their way, each with when it came (the loop's time, s); an empty one is the end."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._n_bytes = 0
        self._changed = asyncio.Event()

    def put(self, came_s: float, data: bytes) -> None:
        self._pieces.append((came_s, data))
        self._n_bytes += len(data)
        self._changed.set()

    async def get(self) -> tuple[float, bytes]:
        while not self._pieces:
            self._changed.clear()
            await self._changed.wait()
        piece = self._pieces.popleft()
        self._n_bytes -= len(piece[1])
        self._changed.set()
        return piece

    async def until_room(self) -> None:
        while self._n_bytes >= _MOST_HELD_BYTES:
            self._changed.clear()
            await self._changed.wait()
