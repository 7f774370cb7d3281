"""The image as a pod runs it: the manifest's limits, a real Pulsar, a real Prometheus, SIGTERM.

Time on the wall is not measured here (docs/explanation/image.md has it): CPU time and counts are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from containers import IMAGE, LIKE_A_POD, Container, Store, asked, sample, until
from judges import DEPLOY, documents
from prometheus_server import free_port, prometheus

from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(2_400)]

MANIFEST = (DEPLOY / "producer-deployment.yaml").read_text()


@pytest.fixture(scope="module")
def limits() -> tuple[str, ...]:
    """What the manifest allows the container, as podman's arguments."""
    (deployment,) = (each for each in documents(MANIFEST) if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found = container["resources"]["limits"]
    assert found["cpu"].endswith("m")
    assert found["memory"].endswith("Mi")
    cpus = int(found["cpu"].removesuffix("m")) / 1000
    return (f"--cpus={cpus:g}", f"--memory={found['memory'].removesuffix('i').lower()}")


def memory_bytes(limits: tuple[str, ...]) -> int:
    """The limit of the memory."""
    return int(limits[1].removeprefix("--memory=").removesuffix("m")) * 2**20


def settings(pulsar_url: str, topic: str, port: int) -> tuple[str, ...]:
    """Of a producer, as podman's arguments."""
    variables = {
        "PULSAR_URL": pulsar_url,
        "PULSAR_TOPIC": f"persistent://public/default/{topic}",
        "IOT_PRODUCER_METRICS": f"127.0.0.1:{port}",
        "IOT_PRODUCER_STATS_INTERVAL": "1s",
        "IOT_PRODUCER_DRAIN_TIMEOUT": "20s",
    }
    return tuple(f"--env={name}={value}" for name, value in variables.items())


def verified(broker: StackStatus, topic: str) -> subprocess.CompletedProcess[str]:
    """What ``verify`` says of what the lanes published: there is no report file in a pod."""
    return subprocess.run(
        [sys.executable, "-m", "iot_producer", "verify", "--from", "pulsar", "--topic", topic,
         "--pulsar-url", broker.pulsar_url],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def confirmed(container: Container, port: int, at_least: int) -> str:
    """The page of metrics once so much is confirmed."""

    def found() -> str | None:
        assert container.is_running(), container.said()
        page = asked(port, "/metrics")[1]
        has = page and sample(page, "iot_producer_confirmed_messages_total") >= at_least
        return page if has else None

    page = until(f"{at_least} messages are confirmed", found)
    assert isinstance(page, str)
    return page


def test_fifty_thousand_a_second_drained_by_sigterm_and_all_of_it_proved(
    store: Store, broker: StackStatus, limits: tuple[str, ...]
):
    port, topic = free_port(), "pod-50k"
    arguments = (*limits, *settings(broker.pulsar_url, topic, port))
    with store.running(*arguments, "--env=MESSAGES_PER_SECOND=50k") as container:
        confirmed(container, port, 250_000)
        assert asked(port, "/healthz")[0] == 200
        assert asked(port, "/readyz")[0] == 200
        health = store.podman(
            "exec", container.name, "/opt/libraries/bin/python3", "-I", "-S",
            "/opt/program/healthcheck.py",
        )  # fmt: skip
        assert health.returncode == 0
        most_bytes = container.most_bytes()
        assert container.stop() == 0
        events = container.events()
        assert not container.state()["State"]["OOMKilled"]
    end = events[-1]
    assert (end["event"], end["stop_reason"], end["complete"]) == ("end", "SIGTERM", True)
    assert end["scheduled"] == end["confirmed"] >= 250_000
    assert (end["unconfirmed"], end["failed"], end["not_sent"]) == (0, 0, 0)
    assert not any("compiling" in event.get("message", "") for event in events)
    # The manifest's limit leaves some of it to bad days: a broker that stalls.
    assert most_bytes < memory_bytes(limits) * 3 / 4
    done = verified(broker, topic)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{end['confirmed']:,}" in done.stdout


def test_the_old_maximum_costs_little(store: Store, broker: StackStatus, limits: tuple[str, ...]):
    port = free_port()
    arguments = (*limits, *settings(broker.pulsar_url, "pod-5k", port))
    with store.running(*arguments, "--env=MESSAGES_PER_SECOND=5000") as container:
        first = sample(confirmed(container, port, 10_000), "iot_producer_confirmed_messages_total")
        before_s = container.cpu_s()
        # Not asked all the time: a page costs CPU, and Prometheus asks every 10 s or so.
        container.event("stats", lambda event: event["confirmed"] >= 110_000)
        page = confirmed(container, port, 110_000)
        used_s = container.cpu_s() - before_s
        assert container.stop() == 0
        end = container.events()[-1]
    n = sample(page, "iot_producer_confirmed_messages_total") - first
    # 0.10 is the bar, on a quiet machine (docs/explanation/image.md); beside other work it is more.
    assert used_s / (n / 5_000) <= 0.20
    assert end["confirmed"] == end["scheduled"]


def test_a_real_prometheus_scrapes_it(store: Store, broker: StackStatus, tmp_path: Path):
    port = free_port()
    config = (
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: it, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    )
    arguments = settings(broker.pulsar_url, "pod-scraped", port)
    with store.running(*arguments) as container, prometheus(tmp_path, config) as server:
        page = confirmed(container, port, 2_000)
        n = sample(page, "iot_producer_confirmed_messages_total")
        until(
            "Prometheus has it",
            lambda: (server.value("iot_producer_confirmed_messages_total") or 0) >= n,
        )
        assert server.value("up") == 1
        assert server.value("iot_producer_target_messages_per_second") == 1_000
        assert server.value("iot_producer_ready") == 1
        assert container.stop() == 0


def test_without_a_broker_it_waits_alive_and_goes_on_by_itself(store: Store, tmp_path: Path):
    """Absent at the start, there, gone, back: one process, not ready in between, all accounted."""
    port, broker_port, topic = free_port(), free_port(), "pod-alone"
    config = StackConfig(
        state_dir=tmp_path,
        cache_dir=default_cache_dir(os.environ),
        broker_port=broker_port,
        deduplication=True,
    )

    def is_ready(wanted: int) -> bool:
        assert asked(port, "/healthz")[0] in (200, 0)
        return asked(port, "/readyz")[0] == wanted

    url = f"pulsar://127.0.0.1:{broker_port}"
    # At its very first start a broker answers before it has made its namespaces.
    up(config)
    down(config)
    try:
        with store.running(*settings(url, topic, port)) as container:
            until("the endpoint answers", lambda: asked(port, "/healthz")[0] == 200)
            assert asked(port, "/readyz")[0] == 503
            up(config)
            until("it is ready", lambda: is_ready(200))
            confirmed(container, port, 2_000)
            down(config)
            until("it is not ready", lambda: is_ready(503))
            assert asked(port, "/healthz")[0] == 200
            up(config)
            until("it is ready again", lambda: is_ready(200))
            page = asked(port, "/metrics")[1]
            assert sample(page, "iot_producer_reconnects_total") >= 1
            state = container.state()
            assert (state["RestartCount"], state["State"]["Running"]) == (0, True)
            assert container.stop() == 0
            end = container.events()[-1]
        fates = ("confirmed", "failed", "unconfirmed", "not_sent")
        assert end["scheduled"] == sum(end[fate] for fate in fates)
        assert end["confirmed"] == end["scheduled"] > 2_000
    finally:
        down(config, purge=True)


def test_the_deployment_itself_is_played(
    store: Store, broker: StackStatus, limits: tuple[str, ...], tmp_path: Path
):
    """``podman kube play`` of the manifest: three pods, three lanes, the manifest's rights.

    What podman 4.3 cannot do is changed: it publishes ports, which the host's network does not
    have, and finds no optional Secret. The image, the broker and a free port are this machine's.
    """
    text = MANIFEST.replace("iot-producer:set-by-build-and-push", IMAGE)
    text = text.replace(
        "pulsar://pulsar-proxy.pulsar.svc.cluster.local:6650", broker.pulsar_url
    ).replace("value: 0.0.0.0:8080", "value: 127.0.0.1:0")
    (deployment,) = (each for each in documents(text) if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    for key in ("ports", "startupProbe", "livenessProbe", "readinessProbe"):
        del container[key]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "iot-producer-token"},
        "data": {"token": "bm90LXVzZWQ="},
    }
    played = tmp_path / "played.yaml"
    played.write_text(f"{json.dumps(secret)}\n---\n{json.dumps(deployment)}\n")
    store.podman("kube", "play", "--network=host", "--log-driver=k8s-file", str(played))
    pods = [f"iot-producer-pod-{number}" for number in range(3)]
    containers = [Container(store, f"{pod}-iot-producer") for pod in pods]
    try:
        lanes = set()
        for each in containers:
            each.event("message", lambda event: event["message"].startswith("claimed lane"))
            stats = each.event("stats", lambda event: event["confirmed"] > 0)
            lanes.add(stats["lane"])
            assert stats["target_per_s"] == 1_000
            host = each.state()["HostConfig"]
            assert host["ReadonlyRootfs"]
            assert host["CapAdd"] == []
            assert host["Memory"] == memory_bytes(limits)
            assert host["NanoCpus"] == 10**9
            tried = store.podman(
                "exec", each.name, "sh", "-c", "id -u; touch /tmp/x /run/x 2>&1 | grep -c Read-only"
            )
            assert tried.stdout.split() == ["10001", "2"]
        assert lanes == {0, 1, 2}
        for pod, each in zip(pods, containers, strict=True):
            store.podman("pod", "stop", "--time=45", pod)
            end = each.events()[-1]
            assert (end["event"], end["stop_reason"], end["complete"]) == ("end", "SIGTERM", True)
            assert each.state()["State"]["ExitCode"] == 0
    finally:
        store.podman("kube", "down", str(played), check=False)
    assert verified(broker, "iot-sensor-data").returncode == 0


def test_an_address_in_use_is_one_sentence(store: Store, broker: StackStatus):
    port = free_port()
    arguments = settings(broker.pulsar_url, "pod-address", port)
    with store.running(*arguments) as first:
        until("the endpoint answers", lambda: asked(port, "/healthz")[0] == 200)
        done = store.podman("run", "--rm", *LIKE_A_POD, *arguments, IMAGE, check=False)
        assert done.returncode == 2
        assert str(port) in done.stderr + done.stdout
        assert "Traceback" not in done.stderr + done.stdout
        assert first.is_running()
