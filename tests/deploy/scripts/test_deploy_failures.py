"""What deploy.sh says when a cluster, its nodes or the pods do not do what they should."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from api_stand_in import Api, write_kubeconfig
from checkout import Checkout
from services import free_port

pytestmark = pytest.mark.deploy

DEPLOY = ("deploy.sh", "--context", "tests")


def failure(checkout: Checkout, code: int, *arguments: str, **env: str) -> str:
    """Standard error of a run that must end with ``code`` and a remedy."""
    done = checkout.run(*DEPLOY, *arguments, **env)
    assert done.returncode == code, done.stdout + done.stderr
    assert "error: " in done.stderr
    assert "\n  -> " in done.stderr
    return done.stderr


def test_the_placeholder_is_not_deployed(checkout: Checkout, api: Api) -> None:
    said = failure(checkout, 1)
    assert "still the placeholder 'iot-producer:set-by-build-and-push'" in said
    assert "deploy/build-and-push.sh" in said
    assert api.changes == []


def test_no_nodes_with_the_label(deploying: Checkout, api: Api) -> None:
    api.objects.kept.clear()
    api.add_node("others-1", workload="flink")
    said = failure(deploying, 1)
    assert "no node has the label workload=bench-producer" in said
    assert "producer_desired_size = 3" in said
    assert "terraform apply" in said
    assert api.changes == []


def test_an_image_that_cannot_be_pulled(deploying: Checkout, api: Api) -> None:
    api.objects.fate.state = "image_pull"
    api.objects.fate.message = 'Back-off pulling image "registry.example/x": not found'
    said = failure(deploying, 1)
    assert "(ImagePullBackOff): Back-off pulling image" in said
    assert "deploy/build-and-push.sh" in said
    assert "AmazonEC2ContainerRegistry" in said


@pytest.mark.parametrize(
    ("exit_code", "says"),
    [
        (1, "the last lines of its log are above"),
        (2, "a setting is wrong"),
        (3, "the destination refuses"),
        (137, "raise resources.limits.memory"),
    ],
)
def test_a_crash_loop(deploying: Checkout, api: Api, exit_code: int, says: str) -> None:
    api.objects.fate.state = "crash"
    api.objects.fate.exit_code = exit_code
    api.objects.fate.log = "PULSAR_URL: 'x' is not a URL\n"
    said = failure(deploying, 1)
    assert f"ends again and again (4 restarts, last exit code {exit_code}" in said
    assert "    PULSAR_URL: 'x' is not a URL\n" in said
    assert says in said


def test_a_container_that_cannot_be_made(deploying: Checkout, api: Api) -> None:
    api.objects.fate.state = "bad_config"
    api.objects.fate.message = "couldn't find key token in Secret"
    said = failure(deploying, 1)
    assert "(CreateContainerConfigError): couldn't find key token in Secret" in said


def test_pods_that_a_quota_refuses(deploying: Checkout, api: Api) -> None:
    api.objects.fate.state = "refused"
    api.objects.fate.message = "exceeded quota: pods"
    said = failure(deploying, 1)
    assert "the cluster refuses to create pods: exceeded quota: pods" in said


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu.", "raise producer_desired_size"),
        (
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
            "kubectl get nodes -l workload=bench-producer",
        ),
        (
            "0/3 nodes are available: 3 node(s) had untolerated taint {team: x}.",
            "a node has a taint that the pods do not tolerate",
        ),
    ],
)
def test_pods_that_stay_pending(deploying: Checkout, api: Api, message: str, says: str) -> None:
    api.objects.fate.state = "pending"
    api.objects.fate.message = message
    done = deploying.run(*DEPLOY, "--timeout", "1s")
    assert done.returncode == 1
    assert f"-0 waits for a node: {message}\n" in done.stdout
    said = done.stderr
    assert "after 1 s without progress 0 of 3 pods are ready: pod iot-producer-" in said
    assert f"has no node: {message}" in said
    assert says in said


def test_pods_that_run_but_are_not_ready(deploying: Checkout, api: Api) -> None:
    api.objects.fate.state = "not_ready"
    api.objects.fate.log = "no broker at pulsar-proxy.pulsar.svc.cluster.local:6650 yet\n"
    api.objects.put("namespaces", {"metadata": {"name": "pulsar"}})
    api.add("pods", "pulsar-broker-0", "pulsar")
    said = failure(deploying, 1, "--timeout", "1")
    assert "the broker has confirmed nothing within the last seconds" in said
    assert "    no broker at pulsar-proxy" in said
    assert "kubectl get pods -n pulsar:\n    NAME" in said
    assert "    pulsar-broker-0 " in said
    missing = 'Error from server (NotFound): services "pulsar-proxy" not found'
    assert f"kubectl get svc pulsar-proxy -n pulsar: {missing}" in said


def test_pods_that_come_and_go_are_not_waited_for_for_ever(deploying: Checkout, api: Api) -> None:
    api.objects.fate.state = "flapping"
    done = deploying.run(*DEPLOY, "--timeout", "2")
    assert done.returncode == 1
    assert "\n1 of 3 pods ready\n" in done.stdout
    assert "after 2 s without progress" in done.stderr


def test_ctrl_c_while_it_waits(deploying: Checkout, api: Api, tmp_path: Path) -> None:
    api.objects.fate.state = "not_ready"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [str(deploying.folder / "deploy/deploy.sh"), "--context", "tests"],
        stdout=subprocess.PIPE,
        env=deploying.env | {"TMPDIR": str(scratch)},
        start_new_session=True,
    ) as waiting:
        assert waiting.stdout is not None
        assert any(line.startswith(b"0 of 3 pods ready") for line in waiting.stdout)
        os.killpg(waiting.pid, signal.SIGINT)
    assert waiting.returncode == 130
    assert list(scratch.iterdir()) == []

    api.objects.fate.state = "ready"
    deploying.run_well(*DEPLOY)


def test_pods_that_never_start(deploying: Checkout, api: Api) -> None:
    api.objects.fate.after_n_looks = 10_000
    said = failure(deploying, 1, "--timeout", "1")
    assert "has a node, but its container does not start" in said


def test_an_api_server_that_is_down(deploying: Checkout, tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{free_port()}")
    said = failure(deploying, 3)
    assert "the API server of 'tests' does not answer" in said
    assert "was refused" in said
    assert "aws eks describe-cluster" in said


def test_who_is_not_known(deploying: Checkout, api: Api) -> None:
    api.token = "a token that nobody has"
    said = failure(deploying, 3)
    assert "does not know who you are" in said
    assert "aws eks create-access-entry" in said


def test_who_may_not_create_a_deployment(deploying: Checkout, api: Api) -> None:
    api.forbidden.add("deployments")
    said = failure(deploying, 3)
    assert "deployments is forbidden" in said
    assert "auth can-i --list -n iot-pipeline" in said


def test_a_context_that_is_not_there(deploying: Checkout, tmp_path: Path) -> None:
    said = failure(deploying, 2, "--context", "nowhere")
    assert f"{tmp_path}/kubeconfig has no context 'nowhere'; it has: tests" in said


def test_no_kubeconfig_at_all_is_never_this_machine(deploying: Checkout, tmp_path: Path) -> None:
    said = failure(deploying, 2, KUBECONFIG=str(tmp_path / "missing"))
    assert "has no context 'tests'; it has: none" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--replicas", "many"), "--replicas is a number of pods from 0 to 9999, not 'many'"),
        (("--rate", "fast"), "--rate is a number such as 1000 or 50k, or max, not 'fast'"),
        (("--timeout", "soon"), "--timeout is a time such as 90s or 5m, not 'soon'"),
        (("--replicas",), "--replicas needs a value"),
        (("--dryrun",), "unknown argument '--dryrun'"),
        (("--token-file", "nowhere"), "cannot read the token file nowhere"),
        (("--token-file", "/dev/null"), "the token file /dev/null is empty"),
        (("--manifest", "nowhere.yaml"), "there is no nowhere.yaml"),
    ],
)
def test_bad_usage(deploying: Checkout, api: Api, arguments: tuple[str, ...], says: str) -> None:
    done = deploying.run(*DEPLOY, *arguments)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert api.changes == []
