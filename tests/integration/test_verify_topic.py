"""Verification on a real broker: tampering is done for real, by publishing altered copies.

A run is produced to one topic. Its messages are read with the official client and published again,
altered, to a second topic, which is then verified with the report of the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pulsar
import pytest

from iot_producer.blocks import DATA_VERSION, Plan
from iot_producer.clock import SystemClock
from iot_producer.errors import IotProducerError
from iot_producer.feed import MaxFeed, PlannedFeed
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.report import RunReport, iso_time
from iot_producer.schedule import ConstantSchedule, MaxRate, limit
from iot_producer.sinks.pulsar import PulsarSink
from iot_producer.sinks.pulsar_config import PulsarSinkConfig
from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up
from iot_producer.verify import VerifyProgress, run_verify
from iot_producer.verify_report import Counts, Fault, VerifyReport
from iot_producer.worker import Worker, WorkerConfig

pytestmark = pytest.mark.integration

FLEET = FleetSpec(devices=300, customers=30, sites=10, seed=5)
N = 3_000
PREFIX = "persistent://public/default/"
LANES = 2


@dataclass(frozen=True)
class Message:
    """A message as the official client gives it."""

    partition: int
    data: bytes
    key: str
    properties: dict[str, str]
    time_ms: int

    @property
    def device(self) -> str:
        return self.key


@dataclass(frozen=True)
class Produced:
    """A run that is on a topic."""

    report: RunReport
    topic: str
    messages: list[Message]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackStatus]:
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("stack"), cache_dir=default_cache_dir(os.environ)
    )
    try:
        yield up(config, print)
    finally:
        down(config, purge=True)


@pytest.fixture(scope="module")
def client(broker: StackStatus) -> Iterator[pulsar.Client]:
    quiet = pulsar.FileLogger(pulsar.LoggerLevel.Error, "/dev/null")
    client = pulsar.Client(url(broker), logger=quiet)
    try:
        yield client
    finally:
        client.close()


def url(broker: StackStatus) -> str:
    return broker.env()["PULSAR_URL"]


def create(broker: StackStatus, name: str, n_partitions: int) -> str:
    topic = PREFIX + name
    if n_partitions:
        PulsarAdmin(broker.env()["PULSAR_ADMIN_URL"]).create_topic(topic, n_partitions)
    return topic


def produce(broker: StackStatus, topic: str, rate: ConstantSchedule | None) -> RunReport:
    """A run of two lanes, with a real sink each."""
    clock = SystemClock()
    start_ns = clock.now_ns() // 1_000_000 * 1_000_000
    schedule = MaxRate(N // LANES) if rate is None else limit(rate, N)
    lanes = []
    for index in range(LANES):
        lane = LaneSpec(index, LANES)
        if isinstance(schedule, MaxRate):
            feed: Any = MaxFeed(lane_of(FLEET.devices, lane), start_ns, 100, N // LANES, None)
        else:
            feed = PlannedFeed(Plan(FLEET, lane, schedule, start_ns), 100, 2_000_000)
        config = PulsarSinkConfig(url(broker), topic, f"{topic}-{index}")
        sink = PulsarSink(config, fleet_of(FLEET), clock)
        report, error = Worker(WorkerConfig(index, start_ns), feed, sink, clock).run()
        assert error is None
        assert report.tally.complete
        lanes.append(report)
    return RunReport(
        data_version=DATA_VERSION,
        tool_version="0",
        machine={},
        config={},
        fleet=FLEET.to_dict(),
        schedule=schedule.to_spec(),
        start_ns=start_ns,
        n_lanes=LANES,
        lanes=lanes,
        started_at=iso_time(start_ns),
        ended_at=iso_time(clock.now_ns()),
        stop_reason="",
        destination=url(broker),
    )


def messages_of(client: pulsar.Client, topic: str, n: int) -> list[Message]:
    """The first ``n`` messages of a topic, each partition in its order."""
    consumer = client.subscribe(topic, "tamper", initial_position=pulsar.InitialPosition.Earliest)
    found = []
    for _ in range(n):
        message = consumer.receive(10_000)
        found.append(
            Message(
                max(message.message_id().partition(), 0),
                message.data(),
                message.partition_key(),
                message.properties(),
                message.event_timestamp(),
            )
        )
    consumer.close()
    return sorted(found, key=lambda each: each.partition)


def publish(client: pulsar.Client, topic: str, messages: list[Message]) -> None:
    producer = client.create_producer(
        topic,
        batching_enabled=True,
        block_if_queue_full=True,
    )
    for message in messages:
        producer.send_async(
            message.data,
            None,
            partition_key=message.key,
            properties=message.properties,
            event_timestamp=message.time_ms,
        )
    producer.flush()
    producer.close()


@pytest.fixture(scope="module", params=[(0, 2000), (3, 5000), (2, None)], ids=str)
def produced(request: Any, broker: StackStatus, client: pulsar.Client) -> Produced:
    n_partitions, rate = request.param
    topic = create(broker, f"run-{n_partitions}-{rate}", n_partitions)
    report = produce(broker, topic, None if rate is None else ConstantSchedule(Fraction(rate)))
    # Through its text, as from a file.
    report = RunReport.from_json(report.to_json(), DATA_VERSION)
    return Produced(report, topic, messages_of(client, topic, N))


def test_what_a_run_sent_has_no_difference(produced: Produced, broker: StackStatus):
    told: list[VerifyProgress] = []
    found = run_verify(produced.report, url(broker), produced.topic, progress=told.append)
    assert found.totals == Counts(expected=N, found=N)
    assert found.ok
    assert (found.n_read, found.n_foreign, found.offenders) == (N, 0, ())
    assert (told[-1].n_read, told[-1].n_expected) == (N, N)


Tamper = Callable[[list[Message]], list[Message]]


def pair_of_one_device(messages: list[Message]) -> tuple[int, int]:
    first = N // 3
    device = messages[first].device
    return first, next(i for i in range(first + 1, N) if messages[i].device == device)


def removed(messages: list[Message]) -> list[Message]:
    return messages[:700] + messages[701:]


def duplicated(messages: list[Message]) -> list[Message]:
    return [*messages, messages[700]]


def digit_changed(messages: list[Message]) -> list[Message]:
    message = messages[700]
    at = message.data.index(b'"pressure":') + len(b'"pressure":') + 2
    digit = b"%d" % ((message.data[at] - ord("0") + 5) % 10)
    data = message.data[:at] + digit + message.data[at + 1 :]
    return [*messages[:700], replace(message, data=data), *messages[701:]]


def device_changed(messages: list[Message]) -> list[Message]:
    message = messages[700]
    data = message.data.replace(b"dev-0000", b"dev-0009", 1)
    return [*messages[:700], replace(message, data=data), *messages[701:]]


def swapped(messages: list[Message]) -> list[Message]:
    first, second = pair_of_one_device(messages)
    altered = list(messages)
    altered[first], altered[second] = messages[second], messages[first]
    return altered


def foreign_mixed_in(messages: list[Message]) -> list[Message]:
    strange = [
        Message(0, b'{"hello":"world"}', "me", {}, 0),
        replace(messages[3], data=b"", time_ms=messages[3].time_ms + 86_400_000),
    ]
    return [*messages[:700], *strange, *messages[700:]]


@pytest.mark.parametrize(
    ("tamper", "faults", "offender_at"),
    [
        (removed, {"found": N - 1, "lost": 1}, 700),
        (duplicated, {"duplicated": 1}, 700),
        (digit_changed, {"changed": 1}, 700),
        (device_changed, {"changed": 1}, 700),
        (swapped, {"out_of_order": 1}, None),
        (foreign_mixed_in, {}, None),
    ],
)
def test_tampering_is_found_and_named(
    tamper: Tamper,
    faults: dict[str, int],
    offender_at: int | None,
    produced: Produced,
    broker: StackStatus,
    client: pulsar.Client,
):
    n_partitions = len({message.partition for message in produced.messages})
    name = produced.topic.removeprefix(PREFIX) + "-" + tamper.__name__
    topic = create(broker, name, n_partitions if n_partitions > 1 else 0)
    publish(client, topic, tamper(produced.messages))
    found = run_verify(produced.report, url(broker), topic)
    official = run_verify(produced.report, url(broker), topic, client="official")
    assert replace(found, seconds=0.0) == replace(official, seconds=0.0)
    assert found.totals == replace(Counts(expected=N, found=N), **faults)
    assert found.n_foreign == (2 if tamper is foreign_mixed_in else 0)
    assert found.ok is (tamper is foreign_mixed_in)
    named(found, tamper, produced.messages, offender_at)


def named(
    found: VerifyReport, tamper: Tamper, messages: list[Message], offender_at: int | None
) -> None:
    if tamper is foreign_mixed_in:
        assert {offender.fault for offender in found.offenders} == {Fault.FOREIGN}
        return
    (offender,) = found.offenders
    at = pair_of_one_device(messages)[0] if offender_at is None else offender_at
    assert offender.device_id == messages[at].device
    if tamper is digit_changed:
        assert [each.field for each in offender.differences] == ["pressure"]
    if tamper is device_changed:
        assert [each.field for each in offender.differences] == ["device_id"]


def test_a_topic_that_is_not_of_the_run_has_lost_it_all(produced: Produced, broker: StackStatus):
    topic = create(broker, produced.topic.removeprefix(PREFIX) + "-empty", 2)
    found = run_verify(produced.report, url(broker), topic)
    assert found.totals == Counts(expected=N, found=0, lost=N)
    assert found.n_read == 0


def test_a_namespace_that_does_not_exist_is_told(produced: Produced, broker: StackStatus):
    with pytest.raises(IotProducerError, match="nowhere"):
        run_verify(
            produced.report,
            url(broker),
            "persistent://public/nowhere/t",
            give_up_after_s=5.0,
        )
