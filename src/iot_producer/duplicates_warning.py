"""The warning that messages may be stored twice: once for a run, whoever of its lanes finds out.

Promise: one sentence at most, and a true one: what is not known is not called off. It must not know
how that is found out (pulsar/deduplication.py), nor who is told.
"""

from __future__ import annotations

from typing import Final

from iot_producer.sink_counters import SinkCounters

_TWICE: Final = (
    "messages that are on their way when a connection breaks may be stored twice, and are counted "
    "(iot-producer doctor tells the remedy)"
)


class DuplicatesWarning:
    """Looks at what all lanes of a run have counted, and speaks once.

    Args:
        topic: what the run produces to, in full.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._has_spoken = False

    def words(self, counters: SinkCounters) -> str:
        """What is to be said now; empty: nothing, or it was said before.

        Args:
            counters: of all lanes together.
        """
        if self._has_spoken or counters.deduplicates:
            return ""
        if counters.deduplicates is False:
            namespace = self._topic.split("://")[-1].rpartition("/")[0]
            text = f"{namespace} does not deduplicate: {_TWICE}"
        elif counters.n_maybe_duplicated:
            text = f"whether {self._topic} deduplicates is not known: {_TWICE}"
        else:
            return ""
        self._has_spoken = True
        return text
