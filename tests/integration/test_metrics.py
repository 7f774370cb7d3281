"""Real runs that are scraped over HTTP while they produce to a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from fault_cases import pause
from program import Running, run, running

from chaos_proxy import ChaosProxy
from iot_producer.blocks import DATA_VERSION
from iot_producer.clock import SystemClock
from iot_producer.destination import parse_destination
from iot_producer.metrics.catalogue import METRICS, Type
from iot_producer.metrics.server import PageServer
from iot_producer.report import RunReport
from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration

POOL = ("--devices", "500", "--customers", "50", "--sites", "10")
PATIENCE_S = 60.0
COUNTERS = [metric.name for metric in METRICS if metric.type is Type.COUNTER]


class Monitored:
    """A run that serves its metrics on a free port, and what they say."""

    def __init__(self, program: Running, report_file: Path) -> None:
        self.program = program
        self.report_file = report_file
        news = program.wait_for(lambda e: e.get("message", "").startswith("metrics: "))
        self.url = news["message"].removeprefix("metrics: ").removesuffix("/metrics")

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(self.url + path, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            return refused.code, refused.read().decode()

    def scrape(self) -> dict[str, float]:
        """The values of what has no labels, without the beginning that all names share."""
        status, text = self.ask("/metrics")
        assert status == 200
        lines = [line.split() for line in text.splitlines() if line.startswith("iot_producer_")]
        return {
            name.removeprefix("iot_producer_"): float(value)
            for name, value in lines
            if "{" not in name
        }

    def until(self, holds: Callable[[], bool]) -> None:
        """Ask again and again, until it holds."""
        clock = SystemClock()
        deadline_ns = clock.now_ns() + round(PATIENCE_S * 1e9)
        while not holds():
            assert clock.now_ns() < deadline_ns, self.program.stderr()
            pause(0.05)

    @property
    def report(self) -> RunReport:
        return RunReport.from_json(self.report_file.read_text(), DATA_VERSION)


@contextmanager
def monitored(folder: Path, url: str, topic: str, *options: str, **env: str) -> Iterator[Monitored]:
    """Start a run that goes on until it is stopped."""
    report = folder / "report.json"
    with running(
        folder, "run", *POOL, "--report", str(report), "--metrics", "0", *options,
        PULSAR_URL=url, PULSAR_TOPIC=topic, **env,
    ) as program:  # fmt: skip
        yield Monitored(program, report)


def test_two_workers_are_added_up_and_end_as_their_report_says(broker: StackStatus, tmp_path: Path):
    topic = "persistent://public/default/metrics-two-workers"
    with monitored(
        tmp_path, broker.pulsar_url, topic, "--rate", "2000", "--workers", "2",
        "--create-topic", "3", "--linger", "50ms", PULSAR_ADMIN_URL=broker.admin_url,
    ) as run:  # fmt: skip
        scrapes = [run.scrape()]
        for n in (1000, 3000, 5000):
            run.until(lambda n=n: run.scrape()["confirmed_messages_total"] >= n)
            scrapes.append(run.scrape())
            assert run.ask("/healthz") == (200, "alive\n")
            assert run.ask("/readyz") == (200, "ready\n")
        run.program.process.terminate()
        assert run.program.end() == 0
        report = run.report
    for before, after in pairwise(scrapes):
        for name in COUNTERS:
            name = name.removeprefix("iot_producer_")
            assert after[name] >= before[name]
    last = scrapes[-1]
    assert last["scheduled_messages_total"] == sum(
        last[name]
        for name in (
            "confirmed_messages_total",
            "failed_messages_total",
            "unconfirmed_messages",
            "not_sent_messages_total",
            "overdue_messages",
        )
    )
    assert last["response_time_seconds_count"] == last["confirmed_messages_total"]
    assert last["lag_seconds_count"] == last["sent_messages_total"]
    assert (last["workers"], last["lane"], last["ready"]) == (2, 0, 1)
    assert last["target_messages_per_second"] == pytest.approx(2000)
    tally = report.tally
    assert tally.complete
    assert 5000 <= last["confirmed_messages_total"] <= tally.confirmed
    for name, total in (
        ("raw_bytes_total", report.total_raw_bytes),
        ("wire_bytes_total", report.sink.wire_bytes),
    ):
        # A record has about the same size throughout.
        per_message = last[name] / last["sent_messages_total"]
        assert per_message == pytest.approx(total / tally.sent, rel=0.05), name
    assert 0.2 < report.sink.wire_bytes / report.total_raw_bytes < 0.8
    assert (report.sink.n_reconnects, report.sink.n_maybe_duplicated) == (0, 0)
    assert (last["reconnects_total"], last["failed_messages_total"]) == (0, 0)


def test_a_broker_that_is_absent_gone_and_back(broker: StackStatus, tmp_path: Path):
    """The pod is alive all the time, and ready only while messages arrive."""
    topic = "persistent://public/default/metrics-absent-broker"
    (server,) = parse_destination(broker.pulsar_url, topic).hosts
    with ChaosProxy(server) as chaos:
        chaos.refuse()
        url = f"pulsar://127.0.0.1:{chaos.port}"
        with monitored(tmp_path, url, topic, "--rate", "500") as run:
            run.program.wait_for(lambda e: "trying again" in e.get("message", ""))
            assert run.ask("/healthz") == (200, "alive\n")
            assert run.ask("/readyz") == (503, "nothing is confirmed yet\n")
            absent = run.scrape()
            assert (absent["ready"], absent["scheduled_messages_total"]) == (0, 0)
            assert absent["target_messages_per_second"] == 500

            chaos.heal()
            run.until(lambda: run.ask("/readyz")[0] == 200)
            run.until(lambda: run.scrape()["confirmed_messages_total"] > 0)

            chaos.stall()
            run.until(lambda: run.ask("/readyz")[0] == 503)
            assert run.ask("/healthz") == (200, "alive\n")
            assert "nothing was confirmed for" in run.ask("/readyz")[1]

            chaos.reset_all()
            chaos.heal()
            run.until(lambda: run.ask("/readyz")[0] == 200)
            run.until(lambda: run.scrape()["reconnects_total"] >= 1)
            back = run.scrape()
            assert back["maybe_duplicated_messages_total"] > 0  # this topic does not deduplicate
            assert back["deduplication"] == 0

            run.program.process.terminate()
            assert run.program.end() == 0
        report = run.report
    assert report.is_complete
    assert report.sink.n_reconnects >= 1
    assert report.sink.n_maybe_duplicated >= back["maybe_duplicated_messages_total"]
    assert report.sink.deduplicates is False


def test_a_port_that_is_taken_is_a_mistake_of_the_user(tmp_path: Path):
    taken = PageServer(("127.0.0.1", 0), {})
    where = taken.url.removeprefix("http://")
    try:
        done = run(
            "run", "--to", "null:", "--messages", "10", cwd=tmp_path, IOT_PRODUCER_METRICS=where
        )
    finally:
        taken.close()
    port = where.rpartition(":")[2]
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"error: IOT_PRODUCER_METRICS {where}: another program listens there already",
        "       choose another port (0 is any that is free), or off; who has it: "
        f"ss -ltnp 'sport = :{port}'",
    ]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_java_opts_is_ignored_with_one_warning(tmp_path: Path, workers: str):
    words = "JAVA_OPTS is ignored: this producer runs without Java"
    options = ("run", *POOL, "--to", "null:", "--messages", "10", "--workers", workers)
    env = {"JAVA_OPTS": "-Xms512m -Xmx1024m"}
    # In a pod, where nothing is a terminal, a line is an object; and there is one of it.
    done = run(*options, cwd=tmp_path, **env)
    assert (done.returncode, done.stderr) == (0, "")
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(e["level"], e["message"]) for e in lines if e["event"] == "message"] == [
        ("warning", words)
    ]
    done = run(*options, "--log-format", "human", cwd=tmp_path, **env)
    assert (done.returncode, done.stderr) == (0, f"warning: {words}\n")
    assert words not in done.stdout
