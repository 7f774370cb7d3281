"""cleanup.sh: what it takes away, what it keeps, and that it says so."""

from __future__ import annotations

import json
import subprocess

import pytest
from api_stand_in import Api
from checkout import Checkout, aws_settings
from services import REGION

pytestmark = pytest.mark.deploy

CLEANUP = ("cleanup.sh", "--context", "tests")
DEPLOY = ("deploy.sh", "--context", "tests")


@pytest.fixture
def deployed(deploying: Checkout, api: Api) -> Checkout:
    deploying.run_well(*DEPLOY)
    api.add("secrets", "iot-producer-token", "iot-pipeline")
    api.changes.clear()
    return deploying


def test_deletes_the_deployment_and_waits_for_its_pods(deployed: Checkout, api: Api) -> None:
    out = deployed.run_well(*CLEANUP, "--yes")
    assert api.names("deployments") == []
    assert api.names("pods") == []
    assert api.names("namespaces") == ["iot-pipeline"]
    assert api.names("secrets") == ["iot-producer-token"]
    assert 'deployment.apps "iot-producer" deleted' in out
    assert "producer_desired_size = 0" in out
    assert "terraform apply" in out


def test_all_of_it(deployed: Checkout, api: Api) -> None:
    deployed.run_well(*CLEANUP, "--all", "--yes")
    assert [key[0] for key in api.objects.kept] == ["nodes"]


def test_twice_in_a_row_changes_nothing(deployed: Checkout, api: Api) -> None:
    deployed.run_well(*CLEANUP, "--all", "--yes")
    api.changes.clear()
    out = deployed.run_well(*CLEANUP, "--all")
    assert api.changes == []
    assert "nothing: it is all gone" in out


def test_a_namespace_with_something_else_in_it_is_kept(deployed: Checkout, api: Api) -> None:
    api.add("statefulsets", "somebody-elses", "iot-pipeline")
    out = deployed.run_well(*CLEANUP, "--all", "--yes")
    assert "namespace/iot-pipeline is kept, it has in it: statefulset.apps/somebody-elses" in out
    assert api.names("namespaces") == ["iot-pipeline"]
    assert api.names("statefulsets") == ["somebody-elses"]
    assert api.names("deployments") == []
    assert api.names("secrets") == []


def test_a_dry_run_changes_nothing(deployed: Checkout, api: Api) -> None:
    objects = api.objects.text()
    out = deployed.run_well(*CLEANUP, "--all", "--dry-run")
    assert api.changes == []
    assert api.objects.text() == objects
    for kept in ("deployment/iot-producer", "secret/iot-producer-token", "namespace/iot-pipeline"):
        assert f"  {kept}" in out


def test_without_a_terminal_it_does_not_delete_unasked(deployed: Checkout, api: Api) -> None:
    done = deployed.run(*CLEANUP, stdin="y\n")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert api.changes == []


@pytest.mark.parametrize(("answer", "code", "n_left"), [("y", 0, 0), ("", 1, 1), ("n", 1, 1)])
def test_on_a_terminal_it_asks(
    deployed: Checkout, api: Api, answer: str, code: int, n_left: int
) -> None:
    # script gives it a terminal.
    command = f"{deployed.folder}/deploy/cleanup.sh --context tests"
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", command, "/dev/null"],
        input=answer + "\n",
        capture_output=True,
        text=True,
        env=deployed.env,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert "Delete these from tests? [y/N]" in done.stdout
    assert len(api.names("deployments")) == n_left


def test_pods_that_take_too_long_to_drain(deployed: Checkout, api: Api) -> None:
    api.objects.fate.n_looks_to_end = 10_000
    done = deployed.run(*CLEANUP, "--yes", "--timeout", "1")
    assert done.returncode == 1
    assert "after 1s it is not gone yet" in done.stderr
    assert "run this again" in done.stderr


def test_who_may_not_delete(deployed: Checkout, api: Api) -> None:
    api.forbidden.add("deployments")
    done = deployed.run(*CLEANUP, "--yes")
    assert done.returncode == 3
    assert "deployments is forbidden" in done.stderr


def test_images_in_ecr(deployed: Checkout, aws: str) -> None:
    deployed.env |= aws_settings(aws)

    def ecr(*arguments: str) -> str:
        return subprocess.run(
            ["aws", "ecr", *arguments, "--repository-name", "cleaned"],
            check=True,
            capture_output=True,
            text=True,
            env=deployed.env | {"AWS_DEFAULT_REGION": REGION},
        ).stdout

    ecr("create-repository")
    for i in range(3):
        layer = {"digest": f"sha256:{i:064}", "mediaType": "x", "size": 1}
        image = {"schemaVersion": 2, "mediaType": "x", "config": layer, "layers": [layer]}
        ecr("put-image", "--image-manifest", json.dumps(image), "--image-tag", f"src-{i}")
    images = (*CLEANUP, "--images", "--repository", "cleaned", "--yes")
    out = deployed.run_well(*images)
    assert "3 images in the ECR repository cleaned" in out
    assert json.loads(ecr("list-images"))["imageIds"] == []
    assert "nothing: it is all gone" in deployed.run_well(*images)


def test_images_of_a_repository_that_is_not_there(deploying: Checkout, aws: str) -> None:
    deploying.env |= aws_settings(aws)
    out = deploying.run_well(*CLEANUP, "--images", "--repository", "nowhere")
    assert "nothing: it is all gone" in out
