"""Runs are killed, restarted and scaled; what their lanes published alone says what must be there.

The namespace deduplicates: so nothing is lost, and nothing is there twice.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from program import Running, run, running

from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration

JSON_LINES = ("--log-format", "json", "--stats-interval", "250ms")
SMALL = {"DEVICES": "5000", "CUSTOMERS": "500", "SITES": "50"}


@pytest.fixture(scope="module")
def namespace(broker: StackStatus) -> str:
    """A namespace with deduplication."""
    admin = PulsarAdmin(broker.admin_url)
    name = f"public/runs-{uuid4().hex[:8]}"
    admin.call("PUT", f"/admin/v2/namespaces/{name}")
    admin.set_deduplication(name, True)
    admin.set_retention(name, -1, -1)
    return name


class Topic:
    """A topic, runs to it, and what verify says of it without a report."""

    def __init__(self, broker: StackStatus, namespace: str, n_partitions: int = 0) -> None:
        self.name = f"persistent://{namespace}/t-{uuid4().hex[:8]}"
        PulsarAdmin(broker.admin_url).create_topic(self.name, n_partitions)
        self.env = {
            "PULSAR_URL": broker.pulsar_url,
            "PULSAR_ADMIN_URL": broker.admin_url,
            "PULSAR_TOPIC": self.name,
            **SMALL,
        }

    def run(self, *arguments: str) -> None:
        ended = run("run", *JSON_LINES, *arguments, **self.env)
        assert ended.returncode == 0, ended.stderr

    def killed(self, folder: Path, n_sent: int, *arguments: str) -> None:
        """A run that is killed with all of its processes once it has sent so many messages."""
        with running(folder, "run", *JSON_LINES, *arguments, **self.env) as started:
            sent(started, n_sent)
            kill(started)

    def verify(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        ended = run("verify", "--from", "pulsar", "--json", *arguments, **self.env)
        assert ended.returncode == code, ended.stdout + ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        return found


def sent(started: Running, n: int) -> None:
    started.wait_for(lambda event: event["event"] == "stats" and event["sent"] >= n)


def kill(started: Running) -> None:
    processes = [*started.workers(), psutil.Process(started.process.pid)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, 10)


def clean(found: dict[str, Any]) -> dict[str, int]:
    """The counts that say something, where nothing is wrong."""
    totals = found["totals"]
    assert found["ok"]
    assert found["n_foreign"] == 0
    assert found["problems"] == []
    assert totals["found"] == totals["expected"]
    for fault in ("lost", "duplicated", "changed", "out_of_order", "unexpected"):
        assert totals[fault] == 0, found
    counts: dict[str, int] = totals
    return counts


@pytest.mark.parametrize(
    ("n_partitions", "more"),
    [
        (0, ()),
        (3, ("--workers", "2")),
        (3, ("--on-gap", "catch-up")),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else f"{each} partitions",
)
def test_a_killed_run_and_its_successor_have_lost_nothing(
    n_partitions: int, more: tuple[str, ...], broker: StackStatus, namespace: str, tmp_path: Path
):
    topic = Topic(broker, namespace, n_partitions)
    topic.killed(tmp_path, 3000, "--rate", "2000", *more)
    topic.run("--rate", "2000", "--duration", "2s", *more)
    found = topic.verify()
    totals = clean(found)
    # Everything that is there is expected: the killed run's lanes were closed at their last ids.
    assert totals["found"] == found["n_read"] >= 7000
    assert totals["unreported"] == 0
    assert found["n_runs"] == (4 if "--workers" in more else 2)


def test_a_run_of_another_rate_closes_its_predecessor_too(
    broker: StackStatus, namespace: str, tmp_path: Path
):
    topic = Topic(broker, namespace)
    topic.killed(tmp_path, 1000, "--rate", "1000")
    topic.killed(tmp_path, 1000, "--rate", "3000")
    topic.run("--rate", "500", "--duration", "1s")
    found = topic.verify()
    assert clean(found)["found"] == found["n_read"]
    assert found["n_runs"] == 3


def test_a_lane_that_runs_is_verified_up_to_its_last_word(
    broker: StackStatus, namespace: str, tmp_path: Path
):
    topic = Topic(broker, namespace)
    with running(tmp_path, "run", *JSON_LINES, "--rate", "1000", **topic.env) as started:
        topic.run("--rate", "1000", "--duration", "1s")  # another lane
        sent(started, 7000)
        found = topic.verify()
        totals = clean(found)
        assert totals["unreported"] > 0
        assert (
            totals["found"] + totals["unreported"] + totals["unconfirmed_found"] == found["n_read"]
        )
        assert totals["found"] > 1000 + 4000
        started.ctrl_c()
        assert started.end() == 130
    after = topic.verify()
    assert clean(after)["found"] == after["n_read"]
    assert after["totals"]["unreported"] == 0


def test_what_a_killed_run_at_the_maximum_rate_had_not_told_counts_apart(
    broker: StackStatus, namespace: str, tmp_path: Path
):
    topic = Topic(broker, namespace)
    topic.killed(tmp_path, 20_000, "--rate", "max")
    topic.run("--rate", "max", "--messages", "20000")
    found = topic.verify()
    totals = clean(found)
    assert totals["unreported"] > 0
    assert totals["found"] + totals["unreported"] == found["n_read"]
    assert totals["found"] >= 20_000


def test_a_lost_record_is_found_by_the_runs_topic_too(
    broker: StackStatus, namespace: str, tmp_path: Path
):
    """The topic is deleted under a run that has ended: all of it is lost."""
    topic = Topic(broker, namespace)
    topic.run("--rate", "2000", "--messages", "1000")
    PulsarAdmin(broker.admin_url).delete_topic(topic.name)
    found = topic.verify(code=1)
    assert (found["totals"]["lost"], found["totals"]["expected"]) == (1000, 1000)
    (lost,) = found["lost_ranges"]
    assert lost == [0, 0, 1000]


def test_a_topic_that_is_missing_is_told_and_nothing_is_made(broker: StackStatus):
    namespace = f"public/missing-{uuid4().hex[:8]}"
    admin = PulsarAdmin(broker.admin_url)
    admin.call("PUT", f"/admin/v2/namespaces/{namespace}")
    topic = f"persistent://{namespace}/t"
    where = ("--from", "pulsar", "--pulsar-url", broker.pulsar_url, "--topic", topic)
    for client in ("native", "official"):
        ended = run("verify", *where, "--client", client)
        assert ended.returncode == 2
        assert f"topic {topic} or its namespace does not exist" in ended.stderr
        assert "check its name (--topic)" in ended.stderr
        assert "--create-topic" not in ended.stderr
    assert admin.call("GET", f"/admin/v2/persistent/{namespace}") == []


def test_without_reports_and_journals_there_is_nothing_to_verify(
    broker: StackStatus, namespace: str
):
    topic = Topic(broker, namespace)
    ended = run("verify", "--from", "pulsar", **topic.env)
    assert ended.returncode == 2
    assert f"no run has published anything on {topic.name}-runs" in ended.stderr
    assert "--report run.json" in ended.stderr
