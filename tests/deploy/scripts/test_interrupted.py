"""A script that is killed at any of its commands leaves nothing in the next run's way.

Each command that the scripts start is wrapped: the n-th call kills the whole process group with
-9, as a cancelled job does, before the command runs.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
from api_stand_in import Api
from checkout import Checkout

# Some sixty runs of the scripts.
pytestmark = [pytest.mark.deploy, pytest.mark.slow, pytest.mark.timeout(1200)]

_WRAPPER = """\
#!/bin/sh
n=$(($(cat {count}) + 1))
echo "$n" >{count}
if [ "$n" = "$KILL_AT" ]; then kill -9 0; fi
exec {real} "$@"
"""


class Killer:
    """Commands that kill the script which calls them."""

    def __init__(self, folder: Path, checkout: Checkout, *commands: str) -> None:
        self._count = folder / "count"
        folder.mkdir()
        path = checkout.env["PATH"]
        for name in commands:
            real = shutil.which(name, path=path)
            assert real is not None, name
            (folder / name).write_text(_WRAPPER.format(count=self._count, real=real))
            (folder / name).chmod(0o755)
        self._path = f"{folder}:{path}"

    def env(self, kill_at: int) -> dict[str, str]:
        self._count.write_text("0")
        return {"PATH": self._path, "KILL_AT": str(kill_at)}

    @property
    def n_calls(self) -> int:
        return int(self._count.read_text())


def test_build_and_push(pushing: Checkout, tmp_path: Path) -> None:
    killer = Killer(tmp_path / "bin", pushing, "aws", "buildah", "curl", "cp", "mv")
    build = ("build-and-push.sh", "--builder", "buildah")
    placeholder = pushing.manifest.read_bytes()
    repository = pushing.env["IOT_PRODUCER_REPOSITORY"]

    pushing.run_well(*build, **killer.env(0))
    n_calls = killer.n_calls
    whole = pushing.state()
    digest = pushing.image.partition("@")[2]
    assert n_calls >= 12
    for n in range(1, n_calls + 1):
        pushing.manifest.write_bytes(placeholder)
        pushing.env["IOT_PRODUCER_REPOSITORY"] = f"{repository}/{n}"
        killed = pushing.run(*build, **killer.env(n))
        assert killed.returncode == -9, f"call {n}: {killed.stderr}"
        # What is there is the placeholder or the whole image, never half a file.
        assert pushing.image in (
            "iot-producer:set-by-build-and-push",
            f"{pushing.env['IOT_PRODUCER_ECR_HOST']}/{repository}/{n}@{digest}",
        )
        pushing.run_well(*build)
        assert pushing.image.endswith(f"/{repository}/{n}@{digest}")
        assert pushing.state().keys() == whole.keys()


def test_deploy_and_cleanup(deploying: Checkout, api: Api, tmp_path: Path) -> None:
    killer = Killer(tmp_path / "bin", deploying, "kubectl", "cp")
    token = tmp_path / "token"
    token.write_text("abc")
    deploy = ("deploy.sh", "--context", "tests", "--rate", "10", "--token-file", str(token))
    cleanup = ("cleanup.sh", "--context", "tests", "--all", "--yes")

    empty = copy.deepcopy(api.objects.kept)
    deploying.run_well(*deploy, **killer.env(0))
    n_deploy = killer.n_calls
    full, whole = copy.deepcopy(api.objects.kept), _without_versions(api)
    for n in range(1, n_deploy + 1):
        api.objects.kept = copy.deepcopy(empty)
        killed = deploying.run(*deploy, **killer.env(n))
        if killer.n_calls >= n:  # How often it looks at the pods depends on when it looks.
            assert killed.returncode == -9, f"call {n}: {killed.stderr}"
        deploying.run_well(*deploy)
        assert _without_versions(api) == whole

    api.objects.kept = copy.deepcopy(full)
    deploying.run_well(*cleanup, **killer.env(0))
    n_cleanup = killer.n_calls
    for n in range(1, n_cleanup + 1):
        api.objects.kept = copy.deepcopy(full)
        api.objects.fate.n_looks_to_end = 2
        killed = deploying.run(*cleanup, **killer.env(n))
        assert killed.returncode == -9, f"call {n}: {killed.stderr}"
        deploying.run_well(*cleanup)
        assert [key[0] for key in api.objects.kept] == ["nodes"]
    assert min(n_deploy, n_cleanup) >= 10


def _without_versions(api: Api) -> dict[str, object]:
    """Specs and data of all that is there."""
    return {
        "/".join(key): (kept.get("spec"), kept.get("data"))
        for key, kept in api.objects.kept.items()
    }
