"""What the admin API's answers come to; the server is one that records what it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from admin_api import Api, serving
from iot_producer.doctor.broker import Topic
from iot_producer.doctor.findings import Finding, Verdict
from iot_producer.doctor.policies import clock_finding, examine_policies

TOPIC = Topic("persistent://a/b/t", is_there=True)
PATH = "/admin/v2/persistent/a/b/t"
SPACE = "/admin/v2/namespaces/a/b"
RUNTIME = "/admin/v2/brokers/configuration/runtime"
STATS: dict[str, Any] = {
    "deduplicationStatus": "Enabled",
    "publishers": [],
    "subscriptions": {},
    "backlogSize": 0,
    "backlogQuotaLimitSize": -1,
}
NOON_NS = 1_795_348_800 * 10**9  # Sun, 22 Nov 2026 12:00:00 GMT


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as server:
        server.say("GET", f"{PATH}/stats", STATS)
        server.say("GET", "/admin/v2/namespaces/a", ["a/b"])
        yield server


def look(api: Api, topic: Topic = TOPIC) -> dict[str, Finding]:
    found = {finding.check: finding for finding in examine_policies(api.admin, topic)}
    assert all(method == "GET" for method, _, _ in api.asked)
    return found


@pytest.mark.parametrize(
    ("status", "verdict"), [("Enabled", Verdict.OK), ("Disabled", Verdict.WARNING)]
)
def test_deduplication_by_the_topics_own_word(api: Api, status: str, verdict: Verdict) -> None:
    api.say("GET", f"{PATH}/stats", {**STATS, "deduplicationStatus": status})
    finding = look(api)["deduplication"]
    assert finding.verdict is verdict
    assert finding.facts == {"is_on": verdict is Verdict.OK}
    turn_on = "pulsar-admin namespaces set-deduplication --enable a/b"
    assert finding.remedy == ("" if verdict is Verdict.OK else turn_on)


def test_deduplication_of_a_topic_that_is_not_there(api: Api) -> None:
    missing = Topic("persistent://a/b/t")
    assert look(api, missing)["deduplication"].facts == {"is_on": None}
    api.say("GET", RUNTIME, {"brokerDeduplicationEnabled": "true"} | RETENTION)
    assert look(api, missing)["deduplication"].facts == {"is_on": True}
    api.say("GET", f"{SPACE}/deduplication", False)
    assert look(api, missing)["deduplication"].facts == {"is_on": False}


RETENTION = {"defaultRetentionTimeInMinutes": "0", "defaultRetentionSizeInMB": "0"}


@pytest.mark.parametrize(
    ("minutes", "size_mb", "text"),
    [
        (-1, -1, "messages are kept for ever, of any size"),
        (60, 1024, "messages are kept for 1 h, up to 1.07 GB a partition"),
    ],
)
def test_retention(api: Api, minutes: int, size_mb: int, text: str) -> None:
    policy = {"retentionTimeInMinutes": minutes, "retentionSizeInMB": size_mb}
    api.say("GET", f"{PATH}/retention?applied=true", policy)
    finding = look(api)["retention"]
    assert (finding.verdict, finding.text) == (Verdict.OK, text)


def test_no_retention_is_the_brokers_default(api: Api) -> None:
    assert look(api)["retention"].verdict is Verdict.NOTE  # nobody says
    api.say("GET", RUNTIME, RETENTION)
    finding = look(api)["retention"]
    assert finding.verdict is Verdict.WARNING
    assert "set-retention a/b" in finding.remedy
    api.say("GET", f"{PATH}/stats", {**STATS, "subscriptions": {"flink": {}}})
    finding = look(api)["retention"]
    assert finding.verdict is Verdict.NOTE
    assert "1 subscription" in finding.text


@pytest.mark.parametrize(
    ("used", "policy", "verdict"),
    [
        (10, "producer_exception", Verdict.OK),
        (80, "producer_exception", Verdict.WARNING),
        (100, "producer_request_hold", Verdict.HARM),
        (0, "consumer_backlog_eviction", Verdict.WARNING),
    ],
)
def test_the_backlogs_quota(api: Api, used: int, policy: str, verdict: Verdict) -> None:
    api.say("GET", f"{PATH}/stats", {**STATS, "backlogSize": used})
    quota = {"limitSize": 100, "policy": policy}
    api.say("GET", f"{PATH}/backlogQuotaMap?applied=true", {"destination_storage": quota})
    finding = look(api)["backlog quota"]
    assert finding.verdict is verdict
    assert finding.facts == {"limit_bytes": 100, "backlog_bytes": used, "policy": policy}
    assert f"{used} bytes of 100 bytes" in finding.text


def test_no_quota(api: Api) -> None:
    assert look(api)["backlog quota"].text == "no limit"
    assert look(api, Topic("persistent://a/b/t"))["backlog quota"].verdict is Verdict.NOTE


def test_the_lanes_at_work_are_told_from_other_producers(api: Api) -> None:
    names = ["iot-producer-10", "iot-producer-2", "iot-producer-1of3.1", "iot-producer-doctor-1a"]
    publishers = [{"producerName": name} for name in (*names, "pulsar-1-5")]
    api.say("GET", f"{PATH}/stats", {**STATS, "publishers": publishers})
    finding = look(api)["lanes at work"]
    assert finding.facts == {
        "lanes": ["iot-producer-1of3.1", "iot-producer-2", "iot-producer-10"],
        "n_others": 2,
    }
    assert finding.verdict is Verdict.NOTE


@pytest.mark.parametrize(
    ("policy", "verdict", "text"),
    [
        ({"allowAutoTopicCreation": False}, Verdict.HARM, "creates none by itself"),
        (
            {
                "allowAutoTopicCreation": True,
                "topicType": "partitioned",
                "defaultNumPartitions": 4,
            },
            Verdict.NOTE,
            "with 4 partitions",
        ),
        (None, Verdict.WARNING, "nobody says whether"),
    ],
)
def test_a_topic_that_is_not_there(api: Api, policy: Any, verdict: Verdict, text: str) -> None:
    api.say("GET", f"{SPACE}/autoTopicCreation", policy)
    found = look(api, Topic("persistent://a/b/t"))
    assert found["topic creation"].verdict is verdict
    assert text in found["topic creation"].text
    assert "--create-topic" in found["topic creation"].remedy
    assert "lanes at work" not in found


def test_the_first_partition_stands_for_all(api: Api) -> None:
    api.say("GET", f"{PATH}-partition-0/stats", STATS)
    found = look(api, Topic("persistent://a/b/t", is_there=True, n_partitions=3))
    assert found["deduplication"].facts == {"is_on": True}


def test_what_may_not_be_asked_is_not_guessed(api: Api) -> None:
    for path in (f"{PATH}/stats", f"{PATH}/retention?applied=true", f"{SPACE}/retention", RUNTIME):
        api.say("GET", path, {"reason": "no"}, 403)
    found = look(api)
    assert found["admin API"].verdict is Verdict.NOTE
    assert "refused" in found["admin API"].text
    assert found["retention"].text == "nobody says how long the topic keeps its messages"
    assert found["deduplication"].facts == {"is_on": None}


def test_an_api_that_stops_answering_is_asked_no_more(api: Api) -> None:
    api.cut_off = f"{PATH}/stats"
    found = look(api)
    assert found["admin API"].verdict is Verdict.NOTE
    assert "it stopped answering" in found["admin API"].text
    assert "--timeout" in found["admin API"].remedy
    assert found["deduplication"].facts == {"is_on": None}
    assert [path for _, path, _ in api.asked] == ["/admin/v2/brokers/ready", f"{PATH}/stats"]


@pytest.mark.parametrize(
    ("ours_s", "verdict", "text"),
    [
        (0.0, Verdict.OK, "to within 2 s"),
        (0.9, Verdict.OK, "to within 2 s"),
        (1.9, Verdict.OK, "to within 2 s"),
        (12.5, Verdict.WARNING, "at least 11 s ahead of the admin API's"),
        (-12.5, Verdict.WARNING, "at least 12 s behind the admin API's"),
    ],
)
def test_the_clock(ours_s: float, verdict: Verdict, text: str) -> None:
    now_ns = NOON_NS + round(ours_s * 1e9)
    finding = clock_finding("Sun, 22 Nov 2026 12:00:00 GMT", now_ns, now_ns + 1_000_000)
    assert finding.verdict is verdict
    assert text in finding.text


def test_a_clock_that_nobody_tells() -> None:
    finding = clock_finding("", NOON_NS, NOON_NS)
    assert finding.verdict is Verdict.NOTE


@pytest.mark.parametrize(
    ("tenant", "text", "remedy"),
    [
        (
            (["a/c"], 200),
            "tenant a has no namespace a/b: a run would fail",
            "pulsar-admin namespaces create a/b",
        ),
        (
            ({"reason": "Tenant not found"}, 404),
            "tenant a does not exist, and so has no namespaces: a run would fail",
            "pulsar-admin tenants create a, then pulsar-admin namespaces create a/b",
        ),
    ],
)
def test_of_a_namespace_that_is_not_there_no_policies_are_told(
    api: Api, tenant: tuple[Any, int], text: str, remedy: str
) -> None:
    api.say("GET", RUNTIME, {"brokerDeduplicationEnabled": "true"} | RETENTION)
    api.say("GET", "/admin/v2/namespaces/a", *tenant)
    found = look(api, Topic("persistent://a/b/t", has_namespace=False))
    assert set(found) == {"admin API", "namespace", "clock"}
    finding = found["namespace"]
    assert (finding.verdict, finding.text, finding.remedy) == (Verdict.HARM, text, remedy)
    # The same where the broker has not said so.
    again = look(api, Topic("persistent://a/b/t"))
    assert (set(again), again["namespace"]) == (set(found), finding)


def test_who_may_not_ask_for_namespaces_is_told_what_the_broker_said(api: Api) -> None:
    api.say("GET", "/admin/v2/namespaces/a", {"reason": "not allowed"}, 403)
    assert set(look(api, Topic("persistent://a/b/t", has_namespace=False))) == {
        "admin API",
        "clock",
    }
    assert "topic creation" in look(api, Topic("persistent://a/b/t"))
