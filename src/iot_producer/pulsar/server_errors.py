"""What a broker's errors mean, in the project's words.

Promise: each number of ``ServerError`` becomes one of our exceptions, which says whose fault it is
and what to do. `UnreachableError` means that trying again may help: the broker or what it needs is
not ready. It must not know connections.
"""

from __future__ import annotations

from typing import Final

from iot_producer.errors import (
    IotProducerError,
    LaneLostError,
    MissingTopicError,
    NameTakenError,
    NotPulsarError,
    RefusedError,
    UnreachableError,
)
from iot_producer.pulsar.commands import ServerError
from iot_producer.pulsar.missing_namespace import creation_remedy

FINAL_ERRORS: Final = frozenset(
    (
        ServerError.TOPIC_TERMINATED,
        ServerError.TOPIC_NOT_FOUND,
        ServerError.AUTHORIZATION,
        ServerError.AUTHENTICATION,
        ServerError.PRODUCER_BLOCKED_QUOTA_EXCEEDED_ERROR,
        ServerError.PRODUCER_BLOCKED_QUOTA_EXCEEDED_EXCEPTION,
        ServerError.PRODUCER_FENCED,
    )
)
"""These end a producer; what else a broker refuses an entry with may pass, or is the entry's."""

_GONE: Final = (
    "check the topic's name (PULSAR_TOPIC, --topic); iot-producer run --create-topic PARTITIONS "
    "creates one where the broker does not"
)
_RIGHTS: Final = "ask for the right to produce to and consume from the topic's namespace"
_ROOM: Final = "consume or clear the topic's backlog, or raise the namespace's backlog quota"
_SHARD: Final = "give each pod and process its own SHARD=i/n, or wait until the other run has ended"
_LATER: Final = "the broker says that this may pass; see its log if it does not"
_LONGEST: Final = 300

# (exception, what it says, what to do)
_SAYINGS: Final[dict[int, tuple[type[IotProducerError], str, str]]] = {
    ServerError.AUTHENTICATION: (
        RefusedError,
        "Pulsar does not accept who this is",
        "give a token that it takes: PULSAR_TOKEN or PULSAR_TOKEN_FILE",
    ),
    ServerError.AUTHORIZATION: (RefusedError, "access to {topic} is not allowed", _RIGHTS),
    ServerError.NOT_ALLOWED: (RefusedError, "the broker does not allow this on {topic}", _RIGHTS),
    ServerError.TOPIC_NOT_FOUND: (
        MissingTopicError,
        "topic {topic} or its namespace does not exist",
        _GONE,
    ),
    ServerError.TOPIC_TERMINATED: (
        RefusedError,
        "topic {topic} is terminated: it takes no more messages",
        "use another topic, or delete this one and create it anew",
    ),
    ServerError.PRODUCER_BUSY: (
        NameTakenError,
        "producer {name} is at work on {topic} already",
        _SHARD,
    ),
    ServerError.PRODUCER_FENCED: (
        NameTakenError,
        "another producer took over {topic} exclusively",
        _SHARD,
    ),
    ServerError.PRODUCER_BLOCKED_QUOTA_EXCEEDED_ERROR: (
        RefusedError,
        "the backlog of {topic} is full",
        _ROOM,
    ),
    ServerError.PRODUCER_BLOCKED_QUOTA_EXCEEDED_EXCEPTION: (
        RefusedError,
        "the backlog of {topic} is full",
        _ROOM,
    ),
    ServerError.INVALID_TOPIC_NAME: (
        RefusedError,
        "the name of topic {topic} is invalid",
        "write persistent://tenant/namespace/topic",
    ),
    ServerError.INCOMPATIBLE_SCHEMA: (
        RefusedError,
        "topic {topic} has a schema that plain JSON bytes do not fit",
        "use a topic without a schema",
    ),
    ServerError.CONSUMER_BUSY: (
        RefusedError,
        "a consumer is at work on {topic} exclusively",
        "",
    ),
    ServerError.UNSUPPORTED_VERSION: (
        RefusedError,
        "the broker is too old for this",
        "use Pulsar 2.10 or newer",
    ),
    ServerError.CHECKSUM: (RefusedError, "the broker found an entry for {topic} damaged", ""),
}
# A namespace or tenant that is not there is told in words only, as an error of other numbers.
_MISSING_WORDS: Final = ("policies not found", "namespace not found", "tenant does not exist")
_BUSY_LIMIT_WORDS: Final = "max producers limit"


class MissingNamespaceError(MissingTopicError):
    """The namespace of a topic is not there, nor perhaps its tenant: nobody creates either."""


class RefusalError(Exception):
    """A broker answered a request with an error; never leaves the project's Pulsar modules.

    Attributes:
        error: the number of the error (``ServerError``).
        said: the broker's words.
    """

    def __init__(self, error: int, said: str) -> None:
        super().__init__(said)
        self.error = error
        self.said = said


def explained(
    error: int, said: str, where: str, topic: str = "", name: str = ""
) -> IotProducerError:
    """The exception for an error of a broker.

    Args:
        error: the number of the error; one that is not known may pass.
        said: the broker's own words.
        where: the broker, or the service URL.
        topic: what it was about.
        name: of the producer.
    """
    words = _first_line(said)
    if any(missing in words.lower() for missing in _MISSING_WORDS):
        return MissingNamespaceError(
            f"the namespace of topic {topic or '?'} does not exist ({where}: {words})",
            creation_remedy(topic),
        )
    if error == ServerError.PRODUCER_BUSY and _BUSY_LIMIT_WORDS in words:
        return RefusedError(
            f"topic {topic} takes no more producers ({where}: {words})",
            "raise the namespace's limit of producers, or end others",
        )
    saying = _SAYINGS.get(error)
    about = f", topic {topic}" if topic else ""
    if saying is None:
        return UnreachableError(f"{where} cannot do this now ({words}{about})", _LATER)
    kind, text, hint = saying
    told = text.format(topic=topic or "the topic", name=name or "without a name")
    return kind(f"{told} ({where}{': ' + words if words else ''})", hint)


def lost_lane(name: str, topic: str, cause: IotProducerError | None = None) -> LaneLostError:
    """The exception for a producer whose name is somebody else's when it comes back."""
    lost = LaneLostError(
        f"producer {name} on {topic} was taken over while its connection was broken",
        "another process does this lane's work now; what was not confirmed here is unconfirmed",
    )
    lost.__cause__ = cause
    return lost


def speaks_http(where: str) -> NotPulsarError:
    """The exception for a port that answers a broker's greeting in HTTP."""
    return NotPulsarError(
        f"{where} answers in HTTP: it is the port of an admin API or a web server, not a broker's",
        "give the broker's binary port, most often 6650 (pulsar://) or 6651 (pulsar+ssl://); the "
        "admin API's address belongs into PULSAR_ADMIN_URL",
    )


def _first_line(said: str) -> str:
    """The broker's words without a stack trace."""
    line = said.strip().partition("\n")[0].strip()
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
