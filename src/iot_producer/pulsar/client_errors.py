"""What the official client says when something fails, in the project's words.

Promise: each of its results becomes one of our exceptions, which says whose fault it is and what to
do. `UnreachableError` means that trying again may help. That it is not installed is said too: it is
an extra. It must not know how clients are made.
"""

from __future__ import annotations

from typing import Final

from iot_producer.errors import (
    ConfigError,
    IotProducerError,
    NameTakenError,
    RefusedError,
    UnreachableError,
)

_MODULES: Final = ("_pulsar", "certifi", "pulsar")

_GONE: Final = (
    "check the topic's name (PULSAR_TOPIC, --topic), and that its namespace is there; iot-producer "
    "run --create-topic PARTITIONS creates a topic where the broker does not"
)
_RIGHTS: Final = "ask for the right to produce to and consume from the topic's namespace"
_ROOM: Final = "consume or clear the topic's backlog, or raise the namespace's backlog quota"
_SHARD: Final = "give each pod and process its own SHARD=i/n, or wait until the other run has ended"

# result: (exception, what it says of a topic, what to do)
_SAYINGS: Final[dict[str, tuple[type[IotProducerError], str, str]]] = {
    "InvalidUrl": (ConfigError, "the service URL is malformed", "write pulsar://host:6650"),
    "InvalidTopicName": (
        ConfigError,
        "the name of topic {topic} is invalid",
        "write persistent://tenant/namespace/topic",
    ),
    "InvalidConfiguration": (ConfigError, "the Pulsar client refuses its settings", ""),
    "AuthenticationError": (
        RefusedError,
        "Pulsar does not accept who this is",
        "give a token that it takes: PULSAR_TOKEN or PULSAR_TOKEN_FILE",
    ),
    "ErrorGettingAuthenticationData": (
        RefusedError,
        "there is no token to show",
        "give one: PULSAR_TOKEN or PULSAR_TOKEN_FILE",
    ),
    "AuthorizationError": (RefusedError, "access to {topic} is not allowed", _RIGHTS),
    "NotAllowedError": (RefusedError, "the broker does not allow this on {topic}", _RIGHTS),
    "TopicNotFound": (RefusedError, "topic {topic} or its namespace does not exist", _GONE),
    "TopicTerminated": (
        RefusedError,
        "topic {topic} is terminated: it takes no more messages",
        "use another topic, or delete this one and create it anew",
    ),
    "ProducerBusy": (NameTakenError, "producer {producer} is at work on {topic} already", _SHARD),
    "ProducerFenced": (NameTakenError, "another producer took over {topic} exclusively", _SHARD),
    "ProducerBlockedQuotaExceededError": (RefusedError, "the backlog of {topic} is full", _ROOM),
    "ProducerBlockedQuotaExceededException": (
        RefusedError,
        "the backlog of {topic} is full",
        _ROOM,
    ),
    "IncompatibleSchema": (
        RefusedError,
        "topic {topic} has a schema that plain JSON bytes do not fit",
        "use a topic without a schema",
    ),
    "ConsumerBusy": (RefusedError, "a consumer is at work on {topic} exclusively", ""),
    "UnsupportedVersionError": (RefusedError, "the broker is too old for this", ""),
    "OperationNotSupported": (RefusedError, "the broker does not support this on {topic}", ""),
    "MessageTooBig": (
        RefusedError,
        "an entry for {topic} is larger than the broker takes",
        "lower --block-records, or raise the broker's maxMessageSize",
    ),
    "ChecksumError": (RefusedError, "the broker found an entry for {topic} damaged", ""),
}
# The official client keeps to itself that its token was refused, and says that it timed out.
_SILENT: Final = (
    "is the broker up, is this its binary port (6650), not its admin API, and does it take the "
    "token? iot-producer doctor finds out"
)


def explained(
    result: str, service_url: str, topic: str, producer_name: str = ""
) -> IotProducerError:
    """The exception for a result of the client.

    Args:
        result: its name: of a ``_pulsar.Result``, or of the exception's type.
        service_url: where the client connects to.
        topic: what it was doing it with.
        producer_name: under which name.
    """
    saying = _SAYINGS.get(result)
    if saying is None:
        return UnreachableError(
            f"{service_url} does not answer as Pulsar should ({result}, topic {topic})", _SILENT
        )
    kind, text, hint = saying
    said = text.format(topic=topic, producer=producer_name or "without a name")
    return kind(f"{said} ({service_url})", hint)


def not_installed(error: ImportError) -> ImportError | ConfigError:
    """What to raise when the official client cannot be imported: our error, if it is missing."""
    if error.name not in _MODULES:
        return error
    return ConfigError(
        "--client official needs pulsar-client, which is not installed",
        'pip install "iot-producer[official]", or leave --client away',
    )
