"""The admin client against a server that records what it is asked."""

from __future__ import annotations

import pickle
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin_api import NOON, Api, serving
from iot_producer.errors import ConfigError, ExitCode, RefusedError, UnreachableError
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin
from iot_producer.pulsar.security import SecurityConfig
from tls_cases import Authority

V2 = "/admin/v2/persistent/public/default"


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as server:
        yield server


def test_ready(api: Api) -> None:
    path = "/admin/v2/brokers/ready"
    assert api.admin.is_ready() is False
    api.say("GET", path, b"ok")
    assert api.admin.is_ready() is True
    api.say("GET", path, b"no", 500)
    assert api.admin.is_ready() is False


def test_a_topic_without_a_namespace_needs_that_first(api: Api) -> None:
    api.say("PUT", "/admin/v2/persistent/a/b/t/partitions", {"reason": "Namespace not found"}, 404)
    with pytest.raises(AdminRefusedError, match="Namespace not found") as caught:
        api.admin.create_topic("persistent://a/b/t", 3)
    assert caught.value.status == 404
    assert "pulsar-admin namespaces create a/b (" in caught.value.hint
    assert "pulsar-admin tenants create a)" in caught.value.hint


def test_namespaces(api: Api) -> None:
    assert api.admin.has_namespace("public/default") is False
    api.say("GET", "/admin/v2/namespaces/public", ["public/default"])
    assert api.admin.has_namespace("public/default") is True
    assert api.admin.has_namespace("public/other") is False


@pytest.mark.parametrize("topic", ["t", "public/default/t", "persistent://public/default/t"])
def test_creating_takes_long_and_short_names(api: Api, topic: str) -> None:
    api.say("PUT", f"{V2}/t/partitions", b"", 204)
    api.say("PUT", f"{V2}/t", b"", 204)
    api.admin.create_topic(topic, 3)
    api.admin.create_topic(topic)
    assert api.asked == [("PUT", f"{V2}/t/partitions", 3), ("PUT", f"{V2}/t", None)]


@pytest.mark.parametrize("topic", ["a/b", "persistent://a/b/c/d", "persistent://", "a//b"])
def test_what_is_no_topic_is_refused(api: Api, topic: str) -> None:
    with pytest.raises(ConfigError, match="not a topic's name"):
        api.admin.create_topic(topic)


def test_deleting_asks_whether_it_is_partitioned(api: Api) -> None:
    question = f"{V2}/t/partitions?checkAllowAutoCreation=false"
    api.say("GET", question, {"partitions": 4})
    api.say("DELETE", f"{V2}/t/partitions?force=true", b"", 204)
    api.admin.delete_topic("t", force=True)
    api.say("GET", question, {"partitions": 0})
    api.say("DELETE", f"{V2}/t?force=false", b"", 204)
    api.admin.delete_topic("t")
    assert [a[:2] for a in api.asked if a[0] == "DELETE"] == [
        ("DELETE", f"{V2}/t/partitions?force=true"),
        ("DELETE", f"{V2}/t?force=false"),
    ]


def test_counters(api: Api) -> None:
    question = f"{V2}/t/partitions?checkAllowAutoCreation=false"
    api.say("GET", f"{V2}/t/stats", {"msgInCounter": 7})
    assert api.admin.n_messages_in("t") == 7
    api.say("GET", question, {"partitions": 2})
    api.say("GET", f"{V2}/t/partitioned-stats?perPartition=false", {"msgInCounter": 9})
    assert api.admin.n_messages_in("t") == 9
    for i in (0, 1):
        api.say("GET", f"{V2}/t-partition-{i}/internalStats", {"totalSize": i})
    assert api.admin.internal_stats("t") == [{"totalSize": 0}, {"totalSize": 1}]


def test_policies(api: Api) -> None:
    path = "/admin/v2/namespaces/public/default"
    api.say("POST", f"{path}/deduplication", b"", 204)
    api.say("POST", f"{path}/retention", b"", 204)
    api.admin.set_deduplication("public/default", True)
    api.admin.set_retention("public/default", 10, -1)
    assert api.asked == [
        ("POST", f"{path}/deduplication", True),
        (
            "POST",
            f"{path}/retention",
            {"retentionSizeInMB": 10, "retentionTimeInMinutes": -1},
        ),
    ]


def test_a_refusal_tells_the_reason_and_the_status(api: Api) -> None:
    api.say("PUT", f"{V2}/t", {"reason": "This topic already exists"}, 409)
    with pytest.raises(AdminRefusedError) as caught:
        api.admin.create_topic("t")
    assert caught.value.status == 409
    assert f"PUT {V2}/t: This topic already exists (HTTP 409)" in caught.value.message
    assert caught.value.exit_code is ExitCode.DESTINATION
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.message, again.status) == (caught.value.message, 409)


def test_a_refusal_without_a_reason(api: Api) -> None:
    api.say("PUT", f"{V2}/t", b"<html>\nmore", 502)
    with pytest.raises(AdminRefusedError, match=r"<html> \(HTTP 502\)"):
        api.admin.create_topic("t")


def test_a_token_goes_with_every_request_and_is_read_anew(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "token"
    admin = PulsarAdmin(api.admin.url, 30, SecurityConfig(token_file=file))
    for token in ("old", "new"):
        file.write_text(f"{token}\n")
        admin.is_ready()
    assert api.headers == ["Bearer old", "Bearer new"]
    api.say("GET", "/admin/v2/clusters", {"reason": "expired"}, 401)
    with pytest.raises(AdminRefusedError) as caught:
        admin.call("GET", "/admin/v2/clusters")
    assert "PULSAR_TOKEN_FILE" in caught.value.hint
    assert "new" not in caught.value.message
    assert "Bearer" not in repr(admin)


def test_a_redirect_to_another_broker_is_followed(api: Api) -> None:
    with serving() as other:
        other.say("PUT", f"{V2}/t/partitions?authoritative=true", b"", 204)
        api.redirects[f"{V2}/t/partitions"] = (
            f"{other.admin.url}{V2[1:]}/t/partitions?authoritative=true"
        )
        PulsarAdmin(api.admin.url, 30, SecurityConfig(token="abc")).create_topic("t", 3)
        assert other.asked == [("PUT", f"{V2}/t/partitions?authoritative=true", 3)]
        assert other.headers == ["Bearer abc"]


def test_a_redirect_in_a_circle_or_without_tls_ends(api: Api) -> None:
    api.redirects["/admin/v2/clusters"] = "/admin/v2/clusters"
    with pytest.raises(AdminRefusedError) as caught:
        api.admin.call("GET", "/admin/v2/clusters")
    assert caught.value.status == 307
    api.redirects["/admin/v2/clusters"] = "ftp://h/"
    with pytest.raises(AdminRefusedError, match="sends on to 'ftp://h/': not followed"):
        api.admin.call("GET", "/admin/v2/clusters")


def test_the_date_of_an_answer(api: Api) -> None:
    assert api.admin.server_date() == NOON


def test_https_with_trust_and_without(api: Api, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.certificate, pem.key)
    api.socket = context.wrap_socket(api.socket, server_side=True)
    api.say("GET", "/admin/v2/brokers/ready", b"ok")
    url = api.admin.url.replace("http:", "https:")
    trusting = SecurityConfig(trust_store=authority.trust_store)
    assert PulsarAdmin(url, 30, trusting).is_ready() is True
    with pytest.raises(RefusedError, match="an authority that is not trusted") as caught:
        PulsarAdmin(url, 30).is_ready()
    assert "PULSAR_TLS_TRUST_STORE" in caught.value.hint


def test_nobody_there() -> None:
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:1 does not answer"):
        PulsarAdmin("http://127.0.0.1:1").is_ready()


@pytest.mark.parametrize(
    "url", ["pulsar://127.0.0.1:6650", "127.0.0.1:8080", "http://", "http://h:x"]
)
def test_what_is_no_admin_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="admin URL"):
        PulsarAdmin(url)
