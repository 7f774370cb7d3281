"""A small git checkout with the scripts in it, and the scripts run as people run them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from services import REGION, ROOT, tools_path

PATIENCE_S = 120.0
# What build-and-push.sh could have put into the manifest.
IMAGE = "registry.example/iot-producer@sha256:" + "0" * 64
# Three files enter the image; the others must not change its tag.
_DOCKERFILE = """\
# COPY nothing.txt /
ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE}
COPY --chown=10001:10001 src \\
     /app/src
COPY ["pyproject.toml", "/app/"]
"""
_FILES = {
    "deploy/docker/Dockerfile": _DOCKERFILE,
    ".dockerignore": "docs\n",
    "src/hello.txt": "hello\n",
    "src/iot_producer/__init__.py": '__version__ = "9.8.7"\n',
    "src/deep/er.txt": "deeper\n",
    "pyproject.toml": "[project]\n",
    "docs/index.md": "# docs\n",
}


@dataclass
class Checkout:
    """A checkout of its own, with a committed copy of ``deploy/*.sh`` and of the manifest."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def manifest(self) -> Path:
        return self.folder / "deploy/producer-deployment.yaml"

    @property
    def image(self) -> str:
        """The image in the manifest, read without the scripts."""
        found = re.findall(r"^ +image: (\S+)$", self.manifest.read_text(), re.MULTILINE)
        assert len(found) == 1
        return str(found[0])

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=self.env,
        )
        return done.stdout

    def commit(self, message: str = "a change") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def run(
        self, script: str, *arguments: str, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """A script to its end; a process group of its own, so that it can be killed as a whole."""
        process = subprocess.Popen(
            [str(self.folder / "deploy" / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.env | env,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(stdin, PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"{script} does not end:\n{out}\n{err}") from None
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def run_well(self, script: str, *arguments: str, **env: str) -> str:
        """A script that must succeed; returns its standard output."""
        done = self.run(script, *arguments, **env)
        assert done.returncode == 0, f"{script} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def state(self) -> dict[str, bytes]:
        """Every file with its contents, git's own left out."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(self.folder).parts
        }


def new_checkout(folder: Path, home: Path) -> Checkout:
    """The checkout in ``folder``; configuration, builder's storage and logins in ``home``."""
    shutil.copytree(ROOT / "deploy/lib", folder / "deploy/lib")
    for script in ("build-and-push.sh", "deploy.sh", "cleanup.sh", "producer-deployment.yaml"):
        shutil.copy2(ROOT / "deploy" / script, folder / "deploy" / script)
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    home.mkdir(exist_ok=True)
    storage = home / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{home}/graph"\nrunroot = "{home}/run"\n'
    )
    env = {
        "PATH": tools_path(),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(home),
        "KUBECONFIG": str(home / "kubeconfig"),
        "XDG_RUNTIME_DIR": str(home),
        "REGISTRY_AUTH_FILE": str(home / "auth.json"),
        "CONTAINERS_STORAGE_CONF": str(storage),
        "BUILDAH_ISOLATION": "chroot",
        "IOT_PRODUCER_POLL_S": "0.1",
        "GIT_AUTHOR_NAME": "tests",
        "GIT_AUTHOR_EMAIL": "tests@localhost",
        "GIT_COMMITTER_NAME": "tests",
        "GIT_COMMITTER_EMAIL": "tests@localhost",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    checkout = Checkout(folder, env)
    checkout.git("init", "-q", "-b", "main")
    checkout.commit("all of it")
    return checkout


def aws_settings(endpoint: str) -> dict[str, str]:
    """Settings under which the aws command talks to ``endpoint``."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
    }
