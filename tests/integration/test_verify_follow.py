"""``verify --follow`` beside a real run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pulsar
import pytest
from program import PROGRAM, environment, run, running
from pulsar_cases import new_topic

from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin
from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration

PATIENCE_S = 120
QUIET = pulsar.LoggerLevel.Error


@contextmanager
def following(broker: StackStatus, topic: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The program, once it reads the topic."""
    admin = PulsarAdmin(broker.admin_url)
    with suppress(AdminRefusedError):  # it is there, with partitions
        admin.create_topic(topic)
    follower = started(broker, topic, *arguments)
    try:
        until(lambda: admin.stats(topic)["subscriptions"] != {})
        yield follower
    finally:
        follower.kill()
        follower.communicate()


def started(broker: StackStatus, topic: str, *arguments: str) -> subprocess.Popen[str]:
    """The program, as it begins."""
    return subprocess.Popen(
        [*PROGRAM, "verify", "--follow", *where(broker, topic), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.1)


def where(broker: StackStatus, topic: str) -> tuple[str, ...]:
    return ("--pulsar-url", broker.pulsar_url, "--topic", topic)


def produce(broker: StackStatus, topic: str, *arguments: str) -> None:
    load = ("--rate", "1000", "--duration", "2s", "--quiet")
    done = run("run", *where(broker, topic), *load, *arguments)
    assert done.returncode == 0, done.stderr


def test_a_run_is_followed_until_its_report_and_verified_then(
    broker: StackStatus, tmp_path: Path
) -> None:
    topic, report = new_topic(), ("--report", str(tmp_path / "run.json"))
    with following(broker, topic, *report, "--json") as follower:
        produce(broker, topic, *report)
        out, err = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, err
    result = json.loads(out)
    assert result["totals"]["found"] == 2_000
    followed = result["follow"]
    assert (followed["n_read"], followed["n_early"], followed["n_ahead"]) == (2_000, 0, 0)
    latency = followed["latency"]
    assert latency["n"] == 2_000
    assert 0 < latency["min_ns"] < latency["max_ns"] < 60e9


def test_ctrl_c_ends_it_with_what_was_seen(broker: StackStatus) -> None:
    topic = new_topic()
    with following(broker, topic) as follower:
        produce(broker, topic)
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, err
    first, second, *verified = out.splitlines()
    assert re.fullmatch(r"followed for .+: [12],?\d+ records", first)
    assert second.startswith("intended → read   p50 ")
    assert verified[-1].startswith("OK: all 2,000 confirmed records are there")
    assert "Traceback" not in err


def test_silence_ends_it(broker: StackStatus) -> None:
    topic = new_topic()
    with following(broker, topic, "--idle", "5s", "--json") as follower:
        produce(broker, topic)
        out, err = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, err
    result = json.loads(out)
    assert result["follow"]["n_read"] == 2_000
    assert result["totals"]["found"] == 2_000


def test_partitions_that_are_added_are_followed(broker: StackStatus, tmp_path: Path) -> None:
    topic, report = new_topic(), ("--report", str(tmp_path / "run.json"))
    admin = PulsarAdmin(broker.admin_url)
    admin.create_topic(topic, 2)
    with (
        following(broker, topic, *report, "--json") as follower,
        running(
            tmp_path, "run", *where(broker, topic), "--rate", "1000", *report,
            "--log-format", "json", "--stats-interval", "250ms",
        ) as producing,
    ):  # fmt: skip
        producing.wait_until_sending()
        admin.call("POST", f"/admin/v2/{topic.replace('://', '/')}/partitions", 4)
        producing.wait_for(lambda e: "has 4 partitions now" in e.get("message", ""))
        for i in range(4):  # the new ones are written to
            until(lambda i=i: admin.n_messages_in(f"{topic}-partition-{i}") > 0)
        producing.process.terminate()
        assert producing.end() == 0
        out, err = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, err
    result = json.loads(out)
    assert result["ok"]
    n = result["totals"]["found"]
    followed = result["follow"]
    assert (followed["n_read"], followed["n_early"], followed["latency"]["n"]) == (n, 0, n)


def test_a_topic_that_is_not_there_yet_is_waited_for_and_not_made(
    broker: StackStatus, tmp_path: Path
) -> None:
    topic, report = new_topic(), ("--report", str(tmp_path / "run.json"))
    follower = started(broker, topic, *report, "--json")
    try:
        assert follower.stderr is not None
        assert follower.stderr.readline() == f"{topic} is not there yet; waiting for it\n"
        admin = ("--admin-url", broker.admin_url)
        produce(broker, topic, *report, *admin, "--create-topic", "2")
        out, err = follower.communicate(timeout=PATIENCE_S)
    finally:
        follower.kill()
        follower.communicate()
    assert follower.returncode == 0, err
    result = json.loads(out)
    assert result["totals"]["found"] == result["follow"]["n_read"] == 2_000
    assert PulsarAdmin(broker.admin_url).n_partitions(topic) == 2


def test_a_topic_of_others_is_followed_and_not_verified(broker: StackStatus) -> None:
    topic = new_topic()
    with following(broker, topic, "--json") as follower:
        client = pulsar.Client(broker.pulsar_url, logger=pulsar.FileLogger(QUIET, os.devnull))
        producer = client.create_producer(topic)
        producer.send(b"somebody's", event_timestamp=time.time_ns() // 1_000_000)
        client.close()
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0, err
    assert set(json.loads(out)) == {"follow"}
    assert "not verified: there is no report" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--client", "official"), "--follow needs the native client"),
        (("--from", "records.jsonl"), "records.jsonl cannot be followed"),
    ],
)
def test_what_cannot_be_followed(
    arguments: tuple[str, ...], message: str, broker: StackStatus
) -> None:
    done = run("verify", "--follow", *where(broker, new_topic()), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
