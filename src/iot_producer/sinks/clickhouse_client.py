"""A client for a ClickHouse server or for the embedded engine, and what their errors mean.

Promise: one kind of client (clickhouse-connect's) for both, made within a bounded time, or an
exception of the project. It must not know tables or records.

The embedded engine (chdb) is reached through clickhouse-connect's backend for it, which does all
that is needed: Arrow inserts, settings per insert, error codes, several handles, a clean close. An
insert goes through a temporary file there (TMPDIR), which costs nothing that could be measured.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import math
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iot_producer.errors import ConfigError, DestinationError, RefusedError, UnreachableError
from iot_producer.schema import DATABASE, TABLE

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# ClickHouse's error codes (src/Common/ErrorCodes.cpp of its source).
_LOGIN: Final = frozenset({192, 193, 194, 516})
_RIGHTS: Final = frozenset({164, 497})
_FULL: Final = frozenset({75, 243})
_GONE: Final = frozenset({60, 81})
_PASSING: Final = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY (a replica that lost its keeper)
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        319,  # UNKNOWN_STATUS_OF_INSERT
        999,  # KEEPER_EXCEPTION
    }
)
_REASONS: Final = {
    "timed out": "it does not answer in time",
    "Failed to resolve": "its host is not known",
    "Connection refused": "nobody listens there",
    "Connection aborted": "it closed the connection before it answered",
    "server version query": "what answers there is not ClickHouse",
}
"""What clickhouse-connect says of a connection, and what we say."""


@dataclass(frozen=True, slots=True)
class ClickHouseConfig:
    """Where the table is, and how long to wait for it.

    Attributes:
        directory: of the embedded engine; empty for a server.
        host, port, user, password: of the server's HTTP interface.
        database, table: created when they are not there.
        ttl_days: of a table that is created: rows whose event time is older than this vanish, so a
            plan that starts in the past needs more.
        connect_timeout_s: for the connection and each answer while it is set up.
        insert_timeout_s: for an insert's answer.
        give_up_after_s: how long an insert is repeated before the destination counts as gone.
        gather_rows: an insert has at most about this many records (whole blocks).
        gather_s: and none waits longer than this for others to join it.
    """

    directory: str = ""
    host: str = ""
    port: int = 8123
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = DATABASE
    table: str = TABLE
    ttl_days: int = 30
    connect_timeout_s: float = 5.0
    insert_timeout_s: float = 30.0
    give_up_after_s: float = 30.0
    gather_rows: int = 50_000
    gather_s: float = 0.5

    @property
    def where(self) -> str:
        """The destination's name in messages."""
        if self.directory:
            return f"chdb://{self.directory}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"clickhouse://{host}:{self.port}"


def check_workers(config: ClickHouseConfig, n_workers: int) -> None:
    """One process at a time may open a directory of the embedded engine.

    Raises:
        ConfigError: more than one worker for it.
    """
    if config.directory and n_workers > 1:
        raise ConfigError(
            f"{n_workers} workers cannot share {config.where}: one process at a time may open it",
            "set WORKERS=1, or use a ClickHouse server (clickhouse://)",
        )


def connect(config: ClickHouseConfig, answer_timeout_s: float) -> Client:
    """A client that has had an answer.

    Args:
        config: where to.
        answer_timeout_s: how long each of its requests may take.

    Raises:
        ConfigError: clickhouse-connect or chdb is not installed; the directory cannot be one.
        UnreachableError: no server, or it does not answer in time.
        RefusedError: wrong user or password; a directory that cannot be written or is in use.
    """
    try:
        import clickhouse_connect
        from clickhouse_connect.driver.exceptions import ClickHouseError

        if config.directory:
            import chdb  # noqa: F401 - the backend imports it, with a message of its own
    except ImportError as error:
        extra = "embedded" if config.directory else "clickhouse"
        raise ConfigError(
            f"{config.where} needs the Python package {error.name}, which is not installed",
            f'pip install "iot-producer[{extra}]"',
        ) from error
    # What they log about a failed request is said by our exceptions.
    for library in ("clickhouse_connect", "urllib3.connectionpool"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        if config.directory:
            _prepare(Path(config.directory))
            return clickhouse_connect.get_client(interface="chdb", path=config.directory)
        return clickhouse_connect.get_client(
            host=config.host,
            port=config.port,
            username=config.user or "default",
            password=config.password,
            interface="http",
            compress="lz4",
            connect_timeout=math.ceil(config.connect_timeout_s),
            send_receive_timeout=math.ceil(answer_timeout_s),
            autogenerate_session_id=False,
        )
    except ClickHouseError as error:
        raise failure(error, config) from error


def failure(error: Exception, config: ClickHouseConfig) -> DestinationError:
    """What an exception of the client means, in the project's words.

    Args:
        error: a ``ClickHouseError``, or an ``OSError`` of the temporary file.
        config: where it happened.
    """
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
        return RefusedError(
            f"{config.where}: {reason} in {tempfile.gettempdir()}", "set TMPDIR to another disk"
        )
    code = getattr(error, "code", None)
    text = str(error).partition("Stack trace")[0]
    said = " ".join(text.split())[:300]
    if config.directory and "Unable to open the chdb engine" in said:
        found = said.rpartition("filesystem error:")[2] if "filesystem error:" in said else said
        return RefusedError(
            f"{config.where} cannot be opened: {found.strip()}",
            "choose another directory, or end the program that has it open",
        )
    if code is None:
        reason = next((ours for theirs, ours in _REASONS.items() if theirs in text), said)
        return UnreachableError(
            f"{config.where}: {reason}", "check host and port (the HTTP interface, usually 8123)"
        )
    hint = ""
    if code in _LOGIN:
        hint = "check user and password: clickhouse://user:password@host:port/database.table"
    elif code in _RIGHTS:
        hint = f"its user needs CREATE and INSERT on {config.database}.{config.table}"
    elif code in _FULL:
        hint = "free some space; what was confirmed is kept"
    elif code in _GONE:
        hint = "the table was dropped while it was written"
    kind = UnreachableError if code in _PASSING else RefusedError
    return kind(f"{config.where} refused: {said}", hint)


def _prepare(directory: Path) -> None:
    """Make sure that the engine can have the directory: it says less clearly why not."""
    what = f"chdb://{directory}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"{what} is not a directory", "give another name") from error
    except OSError as error:
        raise RefusedError(
            f"{what} cannot be made: {os.strerror(error.errno or 0)}",
            "choose a directory that this user may write",
        ) from error
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"probe")
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise RefusedError(
            f"{what} cannot be written: {os.strerror(error.errno or 0)}",
            "free some space" if full else "choose a directory that this user may write",
        ) from error
    # The engine locks this file for as long as it is open, and writes its process into it. Several
    # clients of one process share the engine.
    try:
        with open(directory / "status", "rb") as status:
            try:
                fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = re.search(rb"PID: ([0-9]+)", status.read())
                if owner and int(owner[1]) == os.getpid():
                    return
                number = f", {int(owner[1])}" if owner else ""
                raise RefusedError(
                    f"{what} is open in another process{number}",
                    "one process at a time may open it: end that one, or use another directory",
                ) from error
    except FileNotFoundError:
        return  # a new directory
    except OSError as error:
        raise RefusedError(
            f"{what} cannot be read: {os.strerror(error.errno or 0)}",
            "choose a directory that this user may read and write",
        ) from error
