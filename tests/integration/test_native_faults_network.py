"""Faults of the network between the program and a broker that deduplicates.

Whatever the network does for a while, each message is on the topic once, unchanged and in order,
and all of them are confirmed; what it took shows as lag and response time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fault_cases import (
    FaultyPulsar,
    assert_exactly_once,
    deduplicating_namespace,
    faulty_pulsar,
    new_topic,
    pause,
    producing,
    verified,
)

from chaos_proxy import Way

pytestmark = pytest.mark.integration

N = 10_000
S = 1_000_000_000


@pytest.fixture(scope="module")
def module_pulsar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyPulsar]:
    with faulty_pulsar(tmp_path_factory.mktemp("faulty")) as pulsar:
        yield pulsar


@pytest.fixture
def pulsar(module_pulsar: FaultyPulsar) -> Iterator[FaultyPulsar]:
    module_pulsar.chaos.heal()
    yield module_pulsar
    module_pulsar.chaos.heal()


def test_a_delay_shows_as_service_time_and_costs_nothing_else(pulsar: FaultyPulsar, tmp_path: Path):
    topic = new_topic()
    with producing(tmp_path, pulsar.url, topic) as run:
        pulsar.chaos.delay(150)
        report = run.completed()
    assert report.latencies.service.percentile_ns(50) > 0.3 * S
    assert report.latencies.lag.percentile_ns(50) < 0.1 * S
    assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)


@pytest.mark.parametrize("seconds", [6.0, pytest.param(30.0, marks=pytest.mark.soak)])
def test_a_stall_is_waited_for_and_caught_up_with(
    pulsar: FaultyPulsar, tmp_path: Path, seconds: float
):
    topic = new_topic()
    with producing(tmp_path, pulsar.url, topic, "--max-pending", "2000") as run:
        run.wait_for_confirmed(N // 4)
        pulsar.chaos.stall()
        pause(seconds)
        pulsar.chaos.heal()
        report = run.completed()
    # More was due than may be pending: the rest waited, and that is its lag.
    assert report.latencies.response.max_ns > (seconds - 0.5) * S
    assert report.latencies.lag.max_ns > (seconds - 2.0) * S
    assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)


def test_resets_in_mid_frame_lose_and_repeat_nothing(pulsar: FaultyPulsar, tmp_path: Path):
    topic = new_topic()
    with producing(tmp_path, pulsar.url, topic) as run:
        for i, (n_bytes, way) in enumerate(
            (
                (1, Way.TO_SERVER),  # the first byte of a frame: then the rest never comes
                (700, Way.TO_SERVER),  # within an entry
                (30_000, Way.TO_SERVER),  # some entries later
                (1, Way.TO_CLIENT),  # a receipt is on its way: what it is for is stored already
                (100, Way.TO_CLIENT),
            ),
            start=1,
        ):
            run.wait_for_confirmed(i * N // 8)
            pulsar.chaos.reset_after(n_bytes, way)
        report = run.completed()
    assert pulsar.chaos.n_accepted >= 6
    assert report.latencies.response.max_ns < 10 * S
    assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)


def test_without_deduplication_a_run_says_so_once_whatever_breaks_and_however_many_workers(
    pulsar: FaultyPulsar, tmp_path: Path
):
    namespace = deduplicating_namespace(pulsar.admin)
    pulsar.admin.set_deduplication(namespace, False)
    topic = new_topic(namespace)
    pulsar.admin.create_topic(topic, 2)
    words: list[str] = []
    n_broken = 0
    with producing(tmp_path, pulsar.url, topic, "--workers", "2") as run:
        for event in run.program.events():
            words.append(event.get("message", ""))
            n_confirmed = event["confirmed"] if event["event"] == "stats" else 0
            if n_broken < 2 and n_confirmed >= (n_broken + 1) * N // 4:
                n_broken += 1
                pulsar.chaos.reset_all()
        report = run.completed()
    assert report.sink.n_reconnects >= 4
    assert report.sink.deduplicates is False
    (told,) = [text for text in words if "dedupl" in text]
    assert told.startswith(f"{namespace} does not deduplicate: messages that are on their way")
    found = verified(pulsar.direct_url, topic, run.report_file)
    assert found["totals"]["duplicated"] <= report.sink.n_maybe_duplicated
    assert {fate for fate, n in found["totals"].items() if n} <= {"expected", "found", "duplicated"}


def test_streams_that_end_in_mid_frame_are_taken_up_again(pulsar: FaultyPulsar, tmp_path: Path):
    topic = new_topic()
    with producing(tmp_path, pulsar.url, topic) as run:
        for i, way in enumerate((Way.TO_SERVER, Way.TO_CLIENT), start=1):
            run.wait_for_confirmed(i * N // 4)
            pulsar.chaos.truncate_after(5_000 if way is Way.TO_SERVER else 50, way)
        run.completed()
    assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)


def test_a_broker_that_refuses_connections_for_a_while_is_tried_again(
    pulsar: FaultyPulsar, tmp_path: Path
):
    topic = new_topic()
    with producing(tmp_path, pulsar.url, topic) as run:
        run.wait_for_confirmed(N // 4)
        pulsar.chaos.refuse()
        pulsar.chaos.reset_all()
        pause(4.0)
        pulsar.chaos.heal()
        report = run.completed()
    assert report.latencies.response.max_ns > 3 * S
    assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)


@pytest.mark.slow
def test_half_open_connections_are_given_up_and_made_anew(pulsar: FaultyPulsar, tmp_path: Path):
    # Nobody tells that a direction is dead: silence must, after half a minute. The end of the old
    # connection does not get through either, so the broker still holds the producer's name.
    topics = {way: new_topic() for way in Way}
    runs = {}
    with ExitStack() as all_runs:
        for way, topic in topics.items():
            n_before = pulsar.chaos.n_open
            run = all_runs.enter_context(
                producing(tmp_path / way.name, pulsar.url, topic, rate=1_000)
            )
            run.wait_for_confirmed(N // 5)
            pulsar.chaos.half_open(way, n_newest=pulsar.chaos.n_open - n_before)
            runs[topic] = run
        reports = [run.completed() for run in runs.values()]
    for report in reports:
        assert 10 * S < report.latencies.response.max_ns < 60 * S
    for topic, run in runs.items():
        assert_exactly_once(verified(pulsar.direct_url, topic, run.report_file), N)
