"""Where records go, as a value: parsed from a URL or a path, checked, and safe to print.

Promise: a `Destination` is well formed, and neither ``str()`` nor ``repr()`` tells its password. It
must not know how to reach anything: no sockets, no files. Whether a host answers or a directory
is there is found out by the sinks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote

from iot_producer.errors import ConfigError
from iot_producer.spelling import nearest

DEFAULT_PULSAR_PORT: Final = 6650
DEFAULT_PULSAR_TLS_PORT: Final = 6651
DEFAULT_ADMIN_PORT: Final = 8080
DEFAULT_ADMIN_TLS_PORT: Final = 8443
DEFAULT_CLICKHOUSE_PORT: Final = 8123
LOOPBACK: Final = "127.0.0.1"

FORMS: Final = (
    "pulsar://host[:port][,host2:port], pulsar+ssl://host[:port], "
    "clickhouse://[user:password@]host[:port]/database.table, "
    "chdb:///directory, a path that ends in .jsonl, .jsonl.gz or .parquet, - (standard output), "
    "null:"
)


class Scheme(StrEnum):
    """The kinds of destination; the value is what reports and log lines call them."""

    PULSAR = "pulsar"
    CLICKHOUSE = "clickhouse"
    CHDB = "chdb"
    JSONL = "jsonl"
    JSONL_GZ = "jsonl.gz"
    PARQUET = "parquet"
    STDOUT = "stdout"
    NULL = "null"


_FILE_ENDINGS: Final = {
    ".jsonl.gz": Scheme.JSONL_GZ,
    ".jsonl": Scheme.JSONL,
    ".parquet": Scheme.PARQUET,
}
_URL_SCHEMES: Final = ("pulsar", "pulsar+ssl", "clickhouse", "chdb", "null")
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|(?P<host>[^:\[\]]+))(?::(?P<port>.*))?"
)
_TOPIC_PART: Final = re.compile(r"[-=:.A-Za-z0-9_]+")
_SQL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST_PORT: Final = re.compile(r"[^/:@]+:[0-9]+")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination that is well formed.

    Attributes:
        scheme: its kind; tells which of the other attributes are set.
        hosts: (host, port) pairs of pulsar (one or more) and clickhouse (one). An IPv6 address is
            without its brackets.
        topic: pulsar: the full name, ``persistent://tenant/namespace/topic``.
        path: chdb: the directory; files: the path as it was given.
        database, table: clickhouse and chdb.
        user, password: clickhouse; empty when not given.
        tls: pulsar: whether connections use TLS (``pulsar+ssl://``).
    """

    scheme: Scheme
    hosts: tuple[tuple[str, int], ...] = ()
    topic: str = ""
    path: str = ""
    database: str = ""
    table: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False

    @property
    def is_file(self) -> bool:
        """Whether records end in a file of our own (not standard output)."""
        return self.scheme in (Scheme.JSONL, Scheme.JSONL_GZ, Scheme.PARQUET)

    @property
    def url(self) -> str:
        """The destination as a URL or path, with ``***`` for a password; without the topic."""
        match self.scheme:
            case Scheme.PULSAR:
                return f"pulsar{'+ssl' if self.tls else ''}://{self._authorities()}"
            case Scheme.CLICKHOUSE:
                secret = ":***" if self.password else ""
                login = f"{quote(self.user, safe='')}{secret}@" if self.user or secret else ""
                return f"clickhouse://{login}{self._authorities()}/{self.database}.{self.table}"
            case Scheme.CHDB:
                return f"chdb://{self.path}"
            case Scheme.STDOUT:
                return "-"
            case Scheme.NULL:
                return "null:"
            case _:
                return self.path

    def _authorities(self) -> str:
        return ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        )

    def __str__(self) -> str:
        """The URL or path, and the topic; without the password."""
        return f"{self.url} {self.topic}" if self.topic else self.url


def parse_destination(text: str, topic: str = "") -> Destination:
    """A destination from what the user wrote.

    Args:
        text: one of `FORMS`.
        topic: the full topic name (from `parse_topic`), for a Pulsar URL.

    Raises:
        ConfigError: malformed, or an unknown scheme or ending.
    """
    text = text.strip()
    if not text:
        raise ConfigError("the destination is empty", f"give one of: {FORMS}")
    if text == "-":
        return Destination(Scheme.STDOUT)
    for ending, scheme in _FILE_ENDINGS.items():
        if text.endswith(ending) and "://" not in text:
            if text.rpartition("/")[2] == ending:
                raise ConfigError(f"{text!r} has no file name before {ending}")
            return Destination(scheme, path=text)
    found = _SCHEME.match(text)
    if not found or _HOST_PORT.fullmatch(text):
        raise _unknown_path(text)
    name, rest = found[1].lower(), text[found.end() :]
    if name == "null" and not rest:
        return Destination(Scheme.NULL)
    if name not in _URL_SCHEMES:
        raise _unknown_scheme(redacted(text), name)
    if name == "null":
        raise ConfigError(
            f"{text!r} has more than null: needs", "write null: and nothing behind it"
        )
    if not found[2]:
        raise ConfigError(f"{redacted(text)!r} has no // behind {name}:", f"give one of: {FORMS}")
    if "@" in rest.partition("/")[2]:
        raise ConfigError(
            f"{redacted(text)!r} has an @ behind its host",
            "percent-encode / and @ in a user and a password: %2F and %40",
        )
    if "?" in rest or "#" in rest:
        raise ConfigError(
            f"{redacted(text)!r}: a destination takes no parameters behind ? or #",
            "percent-encode these characters if they belong to a password",
        )
    if name in ("pulsar", "pulsar+ssl"):
        return _pulsar(text, rest, topic, tls=name == "pulsar+ssl")
    return _clickhouse(text, rest) if name == "clickhouse" else _chdb(text, rest)


def parse_topic(text: str) -> str:
    """The full name of a topic.

    Args:
        text: ``persistent://tenant/namespace/topic``, ``tenant/namespace/topic``, or ``topic``
            alone, which is in public/default.

    Returns:
        ``persistent://tenant/namespace/topic``.

    Raises:
        ConfigError: any other form, or a character that Pulsar does not take.
    """
    domain, separator, rest = text.partition("://")
    if not separator:
        domain, rest = "persistent", text
    if domain == "non-persistent":
        raise ConfigError(
            f"topic {text!r}: a non-persistent topic keeps nothing, so nothing could be verified",
            "use persistent://tenant/namespace/topic",
        )
    if domain != "persistent":
        raise ConfigError(
            f"topic {text!r}: {domain}:// is not a topic's domain",
            "use persistent://tenant/namespace/topic",
        )
    parts = rest.split("/")
    if len(parts) == 1 and not separator:
        parts = ["public", "default", *parts]
    if len(parts) != 3 or not all(parts):
        raise ConfigError(
            f"topic {text!r} is not a topic name",
            "use persistent://tenant/namespace/topic, tenant/namespace/topic, or topic",
        )
    for part in parts:
        if not _TOPIC_PART.fullmatch(part):
            strange = next(c for c in part if not _TOPIC_PART.fullmatch(c))
            raise ConfigError(
                f"topic {text!r}: {part!r} holds the character {strange!r}",
                "a topic name is made of letters, digits and the characters - _ = : .",
            )
    return f"persistent://{'/'.join(parts)}"


def parse_admin_url(text: str) -> str:
    """The address of Pulsar's admin API, without a slash at its end.

    Args:
        text: ``http://host[:port]`` or ``https://host[:port]``.

    Raises:
        ConfigError: anything else.
    """
    scheme, separator, rest = text.rstrip("/").partition("://")
    if scheme not in ("http", "https") or not separator or set(rest) & set("/?#@,"):
        raise ConfigError(
            f"{redacted(text)!r} is not the address of an admin API",
            "write http://host:8080, or https://host:8443",
        )
    _host_port(text, rest, DEFAULT_ADMIN_PORT)
    return f"{scheme}://{rest}"


def parse_listen_address(text: str) -> tuple[str, int] | None:
    """Where to listen: host and port.

    Args:
        text: ``port``, ``host:port`` or ``[ipv6]:port``; a port alone is of the loopback interface,
            port 0 is any that is free; ``off``: nowhere.

    Returns:
        host (without brackets) and port; None: nowhere.

    Raises:
        ConfigError: anything else.
    """
    written = text.strip()
    if written.lower() == "off":
        return None
    found = _AUTHORITY.fullmatch(f"{LOOPBACK}:{written}" if written.isdigit() else written)
    host = (found["ipv6"] or found["host"]) if found else ""
    port = (found["port"] or "") if found else ""
    if not (found and (found["ipv6"] or _HOST.fullmatch(host))):
        port = ""
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ConfigError(
            f"{text!r} is not an address to listen on",
            "write a port (8080: for this machine alone), or host:port (0.0.0.0:8080: for all)",
        )
    return host, int(port)


def redacted(text: str) -> str:
    """The text with whatever stands before its last @ hidden: it may hold a password."""
    before, _, after = text.rpartition("@")
    if ":" not in before:
        return text
    scheme, separator, _ = before.partition("://")
    return f"{scheme}://***@{after}" if separator else f"***@{after}"


def _pulsar(text: str, rest: str, topic: str, tls: bool) -> Destination:
    authority, _, path = rest.partition("/")
    if path:
        raise ConfigError(
            f"{redacted(text)!r}: a Pulsar URL ends with its port",
            f"give the topic by itself: --topic {path}",
        )
    if "@" in authority:
        raise ConfigError(
            f"{redacted(text)!r}: Pulsar takes no user and password in its URL",
            "give hosts and ports only; a token goes in PULSAR_TOKEN or PULSAR_TOKEN_FILE",
        )
    port = DEFAULT_PULSAR_TLS_PORT if tls else DEFAULT_PULSAR_PORT
    hosts = tuple(_host_port(text, one, port) for one in authority.split(","))
    return Destination(Scheme.PULSAR, hosts=hosts, topic=topic, tls=tls)


def _clickhouse(text: str, rest: str) -> Destination:
    authority, _, path = rest.partition("/")
    login, _, where = authority.rpartition("@")
    user, _, password = login.partition(":")
    if "," in where:
        raise ConfigError(
            f"{redacted(text)!r} names several hosts", "give one host, or a load balancer"
        )
    host = _host_port(text, where, DEFAULT_CLICKHOUSE_PORT)
    database, dot, table = path.partition(".")
    if not (dot and _SQL_NAME.fullmatch(database) and _SQL_NAME.fullmatch(table)):
        raise ConfigError(
            f"{redacted(text)!r} does not name a table",
            "end it with /database.table, for instance /benchmark.sensors_local",
        )
    return Destination(
        Scheme.CLICKHOUSE,
        hosts=(host,),
        database=database,
        table=table,
        user=unquote(user),
        password=unquote(password),
    )


def _chdb(text: str, rest: str) -> Destination:
    if not rest.startswith("/") or not rest.strip("/"):
        raise ConfigError(
            f"{text!r} does not name a directory",
            "an absolute path follows chdb://, which makes three slashes: chdb:///var/lib/iot",
        )
    return Destination(
        Scheme.CHDB,
        path="/" + rest.strip("/"),
        database="benchmark",
        table="sensors_local",
    )


def _host_port(text: str, authority: str, default_port: int) -> tuple[str, int]:
    """One ``host[:port]``, the host without the brackets of an IPv6 address."""
    found = _AUTHORITY.fullmatch(authority)
    host = (found["ipv6"] or found["host"]) if found else ""
    if not found or not (found["ipv6"] or _HOST.fullmatch(host)) or len(host) > 253:
        raise ConfigError(
            f"{redacted(text)!r}: {redacted(authority)!r} is not a host",
            "write host or host:port; an IPv6 address in brackets, [::1]:6650",
        )
    port = found["port"]
    if port is None:
        return host, default_port
    if not re.fullmatch(r"[0-9]{1,9}", port) or not 1 <= int(port) <= 65535:
        raise ConfigError(f"{redacted(text)!r}: {port!r} is not a port", "ports are 1 … 65535")
    return host, int(port)


def _unknown_scheme(text: str, name: str) -> ConfigError:
    if name in ("file", "jsonl", "parquet"):
        return ConfigError(f"{text!r}: {name}: is not needed", "give the path itself: out.jsonl")
    near = nearest(name, _URL_SCHEMES)
    hint = f"did you mean {near}:{'' if near == 'null' else '//'}?" if near else f"known: {FORMS}"
    return ConfigError(f"{text!r}: unknown scheme {name!r}", hint)


def _unknown_path(text: str) -> ConfigError:
    name = text.rpartition("/")[2]
    if text in _URL_SCHEMES:
        hint = f"did you mean {text}:{'' if text == 'null' else '//…'}?"
    elif _HOST_PORT.fullmatch(text):
        hint = f"did you mean pulsar://{text}?"
    else:
        ending = name[name.find(".", 1) :] if "." in name[1:] else ""
        near = nearest(ending, _FILE_ENDINGS) if ending else None
        hint = f"did you mean {near} instead of {ending}?" if near else f"known: {FORMS}"
    return ConfigError(f"{redacted(text)!r} is not a destination", hint)
