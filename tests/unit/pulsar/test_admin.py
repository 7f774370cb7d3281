"""The admin client against a server that records what it is asked."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from iot_producer.errors import ConfigError, ExitCode, UnreachableError
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin

V2 = "/admin/v2/persistent/public/default"


class Api(ThreadingHTTPServer):
    """Answers by (method, path); 404 with a reason otherwise."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str, Any]] = []

    @property
    def admin(self) -> PulsarAdmin:
        return PulsarAdmin(f"http://127.0.0.1:{self.server_address[1]}/", timeout_s=30)

    def say(self, method: str, path: str, body: object, status: int = 200) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[method, path] = (status, text)


class Handler(BaseHTTPRequestHandler):
    server: Api

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, json.loads(body) if body else None))
        missing = (404, json.dumps({"reason": "not here"}).encode())
        status, text = self.server.answers.get((self.command, self.path), missing)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - names of http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
        """Keep the test's output clean."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_ready(api: Api) -> None:
    path = "/admin/v2/brokers/ready"
    assert api.admin.is_ready() is False
    api.say("GET", path, b"ok")
    assert api.admin.is_ready() is True
    api.say("GET", path, b"no", 500)
    assert api.admin.is_ready() is False


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


def test_nobody_there() -> None:
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:1 does not answer"):
        PulsarAdmin("http://127.0.0.1:1").is_ready()


@pytest.mark.parametrize(
    "url", ["pulsar://127.0.0.1:6650", "127.0.0.1:8080", "http://", "http://h:x"]
)
def test_what_is_no_admin_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="admin URL"):
        PulsarAdmin(url)
