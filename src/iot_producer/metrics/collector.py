"""The metrics of a run, made of its newest snapshot when somebody asks for them.

Promise: nothing is computed before a scrape; names, types and meanings are those of the catalogue.
It must not know how they are served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from iot_producer.latency import Histogram
from iot_producer.metrics.catalogue import BOUNDS_S, BY_NAME
from iot_producer.metrics.health import Health
from iot_producer.snapshot import Snapshot

_BOUNDS_US: Final = np.array([round(bound * 1e6) for bound in BOUNDS_S], dtype=np.int64)
_BOUND_TEXTS: Final = (*map(str, BOUNDS_S), "+Inf")
_NS: Final = 1e9


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run before it begins.

    Attributes:
        build: values of the labels of ``iot_producer_build_info``, in their order.
        n_workers: processes of this pod.
        target_per_s: the rate that the schedule begins with, messages a second; 0: max.
    """

    build: tuple[str, ...]
    n_workers: int
    target_per_s: float


class RunCollector(Collector):
    """Turns the newest snapshot into families of metrics; from any thread.

    Args:
        facts: of the run.
        newest: gives the newest snapshot; None before the first.
        health: says whether the run is ready.
    """

    def __init__(
        self, facts: RunFacts, newest: Callable[[], Snapshot | None], health: Health
    ) -> None:
        self._facts = facts
        self._newest = newest
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """All families; without Prometheus' own of the process."""
        facts = self._facts
        found = self._newest()
        now = Snapshot(0, target_per_s=facts.target_per_s) if found is None else found
        tally, sink = now.tally, now.sink
        build = BY_NAME["build_info"]
        info = GaugeMetricFamily(build.name, build.help, labels=build.labels)
        info.add_metric(facts.build, 1)
        yield info
        yield _gauge("target_messages_per_second", now.target_per_s)
        yield _counter("scheduled_messages_total", tally.scheduled)
        yield _counter("sent_messages_total", tally.sent)
        yield _counter("confirmed_messages_total", tally.confirmed)
        yield _counter("failed_messages_total", tally.failed)
        yield _counter("not_sent_messages_total", tally.skipped)
        yield _gauge("unconfirmed_messages", tally.unconfirmed)
        yield _gauge("overdue_messages", tally.overdue)
        yield _counter("raw_bytes_total", now.raw_bytes)
        yield _counter("wire_bytes_total", sink.wire_bytes)
        yield _counter("reconnects_total", sink.n_reconnects)
        yield _counter("maybe_duplicated_messages_total", sink.n_maybe_duplicated)
        if sink.deduplicates is not None:
            yield _gauge("deduplication", int(sink.deduplicates))
        yield _gauge("lag_now_seconds", now.lag_now_ns / _NS)
        yield _gauge("lane", -1 if now.lane is None else now.lane)
        yield _gauge("workers", facts.n_workers)
        yield _gauge("ready", int(self._health.ready().ok))
        yield _gauge("last_confirmed_timestamp_seconds", self._health.last_confirmed_ns / _NS)
        yield _histogram("lag_seconds", now.latencies.lag)
        yield _histogram("service_time_seconds", now.latencies.service)
        yield _histogram("response_time_seconds", now.latencies.response)


def _gauge(name: str, value: float) -> Metric:
    metric = BY_NAME[name]
    return GaugeMetricFamily(metric.name, metric.help, value, unit=metric.unit)


def _counter(name: str, value: int) -> Metric:
    metric = BY_NAME[name]
    return CounterMetricFamily(metric.name, metric.help, value, unit=metric.unit)


def _histogram(name: str, histogram: Histogram) -> Metric:
    metric = BY_NAME[name]
    counts = [*histogram.counts_up_to(_BOUNDS_US).tolist(), histogram.n]
    buckets = list(zip(_BOUND_TEXTS, counts, strict=True))
    return HistogramMetricFamily(
        metric.name, metric.help, buckets, histogram.sum_ns / _NS, unit=metric.unit
    )
