"""deploy.sh with the real kubectl, against the API stand-in."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from api_stand_in import Api, write_kubeconfig
from checkout import IMAGE, Checkout

pytestmark = pytest.mark.deploy

DEPLOY = ("deploy.sh", "--context", "tests")


def variables(api: Api) -> dict[str, str]:
    """The container's variables that have a value."""
    (container,) = api.deployment()["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_creates_all_of_it_and_waits_until_it_is_ready(deploying: Checkout, api: Api) -> None:
    api.objects.fate.after_n_looks = 6
    out = deploying.run_well(*DEPLOY)

    deployment = api.deployment()
    assert deployment["metadata"]["namespace"] == "iot-pipeline"
    assert deployment["spec"]["replicas"] == 3
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    assert variables(api)["MESSAGES_PER_SECOND"] == "1000"
    assert api.names("namespaces") == ["iot-pipeline"]
    assert api.names("poddisruptionbudgets") == ["iot-producer"]
    lines = out.splitlines()
    assert lines.index("0 of 3 pods ready; 3 ContainerCreating") < lines.index("3 of 3 pods ready")
    pods = api.names("pods")
    assert len(pods) == 3
    for pod in pods:
        assert f"[pod/{pod}/iot-producer] 1,000 msg/s confirmed" in lines


def test_twice_in_a_row_changes_nothing(deploying: Checkout, api: Api, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    options = ("--replicas", "5", "--rate", "2000", "--token-file", str(token))
    deploying.run_well(*DEPLOY)
    for arguments in ((), options):
        deploying.run_well(*DEPLOY, *arguments)
        objects, files = api.objects.text(), deploying.state()
        out = deploying.run_well(*DEPLOY, *arguments)
        assert api.objects.text() == objects
        assert deploying.state() == files
        assert "deployment.apps/iot-producer unchanged" in out


def test_replicas_and_rate_leave_the_file_alone(deploying: Checkout, api: Api) -> None:
    files = deploying.state()
    deploying.run_well(*DEPLOY, "--replicas", "5", "--rate", "50k")
    assert deploying.state() == files
    assert api.deployment()["spec"]["replicas"] == 5
    before = variables(api)
    assert before["MESSAGES_PER_SECOND"] == "50k"

    deploying.run_well(*DEPLOY)
    assert api.deployment()["spec"]["replicas"] == 3
    assert variables(api) == before | {"MESSAGES_PER_SECOND": "1000"}


def test_no_replicas_at_all_is_ready_at_once(deploying: Checkout, api: Api) -> None:
    assert "0 of 0 pods ready" in deploying.run_well(*DEPLOY, "--replicas=0")
    assert api.names("pods") == []


def test_a_token_goes_into_the_secret_and_nowhere_else(
    deploying: Checkout, api: Api, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("eyJhbGciOi.secret\n")
    deploying.run_well(*DEPLOY)
    without = api.deployment()["spec"]["template"]
    done = deploying.run(*DEPLOY, "--token-file", str(token), SHELLOPTS="xtrace")
    assert done.returncode == 0
    assert "eyJhbGciOi" not in done.stdout + done.stderr

    secret = api.objects.get("secrets", "iot-pipeline", "iot-producer-token")
    assert secret is not None
    values = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert values == {"token": "eyJhbGciOi.secret", "file": "/var/run/secrets/pulsar/token"}
    # Another template, so that pods that started without it are replaced.
    with_token = api.deployment()["spec"]["template"]
    assert (
        with_token["metadata"]["annotations"]["iot-producer/token-secret"] == "iot-producer-token"
    )
    assert with_token["spec"] == without["spec"]

    # The Secret stays in use when the next run does not name it.
    deploying.run_well(*DEPLOY)
    assert api.deployment()["spec"]["template"] == with_token


def test_a_dry_run_changes_nothing(deploying: Checkout, api: Api, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    files, objects = deploying.state(), api.objects.text()
    out = deploying.run_well(*DEPLOY, "--dry-run", "--replicas", "4", "--token-file", str(token))
    assert api.changes == []
    assert (deploying.state(), api.objects.text()) == (files, objects)
    assert "would: create namespace/iot-pipeline" in out
    assert f"would: set secret/iot-producer-token from {token}" in out
    assert "deployment.apps/iot-producer created (dry run)" in out


def test_no_wait_ends_before_the_pods_are_ready(deploying: Checkout, api: Api) -> None:
    api.objects.fate.state = "not_ready"
    assert "rollout status" in deploying.run_well(*DEPLOY, "--no-wait")


def test_without_nodes_deploys_to_a_cluster_that_has_none(deploying: Checkout, api: Api) -> None:
    api.objects.kept.clear()
    deploying.run_well(*DEPLOY, "--without-nodes")
    assert len(api.names("pods")) == 3


def test_who_may_not_see_nodes_may_deploy(deploying: Checkout, api: Api) -> None:
    api.forbidden.add("nodes")
    done = deploying.run(*DEPLOY)
    assert done.returncode == 0
    assert "warning: may not look at the nodes" in done.stderr


def test_pods_of_an_older_version_do_not_count(deploying: Checkout, api: Api) -> None:
    api.objects.fate.state = "crash"
    assert deploying.run(*DEPLOY).returncode == 1
    # Broken pods of the first version are still there when the second starts.
    old = api.objects.listed("pods", "iot-pipeline")[0]
    old["metadata"]["name"] = "old"
    api.objects.put("pods", old)
    api.objects.fate.state = "ready"
    deploying.run_well(*DEPLOY, "--rate", "10")
    assert "old" in api.names("pods")


def test_kubeconfig_of_several_files(deploying: Checkout, api: Api, tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "other", "http://127.0.0.1:1", context="other")
    both = f"{tmp_path / 'other'}:{tmp_path / 'kubeconfig'}"
    before = json.loads((tmp_path / "other").read_text())
    deploying.run_well(*DEPLOY, KUBECONFIG=both)
    assert api.names("deployments") == ["iot-producer"]
    assert json.loads((tmp_path / "other").read_text()) == before
