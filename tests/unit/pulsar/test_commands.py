from __future__ import annotations

import pytest

from iot_producer.pulsar.commands import (
    MESSAGES,
    BaseCommand,
    CommandType,
    MessageMetadata,
    SingleMessageMetadata,
    is_whole,
    message_class,
    missing_fields,
    new_command,
    payload_of,
)
from wire_cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.name.lower())
def test_a_command_becomes_its_bytes(case: Case) -> None:
    assert new_command(case.kind, **case.fields).SerializeToString().hex() == case.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.name.lower())
def test_bytes_become_their_command(case: Case) -> None:
    command = BaseCommand()
    command.ParseFromString(bytes.fromhex(case.text))
    assert command.type == case.kind
    assert payload_of(command) == message_class(type(payload_of(command)).__name__)(**case.fields)


def test_the_table_of_cases_has_every_command() -> None:
    assert {case.kind for case in CASES} == set(CommandType)


def test_defaults_are_those_of_the_protocol() -> None:
    subscribe = message_class("CommandSubscribe")()
    assert (subscribe.durable, subscribe.force_topic_creation) == (True, True)
    assert message_class("CommandProducer")().user_provided_producer_name is True
    success = message_class("CommandProducerSuccess")()
    assert (success.last_sequence_id, success.producer_ready) == (-1, True)
    place = message_class("MessageIdData")()
    assert (place.partition, place.batch_index) == (-1, -1)
    assert message_class("CommandSend")().num_messages == 1
    assert MessageMetadata().num_messages_in_batch == 1
    assert SingleMessageMetadata().event_time == 0


def test_numbers_are_unique_within_a_message() -> None:
    for fields in MESSAGES.values():
        numbers = [field.split()[1] for field in fields.split(",") if field]
        assert len(set(numbers)) == len(numbers)


def test_an_unknown_command_keeps_its_type() -> None:
    command = BaseCommand()
    command.ParseFromString(bytes.fromhex("0863"))
    assert command.type == 99
    assert payload_of(command) is None
    assert is_whole(command)


def test_an_unknown_error_keeps_its_number() -> None:
    command = BaseCommand()
    command.ParseFromString(bytes.fromhex("080e7207080110631a0178"))
    assert command.error.error == 99


def test_a_command_without_its_message_is_not_whole() -> None:
    assert not is_whole(BaseCommand(type=int(CommandType.PING)))
    assert is_whole(new_command(CommandType.PING))


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ValueError, match="producer_idd"):
        new_command(CommandType.SEND, producer_idd=1)


def test_missing_fields_are_named() -> None:
    assert missing_fields(new_command(CommandType.SEND, producer_id=1)) == "send.sequence_id"


def test_text_that_is_no_utf_8_comes_as_bytes() -> None:
    metadata = SingleMessageMetadata()
    metadata.ParseFromString(b"\x12\x01\xff\x18\x00")
    assert metadata.partition_key == b"\xff"
