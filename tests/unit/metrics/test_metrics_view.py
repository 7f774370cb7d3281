"""The view that monitoring systems look at, asked over HTTP while it is drawn."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from fake_run import START_NS, S, report, snapshot
from iot_producer import __version__
from iot_producer.blocks import DATA_VERSION
from iot_producer.clock import ManualClock
from iot_producer.config import resolve_run
from iot_producer.metrics.health import BEAT_NS, READY_NS
from iot_producer.metrics.metrics_view import MetricsView, facts_of
from iot_producer.run_config import RunConfig


def config(**flags: str) -> RunConfig:
    return resolve_run({"to": "pulsar://h", "metrics": "0", **flags}, {})


class Monitored:
    """A view, its clock, and what it answers."""

    def __init__(self) -> None:
        self.clock = ManualClock(START_NS)
        run = config(workers="3")
        assert run.metrics is not None
        self.view = MetricsView(run.metrics, run, self.clock)

    def ask(self, path: str, accept: str = "*/*") -> tuple[int, str]:
        try:
            with urlopen(Request(self.view.url + path, headers={"Accept": accept})) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            return refused.code, refused.read().decode()

    def value(self, name: str) -> float:
        status, text = self.ask("/metrics")
        assert status == 200
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == f"iot_producer_{name}":
                    return float(sample.value)
        raise AssertionError(f"there is no {name}")


@pytest.fixture
def run() -> Iterator[Monitored]:
    monitored = Monitored()
    yield monitored
    monitored.view.close(None)


def test_before_anything_is_connected_it_is_alive_and_not_ready(run: Monitored):
    assert run.ask("/healthz") == (200, "alive\n")
    assert run.ask("/readyz") == (503, "nothing is confirmed yet\n")
    assert run.value("ready") == 0
    assert run.value("workers") == 3
    assert run.value("target_messages_per_second") == 1000
    for _ in range(1000):  # the broker is absent for a long time
        run.clock.advance(S)
        run.view.beat()
    assert run.ask("/healthz")[0] == 200
    assert run.ask("/readyz")[0] == 503


def test_what_is_drawn_is_served(run: Monitored):
    run.view.beat()
    run.view.draw(snapshot(0, 5))
    assert run.value("confirmed_messages_total") == 5
    run.clock.advance(S)
    run.view.draw(snapshot(1, 1005))
    assert run.value("confirmed_messages_total") == 1005
    assert run.value("ready") == 1
    assert run.ask("/readyz") == (200, "ready\n")
    run.clock.advance(READY_NS)
    run.view.draw(snapshot(11, 1005, lag_now_ns=READY_NS))
    run.clock.advance(1)
    assert run.ask("/readyz") == (503, "nothing was confirmed for 10 s\n")
    assert run.value("ready") == 0


def test_a_loop_that_stands_still_is_not_alive(run: Monitored):
    run.view.beat()
    run.clock.advance(BEAT_NS + 1)
    assert run.ask("/healthz") == (503, "the run's loop has stood still for 10 s\n")


def test_both_formats_and_the_process(run: Monitored):
    _, text = run.ask("/metrics")
    assert "\nprocess_cpu_seconds_total " in text
    assert "\nprocess_resident_memory_bytes " in text
    assert not text.endswith("# EOF\n")
    _, text = run.ask("/metrics", "application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")


def test_nothing_is_registered_for_the_whole_program(run: Monitored):
    names = {family.name for family in REGISTRY.collect()}
    assert not any(name.startswith("iot_producer") for name in names)


def test_at_its_end_it_answers_no_more():
    run = Monitored()
    run.view.close(report())
    with pytest.raises(OSError, match="refused"):
        run.ask("/healthz")


def test_what_is_known_before_the_run():
    facts = facts_of(config(rate="30", shard="1/3", client="official", compression="zstd"))
    python = platform.python_version()
    assert facts.build == (__version__, str(DATA_VERSION), "official", "zstd", python)
    assert (facts.n_workers, facts.target_per_s) == (1, 30.0)
    assert facts_of(config(to="null:")).build[2:4] == ("none", "none")
    assert facts_of(config(rate="max")).target_per_s == 0.0
