from __future__ import annotations

import numpy as np
import pytest

from iot_producer.pulsar.commands import (
    BrokerEntryMetadata,
    CommandType,
    MessageMetadata,
    new_command,
)
from iot_producer.pulsar.wire import (
    FRAME_MARGIN_BYTES,
    HEADROOM,
    FrameReader,
    WireError,
    crc32c,
    encode_command,
    parse_body,
    send_frame,
)
from wire_cases import (
    CASES,
    ENTRY,
    ENTRY_METADATA,
    ENTRY_PAYLOAD,
    Case,
)

METADATA = MessageMetadata(**ENTRY_METADATA)
PING = bytes.fromhex("00000009000000050812920100")


def frame_of(case: Case) -> bytes:
    command = bytes.fromhex(case.text)
    n = len(command)
    return (n + 4).to_bytes(4, "big") + n.to_bytes(4, "big") + command


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.name.lower())
def test_a_command_and_its_frame(case: Case) -> None:
    frame = frame_of(case)
    command = new_command(case.kind, **case.fields)
    assert encode_command(command) == frame
    reader = FrameReader()
    reader.feed(frame)
    found = reader.next_frame()
    assert found is not None
    assert found.command == command
    assert found.body is None
    assert reader.next_frame() is None
    assert not reader.is_within_frame


def test_frames_come_in_pieces_of_any_length() -> None:
    stream = b"".join(map(frame_of, CASES))
    for n in (1, 3, 7, 1000, len(stream)):
        reader = FrameReader()
        kinds = []
        for at in range(0, len(stream), n):
            reader.feed(bytearray(stream[at : at + n]))
            while (frame := reader.next_frame()) is not None:
                kinds.append(frame.command.type)
        assert kinds == [case.kind for case in CASES]


def test_a_frame_that_is_not_whole_is_told() -> None:
    reader = FrameReader()
    assert not reader.is_within_frame
    for at in range(len(PING) - 1):
        reader.feed(PING[at : at + 1])
        assert reader.is_within_frame
        assert reader.next_frame() is None
    reader.feed(PING[-1:])
    assert not reader.is_within_frame


def test_checksums_are_those_of_the_standard() -> None:
    # RFC 3720, appendix B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytearray(range(32))) == 0x46DD794E
    assert crc32c(memoryview(bytearray(range(31, -1, -1)))) == 0x113FDB5C
    assert crc32c(np.arange(32, dtype=np.uint8)) == 0x46DD794E
    assert crc32c(b"") == 0


def test_an_entry_that_was_recorded() -> None:
    body = parse_body(memoryview(ENTRY))
    assert body.metadata == METADATA
    assert bytes(body.payload) == ENTRY_PAYLOAD
    assert body.checksum_ok
    assert body.broker_entry is None


def send(payload: bytes, start: int = HEADROOM, metadata: bytes | None = None) -> memoryview:
    buffer = np.full(start + len(payload) + 50, 0xEE, dtype=np.uint8)
    buffer[start : start + len(payload)] = np.frombuffer(payload, dtype=np.uint8)
    frame = send_frame(
        buffer,
        start,
        start + len(payload),
        producer_id=1,
        sequence_id=300,
        highest_sequence_id=301,
        n_messages=1000,
        metadata=METADATA.SerializeToString() if metadata is None else metadata,
    )
    assert (buffer[start + len(payload) :] == 0xEE).all()
    return frame


def test_the_frame_of_a_send_is_what_the_official_client_writes_around_it() -> None:
    [case] = [case for case in CASES if case.fields.get("num_messages") == 1000]
    command = bytes.fromhex(case.text)
    rest = len(command).to_bytes(4, "big") + command + ENTRY
    assert bytes(send(ENTRY_PAYLOAD)) == len(rest).to_bytes(4, "big") + rest


def test_a_send_is_read_back() -> None:
    payload = bytes(range(256)) * 100
    reader = FrameReader()
    reader.feed(send(payload))
    frame = reader.next_frame()
    assert frame is not None
    assert frame.command.send.highest_sequence_id == 301
    assert frame.body is not None
    body = parse_body(frame.body)
    assert (body.metadata, bytes(body.payload), body.checksum_ok) == (METADATA, payload, True)


def test_a_head_that_does_not_fit_before_the_payload() -> None:
    head = len(send(b"xyz")) - 3
    assert len(send(b"xyz", start=head)) == head + 3
    with pytest.raises(ValueError, match=f"head of {head} bytes does not fit .* at {head - 1}"):
        send(b"xyz", start=head - 1)


def test_the_broker_s_own_metadata() -> None:
    added = BrokerEntryMetadata(broker_timestamp=1_795_375_351_040, index=17)
    text = added.SerializeToString()
    body = parse_body(memoryview(b"\x0e\x02" + len(text).to_bytes(4, "big") + text + ENTRY))
    assert body.broker_entry == added
    assert body.checksum_ok
    assert bytes(body.payload) == ENTRY_PAYLOAD


def test_an_entry_without_a_checksum() -> None:
    body = parse_body(memoryview(ENTRY[6:]))
    assert body.checksum_ok
    assert bytes(body.payload) == ENTRY_PAYLOAD


@pytest.mark.parametrize("at", range(2, len(ENTRY)))
def test_each_changed_byte_of_an_entry_is_found(at: int) -> None:
    changed = bytearray(ENTRY)
    changed[at] ^= 0x10
    try:
        body = parse_body(memoryview(changed))
    except WireError:
        return
    assert not body.checksum_ok


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "no room for the size of the metadata"),
        ("0e01", "within its checksum"),
        ("0e0200000005aa", "broker entry metadata of 5 bytes, where 1 are left"),
        ("0e020000000108", "broker entry metadata cannot be parsed"),
        ("0e0112345678000000", "no room for the size of the metadata"),
        ("000000020a05", "metadata cannot be parsed"),
        ("00000000", "metadata without producer_name, sequence_id, publish_time"),
        ("000000ff00", "metadata of 255 bytes, where 1 are left"),
    ],
)
def test_a_body_that_is_none(data: str, message: str) -> None:
    with pytest.raises(WireError, match=message):
        parse_body(memoryview(bytes.fromhex(data)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("00000000", "a frame of 0 bytes"),
        ("00000003000000", "a frame of 3 bytes"),
        ("ffffffff", "a frame of 4294967295 bytes; it may have 4 to 5253120"),
        ("474554202f", "a frame of 1195725856 bytes"),  # HTTP
        ("0000000400000001", "command of 1 bytes, where 0 are left"),
        ("0000000400000000", "command without type"),
        ("00000006000000020a05", "command cannot be parsed"),
        ("00000006000000020812", "a command of type 18 without its fields"),
        ("0000000a00000006080632020801", "command without send.sequence_id"),
    ],
)
def test_a_frame_that_is_none(data: str, message: str) -> None:
    reader = FrameReader()
    reader.feed(PING + bytes.fromhex(data))
    first = reader.next_frame()
    assert first is not None
    assert first.command.type == CommandType.PING
    for _ in range(2):
        with pytest.raises(WireError, match=message):
            reader.next_frame()
        reader.feed(PING)


def test_a_frame_of_an_unknown_command_is_given() -> None:
    reader = FrameReader()
    reader.feed(bytes.fromhex("00000006000000020863"))
    frame = reader.next_frame()
    assert frame is not None
    assert frame.command.type == 99


def test_the_largest_frame_follows_the_broker_s_limit() -> None:
    reader = FrameReader(1000)
    n = 1000 + FRAME_MARGIN_BYTES
    reader.feed(n.to_bytes(4, "big"))
    assert reader.next_frame() is None
    reader = FrameReader(1000)
    reader.limit(999)
    reader.feed(n.to_bytes(4, "big"))
    with pytest.raises(WireError, match=f"a frame of {n} bytes"):
        reader.next_frame()


def test_a_command_that_lacks_a_field_is_not_sent() -> None:
    with pytest.raises(ValueError, match=r"a command without lookup\.request_id"):
        encode_command(new_command(CommandType.LOOKUP, topic="t"))
