"""Whatever arrives: frames, or a WireError; never another exception, never an endless loop."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from iot_producer.pulsar.wire import Body, Frame, FrameReader, WireError, parse_body
from wire_cases import CASES, ENTRY

FRAMES = []
for _case in CASES:
    _command = bytes.fromhex(_case.text)
    _body = ENTRY if _case.kind.name in ("SEND", "MESSAGE") else b""
    _rest = len(_command).to_bytes(4, "big") + _command + _body
    FRAMES.append(len(_rest).to_bytes(4, "big") + _rest)

cuts = st.lists(st.integers(0, 2_000), max_size=8)


def read(data: bytes, at: list[int]) -> tuple[list[Frame], str | None]:
    """All frames in some bytes, fed in pieces; and the fault at their end."""
    reader = FrameReader(100_000)
    found = []
    edges = sorted({0, len(data), *(cut for cut in at if cut < len(data))})
    for start, stop in pairwise(edges):
        reader.feed(data[start:stop])
        try:
            while (frame := reader.next_frame()) is not None:
                found.append(frame)
                assert len(found) <= len(data) // 8
        except WireError as error:
            return found, str(error)
    return found, None


def parsed(frame: Frame) -> Body | None:
    try:
        return None if frame.body is None else parse_body(frame.body)
    except WireError:
        return None


@given(st.binary(max_size=600), cuts)
def test_random_bytes(data: bytes, at: list[int]) -> None:
    found, _ = read(data, at)
    for frame in found:
        parsed(frame)


@given(st.lists(st.integers(0, len(CASES) - 1), max_size=6), cuts)
def test_frames_are_cut_where_they_end(some: list[int], at: list[int]) -> None:
    found, fault = read(b"".join(FRAMES[i] for i in some), at)
    assert fault is None
    assert [frame.command.SerializeToString().hex() for frame in found] == [
        CASES[i].text for i in some
    ]


@given(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=4), st.integers(1, 300), cuts)
def test_a_stream_that_breaks_off(some: list[bytes], n_lost: int, at: list[int]) -> None:
    n_lost = min(n_lost, len(some[-1]))
    data = b"".join(some)
    found, fault = read(data[: len(data) - n_lost], at)
    assert fault is None
    assert len(found) == len(some) - 1


@given(
    st.lists(st.sampled_from(FRAMES), min_size=1, max_size=4),
    st.integers(0, 2_000),
    st.integers(1, 255),
    cuts,
)
def test_a_changed_byte(some: list[bytes], place: int, change: int, at: list[int]) -> None:
    data = bytearray(b"".join(some))
    place %= len(data)
    data[place] ^= change
    n_before = sum(1 for k in range(len(some)) if len(b"".join(some[: k + 1])) <= place)
    found, _ = read(bytes(data), at)
    assert len(found) >= n_before
    for frame in found:
        parsed(frame)


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_random_bodies(data: bytes, has_broker: bool, has_checksum: bool) -> None:
    head = b"\x0e\x02\x00\x00\x00\x02\x08\x01" if has_broker else b""
    mark = b"\x0e\x01\x00\x00\x00\x00" if has_checksum else b""
    for body in (data, head + mark + data, head + mark + ENTRY[6:] + data):
        try:
            found = parse_body(memoryview(body))
        except WireError:
            continue
        assert len(found.payload) <= len(body)
