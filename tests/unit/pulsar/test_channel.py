from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme

from iot_producer.errors import RefusedError, UnreachableError
from iot_producer.pulsar.channel import Channel, Parcel, connect

MIB = 1024 * 1024


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


class Ends:
    """A channel and the plain socket at its other end, with a small buffer between them."""

    def __init__(self) -> None:
        ours, self.other = socket.socketpair()
        for end in (ours, self.other):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.data = bytearray()
        self.reasons: list[str] = []
        self.channel = Channel(ours, self.data.extend, self.reasons.append)

    async def read(self, n_bytes: int) -> bytes:
        found = bytearray()
        while len(found) < n_bytes:
            found += await asyncio.get_running_loop().sock_recv(self.other, n_bytes - len(found))
        return bytes(found)

    async def lost(self) -> str:
        while not self.reasons:
            await asyncio.sleep(0)
        return self.reasons[0]


def parcel(byte: bytes, n_bytes: int, owner: object = None) -> Parcel:
    return Parcel(owner, memoryview(byte * n_bytes))


def test_a_frame_larger_than_the_buffer_arrives_whole_and_is_written_then():
    async def test() -> None:
        ends = Ends()
        large = parcel(b"a", MIB)
        ends.channel.write(large)
        assert not large.is_written
        assert await ends.read(MIB) == b"a" * MIB
        await asyncio.sleep(0)
        assert large.is_written
        small = parcel(b"b", 10)
        ends.channel.write(small)
        assert small.is_written
        assert await ends.read(10) == b"b" * 10

    run(test())


def test_what_is_sent_first_waits_for_the_frame_that_has_begun_and_keeps_its_order():
    async def test() -> None:
        ends = Ends()
        for byte in (b"a", b"b"):
            ends.channel.write(parcel(byte, MIB))
        for text in (b"one", b"two"):
            ends.channel.write_first(text)
        found = await ends.read(2 * MIB + 6)
        assert found == b"a" * MIB + b"onetwo" + b"b" * MIB

    run(test())


def test_what_an_owner_withdraws_is_not_sent_but_for_what_has_begun():
    async def test() -> None:
        ends = Ends()
        mine, others = object(), object()
        parcels = [parcel(b"a", MIB, mine), parcel(b"b", 100, mine), parcel(b"c", 100, others)]
        for each in parcels:
            ends.channel.write(each)
        ends.channel.withdraw(mine)
        assert await ends.read(MIB + 100) == b"a" * MIB + b"c" * 100
        await asyncio.sleep(0)
        assert [each.is_written for each in parcels] == [True, False, True]

    run(test())


def test_what_arrives_is_passed_on_unless_it_is_paused():
    async def test() -> None:
        ends = Ends()
        ends.channel.pause()
        ends.channel.pause()
        ends.other.send(b"hello")
        for _ in range(5):
            await asyncio.sleep(0)
        assert ends.data == b""
        ends.channel.resume()
        while ends.data != b"hello":
            await asyncio.sleep(0)

    run(test())


def test_the_end_is_told_once_and_nothing_is_written_after_it():
    async def test() -> None:
        ends = Ends()
        large = parcel(b"a", MIB)
        ends.channel.write(large)
        ends.other.close()
        assert await ends.lost() in {
            "the other end closed the connection",
            "connection reset by peer",
            "broken pipe",
        }
        ends.channel.write(parcel(b"b", 1))
        ends.channel.write_first(b"c")
        ends.channel.withdraw(None)
        ends.channel.close("again")
        await asyncio.sleep(0)
        assert len(ends.reasons) == 1
        assert not large.is_written
        assert not ends.channel.is_open

    run(test())


def test_each_way_of_not_getting_through_has_its_words():
    async def test() -> None:
        with socket.socket() as bound:  # not listening
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            with pytest.raises(UnreachableError, match=f"nobody listens on 127.0.0.1:{port}"):
                await connect("127.0.0.1", port, None, 5.0)
        with pytest.raises(UnreachableError, match=r"the host 'nowhere\.invalid' does not resolve"):
            await connect("nowhere.invalid", 1, None, 5.0)
        with pytest.raises(UnreachableError, match="cannot be reached"):
            await connect("x" * 70, 1, None, 5.0)

    run(test())


class Secured:
    """A TLS server's certificate, and contexts for both sides."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


def test_over_tls_large_frames_go_both_ways():
    async def test() -> None:
        secured = Secured()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(3 * MIB))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=secured.server)
        port = server.sockets[0].getsockname()[1]
        connected = await connect("localhost", port, secured.client, 20.0)
        data, reasons = bytearray(), list[str]()
        channel = Channel(connected, data.extend, reasons.append)
        for byte in (b"a", b"b", b"c"):
            channel.write(parcel(byte, MIB))
        async with asyncio.timeout(20):
            while not reasons:
                await asyncio.sleep(0.001)
        assert data == b"a" * MIB + b"b" * MIB + b"c" * MIB
        server.close()

    run(test())


@pytest.mark.parametrize(
    ("trusts", "host", "said"),
    [(False, "localhost", "is not trusted"), (True, "127.0.0.1", "is not for 127.0.0.1")],
)
def test_a_server_that_cannot_be_trusted_is_refused(
    trusts: bool, host: str, said: str, tmp_path: Path
):
    async def test() -> None:
        secured = Secured()
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=secured.server)
        port = server.sockets[0].getsockname()[1]
        context = secured.client if trusts else ssl.create_default_context()
        with pytest.raises(RefusedError, match=said):
            await connect(host, port, context, 20.0)
        server.close()

    run(test())


def test_a_server_that_never_shakes_hands_is_given_up():
    async def test() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnreachableError, match="does not answer the TLS handshake"):
            await connect("127.0.0.1", port, ssl.create_default_context(), 0.1)
        server.close()

    run(test())
