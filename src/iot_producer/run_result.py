"""The run report from what the lanes of a run came to.

Promise: nothing in it is made up: of a lane that ended without a word nothing counts as confirmed.
This module must not know processes, and reads no clock: moments are passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from iot_producer import __version__
from iot_producer.blocks import DATA_VERSION, Plan
from iot_producer.gap import Gap
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.lane_start import lane_spec_of
from iot_producer.machine import describe_machine
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.report import LaneReport, RunReport, iso_time
from iot_producer.run_config import RunConfig
from iot_producer.schedule import MaxRate
from iot_producer.sink_counters import SinkCounters

_NOTHING: Final = SinkCounters()


def lane_without_word(
    config: RunConfig,
    worker: int,
    start_ns: int,
    now_ns: int,
    error: str,
    sink: SinkCounters = _NOTHING,
) -> LaneReport | None:
    """What is known of a lane whose worker died: what was due may have been sent.

    Args:
        config: the run; where a lane was claimed, with its number and its plan's schedule.
        worker: number of the worker.
        start_ns: the plan's start, ns since the epoch.
        now_ns: when it was found dead, ns since the epoch.
        error: how it died.
        sink: what its sink had counted when it was last heard of.

    Returns:
        The report; None at the maximum rate, where only the worker knew what was due when.
    """
    if isinstance(config.schedule, MaxRate):
        return None
    lane = lane_spec_of(config, worker)
    n_due = Plan(config.fleet, lane, config.schedule, start_ns).n_due(now_ns)
    ranges = LaneRanges(unconfirmed=RangeSet([(0, n_due)]))
    tally = TallySnapshot(scheduled=n_due, sent=n_due)
    return LaneReport(lane.index, tally, ranges, error=error, sink=sink)


def run_report(
    config: RunConfig,
    lanes: Sequence[LaneReport],
    *,
    start_ns: int,
    started_ns: int,
    ended_ns: int,
    stop_reason: str,
    raw_bytes: int,
    error: str | None,
    gap: Gap | None = None,
) -> RunReport:
    """The report of a run.

    Args:
        config: the run; where a lane was claimed, with its number and its plan's schedule.
        lanes: what its lanes did.
        start_ns: the plan's start, ns since the epoch.
        started_ns, ended_ns: when the program began and ended, ns since the epoch.
        stop_reason: why it ended.
        raw_bytes: of all records handed to the destination.
        error: what ended it early.
        gap: what lies between the lane's last run and this one.
    """
    offset = lane_spec_of(config, 0).offset
    return RunReport(
        data_version=DATA_VERSION,
        tool_version=__version__,
        machine=describe_machine(),
        config={source.name: [source.value, source.origin] for source in config.sources},
        fleet=config.fleet.to_dict(),
        schedule=config.schedule.to_spec(),
        start_ns=start_ns,
        n_lanes=config.n_lanes,
        lanes=lanes,
        started_at=iso_time(started_ns),
        ended_at=iso_time(ended_ns),
        stop_reason=stop_reason,
        destination=str(config.destination),
        n_warm_up=sum(_n_warm_up(config, lane, offset, start_ns) for lane in lanes),
        raw_bytes=raw_bytes,
        error=error,
        lane=config.lane,
        offset=offset,
        gap=gap,
    )


def _n_warm_up(config: RunConfig, lane: LaneReport, offset: int, start_ns: int) -> int:
    """How many of a lane's messages were intended within the warm-up."""
    if not config.warm_up_ns:
        return 0
    if lane.blocks is not None:
        # Messages of such a block are a nanosecond apart.
        cold_ns = start_ns + config.warm_up_ns - lane.blocks[:, 1]
        return int(np.clip(cold_ns, 0, lane.blocks[:, 0]).sum())
    if isinstance(config.schedule, MaxRate):
        return 0
    members = lane_of(config.fleet.devices, LaneSpec(lane.index, config.n_lanes, offset))
    n_cold = members.n_before(config.schedule.n_due(config.warm_up_ns - 1))
    return min(n_cold, lane.tally.scheduled)
