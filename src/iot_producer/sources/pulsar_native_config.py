"""The settings of the reader over our own wire layer.

Promise: plain values, checked once. It must not know how anything is read.
"""

from __future__ import annotations

from dataclasses import dataclass

from iot_producer.errors import ConfigError
from iot_producer.pulsar.connection_config import ConnectionConfig
from iot_producer.pulsar.reader import MOST_BYTES


@dataclass(frozen=True, slots=True)
class NativeReaderConfig:
    """What to read, and how.

    Attributes:
        connection: how to reach Pulsar.
        topic: full name.
        since_ms: begin with the first entry that was published at or after it, ms since the epoch
            (by the producers' clocks: take some minutes before the start of a run); None: with the
            first there is.
        is_compacted: of what the broker has compacted, take the last message of each key only.
        chunk_records: about how many messages make a chunk; a single entry is never cut.
        waiting_records: messages that may wait here, over all partitions.
        waiting_bytes: about so many bytes may wait, over all partitions.
        give_up_after_s: how long to go on connecting while nobody answers, and how long to wait
            for an entry that is known to be there; None: for ever.
        doubt_s: after so much silence the broker is asked what is left.
        close_timeout_s: for a clean good-bye.
        waits_for_topic: a topic that is not there is no error: `NativePulsarReader.follow` waits
            for it.
        look_s: how often a topic that is followed is asked for partitions that were added.
    """

    connection: ConnectionConfig
    topic: str
    since_ms: int | None = None
    is_compacted: bool = False
    chunk_records: int = 4_000
    waiting_records: int = 100_000
    waiting_bytes: int = MOST_BYTES
    give_up_after_s: float | None = 30.0
    doubt_s: float = 2.0
    close_timeout_s: float = 3.0
    waits_for_topic: bool = False
    look_s: float = 2.0

    def __post_init__(self) -> None:
        for name in ("chunk_records", "waiting_records", "waiting_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", "set it to 1 or more")
