"""A TCP proxy that misbehaves on command: the faults of a network, between real programs.

It must not know what goes through it. It runs in a thread of its own, on the loopback address, on a
free port that stays the same. Commands come from any thread, and hold when they return; each takes
the place of the one before.

    with ChaosProxy(("127.0.0.1", 6650)) as proxy:
        start_something_that_connects_to(proxy.port)
        proxy.stall()
        ...
        proxy.heal()
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from chaos_link import Cut, Fault, Link, Way

__all__ = ["ChaosProxy", "Way"]

T = TypeVar("T")


class ChaosProxy:
    """Passes connections on to a server, until told otherwise.

    Attributes:
        port: where it listens on 127.0.0.1.
        n_accepted: connections from clients so far.

    Args:
        server: host and port that connections are passed on to.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listening = _bound(0)
        self._listening.listen()
        self.port: int = self._listening.getsockname()[1]
        self.n_accepted = 0
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._n_forwarded = dict.fromkeys(Way, 0)
        self._fault = Fault()
        self._loop = asyncio.new_event_loop()
        self._accepting: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._heal())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def n_open(self) -> int:
        """Connections that are passed on now."""
        return self._ask(lambda: len(self._links))

    @property
    def n_held(self) -> int:
        """Bytes that were taken and are held back now, in both directions."""
        return self._ask(lambda: sum(link.n_held for link in self._links))

    def n_forwarded(self, way: Way) -> int:
        """Bytes that were passed on in a direction so far."""
        return self._ask(lambda: self._n_forwarded[way])

    def heal(self) -> None:
        """Pass everything on again, and accept connections.

        What was swallowed stays lost, and its connections stay broken in that direction.
        """
        self._run(self._heal())

    def delay(self, ms: float) -> None:
        """Hold back all bytes for so long, in both directions; the rate is not limited."""
        self._ask(lambda: self._fault.become(delay_s=ms / 1000))

    def stall(self) -> None:
        """Pass nothing on and take (almost) nothing more; all connections stay open."""
        self._ask(lambda: self._fault.become(stalled=True))

    def half_open(self, way: Way, n_newest: int | None = None) -> None:
        """Swallow what goes in one direction on connections that are open now.

        Their end in that direction is swallowed too: the other side learns of nothing.

        Args:
            way: the direction.
            n_newest: on so many connections, those that came last; None: on all.
        """
        self._ask(lambda: self._half_open(way, n_newest))

    def reset_after(self, n_bytes: int, way: Way = Way.TO_SERVER) -> None:
        """Reset the connection (RST to both sides) that carries the n-th byte from now on.

        Args:
            n_bytes: bytes that are still passed on in the direction, over all connections; ≥ 1.
            way: the direction.
        """
        self._ask(lambda: self._fault.become(cut=Cut(way, n_bytes, hard=True)))

    def truncate_after(self, n_bytes: int, way: Way = Way.TO_SERVER) -> None:
        """As `reset_after`, but both sides see a regular end (FIN)."""
        self._ask(lambda: self._fault.become(cut=Cut(way, n_bytes, hard=False)))

    def reset_all(self) -> None:
        """Reset all connections now."""
        self._run(self._reset_all())

    def refuse(self) -> None:
        """Refuse new connections, as a port does where nobody listens; open ones go on."""
        self._run(self._refuse())

    def _ask(self, call: Callable[[], T]) -> T:
        async def soon() -> T:
            return call()

        return self._run(soon())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _half_open(self, way: Way, n_newest: int | None) -> None:
        links = list(self._links)
        for link in links if n_newest is None else links[-n_newest:]:
            link.swallow(way)

    async def _heal(self) -> None:
        self._fault.become()
        if self._accepting is None:
            self._listening.listen()
            self._listening.setblocking(False)
            self._accepting = asyncio.create_task(self._accept(self._listening))

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(listening)
            self.n_accepted += 1
            link = Link(client, self._fault, self._n_forwarded)
            self._links[link] = asyncio.create_task(self._serve(link))

    async def _serve(self, link: Link) -> None:
        await link.run(self._server)
        del self._links[link]

    async def _reset_all(self) -> None:
        for link in self._links:
            link.end(hard=True)
        await asyncio.gather(*self._links.values())

    async def _refuse(self) -> None:
        await self._stop_accepting()
        # Bound but not listening: the port stays ours, and who connects is refused.
        self._listening = _bound(self.port)

    async def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            with suppress(asyncio.CancelledError):
                await self._accepting
            self._accepting = None
        self._listening.close()

    async def _close(self) -> None:
        await self._stop_accepting()
        await self._reset_all()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
