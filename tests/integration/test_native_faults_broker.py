"""A broker that is killed, restarted, or moves a topic, while the program produces to it.

It deduplicates, and each message is on the topic once in the end, unchanged, and all of them are
confirmed; in order, too, within each partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fault_cases import (
    FaultyPulsar,
    assert_exactly_once,
    faulty_pulsar,
    new_topic,
    pause,
    producing,
    verified,
)
from pulsar_cases import stored

pytestmark = pytest.mark.integration

N = 12_000
S = 1_000_000_000


@pytest.fixture(scope="module")
def pulsar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyPulsar]:
    with faulty_pulsar(tmp_path_factory.mktemp("faulty")) as pulsar:
        yield pulsar


@pytest.mark.slow
def test_a_killed_broker_is_waited_for(pulsar: FaultyPulsar, tmp_path: Path):
    topics = {partitions: new_topic() for partitions in (0, 3)}
    runs = {}
    with ExitStack() as all_runs:
        for partitions, topic in topics.items():
            pulsar.admin.create_topic(topic, partitions)
            folder = tmp_path / str(partitions)
            run = all_runs.enter_context(producing(folder, pulsar.url, topic, messages=N))
            runs[topic] = run
        for run in runs.values():
            run.wait_for_confirmed(N // 4)
        pulsar.kill()
        pulsar.start()
        for run in runs.values():
            report = run.completed()
            assert report.latencies.response.max_ns > 2 * S
    for topic, run in runs.items():
        assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)


@pytest.mark.slow
def test_a_broker_that_is_taken_down_and_up_is_waited_for(pulsar: FaultyPulsar, tmp_path: Path):
    topic = new_topic()
    pulsar.admin.create_topic(topic, 2)
    with producing(tmp_path, pulsar.url, topic, messages=N) as run:
        run.wait_for_confirmed(N // 3)
        pulsar.stop()
        pulsar.start()
        run.completed()
    assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)


@pytest.mark.parametrize("partitions", [0, 3])
def test_a_topic_that_is_unloaded_again_and_again_is_followed(
    pulsar: FaultyPulsar, tmp_path: Path, partitions: int
):
    topic = new_topic()
    pulsar.admin.create_topic(topic, partitions)
    path = topic.replace("://", "/")
    with producing(tmp_path, pulsar.url, topic, messages=N) as run:
        for i in range(1, 6):
            run.wait_for_confirmed(i * N // 8)
            pulsar.admin.call("PUT", f"/admin/v2/{path}/unload")
        report = run.completed()
    assert report.latencies.response.max_ns < 10 * S
    assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)


@pytest.mark.slow
def test_partitions_that_are_added_are_used_and_the_run_says_what_that_does_to_order(
    pulsar: FaultyPulsar, tmp_path: Path
):
    topic = new_topic()
    pulsar.admin.create_topic(topic, 2)
    path = topic.replace("://", "/")
    with producing(tmp_path, pulsar.url, topic, messages=None, rate=1_000) as run:
        run.wait_for_confirmed(2_000)
        pulsar.admin.call("POST", f"/admin/v2/{path}/partitions", 4)
        said = run.wait_for_news("has 4 partitions now, 2 before")
        assert "the order of a device" in said
        pause(2.0)
        run.program.process.terminate()
        report = run.completed()
    there = stored(pulsar.direct_url, topic)
    assert {partition for partition, records in there.items() if records} == {0, 1, 2, 3}
    # Within each partition every device is in order, before and after.
    found = verified(pulsar.direct_url, topic, run.report_file)
    assert_exactly_once(found, report.tally.confirmed)
