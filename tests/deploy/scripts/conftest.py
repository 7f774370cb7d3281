"""Fixtures: one AWS and one registry for all tests; a checkout and a cluster for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_stand_in import Api, serving, write_kubeconfig
from checkout import IMAGE, Checkout, aws_settings, new_checkout
from services import image_registry, moto, needs


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of moto's server."""
    needs("aws", "make test-deploy installs it (awscli)")
    with moto(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a registry that lets only AWS in."""
    with image_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="session")
def builder_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all checkouts: layers that were built once are not built again."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def checkout(tmp_path: Path, builder_home: Path) -> Checkout:
    """A checkout whose manifest has the placeholder."""
    needs("git", "apt install git")
    return new_checkout(tmp_path / "checkout", builder_home)


@pytest.fixture
def pushing(checkout: Checkout, aws: str, registry: str) -> Checkout:
    """A checkout that can push to an ECR repository of its own, behind which is the registry."""
    needs("buildah", "apt install buildah")
    name = checkout.folder.parent.name.replace("_", "-").strip("-").lower()
    checkout.env |= aws_settings(aws) | {
        "IOT_PRODUCER_ECR_HOST": registry,
        "IOT_PRODUCER_REPOSITORY": f"tests/{name}",
    }
    return checkout


@pytest.fixture
def api() -> Iterator[Api]:
    """A cluster with a node for producers."""
    needs("kubectl", "https://kubernetes.io/docs/tasks/tools/")
    with serving() as started:
        started.add_node("producers-1", workload="bench-producer")
        yield started


@pytest.fixture
def deploying(checkout: Checkout, api: Api, tmp_path: Path) -> Checkout:
    """A checkout with an image in its manifest, and a kubeconfig whose context is ``tests``."""
    text = checkout.manifest.read_text()
    assert text.count(f"image: {checkout.image}\n") == 1
    checkout.manifest.write_text(text.replace(f"image: {checkout.image}\n", f"image: {IMAGE}\n"))
    write_kubeconfig(tmp_path / "kubeconfig", api.url)
    checkout.env["KUBECONFIG"] = str(tmp_path / "kubeconfig")
    return checkout
