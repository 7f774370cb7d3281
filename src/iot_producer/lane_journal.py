"""The journal of a run's lane on the topic ``<topic>-runs``: opened, begun, read before it.

Promise: a journal that cannot be written or read never keeps a lane from running. It must not know
what the lane sends, nor how it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iot_producer.clock import Clock
from iot_producer.errors import DestinationError
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.report import RunReport
from iot_producer.run_config import RunConfig
from iot_producer.run_journal import LaneHead
from iot_producer.sinks.opening import producer_name
from iot_producer.sinks.runs_keeper import RunsTopicConfig
from iot_producer.sinks.runs_topic import RunsJournal
from iot_producer.sources.runs_topic import predecessor_of, read_journals

Say = Callable[[str], None]

_BEGIN_S: Final = 1.0
_END_S: Final = 1.0
_READ_S: Final = 5.0


class LaneJournal(RunsJournal):
    """What one lane tells of itself, for the worker that runs it; see worker.Journal.

    Creating it connects in the background.

    Args:
        config: the run, with the number of its lane.
        worker: number of the worker in this pod, from 0.
        clock: stamps.
        say: is told once when the topic cannot be written, and once when it can again.
        deduplication: of the lane's topic: told what the namespace is set to.
    """

    def __init__(
        self,
        config: RunConfig,
        worker: int,
        clock: Clock,
        say: Say,
        deduplication: Deduplication | None = None,
    ) -> None:
        topic = RunsTopicConfig(_connection(config), config.destination.topic, config.admin_url)
        self._producer_name = producer_name(config, worker)
        self._has_begun = False
        super().__init__(topic, self._producer_name, clock, say, deduplication)

    def claimed(
        self, run: RunReport, index: int, claimed_ns: int, last_ids: tuple[int, ...], skips: bool
    ) -> None:
        """Say which lane this is, before it sends anything; that may take a second.

        Args:
            run: the plan: the report of the run without any lanes.
            index: which lane of the plan.
            claimed_ns: when it was claimed, ns since the epoch.
            last_ids: what the broker had stored under its name then.
            skips: it may leave messages out on purpose.
        """
        head = LaneHead(self._producer_name, index, run, claimed_ns, last_ids, skips)
        self._has_begun = True
        self.begin(head, _BEGIN_S)

    def end(self) -> None:
        """The last report was the final one; that may take some seconds."""
        self.close(_END_S if self._has_begun else 0.0, has_ended=self._has_begun)


def last_plan(config: RunConfig, worker: int, clock: Clock, say: Say) -> RunReport | None:
    """What the lane's last run said of its plan; None where nothing is known of it.

    Args:
        config: the run, with the number of its lane.
        worker: number of the worker in this pod, from 0.
        clock: measures waiting.
        say: is told of what cannot be read.
    """
    try:
        entries, problems = read_journals(
            _connection(config), config.destination.topic, clock, say, give_up_after_s=_READ_S
        )
    except DestinationError as error:
        say(f"the journals of lanes cannot be read: {error.message}")
        return None
    for problem in problems:
        say(f"a journal of a lane cannot be read: {problem}")
    return predecessor_of(entries, producer_name(config, worker))


def _connection(config: RunConfig) -> ConnectionConfig:
    return ConnectionConfig(config.destination.hosts, config.security)
