"""How to reach Pulsar: hosts, security, time-outs.

Promise: plain values. It must not know sockets.
"""

from __future__ import annotations

from dataclasses import dataclass

from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """How to reach Pulsar.

    Attributes:
        hosts: (host, port) of brokers or proxies, tried in turn.
        security: TLS and token.
        keep_alive_s: silence after which a peer counts as dead; it is asked for a sign of life at
            half of it.
        connect_timeout_s: for a TCP connection, and again for the greeting.
        operation_timeout_s: for the answer to a request.
        listener_name: which of the brokers' advertised listeners to use; empty: theirs to choose.
    """

    hosts: tuple[tuple[str, int], ...]
    security: SecurityConfig = NO_SECURITY
    keep_alive_s: float = 30.0
    connect_timeout_s: float = 5.0
    operation_timeout_s: float = 10.0
    listener_name: str = ""

    @property
    def service_url(self) -> str:
        """The hosts as people write them."""
        scheme = "pulsar+ssl" if self.security.tls else "pulsar"
        return f"{scheme}://" + ",".join(address(host, port) for host, port in self.hosts)


def address(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
