"""What build-and-push.sh says, and with which exit code, when something is missing or refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from checkout import Checkout
from services import free_port, image_registry, needs

pytestmark = pytest.mark.deploy

SCRIPT = "build-and-push.sh"
PLACEHOLDER = "iot-producer:set-by-build-and-push"


def refusal(checkout: Checkout, code: int, *arguments: str, **env: str) -> str:
    """Standard error of a run that must end with ``code`` and a remedy, the manifest untouched."""
    before = checkout.image
    done = checkout.run(SCRIPT, *arguments, **env)
    assert done.returncode == code, done.stderr or done.stdout
    assert "error: " in done.stderr
    assert "\n  -> " in done.stderr
    assert checkout.image == before
    return done.stderr


def path_without(tmp_path: Path, *names: str) -> str:
    """A PATH with all that the scripts use, but for some."""
    folder = tmp_path / "few"
    folder.mkdir()
    used = "bash env git awk sed tr sort grep head tail cat wc cut mktemp rm cp mv chmod tar mkdir"
    also = "dirname basename cmp curl aws buildah podman"
    for name in f"{used} {also}".split():
        found = needs("aws", "awscli") if name == "aws" else shutil.which(name)
        if found and name not in names:
            (folder / name).symlink_to(found)
    return str(folder)


def test_no_credentials(pushing: Checkout) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del pushing.env[name]
    said = refusal(pushing, 3)
    assert "Unable to locate credentials" in said
    assert "aws configure" in said


def test_a_profile_that_is_not_there(pushing: Checkout) -> None:
    assert "aws configure list-profiles" in refusal(pushing, 2, "--profile", "nobody")


def test_no_region(pushing: Checkout) -> None:
    del pushing.env["AWS_REGION"]
    assert "--region eu-central-1" in refusal(pushing, 2)


@pytest.mark.parametrize(
    ("region", "says"),
    [
        ("Frankfurt", "not the name of an AWS region"),
        ("eu-central-1a", "the region is eu-central-1"),
    ],
)
def test_a_region_that_is_none(pushing: Checkout, region: str, says: str) -> None:
    assert says in refusal(pushing, 2, "--region", region)


def test_a_region_without_an_endpoint(pushing: Checkout) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    said = refusal(
        pushing, 3, "--region", "eu-nowhere-1", AWS_ENDPOINT_URL=url, AWS_MAX_ATTEMPTS="1"
    )
    assert "is 'eu-nowhere-1' the right region?" in said


def test_a_region_other_than_the_manifests_is_noticed(pushing: Checkout) -> None:
    text = pushing.manifest.read_text()
    other = "123456789012.dkr.ecr.us-east-1.amazonaws.com/iot-producer@sha256:00"
    pushing.manifest.write_text(text.replace(PLACEHOLDER, other))
    done = pushing.run(SCRIPT, "--dry-run", "--builder", "buildah")
    assert done.returncode == 0
    assert f"warning: so far the manifest has an image of another region: {other}" in done.stderr


def test_a_dry_run_tells_the_address_that_ecr_will_have(pushing: Checkout) -> None:
    del pushing.env["IOT_PRODUCER_ECR_HOST"]
    out = pushing.run_well(SCRIPT, "--dry-run", "--builder", "buildah", "--repository", "new")
    assert "would: image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/new@sha256:" in out


def test_no_aws_command(pushing: Checkout, tmp_path: Path) -> None:
    said = refusal(pushing, 1, PATH=path_without(tmp_path, "aws"))
    assert "aws is not on the PATH" in said
    assert "install the AWS CLI" in said


def test_nothing_that_builds(pushing: Checkout, tmp_path: Path) -> None:
    said = refusal(pushing, 1, PATH=path_without(tmp_path, "buildah", "podman"))
    assert "no docker whose engine answers, no podman, no buildah" in said


def test_a_docker_without_an_engine_is_passed_over(checkout: Checkout, tmp_path: Path) -> None:
    needs("buildah", "apt install buildah")
    few = Path(path_without(tmp_path, "podman"))
    stub = few / "docker"
    stub.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    stub.chmod(0o755)
    with image_registry(tmp_path / "open", password=False) as host:
        where = ("--registry", host)
        out = checkout.run_well(SCRIPT, *where, "--dry-run", PATH=str(few))
        assert "with buildah" in out
        said = refusal(checkout, 3, *where, "--builder", "docker", PATH=str(few))
    assert "its engine does not answer: Cannot connect to the Docker daemon" in said


def test_a_push_that_is_refused(pushing: Checkout, tmp_path: Path) -> None:
    with image_registry(tmp_path / "read-only", read_only=True) as host:
        said = refusal(pushing, 3, "--builder", "buildah", IOT_PRODUCER_ECR_HOST=host)
    assert "refused the push" in said
    assert "ecr:InitiateLayerUpload" in said


def test_a_registry_that_does_not_know_us(checkout: Checkout, registry: str) -> None:
    said = refusal(checkout, 3, "--registry", registry)
    assert "HTTP 401" in said
    assert "IOT_PRODUCER_REGISTRY_PASSWORD_FILE" in said


def test_a_registry_that_is_down(checkout: Checkout) -> None:
    said = refusal(checkout, 3, "--registry", f"127.0.0.1:{free_port()}")
    assert "does not answer" in said


def test_a_repository_name_that_ecr_does_not_take(pushing: Checkout) -> None:
    said = refusal(pushing, 2, "--builder", "buildah", "--repository", "IoT")
    assert "does not take 'IoT' as the name of a repository" in said


def test_a_build_that_fails_shows_its_last_lines(pushing: Checkout) -> None:
    dockerfile = pushing.folder / "deploy/docker/Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + 'RUN ["/no-such-program"]\n')
    pushing.commit()
    said = refusal(pushing, 1, "--builder", "buildah")
    assert "no-such-program" in said
    assert "could not build the image" in said


def test_a_copy_of_what_git_does_not_know(checkout: Checkout) -> None:
    dockerfile = checkout.folder / "deploy/docker/Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY dist/wheel.whl /\n")
    checkout.commit()
    assert "copies 'dist/wheel.whl', but git knows no such file" in refusal(checkout, 1)


def test_a_copy_of_the_files_without_git(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / ".git")
    env = {"GIT_CEILING_DIRECTORIES": os.path.dirname(checkout.folder)}
    assert "clone the repository" in refusal(checkout, 1, **env)


def test_a_manifest_without_its_container(checkout: Checkout) -> None:
    text = checkout.manifest.read_text().replace(
        "- name: iot-producer\n          image", "- name: x\n          image"
    )
    checkout.manifest.write_text(text)
    done = checkout.run(SCRIPT, "--dry-run", "--allow-dirty")
    assert done.returncode == 1
    assert "has 0 containers named iot-producer with an image line" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--regoin", "x"), "unknown argument '--regoin'"),
        (("--region",), "--region needs a value"),
        (("--build-arg", "x"), "--build-arg takes KEY=VALUE, not 'x'"),
        (("--dockerfile", "nowhere"), "there is no nowhere in"),
    ],
)
def test_bad_usage(checkout: Checkout, arguments: tuple[str, ...], says: str) -> None:
    assert says in refusal(checkout, 2, *arguments)


def test_a_builder_that_is_none(checkout: Checkout, tmp_path: Path) -> None:
    with image_registry(tmp_path / "open", password=False) as host:
        said = refusal(checkout, 2, "--registry", host, "--builder", "kaniko")
    assert "--builder is docker, podman or buildah, not 'kaniko'" in said
