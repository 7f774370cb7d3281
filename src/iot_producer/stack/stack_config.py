"""What a local stack shall be like, where its files are, and what it said about itself.

Promise: plain values and paths, checked once. Nothing is started, fetched or written here, and the
environment is an argument. This module must not know how a broker is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from iot_producer.errors import ConfigError, UnreachableError
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig

Say = Callable[[str], None]
"""Takes one line for the user about what is going on."""

Progress = Callable[[int, int], None]
"""Takes how many bytes of the download are there, and how many there will be."""

_PROJECT: Final = "iot-producer"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# The server makes a URL of the path and does not escape it.
_PLAIN_PATH: Final = re.compile(r"[\w/.,~+@=-]+")
_LAST_PORT: Final = 65_535
_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True)
class StackConfig:
    """The settings of one local stack.

    Attributes:
        state_dir: where stacks keep data and logs; this one in the folder ``name`` below it.
        cache_dir: where the server distribution is kept, for all stacks.
        name: stacks of different names live side by side.
        java_home: Java that must be used, and must do; None to look for one.
        java_home_hint: Java that is used if it is there and new enough (the variable JAVA_HOME).
        search_path: where to look for ``java``, folders joined as in PATH; None means the PATH of
            this process.
        broker_port: port on 127.0.0.1, which must be free; None or 0 takes a free one.
        admin_port: the same for the admin API.
        preferred_broker_port: tried first where ``broker_port`` is free to choose.
        preferred_admin_port: tried first where ``admin_port`` is free to choose.
        heap_mb: largest Java heap, MiB.
        direct_mb: most memory outside the heap for messages on their way, MiB.
        deduplication: switch deduplication on for all namespaces.
        auto_create_topics: make a topic when a client first asks for it.
        retention_mb: what is kept of each topic (each partition of one) at least, MiB; what is
            beyond is deleted, oldest first. A subscription that has not read nine tenths of it
            makes the broker refuse producers.
        retention_minutes: what is older is deleted too.
        min_free_disk_mb: free disk that is never used up, MiB: the broker refuses to store more.
        ready_timeout_s: how long it may take to become ready, seconds.
        extra: further settings of the broker by their key in its configuration; they go before all
            others. May hold secrets.
        security: with what the broker is asked whether it is ready, where ``extra`` makes it ask
            for a token.

    Raises:
        ConfigError: a value that cannot be used.
    """

    state_dir: Path
    cache_dir: Path
    name: str = "default"
    java_home: Path | None = None
    java_home_hint: Path | None = None
    search_path: str | None = None
    broker_port: int | None = None
    admin_port: int | None = None
    preferred_broker_port: int | None = None
    preferred_admin_port: int | None = None
    heap_mb: int = 256
    direct_mb: int = 384
    deduplication: bool = False
    auto_create_topics: bool = True
    retention_mb: int = 10_240
    retention_minutes: int = 7 * 24 * 60
    min_free_disk_mb: int = 1024
    ready_timeout_s: float = 120.0
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)
    security: SecurityConfig = NO_SECURITY

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"stack name {self.name!r} cannot be used",
                "use letters, digits, '.', '_' and '-', at most 63, a letter or digit first",
            )
        if not _PLAIN_PATH.fullmatch(str(self.home)):
            raise ConfigError(
                f"the server cannot keep its data at {str(self.home)!r}",
                "choose a path without spaces and special characters with --state-dir",
            )
        for what in ("broker_port", "admin_port", "preferred_broker_port", "preferred_admin_port"):
            port = getattr(self, what)
            if port is not None and not 0 <= port <= _LAST_PORT:
                raise ConfigError(f"{what} {port} is not a port", f"use 1 to {_LAST_PORT}")
        if self.broker_port and self.broker_port == self.admin_port:
            raise ConfigError(
                f"port {self.broker_port} is given to both the broker and its admin API",
                "give two different ports",
            )
        for what, least in (
            ("heap_mb", 128),
            ("direct_mb", 192),
            ("retention_mb", 1),
            ("retention_minutes", 1),
            ("min_free_disk_mb", 0),
        ):
            if getattr(self, what) < least:
                raise ConfigError(f"{what} {getattr(self, what)} is too small", f"at least {least}")
        for key, value in self.extra.items():
            if not _KEY.fullmatch(key) or "\n" in value:
                raise ConfigError(
                    f"extra setting {key!r} cannot be used", "give a key and a value of one line"
                )
        if not self.ready_timeout_s > 0:
            raise ConfigError(f"ready_timeout_s {self.ready_timeout_s} is not positive")

    @property
    def home(self) -> Path:
        """The folder of this stack, absolute."""
        return self.state_dir.absolute() / self.name


@dataclass(frozen=True, slots=True)
class StackStatus:
    """What a stack is doing.

    Attributes:
        name: which stack.
        state: ``up``, ``starting`` (its process lives, but does not answer as it should) or
            ``down``.
        pulsar_url: where clients connect; empty when down, as the other texts.
        admin_url: where the admin API is.
        pid: the broker's process; None when down.
        version: of the server.
        java: which Java it runs on.
        home: the folder with its data and logs.
        log_file: what the broker writes.
        resident_bytes: memory of its process.
        disk_bytes: what its folder takes.
        was_up: `up` found it up already and changed nothing.
    """

    name: str
    state: str
    pulsar_url: str = ""
    admin_url: str = ""
    pid: int | None = None
    version: str = ""
    java: str = ""
    home: str = ""
    log_file: str = ""
    resident_bytes: int = 0
    disk_bytes: int = 0
    was_up: bool = False

    @property
    def is_up(self) -> bool:
        """It answers."""
        return self.state == "up"

    def env(self) -> dict[str, str]:
        """The variables that make clients use this stack.

        Raises:
            UnreachableError: it is not up.
        """
        if not self.is_up:
            raise UnreachableError(
                f"stack {self.name!r} is {self.state}", f"start it: {_PROJECT} stack up"
            )
        return {"PULSAR_URL": self.pulsar_url, "PULSAR_ADMIN_URL": self.admin_url}


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """Where downloads are kept: ``$XDG_CACHE_HOME/iot-producer`` or ``~/.cache/iot-producer``.

    Args:
        environ: the environment variables.

    Raises:
        ConfigError: neither XDG_CACHE_HOME nor HOME is an absolute path.
    """
    return _xdg_dir(environ, "XDG_CACHE_HOME", ".cache")


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Where stacks are: ``$XDG_STATE_HOME/iot-producer`` or ``~/.local/state/iot-producer``.

    Args:
        environ: the environment variables.

    Raises:
        ConfigError: neither XDG_STATE_HOME nor HOME is an absolute path.
    """
    return _xdg_dir(environ, "XDG_STATE_HOME", ".local/state")


def _xdg_dir(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    # The XDG base directory specification says that a relative path counts as not set.
    given = environ.get(variable, "")
    if given.startswith("/"):
        return Path(given) / _PROJECT
    home = environ.get("HOME", "")
    if home.startswith("/"):
        return Path(home) / below_home / _PROJECT
    raise ConfigError(
        f"neither {variable} nor HOME is set to an absolute path", f"set {variable} or HOME"
    )
