"""Where a run's lanes begin: the plan of a claimed lane, and of one that goes on after another run.

Promise: a claimed lane at a constant rate lies on a grid that begins with the epoch, so two starts
of it give the same messages; nothing begins before what the broker has stored under the lane's
name; and what is left out in between is named. It must not know brokers, processes, nor a clock:
what the broker said and the time are passed in.

Other schedules begin with the run; when the lane is lost to another pod and the run goes on under
another lane, they go on where they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from iot_producer import figures
from iot_producer.destination import Scheme
from iot_producer.errors import ConfigError, UsageError
from iot_producer.gap import Gap, LastIds, known_ids
from iot_producer.lane import LaneSpec, device_offset, least_distance
from iot_producer.quantities import NS_PER_S
from iot_producer.report import RunReport, iso_time
from iot_producer.run_config import RunConfig
from iot_producer.schedule import (
    ConstantSchedule,
    MaxRate,
    ShapedSchedule,
    limit,
    schedule_from_spec,
    unlimited,
)

MOST_AHEAD_NS: Final = 60 * NS_PER_S
"""A lane whose last message lies so far ahead of the clock is waited for; beyond it, one of the two
clocks is wrong."""

_MS: Final = 1_000_000
_SOON_MS: Final = 10
_SOON_NATIVE_MS: Final = 200
"""The lane's journal says first which lane it is: that takes 40 to 60 ms on a local broker."""

News = tuple[str, str]
"""Level as in ``View.say``, and a sentence."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a run whose lane was lost.

    Attributes:
        origin_ns: where its first plan began, ns since the epoch.
        end_ns: until when it lasts, ns since the epoch; None: no limit of time.
        n_messages: how many messages it still has; None: no limit.
    """

    origin_ns: int
    end_ns: int | None
    n_messages: int | None


@dataclass(frozen=True, slots=True)
class LaneStart:
    """The plan of a pod's lanes.

    Attributes:
        config: the run, with the lane's number, and the schedule from its first message on.
        start_ns: intended time of message 0, ns since the epoch.
        last_ids: what the broker has stored already of messages that the plan has, or empty.
        gap: what is left out since the lane's last run; None: no such run is known.
        news: what people should know.
    """

    config: RunConfig
    start_ns: int
    last_ids: LastIds = ()
    gap: Gap | None = None
    news: tuple[News, ...] = ()


def is_native(config: RunConfig) -> bool:
    """Whether records go to Pulsar over our own transport."""
    return config.destination.scheme is Scheme.PULSAR and config.client == "native"


def claims_lane(config: RunConfig) -> bool:
    """Whether the run takes a lane of the broker's: nobody said which part of a plan it is."""
    return is_native(config) and not config.shard_is_given


def lane_spec_of(config: RunConfig, worker: int) -> LaneSpec:
    """The lane of a worker, by its plan's own numbers, once its plan is known."""
    offset = 0
    if config.lane is not None:
        n_devices = config.fleet.devices
        first = 0
        if not isinstance(config.schedule, MaxRate):
            first = unlimited(config.schedule).first
        offset = (device_offset(config.lane, n_devices) + first) % n_devices
    return LaneSpec(config.lane_index(worker), config.n_lanes, offset)


def lane_start(
    config: RunConfig,
    now_ns: int,
    *,
    lane: int | None = None,
    last_ids: LastIds = (),
    predecessor: RunReport | None = None,
    rest: Rest | None = None,
) -> LaneStart | None:
    """The plan of a pod's lanes.

    Args:
        config: the run, as it was set.
        now_ns: the time, ns since the epoch.
        lane: the number of the lane that was claimed; None: none was.
        last_ids: what the broker has stored under the names of the pod's lanes.
        predecessor: what the lane's last run said of its plan; None: nothing is known of it.
        rest: what is left, when the run had another lane before.

    Returns:
        the plan; None when nothing of the run is left.

    Raises:
        UsageError: it would begin before what is stored, and cannot wait.
    """
    known = known_ids(last_ids)
    # On a whole millisecond, so that the times of a round rate look round.
    soon_ns = (now_ns // _MS + (_SOON_NATIVE_MS if is_native(config) else _SOON_MS)) * _MS
    start_ns, news = _after(config, rest, known[-1] if known else -1, now_ns, soon_ns)
    config = replace(config, lane=lane)
    first_ns = start_ns
    filled: LastIds = ()
    if config.on_gap == "catch-up" and known and rest is None:
        why = _not_filled(config, last_ids, predecessor)
        if why:
            news = (*news, ("warning", f"--on-gap catch-up is not possible: {why}"))
        else:
            first_ns, filled = max(known[0] + 1, now_ns - config.max_gap_ns), last_ids
    if lane is not None:
        plan = _claimed(config, start_ns, first_ns, rest)
        if plan is None:
            return None
        config, start_ns = plan
        news = (*news, *_meeting(config, lane))
    return _resumed(config, start_ns, last_ids, news, filled)


def rest_of(config: RunConfig, earlier: Sequence[RunReport]) -> Rest:
    """What is left of a run after some episodes.

    Args:
        config: the run, as it was set.
        earlier: the reports of its episodes, at least one.
    """
    origin_ns = earlier[0].start_ns
    end_ns = None if config.duration_ns is None else origin_ns + config.duration_ns
    n_messages = config.n_messages
    if n_messages is not None:
        n_done = sum(lane.tally.scheduled for report in earlier for lane in report.lanes)
        n_messages = max(n_messages - n_done, 0)
    return Rest(origin_ns, end_ns, n_messages)


def _claimed(
    config: RunConfig, start_ns: int, first_ns: int, rest: Rest | None
) -> tuple[RunConfig, int] | None:
    """The plan of a claimed lane, and its start, ns since the epoch; None when nothing is left.

    Args:
        config: the run, with the number of its lane.
        start_ns: when it begins.
        first_ns: from when on messages are sent, earlier where a gap is filled.
        rest: what is left, when the run had another lane before.
    """
    end_ns, n_messages = (rest.end_ns, rest.n_messages) if rest else (None, config.n_messages)
    if rest is None and config.duration_ns is not None:
        end_ns = start_ns + config.duration_ns
    base: ConstantSchedule | ShapedSchedule | MaxRate
    if isinstance(config.schedule, MaxRate):
        base, begins_ns = MaxRate(), start_ns
    else:
        whole, origin_ns = unlimited(config.schedule), 0
        if not isinstance(whole, ConstantSchedule):
            origin_ns = rest.origin_ns if rest else start_ns
        try:
            base = whole.at(first_ns - origin_ns)
        except ConfigError:
            return None  # it came to its end while the run had no lane
        begins_ns = origin_ns + base.start_ns
    left_ns = None if end_ns is None else end_ns - begins_ns
    if n_messages == 0 or (left_ns is not None and left_ns <= 0):
        return None
    try:
        return replace(config, schedule=limit(base, n_messages, left_ns)), begins_ns
    except ConfigError:
        if rest is None:
            raise
        return None  # no message is due in what is left


def _after(
    config: RunConfig, rest: Rest | None, last_ns: int, now_ns: int, soon_ns: int
) -> tuple[int, tuple[News, ...]]:
    """When to begin: now, or when it was asked for; after what is stored."""
    if config.start_ns is not None and rest is None:
        if config.start_ns <= last_ns:
            raise UsageError(
                f"the plan starts at {iso_time(config.start_ns)}, but the topic has messages of "
                f"this lane up to {iso_time(last_ns)}: the broker would drop what is not after "
                "them",
                "start it after that time, or use another topic or another SHARD",
            )
        return config.start_ns, ()
    ahead_ns = last_ns - now_ns
    if ahead_ns > MOST_AHEAD_NS:
        raise UsageError(
            f"the lane's last message is of {iso_time(last_ns)}, "
            f"{figures.duration(ahead_ns)} ahead of this machine's clock",
            "set the clock right; or use another topic, or a SHARD",
        )
    # A whole millisecond after it: a plan of another rate may have the same device in that one.
    after_ns = (last_ns // _MS + 1) * _MS
    if after_ns <= soon_ns:
        return soon_ns, ()
    text = (
        f"the lane's last message is {figures.duration(ahead_ns)} ahead of this machine's clock: "
        "waiting until it is past"
    )
    return after_ns, (("warning", text),)


def _resumed(
    config: RunConfig,
    start_ns: int,
    last_ids: LastIds,
    news: tuple[News, ...],
    filled: LastIds = (),
) -> LaneStart:
    """With the gap, if the lane had a run before."""
    known = known_ids(last_ids)
    if not known or known[0] >= start_ns:
        return LaneStart(config, start_ns, filled, None, news)
    since_ns = known[0]
    n_messages = None
    if config.lane is not None and not isinstance(config.schedule, MaxRate):
        begun = unlimited(config.schedule)
        if isinstance(begun, ConstantSchedule):
            n_messages = begun.first - begun.at(since_ns + 1).first
    gap = Gap(since_ns, start_ns, n_messages, last_ids)
    return LaneStart(config, start_ns, filled, gap, (*news, ("info", gap_words(gap))))


def lanes_words(n_lanes: int, lane: int | None) -> str:
    """How many lanes there are here; or which one, where it was claimed from the broker.

    Args:
        n_lanes: how many.
        lane: number of the claimed lane; its workers share it. None: none was claimed.
    """
    if lane is None:
        return figures.plural(n_lanes, "lane")
    return f"lane {lane}" + (f" of {n_lanes} workers" if n_lanes > 1 else "")


def gap_words(gap: Gap) -> str:
    """A gap as a sentence."""
    after = f"the lane goes on after its last stored message, of {iso_time(gap.since_ns)}"
    if gap.is_filled:
        return f"{after}; what was due since then is sent"
    n = "" if gap.n_messages is None else f" ({gap.n_messages:,} messages at this rate)"
    lasts = figures.duration(gap.until_ns - gap.since_ns)
    return f"{after}; not sent: what was due in the {lasts} until {iso_time(gap.until_ns)}{n}"


def _not_filled(config: RunConfig, last_ids: LastIds, predecessor: RunReport | None) -> str:
    """Why a gap cannot be filled; empty when it can."""
    if config.lane is None:
        return "the shard was given, and its plan begins with each run"
    if not isinstance(config.schedule, MaxRate):
        base = unlimited(config.schedule)
        if isinstance(base, ConstantSchedule):
            if config.start_ns is not None:
                return "the plan has a start of its own"
            if any(each < 0 for ids in last_ids for each in ids):
                return "of some partition or worker nothing is stored, so it has no known gap"
            if predecessor is None:
                return "nothing is known of the plan of the lane's last run"
            same = _is_same_plan(config, base, predecessor)
            return "" if same else "the lane's last run had another plan"
    return "only a plan of a constant rate is the same in every run"


def _is_same_plan(config: RunConfig, base: ConstantSchedule, other: RunReport) -> bool:
    if dict(other.fleet) != config.fleet.to_dict() or other.lane != config.lane:
        return False
    try:
        schedule = schedule_from_spec(other.schedule)
    except ConfigError:
        return False
    if isinstance(schedule, MaxRate) or other.n_lanes != config.n_lanes:
        return False
    theirs = unlimited(schedule)
    return isinstance(theirs, ConstantSchedule) and theirs.per_s == base.per_s


def _meeting(config: RunConfig, lane: int) -> tuple[News, ...]:
    """A word where lanes are so close to each other that they may send the same records."""
    schedule = config.schedule
    if isinstance(schedule, MaxRate):
        return ()
    n_devices = config.fleet.devices
    n_per_ms = -(-schedule.peak_per_s // 1000)
    if n_per_ms <= least_distance(lane + 1, n_devices):
        return ()
    text = (
        f"{figures.plural(lane + 1, 'lane')} at this rate are too many for "
        f"{figures.plural(n_devices, 'device')}: lanes may send the same record; raise DEVICES"
    )
    return (("warning", text),)
