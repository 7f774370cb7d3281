"""What following a topic has seen, as text for people: a line of news, and the result.

Promise: pure text of a frozen snapshot. It must not know the topic.
"""

from __future__ import annotations

from typing import Final

from iot_producer import figures
from iot_producer.follow import FollowSnapshot
from iot_producer.latency import Histogram

_PERCENTS: Final = (50, 90, 99, 99.9)


def news_line(snapshot: FollowSnapshot) -> str:
    """How it goes just now."""
    text = f"{figures.count(snapshot.n_read)} records, {figures.rate(snapshot.recent_per_s)}/s"
    if snapshot.recent.n:
        text += f", intended → read {_spread(snapshot.recent)}"
    return text


def render(snapshot: FollowSnapshot) -> str:
    """All of it, lines of text."""
    lines = [
        f"followed for {figures.duration(round(snapshot.seconds * 1e9))}: "
        f"{figures.count(snapshot.n_read)} records"
    ]
    if snapshot.latency.n:
        lines.append(f"intended → read   {_spread(snapshot.latency)}")
    if snapshot.n_early:
        lines.append(
            f"{figures.count(snapshot.n_early)} of them were due before that, and do not count for "
            "the times"
        )
    if snapshot.n_ahead:
        lines.append(
            f"{figures.count(snapshot.n_ahead)} came before they were due: the clocks of this "
            "machine and the producer's disagree"
        )
    return "\n".join(lines)


def _spread(histogram: Histogram) -> str:
    values = histogram.percentiles_ns(_PERCENTS)
    parts = [
        f"p{percent:g} {figures.latency(ns)}" for percent, ns in zip(_PERCENTS, values, strict=True)
    ]
    return "  ".join([*parts, f"max {figures.latency(histogram.max_ns)}"])
