"""A small client of Pulsar's admin API: topics, their counters, and the policies of namespaces.

Promise: every answer is the broker's own, and every failure is one of ours: `UnreachableError` when
it does not answer, `AdminRefusedError` when it says no. Only the standard library is used; the URL,
the token and the TLS are arguments. This module must not know who runs the broker.
"""

from __future__ import annotations

import http.client
import json
from email.message import Message
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from iot_producer.errors import ConfigError, RefusedError, UnreachableError
from iot_producer.pulsar.missing_namespace import creation_remedy
from iot_producer.pulsar.security import (
    NO_SECURITY,
    SecurityConfig,
    client_context,
    is_tls_error,
    read_token,
    tls_failure,
)

_DEFAULT_PORTS: Final = {"http": 8080, "https": 8443}
_OK: Final = range(200, 300)
_REDIRECTS: Final = (301, 302, 307, 308)
_MOST_REDIRECTS: Final = 5
_REFUSAL_HINTS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "give a token that the broker takes: PULSAR_TOKEN, PULSAR_TOKEN_FILE",
    HTTPStatus.FORBIDDEN: "this needs rights that the token's role does not have",
}


class AdminRefusedError(RefusedError):
    """The admin API said no.

    Attributes:
        status: the HTTP status: 404 missing, 409 exists already or busy, 401 and 403 not allowed.
    """

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status

    def __reduce__(self) -> Any:
        return (type(self), (self.message, self.hint, self.status))


class PulsarAdmin:
    """Talks to the admin API of one broker or proxy. Holds no connection: one call, one connection.

    Args:
        url: ``http://host:port`` or ``https://host:port``.
        timeout_s: how long one answer may take, seconds.
        security: the token to send, and for https the files of TLS.

    Raises:
        ConfigError: the URL is malformed, or a file of TLS cannot be used.
    """

    __slots__ = ("_host", "_port", "_prefix", "_scheme", "_security", "_tls", "timeout_s", "url")

    def __init__(
        self, url: str, timeout_s: float = 10.0, security: SecurityConfig = NO_SECURITY
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"admin URL {url!r} cannot be read: {error}") from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ConfigError(
                f"admin URL {url!r} cannot be used", "write it as http://127.0.0.1:8080"
            )
        self.url = url
        self.timeout_s = timeout_s
        self._security = security
        self._scheme = parts.scheme
        self._tls = client_context(security) if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = port or _DEFAULT_PORTS[parts.scheme]
        self._prefix = parts.path.rstrip("/")

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request.

        Args:
            method: ``GET``, ``PUT``, ``POST`` or ``DELETE``.
            path: from the root: ``/admin/v2/…``.
            body: sent as JSON unless None.

        Returns:
            The answer, read as JSON where it is JSON, else its text; None where it is empty.

        Raises:
            UnreachableError: no connection, or no answer in time.
            AdminRefusedError: an answer other than 2xx.
            RefusedError: the server's certificate cannot be trusted, or it refuses ours.
            ConfigError: the token's file cannot be read.
        """
        status, text, _ = self._exchange(method, path, body)
        if status not in _OK:
            raise AdminRefusedError(
                f"the admin API refuses {method} {path}: {_reason(text)} (HTTP {status})",
                _REFUSAL_HINTS.get(status, ""),
                status=status,
            )
        return _parsed(text)

    def server_date(self) -> str:
        """The ``Date`` header of an answer, whatever else the answer says; empty without one.

        Raises:
            DestinationError, ConfigError: as `call`, but for `AdminRefusedError`.
        """
        return self._exchange("GET", "/admin/v2/brokers/ready", None)[2]

    def _exchange(self, method: str, path: str, body: object) -> tuple[int, str, str]:
        """Status, text and date of the answer to a request; brokers redirect it to each other."""
        host, port, target = self._host, self._port, self._prefix + path
        for _ in range(_MOST_REDIRECTS):
            status, text, headers = self._ask(host, port, method, target, body)
            if status not in _REDIRECTS:
                break
            host, port, target = self._redirected(headers.get("Location", ""), host, port)
        return status, text, headers.get("Date", "")

    def _redirected(self, location: str, host: str, port: int) -> tuple[str, int, str]:
        """Where another broker is, which alone knows the answer; the token goes there too."""
        parts = urlsplit(urljoin(f"{self._scheme}://{_address(host, port)}", location))
        if parts.scheme != self._scheme or not parts.hostname:
            raise AdminRefusedError(
                f"the admin API at {self.url} sends on to {location[:200]!r}: not followed",
                f"give the address of an admin API that is {self._scheme} throughout",
            )
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme], target

    def _ask(
        self, host: str, port: int, method: str, target: str, body: object
    ) -> tuple[int, str, Message]:
        connection = (
            http.client.HTTPConnection(host, port, timeout=self.timeout_s)
            if self._tls is None
            else http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self._tls)
        )
        payload = None if body is None else json.dumps(body)
        headers = {} if payload is None else {"Content-Type": "application/json"}
        if token := read_token(self._security):
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, target, payload, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace"), answer.headers
        except (OSError, http.client.HTTPException) as error:
            if self._tls is not None and is_tls_error(error):
                raise tls_failure(error, host, port) from error
            raise UnreachableError(
                f"the admin API at {self.url} does not answer: {error or type(error).__name__}",
                "is the broker up, and is PULSAR_ADMIN_URL its admin API (not its broker port)?",
            ) from error
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """The broker says that it is ready to serve.

        Raises:
            UnreachableError: it does not answer at all.
        """
        try:
            return bool(self.call("GET", "/admin/v2/brokers/ready") == "ok")
        except AdminRefusedError:
            return False

    def has_namespace(self, namespace: str) -> bool:
        """Whether ``tenant/namespace`` exists."""
        try:
            return namespace in self.call("GET", f"/admin/v2/namespaces/{namespace.split('/')[0]}")
        except AdminRefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise

    def look_up(self, topic: str) -> str:
        """The URL of the broker that serves a topic; asking does not create the topic."""
        answer = self.call("GET", f"/lookup/v2/topic/{_topic_path(topic)}")
        return str(answer["brokerUrl"])

    def create_topic(self, topic: str, n_partitions: int = 0) -> None:
        """Create a topic, partitioned unless ``n_partitions`` is 0.

        Raises:
            AdminRefusedError: status 409 where it exists already, 404 where its namespace does not.
        """
        path = f"/admin/v2/{_topic_path(topic)}"
        try:
            if n_partitions:
                self.call("PUT", f"{path}/partitions", n_partitions)
            else:
                self.call("PUT", path)
        except AdminRefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise AdminRefusedError(error.message, creation_remedy(topic), error.status) from error

    def create_missing_topic(self, topic: str, n_partitions: int = 0) -> bool:
        """Create a topic unless there is one of that name, however many partitions it has.

        Returns:
            whether it was missing.
        """
        try:
            self.create_topic(topic, n_partitions)
        except AdminRefusedError as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def n_partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where it is not partitioned or not there."""
        path = f"/admin/v2/{_topic_path(topic)}/partitions?checkAllowAutoCreation=false"
        try:
            return int(self.call("GET", path)["partitions"])
        except AdminRefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return 0
            raise

    def delete_topic(self, topic: str, force: bool = False) -> None:
        """Delete a topic with all its partitions and data.

        Args:
            topic: which.
            force: also while producers or consumers are connected, which are cut off.

        Raises:
            AdminRefusedError: status 404 where it does not exist, 412 where it is in use.
        """
        partitions = "/partitions" if self.n_partitions(topic) else ""
        self.call(
            "DELETE",
            f"/admin/v2/{_topic_path(topic)}{partitions}?force={str(force).lower()}",
        )

    def stats(self, topic: str) -> dict[str, Any]:
        """The broker's counters of a topic; of a partitioned one their sum.

        Raises:
            AdminRefusedError: status 404 where it does not exist.
        """
        what = "partitioned-stats?perPartition=false" if self.n_partitions(topic) else "stats"
        found: dict[str, Any] = self.call("GET", f"/admin/v2/{_topic_path(topic)}/{what}")
        return found

    def n_messages_in(self, topic: str) -> int:
        """How many messages the topic has taken since it was loaded, by the broker's own counter.

        The counter starts at 0 again when the broker restarts or the topic moves. Deduplicated
        messages are counted too.
        """
        return int(self.stats(topic)["msgInCounter"])

    def internal_stats(self, topic: str) -> list[dict[str, Any]]:
        """What is stored of a topic (ledgers, entries, bytes), one item a partition."""
        n = self.n_partitions(topic)
        names = [f"{topic}-partition-{i}" for i in range(n)] if n else [topic]
        return [self.call("GET", f"/admin/v2/{_topic_path(name)}/internalStats") for name in names]

    def set_policy(self, namespace: str, policy: str, value: object) -> None:
        """Set one policy of a namespace.

        Args:
            namespace: ``tenant/namespace``.
            policy: its name in the API: ``deduplication``, ``retention``, ``messageTTL``, ….
            value: what the API takes for it.
        """
        self.call("POST", f"/admin/v2/namespaces/{namespace}/{policy}", value)

    def set_deduplication(self, namespace: str, on: bool) -> None:
        """Switch deduplication on or off for a namespace."""
        self.set_policy(namespace, "deduplication", on)

    def set_retention(self, namespace: str, size_mb: int, minutes: int) -> None:
        """Keep what is within both bounds, though nobody subscribed; −1 is no bound.

        Args:
            namespace: ``tenant/namespace``.
            size_mb: of each topic or partition, MiB.
            minutes: age.
        """
        value = {"retentionSizeInMB": size_mb, "retentionTimeInMinutes": minutes}
        self.set_policy(namespace, "retention", value)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _topic_path(topic: str) -> str:
    """``persistent/tenant/namespace/name`` of a topic's name, long or short, for a URL."""
    domain, separator, rest = topic.partition("://")
    if not separator:
        domain, rest = "persistent", topic
    names = rest.split("/")
    if len(names) == 1:
        names = ["public", "default", *names]
    if len(names) != 3 or not all(names):
        raise ConfigError(
            f"topic {topic!r} is not a topic's name", "write it as persistent://tenant/ns/name"
        )
    return "/".join(quote(part, safe="") for part in (domain, *names))


def _parsed(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _reason(text: str) -> str:
    answer = _parsed(text)
    if isinstance(answer, dict) and answer.get("reason"):
        return str(answer["reason"])
    return text.strip().splitlines()[0][:200] if text.strip() else "no reason given"
