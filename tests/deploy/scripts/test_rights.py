"""build-and-push.sh against an AWS that checks keys and rights: moto's IAM."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkout import Checkout, aws_settings
from services import REGION, ROOT, moto, needs

pytestmark = pytest.mark.deploy

SCRIPT = ("build-and-push.sh", "--builder", "buildah", "--repository", "iot-producer")
# Two users, two keys, two policies: after them moto checks each call.
_N_CALLS = 6


def documented_policy() -> Any:
    """The policy of docs/how-to/deploy-on-eks.md; moto checks actions, not repositories."""
    page = (ROOT / "docs/how-to/deploy-on-eks.md").read_text()
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    policy = json.loads(text)
    for statement in policy["Statement"]:
        statement["Resource"] = "*"
    return policy


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """Settings of two users: one with the documented rights, one who may only look."""
    needs("aws", "make test-deploy installs it (awscli)")
    needs("buildah", "apt install buildah")
    look = {"Effect": "Allow", "Action": ["ecr:Describe*", "ecr:GetL*"], "Resource": "*"}
    policies = {
        "pusher": documented_policy(),
        "looker": {"Version": "2012-10-17", "Statement": [look]},
    }
    found = {}
    with moto(tmp_path_factory.mktemp("moto-iam"), _N_CALLS) as url:
        env = aws_settings(url) | {"PATH": needs_path(), "AWS_DEFAULT_REGION": REGION}

        def iam(*arguments: str) -> Any:
            command = ["aws", "iam", *arguments, "--output", "json"]
            out = subprocess.run(command, check=True, capture_output=True, env=env).stdout
            return json.loads(out) if out else None

        for name, policy in policies.items():
            iam("create-user", "--user-name", name)
            key = iam("create-access-key", "--user-name", name)["AccessKey"]
            document = ("--policy-document", json.dumps(policy))
            iam("put-user-policy", "--user-name", name, "--policy-name", "own", *document)
            found[name] = aws_settings(url) | {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            }
        yield found


def needs_path() -> str:
    return str(Path(needs("aws", "awscli")).parent)


def test_the_documented_rights_suffice(
    checkout: Checkout, users: dict[str, dict[str, str]], registry: str
) -> None:
    env = users["pusher"] | {"IOT_PRODUCER_ECR_HOST": registry}
    checkout.run_well(*SCRIPT, **env)
    assert checkout.image.startswith(f"{registry}/iot-producer@sha256:")

    # Nor is more needed to bring back settings that somebody changed.
    change = ["aws", "ecr", "put-image-tag-mutability", "--image-tag-mutability", "MUTABLE"]
    subprocess.run(
        [*change, "--repository-name", "iot-producer"],
        check=True,
        capture_output=True,
        env=checkout.env | env | {"AWS_DEFAULT_REGION": REGION},
    )

    # Who may only look is told what is missing, and the way around it.
    looked = checkout.run(*SCRIPT, **(env | users["looker"]))
    assert looked.returncode == 3
    assert "ecr:PutImageTagMutability" in looked.stderr
    assert "--keep-settings" in looked.stderr

    assert "to IMMUTABLE" in checkout.run_well(*SCRIPT, **env)


def test_no_right_to_create_a_repository(
    checkout: Checkout, users: dict[str, dict[str, str]], registry: str
) -> None:
    env = users["looker"] | {"IOT_PRODUCER_ECR_HOST": registry}
    done = checkout.run(*SCRIPT, "--repository", "another", **env)
    assert done.returncode == 3
    assert "ecr:CreateRepository" in done.stderr
    assert "docs/how-to/deploy-on-eks.md lists the rights" in done.stderr


def test_keys_that_nobody_has(checkout: Checkout, users: dict[str, dict[str, str]]) -> None:
    done = checkout.run(*SCRIPT, **(users["pusher"] | {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}))
    assert done.returncode == 3
    assert "InvalidClientTokenId" in done.stderr
    assert "log in again" in done.stderr
    assert checkout.image == "iot-producer:set-by-build-and-push"
