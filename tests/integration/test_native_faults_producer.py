"""The program itself is killed, stopped, or has a rival; the broker deduplicates.

What is on the topic is checked from what the lanes published beside it alone, as whoever comes
later would: each message is there once, unchanged and in order, and the gap that a killed program
leaves is named by its successor.
"""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from fault_cases import (
    Run,
    assert_exactly_once,
    deduplicating_namespace,
    new_topic,
    patient_admin,
    pause,
    producing,
    verified,
)
from pulsar_cases import stored

from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration

N = 3_000
S = 1_000_000_000
RATE = 1_000
STEP_NS = S // RATE
PARTITIONED = pytest.mark.parametrize("topic", [3], ids=["partitioned"], indirect=True)
FAULTS = ("lost", "duplicated", "changed", "out_of_order", "unexpected")


@pytest.fixture(scope="module")
def namespace(broker: StackStatus) -> str:
    return deduplicating_namespace(patient_admin(broker))


@pytest.fixture(params=[0, 3], ids=["unpartitioned", "partitioned"])
def topic(request: pytest.FixtureRequest, broker: StackStatus, namespace: str) -> str:
    name = new_topic(namespace)
    patient_admin(broker).create_topic(name, request.param)
    return name


def killed_while_sending(folder: Path, url: str, topic: str) -> Run:
    with producing(folder, url, topic, messages=None, rate=RATE) as run:
        run.wait_for_confirmed(N)
        run.kill()
    return run


def test_a_killed_program_is_followed_by_one_that_names_the_gap(
    broker: StackStatus, topic: str, tmp_path: Path
):
    killed_while_sending(tmp_path / "first", broker.pulsar_url, topic)
    with producing(tmp_path / "second", broker.pulsar_url, topic, messages=N, rate=RATE) as second:
        report = second.completed()
    assert report.lane == 0
    assert report.gap is not None
    # What was due meanwhile was not sent: from the last stored message to the first of this run.
    assert report.gap.until_ns == report.start_ns
    assert report.gap.n_messages > 0
    assert report.gap.n_messages >= (report.start_ns - report.gap.since_ns) // STEP_NS - 1
    found = verified(broker.pulsar_url, topic)
    assert found["ok"], found
    assert [found["totals"][fault] for fault in FAULTS] == [0] * len(FAULTS)
    assert found["n_runs"] == 2
    assert found["n_foreign"] == 0
    assert found["n_read"] >= 2 * N
    assert found["totals"]["expected"] >= N + 1  # the first told of itself before it was killed


def test_a_killed_program_is_caught_up_with_on_request(
    broker: StackStatus, topic: str, tmp_path: Path
):
    url = broker.pulsar_url
    killed_while_sending(tmp_path / "first", url, topic)
    with producing(
        tmp_path / "second", url, topic, "--on-gap", "catch-up", messages=2 * N, rate=RATE
    ) as second:
        report = second.completed()
    assert report.gap is not None
    assert report.gap.n_messages == 0
    found = verified(url, topic)
    assert found["ok"], found
    assert [found["totals"][fault] for fault in FAULTS] == [0] * len(FAULTS)
    # At a message a millisecond, no hole is no missing millisecond.
    times_ms = sorted(record[3] for part in stored(url, topic).values() for record in part)
    assert times_ms == list(range(times_ms[0], times_ms[0] + found["n_read"]))
    assert times_ms[-1] == (report.start_ns // STEP_NS + report.tally.scheduled - 1)


@pytest.mark.parametrize("seconds", [7.0, pytest.param(20.0, marks=pytest.mark.soak)])
def test_a_program_that_is_stopped_for_a_while_catches_up(
    broker: StackStatus, topic: str, tmp_path: Path, seconds: float
):
    with producing(tmp_path, broker.pulsar_url, topic, messages=5 * N) as run:
        run.wait_for_confirmed(N)
        run.signal(signal.SIGSTOP)
        pause(seconds)
        run.signal(signal.SIGCONT)
        report = run.completed()
    assert report.latencies.lag.max_ns > (seconds - 0.5) * S
    assert_exactly_once(verified(broker.pulsar_url, topic), 5 * N)


@PARTITIONED
def test_a_program_that_was_stopped_too_long_gives_its_lane_up_and_takes_another(
    broker: StackStatus, topic: str, tmp_path: Path
):
    url = broker.pulsar_url
    with (
        producing(tmp_path / "first", url, topic, "--duration", "60s", messages=None) as first,
        ExitStack() as later,
    ):
        first.wait_for_confirmed(N)
        first.signal(signal.SIGSTOP)
        # It does not answer the broker, who therefore gives its name away.
        second = later.enter_context(producing(tmp_path / "second", url, topic, messages=None))
        second.wait_for_news("claimed lane 0")
        second.wait_for_confirmed(N)
        first.signal(signal.SIGCONT)
        first.wait_for_news("claimed lane 1")
        first.wait_for_confirmed(2 * N)
        second.program.process.terminate()
        second.completed()
        first.program.process.terminate()
        first.program.end()
    report = first.report
    (lost,) = report.earlier
    assert (lost.lane, report.lane, second.report.lane) == (0, 1, 0)
    assert "Traceback" not in first.program.stderr()
    found = verified(url, topic)
    assert found["ok"], found
    assert [found["totals"][fault] for fault in FAULTS] == [0] * len(FAULTS)
    assert found["n_runs"] == 3
    # With the reports themselves it is the same.
    again = verified(url, topic, first.report_file, second.report_file)
    assert again["ok"], again
    assert again["totals"]["found"] == report.tally.confirmed + second.report.tally.confirmed


@PARTITIONED
def test_a_second_program_with_the_same_shard_is_refused_and_harms_nothing(
    broker: StackStatus, topic: str, tmp_path: Path
):
    url, shard = broker.pulsar_url, ("--shard", "0/2")
    with producing(tmp_path / "first", url, topic, *shard, messages=None, rate=RATE) as first:
        first.wait_for_confirmed(N // 3)
        with producing(tmp_path / "second", url, topic, *shard) as second:
            assert second.program.end() == 3
        assert "iot-producer-0of2 is at work on" in second.program.stderr()
        assert "SHARD=i/n" in second.program.stderr()
        first.wait_for_confirmed(N)
        first.program.process.terminate()
        report = first.completed()
    assert_exactly_once(verified(url, topic, first.report_file), report.tally.confirmed)
