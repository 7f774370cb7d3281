"""Every result of the client becomes the right one of our exceptions."""

from __future__ import annotations

import _pulsar
import pytest

from iot_producer.errors import ConfigError, DestinationError, RefusedError, UnreachableError
from iot_producer.pulsar.client_errors import NameTakenError, explained

URL = "pulsar://broker:6650"
TOPIC = "persistent://public/default/t"

KINDS = {
    "InvalidUrl": ConfigError,
    "InvalidTopicName": ConfigError,
    "TopicNotFound": RefusedError,
    "TopicTerminated": RefusedError,
    "AuthenticationError": RefusedError,
    "AuthorizationError": RefusedError,
    "ProducerBlockedQuotaExceededError": RefusedError,
    "MessageTooBig": RefusedError,
    "ProducerBusy": NameTakenError,
    "ProducerFenced": NameTakenError,
    "Timeout": UnreachableError,
    "ConnectError": UnreachableError,
    "ServiceUnitNotReady": UnreachableError,
    "BrokerPersistenceError": UnreachableError,
    "SomethingNew": UnreachableError,
}


@pytest.mark.parametrize(("result", "kind"), KINDS.items())
def test_a_result_has_its_kind_and_names_the_place(result: str, kind: type[Exception]):
    error = explained(result, URL, TOPIC, "lane-0")
    assert type(error) is kind
    assert URL in error.message


@pytest.mark.parametrize("result", [name for name in _pulsar.Result.__members__ if name != "Ok"])
def test_every_result_of_the_client_has_a_saying(result: str):
    error = explained(result, URL, TOPIC)
    assert isinstance(error, DestinationError | ConfigError)
    assert "{" not in error.message + error.hint


def test_a_taken_name_is_told_with_what_to_do():
    error = explained("ProducerBusy", URL, TOPIC, "iot-producer-0")
    assert error.message == f"producer iot-producer-0 is at work on {TOPIC} already ({URL})"
    assert "SHARD" in error.hint


def test_a_missing_topic_is_told_with_what_to_do():
    assert "--create-topic" in explained("TopicNotFound", URL, TOPIC).hint
