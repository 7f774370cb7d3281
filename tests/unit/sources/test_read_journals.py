"""Reading what lanes published, from a broker of a few entries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from iot_producer.clock import SystemClock
from iot_producer.errors import ReportError
from iot_producer.pulsar.commands import CommandType, ServerError
from iot_producer.run_journal import LaneEntry, entry_bytes, key_of
from iot_producer.sources.runs_topic import predecessor_of, read_journals
from iot_producer.verify import published_runs
from lane_journals import START_NS, S, entry_of, head_of, plan_of
from small_broker import SmallBroker, small_broker

TOPIC = "persistent://public/default/t"


@pytest.fixture
def broker() -> Iterator[SmallBroker]:
    """The broker, on a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = small_broker()
    yield asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(20)
    asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)


def store(broker: SmallBroker, *entries: LaneEntry) -> None:
    for entry in entries:
        broker.store(f"{TOPIC}-runs", entry_bytes(entry), partition_key=key_of(entry.head))


def url(broker: SmallBroker) -> str:
    return f"pulsar://{broker.host}:{broker.port}"


def read(broker: SmallBroker) -> tuple[list[LaneEntry], list[str]]:
    return read_journals(broker.config, TOPIC, SystemClock(), lambda _: None)


def test_of_each_lane_and_claim_the_newest_entry_counts(broker: SmallBroker):
    first, second = head_of(), head_of(claimed_ns=START_NS + S)
    other = head_of(name="iot-producer-1")
    store(
        broker,
        entry_of(first, 10),
        entry_of(other, 10),
        entry_of(first, 20),
        entry_of(second, 30),
        entry_of(other, 40),
    )
    broker.store(f"{TOPIC}-runs", b"hello", partition_key="strange")
    entries, problems = read(broker)
    assert [(e.head.name, e.lane.tally.confirmed) for e in entries] == [
        ("iot-producer-0", 20),
        ("iot-producer-1", 40),
        ("iot-producer-0", 30),
    ]
    (problem,) = problems
    assert problem.startswith("strange: the report is no JSON")
    report = predecessor_of(entries, "iot-producer-0")
    assert report is not None
    assert report.tally.confirmed == 30
    assert predecessor_of(entries, "iot-producer-7") is None


def test_runs_are_closed_by_those_that_claimed_their_lanes(broker: SmallBroker):
    plan = plan_of(head_of())
    store(
        broker,
        entry_of(head_of(), 10, 10),
        entry_of(
            head_of(claimed_ns=START_NS + S, start_ns=START_NS + S, last_ids=(plan.due_ns(99),)),
            50,
            has_ended=True,
        ),
    )
    runs, problems = published_runs(url(broker), TOPIC)
    assert problems == []
    assert [run.report.tally.confirmed for run in runs] == [100, 50]
    assert [run.open_until_ns for run in runs] == [0, 0]


def test_a_lane_that_still_runs_is_open(broker: SmallBroker):
    store(broker, entry_of(head_of(), 10, 10))
    before_ns = SystemClock().now_ns()
    (run,), _ = published_runs(url(broker), TOPIC)
    assert run.open_until_ns > before_ns


def test_nothing_published_is_told(broker: SmallBroker):
    with pytest.raises(ReportError, match=f"no run has published anything on {TOPIC}-runs"):
        published_runs(url(broker), TOPIC)


def test_a_topic_that_must_not_be_read_is_told(broker: SmallBroker):
    broker.refuse[CommandType.SUBSCRIBE] = ServerError.AUTHORIZATION
    with pytest.raises(ReportError, match="what runs published cannot be read: access to") as told:
        published_runs(url(broker), TOPIC)
    assert "--report run.json" in told.value.hint
