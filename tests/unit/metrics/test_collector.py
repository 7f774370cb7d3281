"""What a scraper reads, in both formats, of known snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from fake_run import MS, START_NS, S, latencies, snapshot
from iot_producer.clock import ManualClock
from iot_producer.metrics.catalogue import BOUNDS_S, METRICS, Type
from iot_producer.metrics.collector import RunCollector, RunFacts
from iot_producer.metrics.health import Health
from iot_producer.outcome import TallySnapshot
from iot_producer.sink_counters import SinkCounters
from iot_producer.snapshot import Snapshot

FACTS = RunFacts(("0.1.0", "1", "native", "lz4", "3.11.7"), 2, 1000.0)
NOW = snapshot(
    20,
    20_000,
    999.5,
    tally=TallySnapshot(20_000, 19_000, 18_000, 400, 300),
    raw_bytes=10_000_000,
    lag_now_ns=1_500 * MS,
    latencies=latencies(18_000),
    lane=3,
    sink=SinkCounters(4_000_000, 5, 60, False),
)


class Scraped:
    """A run that is scraped."""

    def __init__(self) -> None:
        self.clock = ManualClock(START_NS)
        self.health = Health(self.clock)
        self.newest: Snapshot | None = None
        self.registry = CollectorRegistry()
        self.registry.register(RunCollector(FACTS, lambda: self.newest, self.health))

    def draw(self, now: Snapshot) -> None:
        self.newest = now
        self.health.see(now)

    def samples(self) -> dict[str, float]:
        """By name, with labels where there are any, of the text format."""
        text = generate_latest(self.registry).decode()
        return _samples(read_text(text))


def _samples(families: Iterable[Any]) -> dict[str, float]:
    found = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_every_value_is_that_of_the_snapshot():
    run = Scraped()
    run.clock.advance(20 * S)
    run.draw(NOW)
    found = run.samples()
    plain = {
        name.removeprefix("iot_producer_"): value
        for name, value in found.items()
        if "{" not in name
        and not any(word in name for word in ("_lag_seconds", "service_time", "response_time"))
    }
    assert plain == {
        "target_messages_per_second": 999.5,
        "scheduled_messages_total": 20_000,
        "sent_messages_total": 19_000,
        "confirmed_messages_total": 18_000,
        "failed_messages_total": 400,
        "not_sent_messages_total": 300,
        "unconfirmed_messages": 600,
        "overdue_messages": 700,
        "raw_bytes_total": 10_000_000,
        "wire_bytes_total": 4_000_000,
        "reconnects_total": 5,
        "maybe_duplicated_messages_total": 60,
        "deduplication": 0,
        "lag_now_seconds": 1.5,
        "lane": 3,
        "workers": 2,
        "ready": 1,
        "last_confirmed_timestamp_seconds": START_NS / S + 20,
    }
    assert (
        found[
            "iot_producer_build_info{client=native,compression=lz4,data_version=1,python=3.11.7,"
            "version=0.1.0}"
        ]
        == 1
    )


def test_histograms_are_cumulative_and_add_up():
    run = Scraped()
    run.draw(NOW)  # of 100 messages 99 have 1, 3 and 4 ms, and one has 10, 30 and 40 ms
    found = run.samples()

    def buckets(name: str) -> list[float]:
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        return [found[f"iot_producer_{name}_seconds_bucket{{le={bound}}}"] for bound in bounds]

    assert buckets("lag") == [0, *[17_820] * 3, *[18_000] * 13]
    assert buckets("service_time") == [*[0] * 3, *[17_820] * 2, 17_820, *[18_000] * 11]
    assert buckets("response_time") == [*[0] * 3, *[17_820] * 3, *[18_000] * 11]
    assert found["iot_producer_lag_seconds_count"] == 18_000
    assert found["iot_producer_lag_seconds_sum"] == pytest.approx(17_820 * 1e-3 + 180 * 10e-3)
    assert found["iot_producer_service_time_seconds_sum"] == pytest.approx(
        17_820 * 3e-3 + 180 * 30e-3
    )
    assert found["iot_producer_response_time_seconds_count"] == 18_000


def test_before_the_load_begins():
    found = Scraped().samples()
    assert found["iot_producer_target_messages_per_second"] == 1000
    assert found["iot_producer_scheduled_messages_total"] == 0
    assert found["iot_producer_lane"] == -1
    assert found["iot_producer_ready"] == 0
    assert found["iot_producer_last_confirmed_timestamp_seconds"] == 0
    assert found["iot_producer_response_time_seconds_count"] == 0
    assert "iot_producer_deduplication" not in found


@pytest.mark.parametrize(("deduplicates", "value"), [(True, 1), (False, 0), (None, None)])
def test_deduplication_is_absent_as_long_as_it_is_not_known(deduplicates: bool | None, value: Any):
    run = Scraped()
    run.draw(replace(NOW, sink=SinkCounters(deduplicates=deduplicates)))
    assert run.samples().get("iot_producer_deduplication") == value


@pytest.mark.parametrize(
    ("write", "read", "suffix"),
    [(generate_latest, read_text, "_total"), (generate_openmetrics, read_openmetrics, "")],
)
def test_both_formats_have_the_families_of_the_catalogue(
    write: Callable[[Any], bytes], read: Callable[[str], Iterable[Any]], suffix: str
):
    run = Scraped()
    run.draw(NOW)
    families = {family.name: family for family in read(write(run.registry).decode())}
    wanted = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    assert list(families) == list(wanted)
    for name, metric in wanted.items():
        assert families[name].type == metric.type
        assert families[name].documentation == metric.help
        labels = {tuple(s.labels) for s in families[name].samples if metric.type != Type.HISTOGRAM}
        assert labels <= {tuple(sorted(metric.labels))}
    assert _samples(families.values()) == run.samples()


def test_counters_only_grow():
    run = Scraped()
    counters = [metric.name for metric in METRICS if metric.type is Type.COUNTER]
    before = dict.fromkeys(counters, 0.0)
    for k in range(1, 40):
        n = k * 250
        tally = TallySnapshot(n, n - 20, n - 120, k, 7)
        run.draw(
            snapshot(
                k / 4, n, tally=tally, latencies=latencies(n), sink=SinkCounters(200 * n, k // 8)
            )
        )
        found = run.samples()
        assert all(found[name] >= before[name] for name in counters)
        before = {name: found[name] for name in counters}
    assert before["iot_producer_confirmed_messages_total"] == 39 * 250 - 120
