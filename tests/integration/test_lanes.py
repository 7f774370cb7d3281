"""Lanes on a real broker: claimed, resumed, lost; pods started and killed in any order."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from lane_cases import MS, Town, numbers_of

from iot_producer.outcome import State
from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration


def test_pods_take_the_lanes_that_are_free_and_never_send_the_same(
    broker: StackStatus, tmp_path: Path
):
    town = Town(broker, tmp_path)
    with town.pods(2, "--duration", "3s") as pods:
        said = [pod.wait_for_news("claimed lane") for pod in pods]
        assert [pod.program.end() for pod in pods] == [0, 0]
    assert sorted(said) == [
        "claimed lane 0 (iot-producer-0)",
        "claimed lane 1 (iot-producer-1); lane 0 is taken",
    ]
    reports = [pod.report() for pod in pods]
    assert sorted(report.lane for report in reports) == [0, 1]
    assert [report.gap for report in reports] == [None, None]
    sent = numbers_of(reports[0]) + numbers_of(reports[1])
    assert Counter(town.messages()) == sent
    assert len(sent) == 6000


def test_a_killed_pods_lane_goes_on_after_its_last_message(broker: StackStatus, tmp_path: Path):
    town = Town(broker, tmp_path)
    with town.pod("first") as first:
        first.wait_for_news("claimed lane 0")
        with town.pod("other", "--duration", "1h") as other:
            other.wait_for_news("claimed lane 1")
            first.wait_until_confirmed(500)
            first.kill()
            with town.pod("second", "--messages", "1500") as second:
                second.wait_for_news("claimed lane 0")
                second.wait_for_news("the lane goes on after its last stored message")
                assert second.program.end() == 0
            assert other.terminate() == 0
    report = second.report()
    assert (report.lane, report.tally.confirmed) == (0, 1500)
    of_second = sorted(number for _, number in numbers_of(report))
    of_first = [number for number in town.of_lane(0) if number < of_second[0]]
    assert town.of_lane(0) == of_first + of_second
    # What the first had stored has no hole, and the gap begins right after it.
    assert len(of_first) >= 500
    assert of_first == list(range(of_first[0], of_first[-1] + 1))
    assert report.gap is not None
    assert report.gap.since_ns == of_first[-1] * MS
    assert report.gap.until_ns == of_second[0] * MS == report.start_ns
    assert report.gap.n_messages == of_second[0] - of_first[-1] - 1
    assert Counter(m for m in town.messages() if m[0] == 1) == numbers_of(other.report())
    town.check_verified()


def test_two_pods_at_one_lane(broker: StackStatus, tmp_path: Path):
    """One stands still until another has its lane; when it goes on, it takes the next."""
    town = Town(broker, tmp_path)
    with town.pod("first", "--duration", "40s") as first:
        first.wait_for_news("claimed lane 0")
        first.wait_until_confirmed(300)
        first.stop()
        with town.pod("second") as second:
            # The broker asks the first for a sign of life, for some seconds.
            second.wait_for_news("claimed lane 0")
            second.wait_until_confirmed(300)
            first.go_on()
            assert "looking for another lane" in first.wait_for_news("looking for another lane")
            first.wait_for_news("claimed lane 1")
            time.sleep(2)
            assert second.terminate() == 0
            first.terminate()
    report, other = first.report(), second.report()
    (lost,) = report.earlier
    assert (lost.lane, report.lane, other.lane) == (0, 1, 0)
    assert lost.error is not None
    assert report.error is None
    assert report.tally.scheduled == sum(each.tally.scheduled for each in report.episodes)
    assert other.gap is not None
    assert lost.start_ns < other.gap.since_ns < other.start_ns < report.start_ns
    found = Counter(town.messages())
    assert max(found.values()) == 1
    surely = numbers_of(report) + numbers_of(other)
    assert surely <= found
    # What has no confirmation may be there or not.
    maybe = numbers_of(report, State.UNCONFIRMED)
    assert found - surely <= maybe
    town.check_verified()


def test_workers_share_a_lane(broker: StackStatus, tmp_path: Path):
    town = Town(broker, tmp_path)
    with town.pods(2, "--workers", "2", "--duration", "2s") as pods:
        said = [pod.wait_for_news("claimed lane") for pod in pods]
        assert [pod.program.end() for pod in pods] == [0, 0]
    assert sorted(said)[0] == "claimed lane 0 (iot-producer-0.0)"
    reports = [pod.report() for pod in pods]
    assert sorted(report.lane for report in reports) == [0, 1]
    assert [len(report.lanes) for report in reports] == [2, 2]
    sent = numbers_of(reports[0]) + numbers_of(reports[1])
    assert Counter(town.messages()) == sent
    assert len(sent) == 4000


def test_each_partition_goes_on_after_its_own_last_message(broker: StackStatus, tmp_path: Path):
    town = Town(broker, tmp_path, n_partitions=7)
    with town.pod("first") as first:
        first.wait_for_news("claimed lane 0")
        first.wait_until_confirmed(500)
        first.kill()
    before = town.of_lane(0)
    with town.pod("second", "--messages", "1000") as second:
        assert second.program.end() == 0
    report = second.report()
    assert report.lane == 0
    assert report.gap is not None
    ((*last_ids,),) = report.gap.last_ids
    assert len(last_ids) == 7
    assert max(last_ids) == before[-1] * MS
    assert min(last_ids) == report.gap.since_ns
    # Entries on their way to some partition may be lost, so the last messages may have holes.
    surely = [number for number in before if number * MS <= min(last_ids)]
    assert surely == list(range(surely[0], surely[-1] + 1))
    assert town.of_lane(0) == before + sorted(number for _, number in numbers_of(report))


@pytest.mark.parametrize(("n_partitions", "workers"), [(0, "1"), (7, "2")])
def test_catching_up_leaves_no_hole(
    broker: StackStatus, tmp_path: Path, n_partitions: int, workers: str
):
    town = Town(broker, tmp_path, n_partitions)
    with town.pod("first", "--workers", workers) as first:
        first.wait_for_news("claimed lane 0")
        first.wait_until_confirmed(500)
        first.kill()
    flags = ("--workers", workers, "--on-gap", "catch-up", "--duration", "2s")
    with town.pod("second", *flags) as second:
        second.wait_for_news("what was due since then is sent")
        assert second.program.end() == 0
    report = second.report()
    assert report.is_complete
    assert report.gap is not None
    assert report.gap.is_filled
    numbers = town.of_lane(0)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] - numbers[0] > 3000
    # Where partitions were further on than others, what they had was not sent again.
    n_before = len([number for number in numbers if number * MS <= report.gap.since_ns])
    assert n_before + report.n_stored_before + report.tally.confirmed == len(numbers)
    for times in town.times_of_producers(int(workers)):
        assert times == sorted(times)
    town.check_verified()


def test_another_plan_cannot_catch_up(broker: StackStatus, tmp_path: Path):
    town = Town(broker, tmp_path)
    with town.pod("first", "--messages", "100") as first:
        assert first.program.end() == 0
    flags = ("--on-gap", "catch-up", "--seed", "9", "--messages", "100")
    with town.pod("second", *flags) as second:
        second.wait_for_news("--on-gap catch-up is not possible: the lane's last run had another")
        assert second.program.end() == 0
    assert len(town.of_lane(0)) == 200
    assert second.report().tally.confirmed == 100


def test_more_pods_add_their_load_at_once(broker: StackStatus, tmp_path: Path):
    town = Town(broker, tmp_path)
    with town.pods(2) as pods:
        for pod in pods:
            pod.wait_for_news("claimed lane")
        with town.pods(3) as more:
            for pod in more:
                pod.wait_for_news("claimed lane")
                pod.wait_until_confirmed(200)
            assert [pod.terminate() for pod in (*pods, *more)] == [0] * 5
    reports = [pod.report() for pod in (*pods, *more)]
    assert sorted(report.lane for report in reports) == [0, 1, 2, 3, 4]
    sent: Counter[tuple[int, int]] = Counter()
    for report in reports:
        assert report.is_complete
        sent += numbers_of(report)
    assert max(sent.values()) == 1
    assert Counter(town.messages()) == sent
