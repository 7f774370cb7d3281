"""What a dashboard is made of: rows of panels, panels of PromQL expressions.

Promise: data only; the functions here write expressions over the producer's own metrics, for the
pods that are chosen. This module must not know Grafana's JSON, nor which panels there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

CONFIRMED: Final = "iot_producer_confirmed_messages_total"
TARGET: Final = "iot_producer_target_messages_per_second"
PODS: Final = 'namespace=~"$namespace",pod=~"$pod"'


@dataclass(frozen=True, slots=True)
class Query:
    """One expression.

    Args:
        expr: PromQL.
        legend: name of its series; ``{{label}}`` is replaced.
    """

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Args:
        title: what it shows.
        queries: what is drawn.
        description: how to read it.
        unit: Grafana's name of the unit.
        kind: how it is drawn.
        width: of the 24 columns of the page.
        stacked: whether areas lie upon each other.
        warn_at, alarm_at: from which value on it is yellow, red; None: never.
        alarm_below: red below this, green from it on.
    """

    title: str
    queries: tuple[Query, ...]
    description: str
    unit: str = "short"
    kind: Literal["timeseries", "stat", "heatmap", "table"] = "timeseries"
    width: int = 8
    stacked: bool = False
    warn_at: float | None = None
    alarm_at: float | None = None
    alarm_below: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading; a folded row is opened by a click, and asks nothing until then."""

    title: str
    panels: tuple[Panel, ...]
    folded: bool = False


def pods(metric: str, more: str = "") -> str:
    """The series of a metric, of the pods that are chosen; ``more`` is another matcher."""
    return f"{metric}{{{PODS}{',' + more if more else ''}}}"


def rate(metric: str, by: str = "") -> str:
    """A second, all of these pods together, or by a label."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({pods(metric)}[$__rate_interval]))"


def percentiles(metric: str) -> tuple[Query, ...]:
    """Of a histogram of seconds, over the interval that a point of the picture stands for."""
    buckets = f"sum by (le) (rate({pods(metric + '_bucket')}[$__rate_interval]))"
    shares = (("0.5", "p50"), ("0.99", "p99"), ("0.999", "p99.9"), ("1", "largest bucket"))
    return tuple(Query(f"histogram_quantile({q}, {buckets})", legend) for q, legend in shares)


def over_the_page(metric: str) -> str:
    """How much a counter grew within the time that the page shows."""
    return f"sum(increase({pods(metric)}[$__range]))"
