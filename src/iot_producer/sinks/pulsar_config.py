"""Where and how the official client publishes.

Promise: values that cannot work are refused when they are put together, with the remedy. It must
not know who publishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iot_producer.encoders.json_rows import MAX_RECORD_BYTES
from iot_producer.errors import ConfigError
from iot_producer.pulsar.official_client import ClientConfig
from iot_producer.pulsar.partition_producer import COMPRESSIONS
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig

_MESSAGE_BYTES: Final = MAX_RECORD_BYTES + 128  # with its key, properties and times


@dataclass(frozen=True, slots=True)
class PulsarSinkConfig:
    """Where to publish, and how.

    Attributes:
        service_url: ``pulsar://host:port[,host2:port2]``, of a broker or a proxy.
        topic: full name.
        producer_name: fixed, so that no two do the same work; empty: the broker gives one.
        compression: one of `COMPRESSIONS`.
        max_pending: most messages without a receipt (about 2 kB each); then ``send`` waits.
        max_entry_bytes: no entry is larger, before compression; the broker's limit (5 MiB as it
            comes) must be above it. Limits the block: 800 bytes a record.
        give_up_after_s: how long to go on connecting while nobody answers, and how long to wait
            for a receipt while none comes; None: for ever.
        connect_timeout_s, operation_timeout_s, name_wait_s, close_timeout_s, security: as in
            `ClientConfig`.
    """

    service_url: str
    topic: str
    producer_name: str = ""
    compression: str = "lz4"
    max_pending: int = 50_000
    max_entry_bytes: int = 2 * 1024 * 1024
    give_up_after_s: float | None = 30.0
    connect_timeout_s: float = 5.0
    operation_timeout_s: float = 10.0
    name_wait_s: float = 6.0
    close_timeout_s: float = 3.0
    security: SecurityConfig = NO_SECURITY

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise ConfigError(
                f"compression {self.compression!r} is unknown", f"known: {', '.join(COMPRESSIONS)}"
            )
        if self.max_pending < 1:
            raise ConfigError(f"max_pending is {self.max_pending}", "set it to 1 or more")
        if self.max_entry_bytes < _MESSAGE_BYTES:
            raise ConfigError(
                f"max_entry_bytes is {self.max_entry_bytes}",
                f"a single message may take {_MESSAGE_BYTES}",
            )

    @property
    def max_entry_records(self) -> int:
        """Records that fit into an entry, and so into a block, at their largest."""
        return self.max_entry_bytes // _MESSAGE_BYTES

    @property
    def client(self) -> ClientConfig:
        """How to reach Pulsar."""
        return ClientConfig(
            self.service_url,
            self.connect_timeout_s,
            self.operation_timeout_s,
            self.give_up_after_s,
            self.name_wait_s,
            self.close_timeout_s,
            self.security,
        )
