"""The manifests: valid for Kubernetes, sound to checkov, and at one with the program they run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from judges import DEPLOY, ROOT, Document, by_kind, documents, judge, kustomized, run

from iot_producer.options import OPTIONS

pytestmark = pytest.mark.deploy

FILE = DEPLOY / "producer-deployment.yaml"
VERSIONS = ("1.34", "1.35", "1.36", "1.37")
NODES = {"workload": "bench-producer"}


@pytest.fixture(scope="module")
def objects() -> dict[str, Document]:
    return by_kind(documents(FILE.read_text()))


@pytest.fixture(scope="module")
def pod(objects: dict[str, Document]) -> Document:
    return dict(objects["Deployment"]["spec"]["template"])


@pytest.fixture(scope="module")
def container(pod: Document) -> Document:
    (found,) = pod["spec"]["containers"]
    return dict(found)


@pytest.fixture(scope="module")
def env(container: Document) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What somebody makes of it outside of this repository, with both components."""
    folder = tmp_path_factory.mktemp("own")
    deploy = os.path.relpath(DEPLOY, folder.resolve())
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [{deploy}]\n"
        f"components: [{deploy}/components/pod-monitor, {deploy}/components/network-policy]\n"
    )
    return kustomized(folder)


@pytest.fixture(scope="module")
def rendered(own: str) -> dict[str, str]:
    """Every text that reaches a cluster; PodMonitor has no schema among those of Kubernetes."""
    without_monitor = [part for part in own.split("\n---\n") if "kind: PodMonitor" not in part]
    return {
        "file": FILE.read_text(),
        "local": kustomized(DEPLOY / "overlays" / "local"),
        "eks": kustomized(DEPLOY / "overlays" / "eks"),
        "own": "\n---\n".join(without_monitor),
    }


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


# ---- valid ------------------------------------------------------------------------------------


def test_these_are_the_last_four_versions_of_kubernetes_that_there_are_schemas_of() -> None:
    python = judge("kubernetes-validate").parent / "python"
    program = (
        "import os,kubernetes_validate as k;"
        "print(*os.listdir(os.path.join(os.path.dirname(k.__file__),'kubernetes-json-schema')))"
    )
    found = re.findall(r"v?(\d+)\.(\d+)\.\d+", run(python, "-c", program).stdout)
    minors = sorted({(int(major), int(minor)) for major, minor in found})
    assert tuple(f"{major}.{minor}" for major, minor in minors[-4:]) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_every_object(
    rendered: dict[str, str], tmp_path: Path, version: str
) -> None:
    for name, text in rendered.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    judged = run(judge("kubernetes-validate"), "--strict", "-k", version, *tmp_path.glob("*.yaml"))
    said = judged.stdout + judged.stderr
    assert said.count("passed for resource deployment/iot-producer") == len(rendered)
    n_objects = sum(len(documents(text)) for text in rendered.values())
    assert said.count(" passed ") == n_objects


def test_a_misspelt_field_would_be_found(tmp_path: Path) -> None:
    text = FILE.read_text()
    (tmp_path / "bad.yaml").write_text(text.replace("minReadySeconds", "minReadySecond"))
    judged = run(judge("kubernetes-validate"), "--strict", tmp_path / "bad.yaml", check=False)
    assert judged.returncode != 0
    assert "minReadySecond" in judged.stdout + judged.stderr


def test_kustomize_leaves_the_file_as_it_is() -> None:
    assert by_kind(documents(kustomized(DEPLOY))) == by_kind(documents(FILE.read_text()))


# ---- checkov ----------------------------------------------------------------------------------

CONFIG = DEPLOY / "checkov.yaml"


def test_checkov_finds_what_is_excepted_and_nothing_else() -> None:
    lines = CONFIG.read_text().split("skip-check:\n")[1].splitlines()
    excepted = {line.strip().removeprefix("- ") for line in lines if "CKV" in line}
    for before, line in zip(["", *lines], lines, strict=False):
        assert "CKV" not in line or before.strip().startswith("# "), f"{line} has no reason"
    # The command line goes before the file: all of the file holds but its exceptions.
    arguments = ("--config-file", CONFIG, "--skip-check", "none", "-d", DEPLOY)
    done = run(judge("checkov"), *arguments, cwd=DEPLOY, check=False)
    assert "Parsing errors" not in done.stdout
    for framework in ("kubernetes", "dockerfile", "terraform"):
        assert f"{framework} scan results" in done.stdout
    failed = set(re.findall(r"^Check: (CKV\w+):", done.stdout, re.MULTILINE))
    assert failed == excepted, done.stdout


# ---- at one with the program ------------------------------------------------------------------


def test_every_variable_is_a_setting_of_run(container: Document) -> None:
    known = {option.variable for option in OPTIONS if "run" in option.commands}
    assert {entry["name"] for entry in container["env"]} <= known


def test_the_program_takes_the_settings(env: dict[str, str], tmp_path: Path) -> None:
    """With the pod's environment and nothing else, --dry-run says what would be produced."""
    plan = subprocess.run(
        [sys.executable, "-m", "iot_producer", "run", "--dry-run"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert plan.returncode == 0, plan.stderr
    said = dict(line.split(None, 1) for line in plan.stdout.splitlines()[:12] if line.strip())
    assert said["Destination"] == "pulsar://pulsar-proxy.pulsar.svc.cluster.local:6650"
    assert said["Topic"].startswith("persistent://public/default/iot-sensor-data")
    assert said["Schedule"].startswith("1,000 msg/s")


def test_what_the_old_readme_promises(objects: dict[str, Document], container: Document) -> None:
    deployment = objects["Deployment"]
    assert objects["Namespace"]["metadata"]["name"] == "iot-pipeline"
    assert deployment["metadata"]["name"] == container["name"] == "iot-producer"
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["metadata"]["labels"]["app"] == "iot-producer"
    assert container["resources"]["requests"]["cpu"] == "500m"
    assert container["resources"]["limits"]["cpu"] == "1000m"
    assert {name: spec["metadata"].get("namespace") for name, spec in objects.items()} == {
        "Namespace": None,
        "ServiceAccount": "iot-pipeline",
        "Service": "iot-pipeline",
        "PodDisruptionBudget": "iot-pipeline",
        "Deployment": "iot-pipeline",
    }


def test_everything_finds_the_pods(objects: dict[str, Document], pod: Document, own: str) -> None:
    monitor = by_kind(documents(own))
    labels = pod["metadata"]["labels"]
    for selector in (
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        monitor["PodMonitor"]["spec"]["selector"]["matchLabels"],
        monitor["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == {"app": "iot-producer"}
        assert selector.items() <= labels.items()


def test_one_port_for_probes_scrapes_and_the_image(
    objects: dict[str, Document], pod: Document, container: Document, env: dict[str, str], own: str
) -> None:
    (port,) = container["ports"]
    assert port["name"] == "metrics"
    assert env["IOT_PRODUCER_METRICS"] == f"0.0.0.0:{port['containerPort']}"
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()
    assert f"IOT_PRODUCER_METRICS={env['IOT_PRODUCER_METRICS']}" in dockerfile
    assert f"EXPOSE {port['containerPort']}" in dockerfile
    (service,) = objects["Service"]["spec"]["ports"]
    assert (service["targetPort"], service["port"]) == ("metrics", port["containerPort"])
    (monitored,) = by_kind(documents(own))["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert (monitored["port"], monitored["path"]) == ("metrics", "/metrics")
    annotations = pod["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    assert annotations["prometheus.io/path"] == "/metrics"
    view = (ROOT / "src" / "iot_producer" / "metrics" / "metrics_view.py").read_text()
    for probe, path in (
        ("startup", "/healthz"),
        ("liveness", "/healthz"),
        ("readiness", "/readyz"),
    ):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked == {"path": path, "port": "metrics"}
        assert f'"{path}"' in view


def test_there_is_time_to_drain(pod: Document, env: dict[str, str]) -> None:
    # A worker that hangs in its client is ended after twice the time-out (ADR 0004).
    drain_s = seconds(env["IOT_PRODUCER_DRAIN_TIMEOUT"])
    assert pod["spec"]["terminationGracePeriodSeconds"] > 2 * drain_s


def test_a_pod_without_a_broker_stays(pod: Document, container: Document) -> None:
    assert pod["spec"]["restartPolicy"] == "Always"
    assert "IOT_PRODUCER_GIVE_UP_AFTER" not in {entry["name"] for entry in container["env"]}
    assert "args" not in container
    assert "command" not in container


def test_a_roll_out_adds_no_load(objects: dict[str, Document]) -> None:
    assert objects["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": 0,
        "maxUnavailable": 1,
    }


def test_the_pod_has_no_rights(
    objects: dict[str, Document], pod: Document, container: Document
) -> None:
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert objects["ServiceAccount"]["automountServiceAccountToken"] is False
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in dockerfile
    own = container["securityContext"]
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert [volume["name"] for volume in spec["volumes"]] == ["pulsar-token"]


def test_the_token_is_where_the_secret_says(pod: Document, container: Document) -> None:
    (volume,) = pod["spec"]["volumes"]
    (mount,) = container["volumeMounts"]
    (item,) = volume["secret"]["items"]
    (variable,) = [entry for entry in container["env"] if "valueFrom" in entry]
    reference = variable["valueFrom"]["secretKeyRef"]
    assert variable["name"] == "PULSAR_TOKEN_FILE"
    assert reference == {"name": "iot-producer-token", "key": "file", "optional": True}
    assert volume["secret"]["secretName"] == reference["name"]
    assert volume["secret"]["optional"] is True
    assert item["key"] == "token"
    path = re.compile(rf"--from-literal=file={mount['mountPath']}/{item['path']}\b")
    for text in (FILE, DEPLOY / "deploy.sh", ROOT / "docs" / "how-to" / "deploy-on-kubernetes.md"):
        assert path.search(text.read_text()), text


def test_build_and_push_finds_one_image() -> None:
    assert len(re.findall(r"^ +image: \S+$", FILE.read_text(), re.MULTILINE)) == 1


# ---- overlays ---------------------------------------------------------------------------------


def test_the_local_overlay_runs_one_pod_of_a_local_image_anywhere(rendered: dict[str, str]) -> None:
    deployment = by_kind(documents(rendered["local"]))["Deployment"]["spec"]
    spec = deployment["template"]["spec"]
    assert deployment["replicas"] == 1
    assert spec["containers"][0]["image"] == "iot-producer:local"
    assert "nodeSelector" not in spec
    assert "tolerations" not in spec


def test_the_eks_overlay_adds_zones_processor_and_peace(
    rendered: dict[str, str], pod: Document
) -> None:
    template = by_kind(documents(rendered["eks"]))["Deployment"]["spec"]["template"]
    spec = template["spec"]
    assert spec["nodeSelector"] == {**NODES, "kubernetes.io/arch": "amd64"}
    assert [spread["topologyKey"] for spread in spec["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    added = template["metadata"]["annotations"].items() - pod["metadata"]["annotations"].items()
    assert dict(added) == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    assert spec["containers"] == pod["spec"]["containers"]


def test_pods_are_scraped_once(own: str) -> None:
    found = by_kind(documents(own))
    annotations = found["Deployment"]["spec"]["template"]["metadata"].get("annotations") or {}
    assert not any(name.startswith("prometheus.io/") for name in annotations)
    assert "PodMonitor" in found
