"""The settings of the sink that publishes over our own transport.

Promise: plain values, checked once. It must not know how anything is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from iot_producer.errors import ConfigError
from iot_producer.pulsar.connection_config import ConnectionConfig
from iot_producer.pulsar.entry import COMPRESSIONS
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig


@dataclass(frozen=True, slots=True)
class NativePulsarConfig:
    """Where to publish, and how.

    Attributes:
        hosts: (host, port) of brokers or proxies, tried in turn.
        topic: full name.
        producer_name: fixed, so that no two do the same work; empty: the broker gives one.
        compression: one of entry.COMPRESSIONS.
        security: TLS and token.
        max_pending: most messages without a receipt; then ``send`` waits.
        max_pending_bytes: most bytes of entries without a receipt; then ``send`` waits too.
        give_up_after_s: how long to go on connecting while nobody answers, and how long to wait
            for a receipt while none comes; None: for ever.
        name_wait_s: how long to wait at the start for a producer name that is taken; a dead
            producer's is free after 5 s.
        lane_wait_s: how long a producer whose connection broke waits for its name, before the lane
            counts as lost.
        connect_timeout_s, operation_timeout_s, keep_alive_s: as in `ConnectionConfig`.
        send_timeout_s: as in `ProducerConfig`.
        close_timeout_s: for a clean good-bye.
        partitions_poll_s: how often to ask whether the topic has got more partitions.
    """

    hosts: tuple[tuple[str, int], ...]
    topic: str
    producer_name: str = ""
    compression: str = "lz4"
    security: SecurityConfig = NO_SECURITY
    max_pending: int = 50_000
    max_pending_bytes: int = 64 * 1024 * 1024
    give_up_after_s: float | None = 30.0
    name_wait_s: float = 6.0
    lane_wait_s: float = 6.0
    connect_timeout_s: float = 5.0
    operation_timeout_s: float = 10.0
    keep_alive_s: float = 30.0
    send_timeout_s: float = 30.0
    close_timeout_s: float = 3.0
    partitions_poll_s: float = 30.0

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise ConfigError(
                f"compression {self.compression!r} is unknown", f"known: {', '.join(COMPRESSIONS)}"
            )
        if self.max_pending < 1 or self.max_pending_bytes < 1:
            raise ConfigError(f"max_pending is {self.max_pending}", "set it to 1 or more")

    @property
    def connection(self) -> ConnectionConfig:
        """How to reach Pulsar."""
        return ConnectionConfig(
            self.hosts,
            self.security,
            self.keep_alive_s,
            self.connect_timeout_s,
            self.operation_timeout_s,
        )
