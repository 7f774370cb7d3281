"""The account of a lane that still runs, or whose end was found out later: counts that agree.

Promise: whatever is changed about the ranges of a lane's report, its counts and reasons change with
them, so that scheduled = confirmed + failed + unconfirmed + not sent. It must not know why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from iot_producer.lane_report import LaneReport
from iot_producer.outcome import LaneRanges, State, TallySnapshot
from iot_producer.ranges import RangeSet
from iot_producer.tally import LaneTally

PASSED_OVER: Final = "passed over"


def settled(tally: LaneTally) -> tuple[TallySnapshot, LaneRanges]:
    """The account of a running lane, without what is due and was neither sent nor given up.

    Args:
        tally: of the lane.

    Returns:
        counts and ranges that agree, as a `LaneReport` needs them.
    """
    n = tally.next
    now, ranges = tally.snapshot(), tally.ranges()
    not_sent = ranges.not_sent.intersection(RangeSet([(0, n)]))
    reasons = dict(ranges.not_sent_reasons)
    n_passed = not_sent.count - sum(reasons.values())
    if n_passed > 0:
        reasons[PASSED_OVER] = reasons.get(PASSED_OVER, 0) + n_passed
    counts = TallySnapshot(n, now.sent, now.confirmed, now.failed, now.skipped)
    return counts, replace(ranges, not_sent=not_sent, not_sent_reasons=reasons)


def with_ranges(
    lane: LaneReport, ranges: LaneRanges, n_messages: int, reason: str = ""
) -> LaneReport:
    """A lane's report with other ranges, and the counts that they make.

    Args:
        lane: the report.
        ranges: disjoint, of all messages ``0 … n_messages − 1``; their reasons are made up anew.
        n_messages: how many messages there are.
        reason: why more messages than before were not sent.
    """
    failed, confirmed = ranges.count(State.FAILED), ranges.count(State.CONFIRMED)
    n_sent = n_messages - ranges.not_sent.count
    known = lane.ranges.not_sent_reasons
    skipped = min(lane.tally.skipped, ranges.not_sent.count)
    tally = TallySnapshot(n_messages, n_sent, confirmed, failed, skipped)
    fresh = replace(
        ranges,
        failed_reasons=_reasons_for(lane.ranges.failed_reasons, failed, reason),
        not_sent_reasons=_reasons_for(known, ranges.not_sent.count, reason),
    )
    return replace(lane, tally=tally, ranges=fresh)


def n_ranges_of(ranges: LaneRanges) -> int:
    """How many ranges, and parts of blocks, there are."""
    whole = (ranges.confirmed, ranges.failed, ranges.unconfirmed, ranges.not_sent)
    return sum(each.n_ranges for each in whole) + len(ranges.partial)


def coarsened(lane: LaneReport, n_away: int) -> LaneReport:
    """The lane's report with its first ``n_away`` ranges as one, of which nothing is certain."""
    ranges = lane.ranges
    whole = (ranges.confirmed, ranges.failed, ranges.unconfirmed, ranges.not_sent)
    ends = sorted([stop for each in whole for _, stop in each] + [p.stop for p in ranges.partial])
    cut = ends[n_away - 1]
    confirmed, failed, unconfirmed, not_sent = (each.copy() for each in whole)
    for each in (confirmed, failed, not_sent):
        each.remove(0, cut)
    unconfirmed.add(0, cut)
    partial = tuple(part for part in ranges.partial if part.first >= cut)
    fresh = LaneRanges(confirmed, failed, unconfirmed, not_sent, partial)
    return with_ranges(lane, fresh, lane.tally.scheduled)


def _reasons_for(known: Mapping[str, int], n: int, reason: str) -> dict[str, int]:
    """The reasons that are known, cut or filled up to ``n`` messages."""
    found: dict[str, int] = {}
    for why, count in known.items():
        if n > 0:
            found[why] = min(count, n)
            n -= found[why]
    if n > 0:
        why = reason or next(iter(known), "not known")
        found[why] = found.get(why, 0) + n
    return found
