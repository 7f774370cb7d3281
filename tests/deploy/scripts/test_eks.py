"""The way to an EKS cluster: the real aws and kubectl, moto's EKS, and the API stand-in with TLS.

moto's cluster has the stand-in's address and authority, so what `aws eks update-kubeconfig` writes
is used for real: kubectl asks `aws eks get-token` for the token that it sends.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_certificates import authority
from api_stand_in import Api, serving
from checkout import IMAGE, Checkout, aws_settings
from services import REGION, free_port, moto_with_cluster, needs

pytestmark = pytest.mark.deploy

ARN = f"arn:aws:eks:{REGION}:123456789012:cluster/bench"


@pytest.fixture(scope="module")
def eks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Api]]:
    """AWS's address and the API of its cluster ``bench``."""
    needs("kubectl", "https://kubernetes.io/docs/tasks/tools/")
    folder = tmp_path_factory.mktemp("eks")
    certificate, key, ca_file = authority(folder)
    with (
        serving(certificate, key) as api,
        moto_with_cluster(folder, "bench", api.url, ca_file) as aws,
    ):
        api.add_node("producers-1", workload="bench-producer")
        api.token = "k8s-aws-v1."
        yield aws, api


@pytest.fixture
def on_eks(checkout: Checkout, eks: tuple[str, Api], tmp_path: Path) -> Checkout:
    text = checkout.manifest.read_text()
    checkout.manifest.write_text(text.replace(checkout.image, IMAGE))
    checkout.env |= aws_settings(eks[0]) | {"KUBECONFIG": str(tmp_path / "kubeconfig")}
    return checkout


def test_the_only_cluster_of_the_region_and_its_token(
    on_eks: Checkout, eks: tuple[str, Api], tmp_path: Path
) -> None:
    _, api = eks
    out = on_eks.run_well("deploy.sh")
    assert f"EKS cluster bench in {REGION}, context {ARN}" in out
    assert api.names("deployments") == ["iot-producer"]
    assert all(token.startswith("k8s-aws-v1.") for token in api.tokens)
    written = (tmp_path / "kubeconfig").read_bytes()

    on_eks.run_well("deploy.sh", "--cluster", "bench", "--region", REGION)
    assert (tmp_path / "kubeconfig").read_bytes() == written
    on_eks.run_well("cleanup.sh", "--all", "--yes")
    assert api.names("namespaces") == []


def test_a_dry_run_leaves_the_kubeconfig_alone(
    on_eks: Checkout, eks: tuple[str, Api], tmp_path: Path
) -> None:
    _, api = eks
    api.changes.clear()
    out = on_eks.run_well("deploy.sh", "--dry-run", EKS_CLUSTER="bench")
    assert f"would: put the EKS cluster bench ({REGION}) into {tmp_path}/kubeconfig" in out
    assert "deployment.apps/iot-producer created (dry run)" in out
    assert not (tmp_path / "kubeconfig").exists()
    assert api.changes == []


@pytest.mark.parametrize(
    ("arguments", "env", "code", "says"),
    [
        (
            ("--cluster", "prod"),
            {},
            1,
            "there is no EKS cluster 'prod' in eu-central-1; there is: bench",
        ),
        (("--region", "us-east-1"), {}, 1, "there is no EKS cluster in us-east-1"),
        ((), {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 3, "aws configure"),
        ((), {"AWS_REGION": ""}, 2, "no AWS region is set"),
    ],
)
def test_what_is_wrong_on_the_way(
    on_eks: Checkout, arguments: tuple[str, ...], env: dict[str, str], code: int, says: str
) -> None:
    done = on_eks.run("deploy.sh", *arguments, **env)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "\n  -> " in done.stderr


def test_several_clusters_have_to_be_told_apart(on_eks: Checkout) -> None:
    command = ["aws", "eks", "create-cluster", "--role-arn", "arn:aws:iam::123456789012:role/eks"]
    for name in ("one", "two"):
        subprocess.run(
            [*command, "--resources-vpc-config", "{}", "--name", name],
            check=True,
            capture_output=True,
            env=on_eks.env | {"AWS_DEFAULT_REGION": "eu-west-1"},
        )
    done = on_eks.run("deploy.sh", "--region", "eu-west-1")
    assert done.returncode == 2
    assert "there are 2 EKS clusters in eu-west-1: one two" in done.stderr
    assert "--cluster NAME" in done.stderr


def test_a_cluster_that_was_made_anew(on_eks: Checkout, tmp_path: Path) -> None:
    on_eks.run_well("deploy.sh", "--cluster", "bench", "--dry-run")
    # Its old authority in the kubeconfig.
    aws = on_eks.env["AWS_ENDPOINT_URL"]
    subprocess.run(
        ["aws", "eks", "update-kubeconfig", "--name", "bench", "--endpoint-url", aws],
        check=True,
        capture_output=True,
        env=on_eks.env | {"AWS_DEFAULT_REGION": REGION},
    )
    kubeconfig = tmp_path / "kubeconfig"
    other = tmp_path / "other"
    other.mkdir()
    ca_file = authority(other)[2]
    subprocess.run(
        ["kubectl", "config", "set-cluster", ARN, f"--certificate-authority={ca_file}"],
        check=True,
        capture_output=True,
        env=on_eks.env,
    )
    done = on_eks.run("deploy.sh", "--context", ARN)
    assert done.returncode == 3
    assert "the certificate of" in done.stderr
    assert "--cluster NAME" in done.stderr
    # The remedy works.
    on_eks.run_well("deploy.sh", "--cluster", "bench", "--dry-run")
    assert kubeconfig.exists()


def test_an_api_server_that_nobody_reaches(on_eks: Checkout, tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": f"https://127.0.0.1:{free_port()}"}},
        ],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "gone", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    done = on_eks.run("cleanup.sh", "--context", "gone", "--yes")
    assert done.returncode == 3
    assert "the API server of 'gone' does not answer" in done.stderr
