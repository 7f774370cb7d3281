"""The journal of a lane on the topic ``<topic>-runs``, while it runs and at its end.

Promise: the lane never waits for it, but for the time that it says at its beginning and its end; a
topic that cannot be written costs one warning, and the run goes on. It must not know how an entry
gets to the topic (runs_keeper.py).
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from iot_producer.clock import Clock
from iot_producer.lane_report import LaneReport
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.pulsar.event_loop import EventLoop
from iot_producer.run_journal import LaneEntry, LaneHead, runs_topic
from iot_producer.sinks.runs_keeper import RunsKeeper, RunsTopicConfig


class RunsJournal:
    """The journal of one lane. Used from one thread; connects in the background at once.

    Args:
        config: where it is kept.
        name: of the lane's producer.
        clock: stamps.
        say: is told once when the topic cannot be written, and once when it can again; called from
            the caller's thread, while it calls this.
        deduplication: of the topic of the records: told what the namespace is set to.
    """

    def __init__(
        self,
        config: RunsTopicConfig,
        name: str,
        clock: Clock,
        say: Callable[[str], None],
        deduplication: Deduplication | None = None,
    ) -> None:
        self._config = config
        self._topic = runs_topic(config.topic)
        self._name = name
        self._clock = clock
        self._say = say
        self._head: LaneHead | None = None
        self._last: LaneReport | None = None
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._keeper = RunsKeeper(config, self._topic, name, self._words.put, deduplication)
        self._loop = EventLoop("runs-topic")
        self._loop.call(self._keeper.start)

    @property
    def topic(self) -> str:
        """Where it is kept."""
        return self._topic

    def wait(self, timeout_s: float) -> None:
        """Wait until the topic can be written, or an attempt to write it has failed."""
        with suppress(TimeoutError, RuntimeError):
            self._loop.run(self._keeper.tried(), timeout_s)

    def begin(self, head: LaneHead, timeout_s: float) -> bool:
        """Say which lane this is, before it sends anything.

        Until that is kept, a lane that dies at once leaves its predecessor's end unknown.

        Args:
            head: the lane.
            timeout_s: how long to wait until it is kept.

        Returns:
            whether it is.
        """
        self._head = head
        is_planned = head.run.schedule.get("kind") != "max"
        blocks = None if is_planned else np.empty((0, 2), dtype=np.int64)
        self.publish(LaneReport(head.index, TallySnapshot(), LaneRanges(), blocks=blocks))
        return self._wait(timeout_s)

    def publish(self, report: LaneReport) -> None:
        """Keep a report of the lane: it says all that those before it said. Does not wait.

        Args:
            report: with the account of `run_journal.settled` while the lane runs.
        """
        self._publish(report, has_ended=False)

    def close(self, timeout_s: float, *, has_ended: bool = True) -> bool:
        """Keep the last report as the lane's final one, and release everything.

        Args:
            timeout_s: how long to wait until it is kept.
            has_ended: False: the lane may have sent more than it says.

        Returns:
            whether all that was said is kept.
        """
        if self._loop.is_closed:
            return False
        if has_ended and self._last is not None:
            self._publish(self._last, has_ended=True)
        self._loop.call(self._keeper.hurry)
        is_kept = self._wait(timeout_s)
        with suppress(TimeoutError, RuntimeError):
            self._loop.run(self._keeper.close(), 2 * self._config.close_timeout_s)
        self._loop.close()
        self._tell()
        return is_kept

    def _publish(self, report: LaneReport, *, has_ended: bool) -> None:
        if self._head is None or self._loop.is_closed:
            return
        self._last = report
        entry = LaneEntry(self._head, report, self._clock.now_ns(), has_ended)
        self._loop.call(self._keeper.keep, entry)
        self._tell()

    def _wait(self, timeout_s: float) -> bool:
        with suppress(TimeoutError, RuntimeError):
            self._loop.run(self._keeper.kept(), timeout_s)
            return True
        return False

    def _tell(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._say(self._words.get_nowait())
