"""build-and-push.sh with the real aws, buildah and git, against moto's ECR and a real registry."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from checkout import Checkout, new_checkout
from services import REGION, image_registry, needs

pytestmark = pytest.mark.deploy

SCRIPT = "build-and-push.sh"
BUILD = (SCRIPT, "--builder", "buildah")
_ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"


def in_ecr(checkout: Checkout, *arguments: str) -> Any:
    name = checkout.env["IOT_PRODUCER_REPOSITORY"]
    done = subprocess.run(
        ["aws", "ecr", *arguments, "--output", "json"]
        + (["--repository-names", name] if "repositories" in arguments[0] else [])
        + (["--repository-name", name] if "repositories" not in arguments[0] else []),
        check=True,
        capture_output=True,
        text=True,
        env=checkout.env | {"AWS_DEFAULT_REGION": REGION},
    )
    return json.loads(done.stdout) if done.stdout else None


def settings_of(checkout: Checkout) -> tuple[Any, str]:
    """The repository and its lifecycle policy, as ECR has them."""
    policy: str = in_ecr(checkout, "get-lifecycle-policy")["lifecyclePolicyText"]
    return in_ecr(checkout, "describe-repositories")["repositories"][0], policy


def fetched(host: str, path: str) -> bytes:
    login = base64.b64encode(b"AWS:123456789012-auth-token").decode()
    request = urllib.request.Request(
        f"http://{host}/v2/{path}", headers={"Authorization": f"Basic {login}", "Accept": _ACCEPT}
    )
    with urllib.request.urlopen(request) as answer:
        found: bytes = answer.read()
        return found


def from_registry(host: str, path: str) -> Any:
    return json.loads(fetched(host, path))


def files_of(checkout: Checkout, host: str) -> set[str]:
    """The files in the image that the manifest names, from its layers."""
    name = checkout.env["IOT_PRODUCER_REPOSITORY"]
    manifest = from_registry(host, f"{name}/manifests/{checkout.image.partition('@')[2]}")
    found: set[str] = set()
    for layer in manifest["layers"]:
        blob = io.BytesIO(fetched(host, f"{name}/blobs/{layer['digest']}"))
        with tarfile.open(fileobj=blob) as archive:
            found |= {member.name for member in archive if member.isfile()}
    return found


def tag_of(checkout: Checkout, *arguments: str) -> str:
    """The tag that a run would push, from its own first lines; nothing is asked of AWS for it."""
    out = checkout.run(SCRIPT, "--dry-run", "--registry", "127.0.0.1:1", *arguments).stdout
    line = next(line for line in out.splitlines() if " files, tag " in line)
    return line.split("tag ")[1].split(",")[0]


def test_creates_pushes_and_names_by_digest(pushing: Checkout, registry: str) -> None:
    pushing.run_well(*BUILD)

    name = pushing.env["IOT_PRODUCER_REPOSITORY"]
    repository = in_ecr(pushing, "describe-repositories")["repositories"][0]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    policy = json.loads(in_ecr(pushing, "get-lifecycle-policy")["lifecyclePolicyText"])
    assert [rule["selection"]["countNumber"] for rule in policy["rules"]] == [14, 100]

    where, _, digest = pushing.image.partition("@")
    assert where == f"{registry}/{name}"
    manifest = from_registry(registry, f"{name}/manifests/{digest}")
    assert from_registry(registry, f"{name}/tags/list")["tags"] == [tag_of(pushing)]
    config = from_registry(registry, f"{name}/blobs/{manifest['config']['digest']}")
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    commit = pushing.git("rev-parse", "HEAD").strip()
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.version"] == "9.8.7"


def test_changes_one_line_of_the_manifest_and_keeps_its_mode(pushing: Checkout) -> None:
    pushing.manifest.chmod(0o640)
    before = pushing.manifest.read_text().splitlines()
    pushing.run_well(*BUILD)
    after = pushing.manifest.read_text().splitlines()
    assert [(a.strip(), b.strip()) for a, b in zip(before, after, strict=True) if a != b] == [
        ("image: iot-producer:set-by-build-and-push", f"image: {pushing.image}")
    ]
    assert pushing.manifest.stat().st_mode & 0o777 == 0o640


def test_twice_in_a_row_changes_nothing(pushing: Checkout, registry: str) -> None:
    pushing.run_well(*BUILD)
    files = pushing.state()
    settings = settings_of(pushing)
    out = pushing.run_well(*BUILD)
    assert pushing.state() == files
    assert settings_of(pushing) == settings
    assert "not built, not pushed" in out
    assert f"has {pushing.image} already" in out


def test_an_image_that_is_there_needs_no_builder(pushing: Checkout) -> None:
    pushing.run_well(*BUILD)
    image = pushing.image
    pushing.git("checkout", "-q", "--", str(pushing.manifest))
    # A builder that could not be used is not looked for.
    pushing.run_well(SCRIPT, "--builder", "docker", DOCKER_HOST="tcp://127.0.0.1:1")
    assert pushing.image == image


def test_new_sources_are_a_new_image(pushing: Checkout) -> None:
    pushing.run_well(*BUILD)
    first = pushing.image
    pushing.commit("the image of the first version")
    (pushing.folder / "src/hello.txt").write_text("changed\n")
    pushing.commit("a change")
    pushing.run_well(*BUILD)
    assert pushing.image.partition("@")[0] == first.partition("@")[0]
    assert pushing.image != first


def test_the_tag_follows_from_what_enters_the_image(checkout: Checkout, tmp_path: Path) -> None:
    tag = tag_of(checkout)
    assert tag.startswith("src-")
    assert len(tag) == 20

    clone = new_checkout(tmp_path / "another", tmp_path / "its-home")
    (clone.folder / "docs/index.md").write_text("other docs\n")
    (clone.folder / "deploy/notes.txt").write_text("nothing of the image\n")
    clone.commit()
    assert tag_of(clone) == tag

    assert tag_of(checkout, "--build-arg", "CPU_TARGET=native") != tag
    assert tag_of(checkout, "--platform", "linux/arm64") != tag
    (clone.folder / "src/hello.txt").chmod(0o755)
    clone.commit()
    runnable = tag_of(clone)
    (clone.folder / "src/new.txt").write_text("")
    clone.commit()
    assert len({tag, runnable, tag_of(clone)}) == 3


def test_only_what_git_knows_enters_the_image(pushing: Checkout, registry: str) -> None:
    (pushing.folder / ".gitignore").write_text("*.secret\n")
    pushing.commit()
    (pushing.folder / "src/token.secret").write_text("not for the image")
    pushing.run_well(*BUILD)
    assert files_of(pushing, registry) == {
        "app/pyproject.toml",
        "app/src/hello.txt",
        "app/src/deep/er.txt",
        "app/src/iot_producer/__init__.py",
    }


def test_a_dirty_tree_is_refused_unless_told(pushing: Checkout, registry: str) -> None:
    (pushing.folder / "src/untracked.txt").write_text("new\n")
    (pushing.folder / "src/hello.txt").write_text("edited\n")
    refused = pushing.run(*BUILD)
    assert refused.returncode == 1
    assert " M src/hello.txt" in refused.stderr
    assert "?? src/untracked.txt" in refused.stderr
    assert "--allow-dirty" in refused.stderr
    assert pushing.image == "iot-producer:set-by-build-and-push"

    pushing.run_well(*BUILD, "--allow-dirty")
    assert "app/src/untracked.txt" in files_of(pushing, registry)


def test_its_own_edit_of_the_manifest_is_no_dirt_another_is(checkout: Checkout) -> None:
    clean = checkout.manifest.read_text()
    line = f"image: {checkout.image}\n"
    checkout.manifest.write_text(clean.replace(line, "image: a.example/b@sha256:12\n"))
    assert tag_of(checkout)
    checkout.manifest.write_text(clean.replace("replicas: 3", "replicas: 4"))
    refused = checkout.run(SCRIPT, "--dry-run", "--registry", "127.0.0.1:1")
    assert refused.returncode == 1
    assert "producer-deployment.yaml (more than its image line)" in refused.stderr


def test_a_dry_run_changes_nothing(pushing: Checkout) -> None:
    files = pushing.state()
    out = pushing.run_well(*BUILD, "--dry-run")
    assert pushing.state() == files
    would = [line for line in out.splitlines() if line.startswith("would: ")]
    assert [line.split()[1] for line in would] == [
        "create",
        "set",
        "build",
        "log",
        "push",
        "image:",
    ]
    with pytest.raises(subprocess.CalledProcessError):
        in_ecr(pushing, "describe-repositories")


def test_a_repository_with_other_settings_is_brought_to_these(pushing: Checkout) -> None:
    in_ecr(pushing, "create-repository")
    pushing.run_well(*BUILD, "--keep-settings")
    kept = in_ecr(pushing, "describe-repositories")["repositories"][0]
    assert kept["imageTagMutability"] == "MUTABLE"

    out = pushing.run_well(*BUILD)
    brought = in_ecr(pushing, "describe-repositories")["repositories"][0]
    assert brought["imageTagMutability"] == "IMMUTABLE"
    assert brought["imageScanningConfiguration"] == {"scanOnPush": True}
    assert len(in_ecr(pushing, "get-lifecycle-policy")["lifecyclePolicyText"]) > 100
    assert "from MUTABLE to IMMUTABLE" in out


def test_another_registry_needs_no_aws(checkout: Checkout, tmp_path: Path) -> None:
    needs("buildah", "apt install buildah")
    with image_registry(tmp_path / "open", password=False) as host:
        checkout.run_well(*BUILD, "--registry", host)
        where, _, digest = checkout.image.partition("@")
        assert where == f"{host}/iot-producer"
        assert from_registry(host, f"iot-producer/manifests/{digest}")["schemaVersion"] == 2


def test_a_registry_with_a_password(checkout: Checkout, registry: str, tmp_path: Path) -> None:
    needs("buildah", "apt install buildah")
    password = tmp_path / "password"
    password.write_text("123456789012-auth-token\n")
    login = {
        "IOT_PRODUCER_REGISTRY_USER": "AWS",
        "IOT_PRODUCER_REGISTRY_PASSWORD_FILE": str(password),
    }
    checkout.run_well(*BUILD, "--registry", registry, "--repository", "by-password", **login)
    assert checkout.image.startswith(f"{registry}/by-password@sha256:")


def test_podman_builds_the_same_files(pushing: Checkout, registry: str) -> None:
    needs("podman", "apt install podman")
    pushing.run_well(SCRIPT, "--builder", "podman")
    assert "app/src/deep/er.txt" in files_of(pushing, registry)


def test_the_password_is_in_no_command_line_and_no_output(pushing: Checkout) -> None:
    done = pushing.run(*BUILD, SHELLOPTS="xtrace")
    assert done.returncode == 0
    commands = [line for line in done.stderr.splitlines() if line.startswith("+")]
    called = [
        line for line in commands if any(f" {name} " in line for name in ("curl", "buildah", "env"))
    ]
    assert called
    assert not [line for line in called if "auth-token" in line]
    assert "auth-token" not in done.stdout
