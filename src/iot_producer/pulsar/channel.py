"""One TCP connection, plain or TLS: bytes in, frames out, driven by an asyncio loop.

Promise: a frame is never copied here, and each parcel knows whether the operating system has all of
it. It must not know what the bytes mean.

Why not asyncio's transports: up to Python 3.11 they copy what a socket does not take at once, into
a buffer that moves with every further write; entries are some hundred kB. TLS goes through the
same calls, in pieces that OpenSSL can take.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from iot_producer.errors import IotProducerError, UnreachableError
from iot_producer.pulsar.security import is_tls_error, tls_failure

_READ_BYTES: Final = 512 * 1024
_TLS_PIECE_BYTES: Final = 64 * 1024
_READS_IN_A_ROW: Final = 8
_NOT_NOW: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(slots=True, eq=False)
class Parcel:
    """A frame to be sent.

    Attributes:
        owner: whose it is.
        frame: its bytes.
        is_written: whether the operating system has all of them.
    """

    owner: object
    frame: memoryview
    is_written: bool = False


class Channel:
    """A connected socket, used on its loop's thread; but see `takes_from_any_thread`.

    Args:
        connected: from `connect`.
        on_data: takes each piece that arrives; the view is valid during the call only.
        on_lost: called once, later, when the connection has ended, with the reason.

    """

    def __init__(
        self,
        connected: socket.socket,
        on_data: Callable[[memoryview], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = connected
        self._fd = connected.fileno()
        self._is_tls = isinstance(connected, ssl.SSLSocket)
        self._on_data = on_data
        self._on_lost = on_lost
        self._input = memoryview(bytearray(_READ_BYTES))
        self._first: deque[memoryview] = deque()
        self._parcels: deque[Parcel] = deque()
        self._rest: memoryview | None = None  # of what was written in part
        self._rest_of: Parcel | None = None
        self._is_waiting = False  # for room in the socket's buffer
        self._is_paused = False
        self._lock = threading.Lock()
        self._loop.add_reader(self._fd, self._read)

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._socket is not None

    @property
    def takes_from_any_thread(self) -> bool:
        """Whether `write` may be called from a thread that is not the loop's.

        Not with TLS: OpenSSL's connection must not be read and written at the same time.
        """
        return not self._is_tls

    def write(self, parcel: Parcel) -> None:
        """Send a frame after all that are queued; it must not change until it has gone."""
        with self._lock:
            parcel.is_written = False
            self._parcels.append(parcel)
            if not self._is_waiting:
                self._send_queued()

    def withdraw(self, owner: object) -> None:
        """Do not send what an owner has queued, but for a frame that has begun."""
        with self._lock:
            if any(parcel.owner is owner for parcel in self._parcels):
                self._parcels = deque(p for p in self._parcels if p.owner is not owner)

    def write_first(self, frame: bytes) -> None:
        """Send a small frame before those of `write` that have not begun."""
        with self._lock:
            self._first.append(memoryview(frame))
            if not self._is_waiting:
                self._send_queued()

    def pause(self) -> None:
        """Read no more, for the time being."""
        if self._socket is not None and not self._is_paused:
            self._is_paused = True
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read again."""
        if self._socket is not None and self._is_paused:
            self._is_paused = False
            self._loop.add_reader(self._fd, self._read)
            if self._is_tls:
                self._loop.call_soon(self._read)  # what OpenSSL holds shows on no descriptor

    def close(self, reason: str = "closed") -> None:
        """End the connection; what is queued is dropped. `on_lost` gets the reason."""
        with self._lock:
            connected, self._socket = self._socket, None
            if connected is None:
                return
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._is_waiting = True
            self._first.clear()
            self._parcels.clear()
            self._rest = None
            with suppress(OSError):
                connected.close()
        self._loop.call_soon(self._on_lost, reason)

    def _read(self) -> None:
        for _ in range(_READS_IN_A_ROW):
            if self._socket is None or self._is_paused:
                return
            try:
                n_bytes = self._socket.recv_into(self._input)
            except _NOT_NOW:
                break
            except OSError as error:
                self.close(_said(error))
                return
            if not n_bytes:
                self.close("the other end closed the connection")
                return
            self._on_data(self._input[:n_bytes])
            if not self._is_tls and n_bytes < _READ_BYTES:
                break
        if self._is_tls and self._socket is not None:
            if self._is_waiting:
                self._flush()  # TLS may have had to read before it could write
            if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
                self._loop.call_soon(self._read)

    def _flush(self) -> None:
        """There is room again."""
        with self._lock:
            self._send_queued()
            if self._is_waiting and self._socket is not None and self._rest is None:
                self._is_waiting = False
                self._loop.remove_writer(self._fd)

    def _send_queued(self) -> None:
        """Send what is queued until the socket takes no more; the lock is held."""
        while self._socket is not None:
            frame = self._rest
            if frame is None:
                if self._first:
                    frame, self._rest_of = self._first.popleft(), None
                elif self._parcels:
                    self._rest_of = self._parcels.popleft()
                    frame = self._rest_of.frame
                else:
                    return
            try:
                n_bytes = self._socket.send(frame[:_TLS_PIECE_BYTES] if self._is_tls else frame)
            except _NOT_NOW:
                self._rest = frame
                if not self._is_waiting:
                    self._is_waiting = True
                    self._soon(self._wait_for_room)
                return
            except OSError as error:
                self._rest = frame
                self._end_soon(_said(error))
                return
            except BaseException:
                # A signal's exception: whether a part of the frame has left is not known.
                self._end_soon("interrupted")
                raise
            if n_bytes < len(frame):
                self._rest = frame[n_bytes:]
            else:
                self._rest = None
                if self._rest_of is not None:
                    self._rest_of.is_written = True

    def _wait_for_room(self) -> None:
        if self._socket is not None:
            self._loop.add_writer(self._fd, self._flush)

    def _end_soon(self, reason: str) -> None:
        self._is_waiting = True  # nothing is sent any more
        self._soon(self.close, reason)

    def _soon(self, function: Callable[..., object], *arguments: object) -> None:
        """Call it on the loop's thread, which may be another; not if the loop has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)


async def connect(
    host: str, port: int, context: ssl.SSLContext | None, timeout_s: float
) -> socket.socket:
    """A connected socket, with TLS if a context is given; each address of the host is tried.

    Args:
        host: a name, or an address without brackets.
        port: of TCP.
        context: of TLS.
        timeout_s: for all of it.

    Raises:
        UnreachableError: nobody answers there; the message says how.
        RefusedError: TLS says no.
    """
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout_s):
            connected = await _connect_plain(host, port)
    except TimeoutError as error:
        raise UnreachableError(f"{where} does not accept within {timeout_s:g} s") from error
    except socket.gaierror as error:
        raise UnreachableError(f"the host {host!r} does not resolve") from error
    except ConnectionRefusedError as error:
        raise UnreachableError(f"nobody listens on {where}") from error
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"{where} cannot be reached: {error}") from error
    if context is None:
        return connected
    try:
        async with asyncio.timeout(timeout_s):
            return await _shake_hands(connected, context, host)
    except BaseException as error:
        connected.close()
        if isinstance(error, TimeoutError):
            raise UnreachableError(
                f"{where} does not answer the TLS handshake within {timeout_s:g} s",
                "does this port speak TLS (6651, as a rule)?",
            ) from error
        if isinstance(error, OSError):
            failure: IotProducerError = tls_failure(error, host, port)
            raise failure from error
        raise


async def _connect_plain(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"no address of {host}")
    for family, kind, protocol, _, address in await _resolved(host, port):
        connected = socket.socket(family, kind, protocol)
        try:
            connected.setblocking(False)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(connected, address)
        except OSError as error:
            connected.close()
            failure = error
        except BaseException:
            connected.close()
            raise
        else:
            return connected
    raise failure


async def _resolved(host: str, port: int) -> list[Any]:
    """Addresses of a host. A name is looked up in a daemon thread: a server of names that is
    silent for half a minute must not keep the process from ending.
    """
    with suppress(ValueError):
        ipaddress.ip_address(host.partition("%")[0])
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Any]] = loop.create_future()

    def resolve() -> None:
        answer: tuple[Callable[[asyncio.Future[Any], Any], None], Any]
        try:
            answer = _fill, socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer = _fail, error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(answer[0], found, answer[1])

    threading.Thread(target=resolve, name=f"resolve {host}", daemon=True).start()
    return await found


def _fill(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: Any) -> None:
    if not future.done():
        future.set_exception(error)


async def _shake_hands(
    connected: socket.socket, context: ssl.SSLContext, host: str
) -> ssl.SSLSocket:
    secured = context.wrap_socket(
        connected, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
    loop = asyncio.get_running_loop()
    try:
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(secured.fileno(), loop.add_reader, loop.remove_reader)
            except ssl.SSLWantWriteError:
                await _ready(secured.fileno(), loop.add_writer, loop.remove_writer)
            else:
                return secured
    except BaseException:
        secured.close()
        raise


async def _ready(fd: int, add: Callable[..., None], remove: Callable[[int], object]) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(fd, _fill, future, None)
    try:
        await future
    finally:
        remove(fd)


def _said(error: OSError) -> str:
    if is_tls_error(error):
        return f"TLS broke off: {error.reason or error}" if hasattr(error, "reason") else str(error)
    return (error.strerror or str(error) or type(error).__name__).lower()
