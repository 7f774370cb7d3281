"""The exceptions that a user can meet, each with what to do about it, and the exit codes.

    IotProducerError
    ├── UsageError               the user's fault                              exit 2
    │   ├── ConfigError          a flag, a variable or a key of the TOML file
    │   ├── OutputExistsError    a file that would be overwritten
    │   └── ReportError          a run report that cannot be used
    ├── DestinationError         the destination's fault                       exit 3
    │   ├── UnreachableError     no connection, or it stopped answering
    │   └── RefusedError         it answered, and said no
    │       ├── NotPulsarError   what answers there is no broker
    │       ├── MissingTopicError    the topic is not there
    │       └── NameTakenError   another producer has the name: its lane is at work elsewhere
    │           └── LaneLostError    it was ours, and somebody else has it now
    └── DataError                the data's fault: lost, changed, not sent     exit 1

This module imports nothing of the project. It must not know any library: adapters map library
exceptions to these, with ``from``.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says at its end."""

    OK = 0
    """All that was due is confirmed; verification found no difference."""
    FAILED = 1
    """Something failed, stayed unconfirmed or was not sent, or verification found a difference."""
    USAGE = 2
    """Bad usage or configuration."""
    DESTINATION = 3
    """The destination is unreachable or refused."""
    INTERRUPTED = 130
    """Stopped by SIGINT (Ctrl-C)."""


class IotProducerError(Exception):
    """The root of all exceptions that the project raises on purpose.

    Args:
        message: what happened, with the value that caused it.
        hint: what to do about it, as a sentence; empty when there is nothing to say.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[IotProducerError], tuple[str, str]]:
        return (type(self), (self.message, self.hint))


class UsageError(IotProducerError):
    """The user's fault."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A flag, an environment variable or a key of the TOML file has a value that cannot be used."""


class OutputExistsError(UsageError):
    """A file or directory is in the way of the output."""


class ReportError(UsageError):
    """A run report is damaged, or of another version of the data."""


class DestinationError(IotProducerError):
    """The destination's fault."""

    exit_code = ExitCode.DESTINATION


class UnreachableError(DestinationError):
    """No connection could be made, or the destination stopped answering."""


class RefusedError(DestinationError):
    """Refused by the destination (authorization, missing topic, full disk, name taken)."""


class NotPulsarError(RefusedError):
    """What answers there is no broker; if a broker did before, it may do so again."""


class MissingTopicError(RefusedError):
    """The topic or its namespace is not there, and nobody makes it."""


class NameTakenError(RefusedError):
    """Another producer on the topic has the name, so somebody else is at work on that lane."""


class LaneLostError(NameTakenError):
    """The name was ours until the connection broke; now somebody else is at work on the lane."""


class DataError(IotProducerError):
    """The data's fault: something was lost, changed, duplicated or not sent."""

    exit_code = ExitCode.FAILED
