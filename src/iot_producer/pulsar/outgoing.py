"""What a producer is given and what it gives back: settings, entries on their way, a listener.

Promise: plain values. It must not know how entries are sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from iot_producer.pulsar.channel import Parcel


@dataclass(frozen=True, slots=True)
class ProducerConfig:
    """What to produce to, and how patiently.

    Attributes:
        topic: full name of an unpartitioned topic or of one partition.
        name: of the producer, fixed; empty: the broker gives one.
        send_timeout_s: how long no receipt may come while entries wait for one, before the
            connection is made anew.
        name_wait_s: how long a producer that comes back waits for its name. The broker frees it
            after 5 s at most, unless its holder is alive. So long it waits for a topic that is
            missing too, as one is while it is deleted and before it is made anew.
    """

    topic: str
    name: str = ""
    send_timeout_s: float = 30.0
    name_wait_s: float = 6.0


@dataclass(slots=True, eq=False)
class Outgoing:
    """An entry on its way.

    Attributes:
        parcel: its frame, with the producer's number; not touched until it is settled.
        first_id, last_id: sequence ids of its first and its last message.
        n_messages: in it.
        tag: its owner's.
        maybe_stored: it was sent as a whole, on a connection that broke since.
        n_damaged: how often the broker found it damaged.
    """

    parcel: Parcel
    first_id: int
    last_id: int
    n_messages: int
    tag: Any = None
    maybe_stored: bool = False
    n_damaged: int = 0


class Listener(Protocol):
    """Who is told what becomes of entries; called on the event loop."""

    def settled(self, entry: Outgoing, error: str) -> None:
        """The entry is stored (no error), or will never be."""
        ...

    def changed(self) -> None:
        """The producer is ready again, or has ended."""
        ...
