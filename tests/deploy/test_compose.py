"""compose.yaml: its syntax, and that what it names is there. Docker is not to be had here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from judges import DEPLOY, documents

from needed import needed_package

pytestmark = pytest.mark.deploy

FILE = DEPLOY / "docker" / "compose.yaml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    (compose,) = documents(FILE.read_text())
    return dict(compose["services"])


def test_compose_understands_it():
    """Debian's docker-compose 1.29 checks it against the schema, without any Docker."""
    done = subprocess.run(
        [needed_package("docker-compose"), "--file", str(FILE), "config"],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (compose,) = documents(done.stdout)
    assert sorted(compose["services"]) == ["grafana", "iot-producer", "prometheus", "pulsar"]
    assert compose["services"]["iot-producer"]["environment"]["MESSAGES_PER_SECOND"] == "1000"
    assert compose["services"]["iot-producer"]["build"]["context"] == str(DEPLOY.parent)


def test_a_mistake_is_found(tmp_path: Path):
    bad = tmp_path / "compose.yaml"
    bad.write_text(FILE.read_text().replace("read_only: true", "readonly: true"))
    done = subprocess.run(
        [needed_package("docker-compose"), "--file", str(bad), "config"],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "readonly" in done.stderr


def test_what_it_mounts_is_there(services: dict[str, Any]):
    mounted = [
        volume.partition(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert len(mounted) == 4
    for path in mounted:
        assert (FILE.parent / path).exists(), path


def test_the_producer_is_as_a_pod_is_and_its_settings_are_known(services: dict[str, Any]):
    producer = services["iot-producer"]
    assert producer["read_only"] is True
    assert producer["cap_drop"] == ["ALL"]
    assert (FILE.parent / producer["build"]["context"] / producer["build"]["dockerfile"]).exists()
    # The defaults of ${NAME:-default} are what `up` uses.
    env = {name: str(value) for name, value in producer["environment"].items()}
    for name, value in env.items():
        if value.startswith("${"):
            env[name] = value.removeprefix("${").removesuffix("}").partition(":-")[2]
    done = subprocess.run(
        [sys.executable, "-m", "iot_producer", "run", "--dry-run"],
        capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **env},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "pulsar://pulsar:6650" in done.stdout
    assert "persistent://public/default/iot-sensor-data" in done.stdout


def test_ports_are_open_to_this_machine_only(services: dict[str, Any]):
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:3000:3000", "127.0.0.1:9090:9090"]


def test_all_services_are_pinned_and_pulsar_is_the_one_that_is_tested(services: dict[str, Any]):
    from iot_producer.stack import distribution

    images = {name: service["image"].rpartition(":")[2] for name, service in services.items()}
    assert "latest" not in images.values()
    assert images["pulsar"] == distribution.PULSAR.version
