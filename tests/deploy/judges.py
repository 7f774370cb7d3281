"""The tools that judge manifests and Terraform, and what they make of our files.

Those of .venv-deploy are found on the PATH that `make test-deploy` sets. Where a tool is missing a
test is skipped; in CI it fails.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from needed import needed

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TERRAFORM = DEPLOY / "terraform"
_FROM = {
    "kubectl": "1.32 or later, kubernetes.io/docs/tasks/tools",
    "terraform": "1.9 or later, developer.hashicorp.com/terraform/install",
}
Document = dict[str, Any]


def judge(name: str) -> Path:
    """Where a tool is."""
    return Path(needed(name, _FROM.get(name, "make test-deploy brings it")))


def run(
    *command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a tool without any cluster, account or configuration of whoever runs the tests."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "KUBECONFIG": os.devnull, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if check:
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def documents(yaml: str) -> list[Document]:
    """The documents of a YAML text, as PyYAML of .venv-deploy reads them."""
    python = judge("kubernetes-validate").parent / "python"
    program = "import json,sys,yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)"
    done = subprocess.run(
        [python, "-c", program], input=yaml, capture_output=True, text=True, check=True
    )
    return list(json.loads(done.stdout))


def by_kind(found: list[Document]) -> dict[str, Document]:
    """Objects by kind; here there is one of each."""
    kinds = [document["kind"] for document in found]
    assert len(kinds) == len(set(kinds)), kinds
    return {document["kind"]: document for document in found}


def kustomized(folder: Path) -> str:
    """What kustomize makes of a folder, as text."""
    kubectl = judge("kubectl")
    outside = ("--load-restrictor", "LoadRestrictionsNone") if "overlays" in folder.parts else ()
    return run(kubectl, "kustomize", *outside, folder).stdout


@cache
def hcl(path: Path) -> Document:
    """A Terraform file as python-hcl2 reads it: blocks and arguments in lists; read it only."""
    done = run(judge("hcl2tojson"), path)
    text = done.stdout
    return dict(json.loads(text[: text.rindex("}") + 1]))


class Terraform:
    """The terraform command in one folder, without plug-ins and network."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        settings = scratch / "terraformrc"
        settings.touch()
        self._env = {
            "TF_CLI_CONFIG_FILE": str(settings),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            "TF_DATA_DIR": str(scratch / "data"),
        }

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(judge("terraform"), *arguments, cwd=self._folder, env=self._env, check=check)
