"""A topic that is terminated, deleted or full while the program produces to it.

What the broker refuses for good ends the run with exit code 3 and a sentence that says why. What is
confirmed is there; what is not is named as ranges in the report. Where confirmed data are deleted,
`verify` names exactly those.
"""

from __future__ import annotations

from pathlib import Path

import program
import pytest
from fault_cases import (
    POOL,
    Run,
    deduplicating_namespace,
    new_topic,
    patient_admin,
    producing,
    verified,
)

from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.report import RunReport
from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration

N = 3_000
RATE = 1_000


@pytest.fixture(scope="module")
def admin(broker: StackStatus) -> PulsarAdmin:
    return patient_admin(broker)


@pytest.fixture
def topic(admin: PulsarAdmin) -> str:
    name = new_topic(deduplicating_namespace(admin))
    admin.create_topic(name, 0)
    return name


@pytest.fixture
def partitioned(admin: PulsarAdmin) -> str:
    name = new_topic(deduplicating_namespace(admin))
    admin.create_topic(name, 3)
    return name


def path_of(topic: str) -> str:
    return "/admin/v2/" + topic.replace("://", "/")


def assert_each_message_has_one_fate(report: RunReport) -> None:
    """The ranges of the fates cover all that was due, without overlap and without a hole."""
    (lane,) = report.lanes
    ranges = lane.ranges
    fates = (ranges.confirmed, ranges.unconfirmed, ranges.failed, ranges.not_sent)
    mixed = {(part.first, part.stop) for part in ranges.partial}  # by partition
    pieces = sorted([*(tuple(piece) for fate in fates for piece in fate), *mixed])
    assert [start for start, _ in pieces] == [0, *(stop for _, stop in pieces[:-1])]
    assert pieces[-1][1] == report.tally.scheduled


def ended_by_the_broker(run: Run, words: str) -> RunReport:
    report = run.ended(3)
    assert words in run.program.stderr()
    assert report.error is not None
    assert words in report.error
    assert not report.is_complete
    assert_each_message_has_one_fate(report)
    return report


def assert_what_is_confirmed_is_there(url: str, topic: str, run: Run) -> None:
    report = run.report
    found = verified(url, topic, run.report_file)
    assert found["ok"], found
    assert found["totals"]["found"] == found["totals"]["expected"] == report.tally.confirmed
    # What has no confirmation may be there or not.
    assert found["n_read"] - found["totals"]["found"] == found["totals"]["unconfirmed_found"]
    assert found["totals"]["unconfirmed_found"] <= report.tally.unconfirmed


def test_a_terminated_topic_ends_the_run(
    broker: StackStatus, admin: PulsarAdmin, topic: str, tmp_path: Path
):
    with producing(tmp_path, broker.pulsar_url, topic, messages=None, rate=RATE) as run:
        run.wait_for_confirmed(N)
        admin.call("POST", f"{path_of(topic)}/terminate")
        report = ended_by_the_broker(run, "is terminated")
    assert report.tally.confirmed >= N
    admin.call("PUT", f"{path_of(topic)}/unload")  # it cannot be read before
    assert_what_is_confirmed_is_there(broker.pulsar_url, topic, run)


def test_the_admin_apis_port_is_told_at_once_to_runs_and_verifications(
    broker: StackStatus, tmp_path: Path
):
    url = broker.admin_url.replace("http:", "pulsar:")
    report = str(tmp_path / "report.json")
    small = ("run", *POOL, "--messages", "10")
    assert program.run(*small, "--to", "null:", "--report", report).returncode == 0
    patient = ("--give-up-after", "10m")  # longer than a test may take
    for command in (
        (*small, "--to", url, "--topic", new_topic()),
        ("verify", "--from", "pulsar", "--pulsar-url", url, "--report", report),
    ):
        done = program.run(*command, *patient)
        assert done.returncode == 3
        assert "answers in HTTP: it is the port of an admin API" in done.stderr
        assert "6650 (pulsar://)" in done.stderr
        assert "trying again" not in done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("--create-topic", "3")])
def test_a_run_into_a_missing_namespace_is_told_how_to_create_it(
    broker: StackStatus, options: tuple[str, ...]
):
    where = {"PULSAR_URL": broker.pulsar_url, "PULSAR_ADMIN_URL": broker.admin_url}
    topic = "persistent://nobody/nowhere/t"
    done = program.run("run", *POOL, "--messages", "10", "--topic", topic, *options, **where)
    assert done.returncode == 3
    assert "Namespace not found" in done.stderr
    assert "pulsar-admin namespaces create nobody/nowhere (" in done.stderr


def test_a_topic_that_was_terminated_before_begins_no_run(
    broker: StackStatus, admin: PulsarAdmin, topic: str, tmp_path: Path
):
    admin.call("POST", f"{path_of(topic)}/terminate")
    with producing(tmp_path, broker.pulsar_url, topic) as run:
        assert run.program.end() == 3
    assert f"topic {topic} is terminated" in run.program.stderr()
    assert not run.report_file.exists()


def test_what_was_on_a_deleted_topic_is_named_and_the_rest_goes_on(
    broker: StackStatus, admin: PulsarAdmin, topic: str, tmp_path: Path
):
    with producing(tmp_path, broker.pulsar_url, topic, messages=3 * N, rate=RATE) as run:
        run.wait_for_confirmed(N)
        admin.delete_topic(topic, force=True)
        report = run.completed()  # the broker makes the topic anew
    found = verified(broker.pulsar_url, topic, run.report_file)
    totals = found["totals"]
    ((lane, first, stop),) = found["lost_ranges"]
    assert (lane, first) == (0, 0)
    assert N <= stop < 2 * N
    assert totals == {
        **dict.fromkeys(totals, 0),
        "expected": 3 * N,
        "found": 3 * N - stop,
        "lost": stop,
    }
    assert found["n_read"] == 3 * N - stop
    assert report.tally.confirmed == 3 * N


@pytest.mark.parametrize("partitions", [0, 3])
def test_a_topic_that_is_deleted_is_not_taken_for_one_that_does_not_deduplicate(
    broker: StackStatus, admin: PulsarAdmin, tmp_path: Path, partitions: int
):
    topic = new_topic(deduplicating_namespace(admin))
    admin.create_topic(topic, partitions)
    words: list[str] = []
    with producing(tmp_path, broker.pulsar_url, topic, messages=3 * N, rate=RATE) as run:
        is_deleted = False
        for event in run.program.events():
            words.append(event.get("message", ""))
            if not is_deleted and event["event"] == "stats" and event["confirmed"] >= N:
                admin.delete_topic(topic, force=True)
                is_deleted = True
        report = run.completed()
    assert report.tally.confirmed == 3 * N
    assert (report.sink.deduplicates, report.sink.n_maybe_duplicated) == (True, 0)
    assert not [text for text in words if "duplicate" in text]


@pytest.mark.slow  # the journal is written every five seconds
def test_deduplication_that_is_switched_off_under_way_is_found_out(
    broker: StackStatus, admin: PulsarAdmin, topic: str, tmp_path: Path
):
    namespace = "/".join(topic.removeprefix("persistent://").split("/")[:2])
    with producing(tmp_path, broker.pulsar_url, topic, messages=None, rate=RATE) as run:
        run.wait_for_confirmed(N)
        admin.set_deduplication(namespace, False)
        admin.call("PUT", f"{path_of(topic)}/unload")
        run.wait_for_news(f"{namespace} does not deduplicate")
        run.program.process.terminate()
        report = run.completed()
    assert report.sink.deduplicates is False


def test_where_nobody_creates_topics_a_deleted_one_ends_the_run(
    broker: StackStatus, admin: PulsarAdmin, topic: str, tmp_path: Path
):
    namespace = "/".join(topic.removeprefix("persistent://").split("/")[:2])
    with producing(tmp_path, broker.pulsar_url, topic, messages=None, rate=RATE) as run:
        run.wait_for_confirmed(N)
        admin.set_policy(namespace, "autoTopicCreation", {"allowAutoTopicCreation": False})
        admin.delete_topic(topic, force=True)
        report = ended_by_the_broker(run, "does not exist")
    assert report.tally.confirmed >= N


def test_what_was_on_the_partitions_of_a_deleted_topic_is_named_and_the_rest_goes_on(
    broker: StackStatus, admin: PulsarAdmin, partitioned: str, tmp_path: Path
):
    topic, n, sent = partitioned, 5 * N, 0
    with producing(tmp_path, broker.pulsar_url, topic, messages=n, rate=RATE) as run:
        run.wait_for_confirmed(N)
        admin.delete_topic(topic, force=True)
        run.wait_for_news("was deleted under way: what was on its 3 partitions is lost")
        sent = run.wait_for_sent(0)["sent"]
        report = run.completed()  # the broker makes the partitions anew
    assert report.tally.confirmed == n
    reports = [(run.report_file,), ()]  # what the run published is enough
    for found in [verified(broker.pulsar_url, topic, *report) for report in reports]:
        totals = found["totals"]
        lost = totals["lost"]
        assert N <= lost < sent
        assert totals == {
            **dict.fromkeys(totals, 0),
            "expected": n,
            "found": n - lost,
            "lost": lost,
        }
        assert found["n_read"] == n - lost
        # Partitions are deleted one after the other, so the last of what is lost has holes.
        assert found["lost_ranges"][0][1] == 0
        assert found["lost_ranges"][-1][2] <= sent
    assert admin.n_partitions(topic) == 0
    names = admin.call("GET", f"/admin/v2/persistent/{topic.split('://')[1].rpartition('/')[0]}")
    assert set(names) == {f"{topic}-partition-{i}" for i in range(3)} | {f"{topic}-runs"}


def test_a_deleted_topic_that_the_broker_may_not_make_anew_ends_the_run(
    broker: StackStatus, admin: PulsarAdmin, partitioned: str, tmp_path: Path
):
    topic = partitioned
    namespace = topic.split("://")[1].rpartition("/")[0]
    admin.set_policy(namespace, "autoTopicCreation", {"allowAutoTopicCreation": False})
    with producing(tmp_path, broker.pulsar_url, topic, messages=None, rate=RATE) as run:
        run.wait_for_confirmed(N)
        admin.delete_topic(topic, force=True)
        report = ended_by_the_broker(run, "does not exist")
    assert report.tally.confirmed >= N
    done = program.run(
        "verify", "--report", str(run.report_file), PULSAR_URL=broker.pulsar_url, PULSAR_TOPIC=topic
    )
    assert done.returncode == 3
    assert f"topic {topic} or its namespace does not exist" in done.stderr
    assert "check its name (--topic)" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["producer_exception", "producer_request_hold"])
def test_a_full_backlog_ends_the_run(
    broker: StackStatus, admin: PulsarAdmin, topic: str, tmp_path: Path, policy: str
):
    namespace = "/".join(topic.removeprefix("persistent://").split("/")[:2])
    admin.call("PUT", f"{path_of(topic)}/subscription/nobody-reads")
    admin.call(
        "POST",
        f"/admin/v2/namespaces/{namespace}/backlogQuota",
        {"limitSize": 100_000, "limitTime": -1, "policy": policy},
    )
    # The broker looks at backlogs every ten seconds.
    with producing(tmp_path, broker.pulsar_url, topic, messages=None, rate=RATE) as run:
        report = ended_by_the_broker(run, f"the backlog of {topic} is full")
    assert report.tally.confirmed > 0
    assert_what_is_confirmed_is_there(broker.pulsar_url, topic, run)
