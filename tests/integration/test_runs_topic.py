"""Lanes tell of themselves on a real topic, and are verified by what they told alone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from iot_producer.clock import SystemClock
from iot_producer.destination import parse_destination
from iot_producer.lane_report import LaneReport
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.deduplication import Deduplication
from iot_producer.run_journal import LaneHead, runs_topic
from iot_producer.schedule import MaxRate
from iot_producer.sinks import runs_keeper as keeping
from iot_producer.sinks.runs_keeper import RunsTopicConfig
from iot_producer.sinks.runs_topic import RunsJournal
from iot_producer.sources.runs_topic import predecessor_of, read_journals
from iot_producer.stack import StackStatus
from lane_journals import entry_of, head_of, max_entry_of

pytestmark = pytest.mark.integration

PREFIX = "persistent://public/default/"
PATIENCE_S = 20.0


@pytest.fixture
def topic() -> str:
    return f"{PREFIX}journal-{uuid4().hex[:8]}"


def connection(broker: StackStatus) -> ConnectionConfig:
    return ConnectionConfig(parse_destination(broker.pulsar_url).hosts)


def journal(
    broker: StackStatus, topic: str, said: list[str] | None = None, *, admin: bool = True
) -> RunsJournal:
    config = RunsTopicConfig(connection(broker), topic, broker.admin_url if admin else "")
    say = [].append if said is None else said.append
    return RunsJournal(config, "iot-producer-0", SystemClock(), say)


def read(broker: StackStatus, topic: str) -> Any:
    entries, problems = read_journals(
        connection(broker), topic, SystemClock(), lambda _: None, give_up_after_s=5.0
    )
    assert problems == []
    return entries


def test_the_newest_entry_is_read_back(broker: StackStatus, topic: str):
    said: list[str] = []
    kept = journal(broker, topic, said)
    head = head_of(last_ids=(17,))
    assert kept.begin(head, PATIENCE_S)
    (entry,) = read(broker, topic)
    assert (entry.head.name, entry.head.last_ids) == ("iot-producer-0", (17,))
    assert (entry.lane.tally.scheduled, entry.has_ended) == (0, False)
    for n in (10, 20, 30):
        kept.publish(entry_of(head, n, 10).lane)
    last = entry_of(head, 50, 0).lane
    kept.publish(last)
    assert kept.close(PATIENCE_S)
    (entry,) = read(broker, topic)
    assert entry.lane == last
    assert entry.has_ended
    assert said == []
    assert not kept.close(1.0)
    report = predecessor_of([entry], "iot-producer-0")
    assert report is not None
    assert report.schedule == head.run.schedule
    assert predecessor_of([entry], "iot-producer-1") is None


def test_every_claim_is_kept_for_itself(broker: StackStatus, topic: str):
    for claimed_ns in (1000, 2000, 3000):
        kept = journal(broker, topic)
        assert kept.begin(head_of(claimed_ns=claimed_ns), PATIENCE_S)
        assert kept.close(PATIENCE_S, has_ended=claimed_ns != 2000)
    entries = read(broker, topic)
    assert [(e.head.claimed_ns, e.has_ended) for e in entries] == [
        (1000, True),
        (2000, False),
        (3000, True),
    ]


def test_publishing_does_not_wait_and_a_journal_that_was_not_begun_keeps_nothing(
    broker: StackStatus, topic: str
):
    kept = journal(broker, topic)
    kept.publish(entry_of(head_of(), 10).lane)
    assert not kept.close(0.5)
    assert read(broker, topic) == []


def test_blocks_go_on_in_another_part(
    broker: StackStatus, topic: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keeping, "PART_BLOCKS", 100)
    kept = journal(broker, topic)
    head = head_of(MaxRate())
    assert kept.begin(head, PATIENCE_S)
    last: LaneReport | None = None
    for n in (60, 130, 150, 240, 241, 400):
        last = max_entry_of(head, n).lane
        kept.publish(last)
        assert kept._wait(PATIENCE_S)
    admin = PulsarAdmin(broker.admin_url)
    assert kept.close(PATIENCE_S)
    (entry,) = read(broker, topic)
    assert entry.lane == last
    assert np.array_equal(entry.lane.blocks, last.blocks)  # type: ignore[union-attr]
    assert admin.n_messages_in(runs_topic(topic)) == 8


def test_a_partitioned_topic_is_as_good(broker: StackStatus, topic: str):
    PulsarAdmin(broker.admin_url).create_topic(runs_topic(topic), 3)
    for i in range(4):
        config = RunsTopicConfig(connection(broker), topic)
        name = f"iot-producer-{i}"
        kept = RunsJournal(config, name, SystemClock(), lambda _: None)
        assert kept.begin(head_of(name=name), PATIENCE_S)
        assert kept.close(PATIENCE_S)
    assert [e.head.name for e in read(broker, topic)] == [f"iot-producer-{i}" for i in range(4)]


@pytest.fixture
def closed_namespace(broker: StackStatus) -> str:
    """A namespace in which the broker creates no topics."""
    admin = PulsarAdmin(broker.admin_url)
    namespace = f"public/by-hand-{uuid4().hex[:8]}"
    admin.call("PUT", f"/admin/v2/namespaces/{namespace}")
    admin.set_policy(namespace, "autoTopicCreation", {"allowAutoTopicCreation": False})
    return namespace


def test_where_the_broker_creates_no_topics_the_admin_api_does(
    broker: StackStatus, closed_namespace: str
):
    topic = f"persistent://{closed_namespace}/t"
    said: list[str] = []
    kept = journal(broker, topic, said)
    assert kept.begin(head_of(), PATIENCE_S)
    assert kept.close(PATIENCE_S)
    assert said == []
    assert len(read(broker, topic)) == 1


def test_a_topic_that_cannot_be_written_costs_one_warning(
    broker: StackStatus, closed_namespace: str
):
    topic = f"persistent://{closed_namespace}/u"
    said: list[str] = []
    kept = journal(broker, topic, said, admin=False)
    assert not kept.begin(head_of(), 2.0)
    kept.publish(entry_of(head_of(), 10).lane)
    (text,) = said
    assert text.startswith(f"{topic}-runs cannot be written: topic {topic}-runs")
    assert "The run goes on, but verify will need its --report" in text
    # Somebody creates it: then what is newest is kept.
    PulsarAdmin(broker.admin_url).create_topic(runs_topic(topic))
    assert kept.close(PATIENCE_S)
    assert said[1:] == [f"{topic}-runs is written again"]
    (entry,) = read(broker, topic)
    assert entry.lane.tally.confirmed == 10


@pytest.mark.parametrize("deduplicates", [True, False])
def test_what_the_namespace_is_set_to_is_found_out_and_asked_again_in_doubt(
    broker: StackStatus, deduplicates: bool
):
    admin = PulsarAdmin(broker.admin_url)
    namespace = f"public/dedup-{uuid4().hex[:8]}"
    admin.call("PUT", f"/admin/v2/namespaces/{namespace}")
    admin.set_deduplication(namespace, deduplicates)
    topic = f"persistent://{namespace}/t"
    said: list[str] = []
    known = Deduplication()
    config = RunsTopicConfig(connection(broker), topic)
    kept = RunsJournal(config, "iot-producer-0", SystemClock(), said.append, known)
    assert kept.begin(head_of(), PATIENCE_S)
    assert (known.is_on, known.is_in_doubt) == (deduplicates, False)
    known.is_in_doubt = True
    for n in (10, 20):
        kept.publish(entry_of(head_of(), n).lane)
    assert kept.close(PATIENCE_S)
    assert (known.is_on, known.is_in_doubt) == (deduplicates, False)
    assert said == []
    (entry,) = read(broker, topic)
    assert entry.lane.tally.confirmed == 20


def test_what_was_said_is_there_after_compaction(broker: StackStatus, topic: str):
    kept = journal(broker, topic)
    head = head_of()
    assert kept.begin(head, PATIENCE_S)
    for n in range(10, 200, 10):
        kept.publish(entry_of(head, n).lane)
    assert kept.close(PATIENCE_S)
    admin = PulsarAdmin(broker.admin_url)
    path = f"/admin/v2/{runs_topic(topic).replace('://', '/')}/compaction"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if admin.call("GET", path)["status"] == "SUCCESS":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the topic was not compacted")
    (entry,) = read(broker, topic)
    assert entry.lane.tally.confirmed == 190
    # What comes after it is read as well, and so is what was compacted before a restart of a lane.
    kept = journal(broker, topic)
    assert kept.begin(head_of(claimed_ns=5), PATIENCE_S)
    assert kept.close(PATIENCE_S)
    first, second = read(broker, topic)
    assert (first.lane.tally.confirmed, second.lane.tally.confirmed) == (0, 190)


def test_a_head_goes_with_every_entry(broker: StackStatus, topic: str):
    kept = journal(broker, topic)
    head: LaneHead = replace(head_of(index=1, n_lanes=3), last_ids=(1, 2, 3), may_skip=True)
    assert kept.begin(head, PATIENCE_S)
    assert kept.close(PATIENCE_S)
    (entry,) = read(broker, topic)
    assert (entry.head.index, entry.head.last_ids, entry.head.may_skip) == (1, (1, 2, 3), True)
    assert entry.report.n_lanes == 3
