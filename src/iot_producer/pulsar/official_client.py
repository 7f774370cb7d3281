"""Connecting with the official Pulsar client: tried again while nobody answers, closed for sure.

Promise: no call here waits for ever unless it was told to, none prints, and what fails is one of
our exceptions. It must not know records.

The client's own extension module ``_pulsar`` is used, not the Python classes around it: these check
and wrap each message. The risk is that ``_pulsar`` is not a documented interface. All of it that is
used is named in four modules (this one, client_log.py, partition_producer.py, the reader), and the
integration tests touch every call.
"""

from __future__ import annotations

import atexit
import queue
import random
import re
import socket
import ssl
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import _pulsar

from iot_producer.clock import Clock
from iot_producer.errors import ConfigError, IotProducerError, NameTakenError, UnreachableError
from iot_producer.pulsar import client_log
from iot_producer.pulsar.client_errors import explained
from iot_producer.pulsar.security import (
    NO_SECURITY,
    SecurityConfig,
    read_token,
    ssl_context,
    tls_failure,
)

T = TypeVar("T")
Say = Callable[[str], None]
"""Takes one line for the user about what is going on."""

_NS_PER_S: Final = 1_000_000_000
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 10.0
_DEFAULT_PORTS: Final = {"pulsar": 6650, "pulsar+ssl": 6651}
_TLS_SCHEME: Final = "pulsar+ssl://"
_LET_GO_S: Final = 1.0
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^:\[\]/]+))(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How to reach Pulsar, and how patiently.

    Attributes:
        service_url: ``pulsar://host:port[,host2:port2]``, of a broker or a proxy; ``pulsar+ssl://``
            for TLS.
        connect_timeout_s: for one connection, up to the broker's greeting.
        operation_timeout_s: for one look-up or creation of a producer or reader; whole seconds.
        give_up_after_s: how long to go on while nobody answers; None: for ever.
        name_wait_s: how long to wait for a producer name that is taken. The broker frees the name
            of a producer that died without a word after 5 s.
        close_timeout_s: for a clean good-bye.
        security: the token, and the files of TLS.
    """

    service_url: str
    connect_timeout_s: float = 5.0
    operation_timeout_s: float = 10.0
    give_up_after_s: float | None = 30.0
    name_wait_s: float = 6.0
    close_timeout_s: float = 3.0
    security: SecurityConfig = NO_SECURITY

    @property
    def answer_timeout_s(self) -> float:
        """When even the client's own time-out is overdue."""
        return self.operation_timeout_s + 2.0

    def __post_init__(self) -> None:
        _hosts(self.service_url)
        if self.service_url.startswith(_TLS_SCHEME) != self.security.tls:
            raise ConfigError(
                f"{self.service_url} does not go with tls={self.security.tls}",
                "pulsar+ssl:// is with TLS, pulsar:// without",
            )
        for name in ("connect_timeout_s", "operation_timeout_s", "close_timeout_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, which is not above 0")
        if self.give_up_after_s is not None and not self.give_up_after_s >= 0:
            raise ConfigError(f"give_up_after_s is {self.give_up_after_s}, which is below 0")


def silent(line: str) -> None:
    """Say nothing."""


def connect(
    config: ClientConfig,
    use: Callable[[Any], T],
    topic: str,
    clock: Clock,
    say: Say = silent,
    producer_name: str = "",
) -> tuple[Any, T]:
    """Make a client and do the first thing with it; again and again while nobody answers.

    Args:
        config: where, and how patiently.
        use: called with the ``_pulsar.Client``; may be called again with another. What it asks the
            client it asks through `answer_of`.
        topic: what it is about, for messages.
        clock: measures and waits.
        say: is told of each failure that is not the last one.
        producer_name: for messages.

    Returns:
        the client, to be closed with `close_client`, and what ``use`` returned.

    Raises:
        UnreachableError: nobody answered in time.
        RefusedError, ConfigError: the answer was no.
    """
    began_ns = clock.now_ns()
    taken_ns: int | None = None
    pause_s = _FIRST_PAUSE_S
    attempt = 0
    while True:
        attempt += 1
        left_s = _left_s(config.give_up_after_s, began_ns, clock)
        try:
            return _attempt(config, use, topic, producer_name, left_s)
        except NameTakenError as error:
            taken_ns = clock.now_ns() if taken_ns is None else taken_ns
            left_s = _left_s(config.name_wait_s, taken_ns, clock)
            failure: IotProducerError = error
        except UnreachableError as error:
            taken_ns = None
            left_s = _left_s(config.give_up_after_s, began_ns, clock)
            failure = error
        if left_s is not None and left_s <= 0:
            raise _given_up(failure, attempt, (clock.now_ns() - began_ns) / _NS_PER_S)
        pause_s = min(pause_s, _LONGEST_PAUSE_S)
        wait_s = pause_s * random.uniform(0.75, 1.25)
        if left_s is not None:
            wait_s = min(wait_s, left_s)
        until = "" if left_s is None else f", for {left_s:.0f} s more"
        say(f"{failure.message}; trying again in {wait_s:.1f} s{until}")
        clock.sleep_until(clock.now_ns() + round(wait_s * _NS_PER_S))
        pause_s *= 2


class ClientFailure(Exception):  # noqa: N818 - never leaves the project's Pulsar modules
    """The client's answer was not ``Ok``; the text is the name of its result."""


def answer_of(begin: Callable[..., None], *arguments: Any, timeout_s: float) -> Any:
    """What one of the client's asynchronous functions answers.

    Its synchronous ones wait too, but turn what a signal handler raises into an error of theirs.

    Args:
        begin: takes ``arguments`` and a callback.
        timeout_s: a little more than the client's own time-out, which comes first.

    Raises:
        ClientFailure: the answer is not ``Ok``, or does not come.
    """
    answer = _Answer()
    begin(*arguments, answer.callback())
    found = answer.wait(timeout_s)
    if found is None:
        raise ClientFailure("Timeout")
    result, *values = found
    if result != _pulsar.Result.Ok:
        raise ClientFailure(name_of(result))
    return values[0] if values else None


def name_of(result: Any) -> str:
    """The name of a ``_pulsar.Result``, also of those that the module forgot to name."""
    return (
        str(result.name) if result.name in _pulsar.Result.__members__ else f"result {int(result)}"
    )


class _Answer:
    """What a callback is called with, and when the client has let go of the callback."""

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._gone: queue.SimpleQueue[None] = queue.SimpleQueue()

    def callback(self) -> Callable[..., None]:
        put = self._answers.put

        def called(*answer: Any) -> None:
            put(answer)

        weakref.finalize(called, self._gone.put, None).atexit = False
        return called

    def wait(self, timeout_s: float) -> tuple[Any, ...] | None:
        """The arguments of the call; None if there was none in time."""
        try:
            return self._answers.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def wait_let_go(self) -> None:
        """Wait, a second at most, until the client has destroyed the callback."""
        with suppress(queue.Empty):
            self._gone.get(timeout=_LET_GO_S)


def n_partitions(client: Any, topic: str, timeout_s: float) -> int:
    """How many partitions a topic has; 0 where it is not partitioned (or not there yet).

    Raises:
        ClientFailure: the broker does not say.
    """
    names = answer_of(client.get_topic_partitions_async, topic, timeout_s=timeout_s)
    return len(names) if names and names[0] != topic else 0


def close_client(client: Any, timeout_s: float) -> None:
    """Close a client with all that belongs to it; its threads end.

    Args:
        client: a ``_pulsar.Client``; closed again does no harm.
        timeout_s: for the broker's good-bye; without it the connections are just dropped.
    """
    _open_clients.discard(client)
    closed = _Answer()
    client.close_async(closed.callback())
    if closed.wait(timeout_s) is None:
        client.shutdown()  # not clean, at most half a second
    # A thread of the client's that takes the GIL to destroy the callback while the interpreter ends
    # would abort the process.
    closed.wait_let_go()


# Clients that nobody closed: the interpreter must not end while their threads may call it.
_open_clients: weakref.WeakSet[Any] = weakref.WeakSet()


@atexit.register
def _close_forgotten() -> None:
    for client in list(_open_clients):
        close_client(client, 1.0)


def _attempt(
    config: ClientConfig,
    use: Callable[[Any], T],
    topic: str,
    producer_name: str,
    left_s: float | None,
) -> tuple[Any, T]:
    _knock(config)
    client = _new_client(config, left_s)
    try:
        return client, use(client)
    except ClientFailure as error:
        close_client(client, config.close_timeout_s)
        raise explained(str(error), config.service_url, topic, producer_name) from error
    except BaseException:
        close_client(client, config.close_timeout_s)
        raise


def _new_client(config: ClientConfig, left_s: float | None) -> Any:
    operation_s = config.operation_timeout_s
    if left_s is not None:
        operation_s = min(operation_s, max(left_s, 1.0))
    configuration = _pulsar.ClientConfiguration()
    configuration.connection_timeout(max(1, round(config.connect_timeout_s * 1000)))
    configuration.operation_timeout_seconds(max(1, round(operation_s)))
    configuration.io_threads(1)
    configuration.message_listener_threads(1)
    # Statistics cost a lock and a histogram for each message.
    configuration.stats_interval_in_seconds(0)
    client_log.route(configuration)
    _secure(configuration, config.security)
    try:
        client = _pulsar.Client(config.service_url, configuration)
    except (_pulsar.PulsarException, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"the Pulsar client cannot use {config.service_url!r}: {error}",
            "write pulsar://host:6650",
        ) from error
    _open_clients.add(client)
    return client


def _secure(configuration: Any, security: SecurityConfig) -> None:
    """Tell the client of the token and of TLS."""
    if security.tls:
        store = security.trust_store or ssl.get_default_verify_paths().cafile
        if store:
            configuration.tls_trust_certs_file_path(str(store))
        configuration.tls_allow_insecure_connection(False)
        configuration.tls_validate_hostname(security.verify_host)
        if security.certificate is not None:
            configuration.tls_certificate_file_path(str(security.certificate))
            configuration.tls_private_key_file_path(str(security.key or security.certificate))
    if security.token_file is not None:
        supplier = _token_supplier(security)
        configuration.authentication(_pulsar.AuthenticationToken.create(supplier))
    elif security.token:
        configuration.authentication(_pulsar.AuthenticationToken.create(read_token(security)))
    elif security.auth_method == "tls":
        files = str(security.certificate), str(security.key or security.certificate)
        configuration.authentication(_pulsar.AuthenticationTLS.create(*files))


def _token_supplier(security: SecurityConfig) -> Callable[[], str]:
    """What the client calls for a token, from a thread of its own: nothing may be raised there."""
    last = read_token(security)

    def supply() -> str:
        nonlocal last
        with suppress(ConfigError):  # the file is being replaced, or was: the old token, then
            last = read_token(security)
        return last

    return supply


def _knock(config: ClientConfig) -> None:
    """Whether anybody listens: the client's errors do not tell a wrong name from a closed port.

    Nor do they tell what is wrong with a certificate.
    """
    context = ssl_context(config.security)
    service_url, timeout_s = config.service_url, config.connect_timeout_s
    reasons = []
    for host, port in _hosts(service_url):
        try:
            with socket.create_connection((host, port), timeout_s) as connection:
                if context is not None:
                    context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLError as error:
            raise tls_failure(error, host, port) from error
        except socket.gaierror:
            reasons.append(f"the host {host!r} does not resolve")
        except ConnectionRefusedError:
            reasons.append(f"nobody listens on {host}:{port}")
        except TimeoutError:
            reasons.append(f"{host}:{port} does not accept within {timeout_s:g} s")
        except (OSError, UnicodeError) as error:
            reasons.append(f"{host}:{port} cannot be reached: {error}")
        else:
            return
    raise UnreachableError(
        f"cannot connect to {service_url}: {', '.join(reasons)}",
        "check PULSAR_URL, and that the broker is up (on this machine: iot-producer stack up)",
    )


def _hosts(service_url: str) -> list[tuple[str, int]]:
    scheme, separator, rest = service_url.partition("://")
    hosts = []
    for authority in rest.rstrip("/").split(","):
        found = _HOST.fullmatch(authority)
        if scheme not in _DEFAULT_PORTS or not separator or not found:
            raise ConfigError(
                f"{service_url!r} is not the URL of a Pulsar broker", "write pulsar://host:6650"
            )
        host = found["ipv6"] or found["host"]
        hosts.append((host, int(found["port"] or _DEFAULT_PORTS[scheme])))
    return hosts


def _left_s(limit_s: float | None, since_ns: int, clock: Clock) -> float | None:
    return None if limit_s is None else limit_s - (clock.now_ns() - since_ns) / _NS_PER_S


def _given_up(failure: IotProducerError, n_attempts: int, after_s: float) -> IotProducerError:
    if n_attempts == 1:
        return failure
    message = f"{failure.message}; given up after {n_attempts} attempts in {after_s:.0f} s"
    given_up = type(failure)(message, failure.hint)
    given_up.__cause__ = failure.__cause__
    return given_up
