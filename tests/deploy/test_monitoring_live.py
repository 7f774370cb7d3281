"""Every expression of the dashboard and every alert, on a real Prometheus that scrapes the real
producer, which produces to a real Pulsar, which is scraped too.

Flink, ClickHouse as a server, the kubelet and kube-state-metrics are not to be had here: their
expressions must be understood, and may be empty.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from monitoring_files import (
    MONITORING,
    alert_rules,
    dashboard,
    expressions,
    is_to_be_had,
    names_in,
    panels,
    runbook_queries,
)
from prometheus_server import Prometheus, free_port, prometheus, text_of, until

from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up
from iot_producer.stack.java import find_java
from needed import needed_package

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

TOPIC = "persistent://public/default/iot-sensor-data"
N_BEFORE = 100
POD = "iot-producer-7d4b9c-x2x7z"
CHOSEN = {"$namespace": "iot-pipeline", "$pod": POD}
ALL = {"$namespace": ".*", "$pod": ".*"}
# Labels as an operator's PodMonitors give them: Pulsar's own `namespace` has to give way.
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{alerts}]
scrape_configs:
  - job_name: iot-pipeline/iot-producer
    static_configs:
      - targets: ['{producer}']
        labels: {{namespace: iot-pipeline, pod: {pod}, container: iot-producer}}
  - job_name: pulsar/pulsar-broker
    metrics_path: /metrics/
    static_configs:
      - targets: ['{broker}']
        labels: {{namespace: pulsar, pod: pulsar-broker-0}}
"""


@dataclass
class Scene:
    """Everything that runs."""

    server: Prometheus
    broker: StackStatus
    producer: subprocess.Popen[str]
    metrics_url: str


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A broker, a topic with a subscription, a producer, and a Prometheus that has seen them for
    a while."""
    needed_package("prometheus")
    state = tmp_path_factory.mktemp("broker")
    stack = StackConfig(
        state_dir=state, cache_dir=default_cache_dir(os.environ), deduplication=True
    )
    try:
        broker = up(stack)
        api = f"{broker.admin_url}/admin/v2"
        _put(f"{api}/persistent/public/default/iot-sensor-data")
        _put(f"{api}/persistent/public/default/iot-sensor-data/subscription/flink")
        # A lane that has been here before is how a run knows that the topic deduplicates.
        before = _produce(broker, "127.0.0.1:0", "--messages", str(N_BEFORE))
        before.communicate(timeout=120)
        assert before.returncode == 0
        where = f"127.0.0.1:{free_port()}"
        producer = _produce(broker, where)
        try:
            config = CONFIG.format(
                alerts=MONITORING / "alerts.yaml",
                producer=where,
                broker=broker.admin_url.removeprefix("http://"),
                pod=POD,
            )
            with prometheus(tmp_path_factory.mktemp("prometheus"), config) as server:
                until("some scrapes", lambda: (server.value(_SEEN) or 0) >= 12)
                yield Scene(server, broker, producer, f"http://{where}/metrics")
        finally:
            producer.kill()
            producer.communicate()
    finally:
        down(stack, purge=True)


_SEEN = "count_over_time((min(iot_producer_ready) > 0)[1m:1s])"


def _put(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=30).close()


def _produce(broker: StackStatus, where: str, *arguments: str) -> subprocess.Popen[str]:
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    return subprocess.Popen(
        [sys.executable, "-m", "iot_producer", "run", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={name: os.environ[name] for name in kept if name in os.environ}
        | {
            "PULSAR_URL": broker.pulsar_url,
            "PULSAR_ADMIN_URL": broker.admin_url,
            "PULSAR_TOPIC": TOPIC,
            "MESSAGES_PER_SECOND": "1000",
            "IOT_PRODUCER_METRICS": where,
        },
    )


def _filled(expr: str, chosen: dict[str, str]) -> str:
    values = {"$__rate_interval": "10s", "$__range": "1m", "$topic": TOPIC, "$flink_job": ".*"}
    for name, value in (values | chosen).items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr


@pytest.mark.parametrize("chosen", [CHOSEN, ALL], ids=["one pod", "all"])
@pytest.mark.parametrize("expr", [expr for expr in expressions() if is_to_be_had(expr)])
def test_expressions_over_producer_and_broker_return_numbers(
    scene: Scene, expr: str, chosen: dict[str, str]
) -> None:
    def has_numbers() -> bool:
        series = scene.server.query(_filled(expr, chosen))
        return bool(series) and all(not math.isnan(float(each["value"][1])) for each in series)

    # A scrape that was late leaves a hole of a second or two; this one the broker fills once a
    # minute.
    until("numbers", has_numbers, 90 if "pulsar_broker_publish_latency" in expr else 10)


@pytest.mark.parametrize("expr", [expr for expr in expressions() if not is_to_be_had(expr)])
def test_expressions_over_what_is_not_here_are_understood(scene: Scene, expr: str) -> None:
    assert scene.server.query(_filled(expr, CHOSEN)) == []


@pytest.mark.parametrize("query", runbook_queries())
def test_what_the_runbooks_ask_is_answered(scene: Scene, query: str) -> None:
    if is_to_be_had(query):
        until("an answer", lambda: scene.server.query(query), 10)
    else:
        assert scene.server.query(query) == []


def test_what_is_not_here_is_all_that_may_be_empty() -> None:
    titles = {
        panel["title"]
        for panel in panels()
        if not all(is_to_be_had(target["expr"]) for target in panel["targets"])
    }
    assert titles == {
        *("Processor, cores", "Time throttled, of all time", "Memory"),
        *("Records a second, by operator", "Busy and held back, of a second"),
        *("Checkpoints and restarts", "Rows inserted a second"),
        *("Rows in benchmark.sensors_local", "Inserts delayed and failed, a second"),
        "Queries, merges, parts",
    }


def test_the_variables_find_their_values(scene: Scene) -> None:
    queries = {v["name"]: v["query"] for v in dashboard()["templating"]["list"]}
    for name, values in (("namespace", ["iot-pipeline"]), ("pod", [POD]), ("flink_job", [])):
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", queries[name])
        assert asked
        selector = _filled(asked[1], ALL)
        found = scene.server.ask(f"label/{asked[2]}/values", **{"match[]": selector})
        assert found == values


def test_names_are_those_of_the_expositions(scene: Scene) -> None:
    named = {name for expr in [*expressions(), *alert_rules().values()] for name in names_in(expr)}
    for prefix, url in (
        ("iot_producer_", scene.metrics_url),
        ("process_", scene.metrics_url),
        ("pulsar_", f"{scene.broker.admin_url}/metrics/"),
    ):
        exposed = set(re.findall(r"^(\w+)", text_of(url), flags=re.M))
        ours = {name for name in named if name.startswith(prefix)}
        assert ours
        assert ours - exposed == set()


def test_the_tally_adds_up_at_every_scrape(scene: Scene) -> None:
    fates = ("confirmed_messages_total", "failed_messages_total", "unconfirmed_messages")
    fates += ("not_sent_messages_total", "overdue_messages")
    missing = " - ".join(
        ["iot_producer_scheduled_messages_total", *(f"iot_producer_{fate}" for fate in fates)]
    )
    assert scene.server.value(f"max_over_time(({missing})[1m:1s])") == 0
    assert scene.server.value(f"min_over_time(({missing})[1m:1s])") == 0
    assert (scene.server.value("iot_producer_confirmed_messages_total") or 0) > 5_000
    assert scene.server.value("iot_producer_target_messages_per_second") == 1000
    assert scene.server.value("iot_producer_deduplication") == 1
    # The gap between the two runs of the lane is no message that this run gave up.
    assert scene.server.value("iot_producer_not_sent_messages_total") == 0


def test_no_alert_is_raised_while_all_is_well(scene: Scene) -> None:
    def quiet() -> dict[str, Any]:
        rules = scene.server.alerts()
        states = {(rule["health"], rule["state"]) for rule in rules.values()}
        return rules if states == {("ok", "inactive")} else {}

    assert set(until("all is well", quiet, 30)) == set(alert_rules())


def test_backlog_is_counted_in_entries(scene: Scene) -> None:
    entries = scene.server.value('pulsar_subscription_back_log{subscription="flink"}') or 0
    stored = scene.server.value(f'pulsar_in_messages_total{{topic="{TOPIC}"}}') or 0
    assert 0 < entries < stored / 2


def test_the_old_command_shows_what_the_topic_got(scene: Scene) -> None:
    """The one of the old README under MONITORING, but for the way into the broker's pod."""
    cache = default_cache_dir(os.environ)
    server = cache / "pulsar-server-distribution" / scene.broker.version
    java = find_java().executable.resolve()
    told = subprocess.run(
        ["bin/pulsar-admin", "--admin-url", scene.broker.admin_url, "topics", "stats", TOPIC],
        cwd=server,
        env=os.environ | {"JAVA_HOME": str(java.parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    stats = json.loads(told.stdout)
    assert [each["producerName"] for each in stats["publishers"]] == ["iot-producer-0"]
    # Entries, not messages.
    assert 0 < stats["subscriptions"]["flink"]["msgBacklog"] < stats["msgInCounter"] / 2


def test_a_broker_that_stands_still_is_told_from_a_pod_that_does(scene: Scene) -> None:
    pid = scene.broker.pid
    assert pid is not None

    def state() -> str:
        return str(scene.server.alerts()["IotProducerNotReady"]["state"])

    os.kill(pid, signal.SIGSTOP)
    try:
        until("the pod is not ready", lambda: state() == "pending")
        health = scene.metrics_url.replace("/metrics", "/healthz")
        assert text_of(health) == "alive\n"
        assert scene.server.value('up{job="iot-pipeline/iot-producer"}') == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    until("the pod is ready again", lambda: state() == "inactive")


def test_the_end_is_seen_by_broker_and_prometheus(scene: Scene) -> None:
    """The last of the tests: it ends the producer."""
    scene.producer.send_signal(signal.SIGTERM)
    out, _ = scene.producer.communicate(timeout=60)
    assert scene.producer.returncode == 0
    end = json.loads(out.splitlines()[-1])
    assert end["event"] == "end"
    assert end["confirmed"] == end["scheduled"] > 0
    stored, n_stored = f'pulsar_in_messages_total{{topic="{TOPIC}"}}', N_BEFORE + end["confirmed"]
    until("the broker counts them", lambda: scene.server.value(stored) == n_stored)
    until(
        "the missing pod is seen",
        lambda: scene.server.alerts()["IotProducerDown"]["state"] == "pending",
    )
    down_for = scene.server.alerts()["IotProducerDown"]["alerts"][0]["annotations"]["summary"]
    assert down_for == f"{POD} in iot-pipeline does not answer on its metrics port"
