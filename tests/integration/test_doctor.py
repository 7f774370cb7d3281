"""The doctor in front of real brokers: plain, TLS, tokens, a proxy, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import run
from pulsar_cases import new_topic, sink
from secured_pulsar import ADMIN, CLOSED_NAMESPACE, PRODUCER, STRANGER, SecuredPulsar

from iot_producer.destination import parse_destination
from iot_producer.doctor.examination import DoctorConfig, examine
from iot_producer.doctor.findings import DoctorReport, Finding, Verdict
from iot_producer.errors import ExitCode
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig
from iot_producer.stack import StackStatus
from tls_cases import Authority

pytestmark = pytest.mark.integration

Found = dict[str, Finding]


def look(
    url: str,
    topic: str,
    admin_url: str,
    security: SecurityConfig = NO_SECURITY,
    timeout_s: float = 60.0,
) -> tuple[DoctorReport, Found]:
    """The report, and its findings by check."""
    destination = parse_destination(url, topic)
    report = examine(DoctorConfig(destination, security, admin_url, timeout_s))
    if security.token:
        assert security.token not in f"{report} {json.dumps(report.to_dict())}"
    for finding in report.findings:
        bad = finding.verdict not in (Verdict.OK, Verdict.NOTE)
        assert not bad or finding.remedy, finding
    return report, {finding.check: finding for finding in report.findings}


def admin_of(broker: StackStatus) -> PulsarAdmin:
    return PulsarAdmin(broker.admin_url, timeout_s=60.0)


def namespace(admin: PulsarAdmin, name: str, **policies: Any) -> str:
    """A namespace of its own; the prefix of topics in it."""
    admin.call("PUT", f"/admin/v2/namespaces/public/{name}")
    for policy, value in policies.items():
        admin.set_policy(f"public/{name}", policy, value)
    return f"persistent://public/{name}"


class TestPlain:
    def test_all_is_well_but_for_deduplication(self, broker: StackStatus) -> None:
        topic = new_topic()
        admin_of(broker).create_topic(topic, 3)
        report, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert report.exit_code is ExitCode.OK
        assert {name for name, f in found.items() if f.verdict is Verdict.WARNING} == {
            "deduplication"
        }
        assert found["deduplication"].remedy == (
            "pulsar-admin namespaces set-deduplication --enable public/default"
        )
        assert found["topic"].facts == {"is_there": True, "n_partitions": 3}
        assert found["broker"].text.startswith("Pulsar Server")
        assert found["largest message"].facts["max_message_bytes"] == 5 * 1024 * 1024
        assert found["write"].text == (
            "a producer could be made on all 3 partitions; nothing was sent"
        )
        assert found["journal"].facts == {"topic": f"{topic}-runs", "is_there": False}
        assert found["retention"].facts == {"minutes": 7 * 24 * 60, "size_mb": 10_240}
        assert found["lanes at work"].facts == {"lanes": [], "n_others": 0}
        assert found["clock"].verdict is Verdict.OK
        assert admin_of(broker).n_messages_in(topic) == 0

    def test_deduplication_that_is_on(self, broker: StackStatus) -> None:
        admin = admin_of(broker)
        topic = new_topic(namespace(admin, "doctor-dedup", deduplication=True))
        admin.create_topic(topic)
        admin.create_topic(f"{topic}-runs")
        report, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert found["deduplication"].facts == {"is_on": True}
        assert found["journal"].verdict is Verdict.OK
        assert all(finding.verdict in (Verdict.OK, Verdict.NOTE) for finding in report.findings)

    def test_nothing_is_kept_where_nobody_subscribed(self, broker: StackStatus) -> None:
        admin = admin_of(broker)
        none = {"retentionSizeInMB": 0, "retentionTimeInMinutes": 0}
        topic = new_topic(namespace(admin, "doctor-forgets", retention=none))
        admin.create_topic(topic)
        _, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert found["retention"].verdict is Verdict.WARNING
        assert "set-retention public/doctor-forgets" in found["retention"].remedy
        subscription = f"/admin/v2/{topic.replace('://', '/')}/subscription/s"
        admin.call("PUT", subscription)
        _, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert found["retention"].verdict is Verdict.NOTE

    def test_a_missing_topic_stays_missing(self, broker: StackStatus) -> None:
        admin = admin_of(broker)
        topic = new_topic(namespace(admin, "doctor-creates"))
        report, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert report.exit_code is ExitCode.OK
        assert found["topic"].verdict is Verdict.WARNING
        assert found["topic creation"].facts == {"allowed": True}
        assert found["write"].verdict is Verdict.NOTE
        assert admin.call("GET", "/admin/v2/persistent/public/doctor-creates") == []

    def test_a_missing_topic_that_nobody_creates(self, broker: StackStatus) -> None:
        admin = admin_of(broker)
        no = {"allowAutoTopicCreation": False}
        topic = new_topic(namespace(admin, "doctor-strict", autoTopicCreation=no))
        report, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert report.exit_code is ExitCode.FAILED
        assert found["topic creation"].verdict is Verdict.HARM
        assert "--create-topic" in found["topic creation"].remedy

    @pytest.mark.parametrize(
        ("name", "remedy"),
        [
            ("public/nowhere", "pulsar-admin namespaces create public/nowhere"),
            (
                "nobody/nowhere",
                "pulsar-admin tenants create nobody, then pulsar-admin namespaces create "
                "nobody/nowhere",
            ),
        ],
    )
    def test_a_missing_namespace(self, broker: StackStatus, name: str, remedy: str) -> None:
        topic = f"persistent://{name}/t"
        report, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert report.exit_code is ExitCode.FAILED
        assert found["topic"].verdict is Verdict.HARM
        assert f"the namespace of topic {topic} does not exist" in found["topic"].text
        assert f"pulsar-admin namespaces create {name}" in found["topic"].remedy
        assert (found["namespace"].verdict, found["namespace"].remedy) == (Verdict.HARM, remedy)
        # Nothing is said of what a namespace that is not there would do, nor is a remedy that
        # needs it.
        asked = {"look-up", "write", "journal", "topic creation", "deduplication", "retention"}
        assert not (asked | {"backlog quota", "lanes at work"}) & set(found)
        assert "--create-topic" not in "".join(finding.remedy for finding in report.findings)
        # Without the admin API, the broker's word is enough.
        report, found = look(broker.pulsar_url, topic, "http://127.0.0.1:1")
        assert report.exit_code is ExitCode.FAILED
        assert ("namespace" in found, "deduplication" in found) == (False, False)

    def test_what_it_says_to_create_is_enough(self, broker: StackStatus) -> None:
        admin = admin_of(broker)
        topic = "persistent://doctor-tenant/doctor-space/t"
        assert look(broker.pulsar_url, topic, broker.admin_url)[1]["namespace"].facts == {
            "tenant_is_there": False
        }
        (cluster,) = admin.call("GET", "/admin/v2/clusters")
        tenant = {"adminRoles": [], "allowedClusters": [cluster]}
        admin.call("PUT", "/admin/v2/tenants/doctor-tenant", tenant)
        assert look(broker.pulsar_url, topic, broker.admin_url)[1]["namespace"].facts == {
            "tenant_is_there": True
        }
        admin.call("PUT", "/admin/v2/namespaces/doctor-tenant/doctor-space")
        report, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert (report.exit_code, "namespace" in found) == (ExitCode.OK, False)
        assert found["topic creation"].facts == {"allowed": True}

    def test_a_terminated_topic(self, broker: StackStatus) -> None:
        admin = admin_of(broker)
        topic = new_topic()
        admin.create_topic(topic)
        admin.call("POST", f"/admin/v2/{topic.replace('://', '/')}/terminate")
        report, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert report.exit_code is ExitCode.FAILED
        assert "is terminated" in found["write"].text

    def test_lanes_that_are_at_work(self, broker: StackStatus) -> None:
        topic = new_topic()
        with (
            sink(broker.pulsar_url, topic, producer_name="iot-producer-3"),
            sink(broker.pulsar_url, topic, producer_name="somebody"),
        ):
            _, found = look(broker.pulsar_url, topic, broker.admin_url)
        assert found["lanes at work"].facts == {"lanes": ["iot-producer-3"], "n_others": 1}
        assert found["write"].verdict is Verdict.OK

    def test_without_the_admin_api_it_says_what_it_does_not_know(self, broker: StackStatus) -> None:
        topic = new_topic()
        admin_of(broker).create_topic(topic)
        report, found = look(broker.pulsar_url, topic, "http://127.0.0.1:1")
        assert report.exit_code is ExitCode.OK
        assert found["admin API"].verdict is Verdict.NOTE
        assert "deduplication" in found["admin API"].text
        assert "PULSAR_ADMIN_URL" in found["admin API"].remedy
        assert "deduplication" not in found

    def test_of_several_hosts_each_is_looked_at(self, broker: StackStatus) -> None:
        topic = new_topic()
        admin_of(broker).create_topic(topic)
        url = broker.pulsar_url.replace("pulsar://", "pulsar://127.0.0.1:1,no.invalid:6650,")
        report, found = look(url, topic, broker.admin_url)
        assert report.exit_code is ExitCode.OK
        assert found["resolve"].verdict is Verdict.WARNING
        connects = [f.verdict for f in report.findings if f.check == "connect"]
        assert connects == [Verdict.WARNING, Verdict.OK]

    def test_nobody_listens_or_it_is_no_broker(self, broker: StackStatus) -> None:
        report, found = look("pulsar://127.0.0.1:1", new_topic(), broker.admin_url)
        assert report.exit_code is ExitCode.DESTINATION
        assert (found["connect"].verdict, "broker" in found) == (Verdict.UNREACHABLE, False)
        report, found = look("pulsar://no.invalid", new_topic(), broker.admin_url)
        assert report.exit_code is ExitCode.DESTINATION
        assert found["resolve"].text == "the host 'no.invalid' does not resolve"
        url = broker.admin_url.replace("http:", "pulsar:")
        report, found = look(url, new_topic(), broker.admin_url, timeout_s=2.0)
        assert report.exit_code is ExitCode.DESTINATION
        assert found["broker"].verdict is Verdict.UNREACHABLE
        assert "answers in HTTP: it is the port of an admin API" in found["broker"].text
        assert "6650 (pulsar://)" in found["broker"].remedy

    def test_behind_a_proxy(self, broker: StackStatus, pulsar_proxy: SecuredPulsar) -> None:
        topic = new_topic()
        admin_of(broker).create_topic(topic, 2)
        report, found = look(pulsar_proxy.url, topic, pulsar_proxy.admin_url)
        assert report.exit_code is ExitCode.OK
        assert "by way of" in found["look-up"].text
        assert found["write"].verdict is Verdict.OK
        assert found["deduplication"].facts == {"is_on": False}

    def test_the_command(self, broker: StackStatus) -> None:
        topic = new_topic()
        variables = {"PULSAR_URL": broker.pulsar_url, "PULSAR_ADMIN_URL": broker.admin_url}
        done = run("doctor", "--topic", topic, "--json", "--timeout", "60s", **variables)
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        assert (told["topic"], told["exit_code"]) == (topic, 0)
        done = run("doctor", "--topic", topic, "--timeout", "60s", **variables)
        assert "deduplication" in done.stdout
        assert done.stdout.endswith("A run can begin; 2 warnings.\n")
        done = run("doctor", "--to", "pulsar://127.0.0.1:1")
        assert done.returncode == 3
        assert "nobody listens on 127.0.0.1:1" in done.stdout
        done = run("doctor", "--to", "null:")
        assert (done.returncode, "doctor examines Pulsar" in done.stderr) == (2, True)


class TestTls:
    def test_what_is_right(self, tls_broker: SecuredPulsar) -> None:
        topic = new_topic()
        tls_broker.admin.create_topic(topic)
        report, found = look(tls_broker.tls_url, topic, tls_broker.admin_tls_url, tls_broker.tls())
        assert report.exit_code is ExitCode.OK
        assert found["tls"].facts["version"] == "TLSv1.3"
        assert found["admin API"].verdict is Verdict.OK
        assert found["write"].verdict is Verdict.OK

    @pytest.mark.parametrize(
        ("case", "text", "remedy"),
        [
            ("wrong authority", "an authority that is not trusted", "PULSAR_TLS_TRUST_STORE"),
            ("wrong host", "is not for 127.1", "PULSAR_TLS_VERIFY_HOST=no"),
            ("no tls here", "TLS", "6651"),
        ],
    )
    def test_what_is_wrong(
        self, case: str, text: str, remedy: str, tls_broker: SecuredPulsar, tmp_path: Path
    ) -> None:
        url, security = tls_broker.tls_url, tls_broker.tls()
        if case == "wrong authority":
            security = SecurityConfig(trust_store=Authority(tmp_path).trust_store, tls=True)
        elif case == "wrong host":
            url = url.replace("127.0.0.1", "127.1")
        else:
            url = tls_broker.url.replace("pulsar:", "pulsar+ssl:")
        report, found = look(url, new_topic(), tls_broker.admin_tls_url, security)
        assert report.exit_code is ExitCode.DESTINATION
        assert found["connect"].verdict is Verdict.OK
        assert found["tls"].verdict is Verdict.UNREACHABLE
        assert text in found["tls"].text
        assert remedy in found["tls"].remedy
        assert "broker" not in found

    def test_plain_where_there_is_tls(self, tls_broker: SecuredPulsar) -> None:
        url = tls_broker.tls_url.replace("pulsar+ssl:", "pulsar:")
        report, found = look(url, new_topic(), tls_broker.admin_url, timeout_s=2.0)
        assert report.exit_code is ExitCode.DESTINATION
        assert found["broker"].verdict is Verdict.UNREACHABLE


class TestTokens:
    def test_who_may_write(self, token_broker: SecuredPulsar) -> None:
        topic = new_topic()
        token_broker.admin.create_topic(topic, 2)
        security = token_broker.token(PRODUCER, expires_in_s=7 * 86_400)
        report, found = look(token_broker.url, topic, token_broker.admin_url, security)
        assert report.exit_code is ExitCode.OK
        assert found["token"].verdict is Verdict.OK
        assert found["write"].verdict is Verdict.OK
        assert found["deduplication"].facts == {"is_on": False}
        report, found = look(
            token_broker.url, topic, token_broker.admin_url, token_broker.token(ADMIN)
        )
        assert found["admin API"].verdict is Verdict.OK

    def test_who_is_not_known(self, token_broker: SecuredPulsar) -> None:
        expired = token_broker.token(PRODUCER, expires_in_s=-60)
        for security in (NO_SECURITY, SecurityConfig(token="abc"), expired):
            report, found = look(token_broker.url, new_topic(), token_broker.admin_url, security)
            assert report.exit_code is ExitCode.DESTINATION
            assert found["authentication"].verdict is Verdict.UNREACHABLE
            assert "PULSAR_TOKEN" in found["authentication"].remedy
        assert found["token"].verdict is Verdict.HARM
        assert found["token"].text == "has expired 1 min ago"

    def test_who_may_not_write(self, token_broker: SecuredPulsar) -> None:
        topic = new_topic()
        token_broker.admin.create_topic(topic)
        closed = new_topic(f"persistent://{CLOSED_NAMESPACE}")
        token_broker.admin.create_topic(closed)
        for role, name in ((STRANGER, topic), (PRODUCER, closed)):
            security = token_broker.token(role)
            report, _ = look(token_broker.url, name, token_broker.admin_url, security)
            assert report.exit_code is ExitCode.FAILED
            worst = [f for f in report.findings if f.verdict is Verdict.HARM]
            assert worst[0].check in ("topic", "look-up", "write")
            assert "is not allowed" in worst[0].text

    def test_behind_a_proxy_with_tls(
        self, token_broker: SecuredPulsar, token_proxy: SecuredPulsar
    ) -> None:
        topic = new_topic()
        token_broker.admin.create_topic(topic, 2)
        security = token_proxy.tls(token=token_broker.mint.token(PRODUCER))
        report, found = look(token_proxy.tls_url, topic, token_proxy.admin_tls_url, security)
        assert report.exit_code is ExitCode.OK
        assert found["write"].verdict is Verdict.OK
        assert found["lanes at work"].verdict is Verdict.OK
        report, found = look(token_proxy.tls_url, topic, token_proxy.admin_url, token_proxy.tls())
        assert report.exit_code is ExitCode.DESTINATION
        assert found["authentication"].verdict is Verdict.UNREACHABLE

    def test_a_token_that_ends_soon(self, token_broker: SecuredPulsar, tmp_path: Path) -> None:
        topic = new_topic()
        token_broker.admin.create_topic(topic)
        file = tmp_path / "token"
        file.write_text(token_broker.mint.token(PRODUCER, expires_in_s=3600))
        security = SecurityConfig(token_file=file)
        _, found = look(token_broker.url, topic, token_broker.admin_url, security)
        assert found["token"].verdict is Verdict.WARNING
        assert str(file) in found["token"].remedy
