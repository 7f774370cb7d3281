from __future__ import annotations

import pytest

from iot_producer.errors import (
    MissingTopicError,
    NameTakenError,
    RefusedError,
    UnreachableError,
)
from iot_producer.pulsar.commands import ServerError
from iot_producer.pulsar.server_errors import MissingNamespaceError, explained

TOPIC = "persistent://public/default/t"
WHERE = "broker:6650"


@pytest.mark.parametrize("error", list(ServerError))
def test_every_error_names_the_broker_and_its_words(error: ServerError):
    found = explained(error, "its words", WHERE, TOPIC, "lane-0")
    assert WHERE in found.message
    assert "its words" in found.message
    assert isinstance(found, RefusedError | UnreachableError)


@pytest.mark.parametrize(
    ("error", "kind", "said", "hint"),
    [
        (ServerError.PRODUCER_BUSY, NameTakenError, f"lane-0 is at work on {TOPIC}", "SHARD"),
        (ServerError.PRODUCER_FENCED, NameTakenError, "exclusively", "SHARD"),
        (ServerError.TOPIC_NOT_FOUND, MissingTopicError, "does not exist", "--create-topic"),
        (ServerError.AUTHENTICATION, RefusedError, "does not accept who", "PULSAR_TOKEN"),
        (ServerError.AUTHORIZATION, RefusedError, f"access to {TOPIC}", "right to produce"),
        (ServerError.TOPIC_TERMINATED, RefusedError, "is terminated", "another topic"),
        (ServerError.PRODUCER_BLOCKED_QUOTA_EXCEEDED_ERROR, RefusedError, "is full", "quota"),
        (ServerError.SERVICE_NOT_READY, UnreachableError, "cannot do this now", "may pass"),
        (ServerError.PERSISTENCE, UnreachableError, "cannot do this now", "may pass"),
        (99, UnreachableError, "cannot do this now", "may pass"),
    ],
)
def test_it_says_whose_fault_it_is_and_what_to_do(
    error: int, kind: type[Exception], said: str, hint: str
):
    found = explained(error, "words", WHERE, TOPIC, "lane-0")
    assert type(found) is kind
    assert said in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ServerError.METADATA, "Namespace not found"),
        (ServerError.SERVICE_NOT_READY, "Policies not found for public/nowhere namespace"),
        (ServerError.UNKNOWN, "Tenant does not exist"),
    ],
)
def test_a_namespace_that_is_missing_is_known_by_the_brokers_words(error: ServerError, words: str):
    found = explained(error, words, WHERE, TOPIC)
    assert type(found) is MissingNamespaceError
    assert f"the namespace of topic {TOPIC} does not exist ({WHERE}: {words})" in found.message
    assert "pulsar-admin namespaces create public/default (" in found.hint
    assert "pulsar-admin tenants create public)" in found.hint
    assert "--create-topic" not in found.hint  # that needs the namespace


def test_of_a_topic_without_a_name_the_namespace_is_left_open():
    found = explained(ServerError.METADATA, "Namespace not found", WHERE)
    assert "pulsar-admin namespaces create TENANT/NAMESPACE (" in found.hint


def test_what_to_do_about_a_missing_topic_fits_those_who_read_it_too():
    found = explained(ServerError.TOPIC_NOT_FOUND, "", WHERE, TOPIC)
    assert found.hint.startswith("check the topic's name (PULSAR_TOPIC, --topic); ")
    assert "iot-producer run --create-topic" in found.hint


def test_a_limit_of_producers_is_no_taken_name():
    found = explained(ServerError.PRODUCER_BUSY, "Topic reached max producers limit", WHERE, TOPIC)
    assert type(found) is RefusedError
    assert "takes no more producers" in found.message


def test_of_a_stack_trace_only_the_first_line_is_told():
    found = explained(ServerError.UNKNOWN, "first " + "x" * 500 + "\n\tat java.Thread", WHERE)
    assert "java" not in found.message
    assert len(found.message) < 400
    assert "first" in found.message
