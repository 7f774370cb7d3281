"""Images and containers for the tests: podman and buildah with a store and settings of their own.

Nothing of the machine's own containers is seen or touched. There is no registry: the base image is
a Debian made here, which stands in for python:3.11-slim-bookworm (the same Debian, its Python).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from needed import needed_package, needed_root

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
BASE = "localhost/python:3.11-slim-bookworm"
IMAGE = "localhost/iot-producer:test"
PATIENCE_S = 90.0
# As a pod is run: nothing can be written but what is mounted, and podman's own tmpfs is not.
LIKE_A_POD = (
    "--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges",
    "--network=host", "--no-healthcheck",
)  # fmt: skip
_NEEDED = ("podman", "buildah", "runc", "catatonit", "mmdebstrap")
_SETTINGS = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_STORE = """
[storage]
driver = "{driver}"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""
# Where pip finds packages on this machine, and how: the build has to do the same.
_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class Store:
    """Images and containers below one folder.

    Args:
        folder: empty, or that of an earlier store; `close` ends what still runs.
    """

    def __init__(self, folder: Path) -> None:
        for name in _NEEDED:
            needed_package(name)
        needed_root("containers have their limits by root")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "containers.conf").write_text(_SETTINGS)
        overlay = "overlay" in Path("/proc/filesystems").read_text()
        driver = "overlay" if overlay else "vfs"
        (folder / "storage.conf").write_text(_STORE.format(folder=folder, driver=driver))
        self._env = os.environ | {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }

    def run(
        self, *command: str, check: bool = True, patience_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """A command of podman or buildah."""
        done = subprocess.run(
            command, env=self._env, capture_output=True, text=True, check=False, timeout=patience_s
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stderr[-4000:]}")
        return done

    def podman(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """A command of podman."""
        return self.run("podman", *arguments, **more)

    def has(self, image: str) -> bool:
        """Whether an image is there."""
        return self.podman("image", "exists", image, check=False).returncode == 0

    def make_base(self) -> None:
        """The base image: Debian 12 with its Python, nothing else."""
        archive = self.folder / "base.tar"
        self.run(
            "mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--include=ca-certificates,python3,python3-venv", "bookworm", str(archive),
            patience_s=600,
        )  # fmt: skip
        self.podman("import", "--quiet", str(archive), BASE, patience_s=300)
        archive.unlink()

    def build(self, tag: str, *arguments: str, check: bool = True) -> str:
        """The image from the repository; what the build said."""
        settings = self.folder / "pip.conf"
        settings.write_text(pip_settings())
        secrets = [f"--secret=id=pip,src={settings}"]
        if _CERTIFICATES.exists():
            secrets.append(f"--secret=id=ca,src={_CERTIFICATES}")
        done = self.run(
            "buildah", "bud", "--isolation=chroot", "--layers", "--format=docker",
            f"--build-arg=BASE_IMAGE={BASE}", *secrets, *arguments, f"--file={DOCKERFILE}",
            f"--tag={tag}", str(ROOT), check=check, patience_s=1_500,
        )  # fmt: skip
        return done.stdout + done.stderr

    def image(self, tag: str) -> dict[str, Any]:
        """What is known of an image."""
        found: dict[str, Any] = json.loads(self.podman("image", "inspect", tag).stdout)[0]
        return found

    def compressed_bytes(self, tag: str) -> list[int]:
        """What each layer of an image weighs on its way, from the base up."""
        folder = self.folder / f"oci-{uuid4().hex[:8]}"
        try:
            self.run("buildah", "push", "--quiet", tag, f"oci:{folder}:it", patience_s=600)
            index = json.loads((folder / "index.json").read_text())
            digest = index["manifests"][0]["digest"].removeprefix("sha256:")
            manifest = json.loads((folder / "blobs" / "sha256" / digest).read_text())
            return [layer["size"] for layer in manifest["layers"]]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def inside(self, *command: str, env: Sequence[str] = ()) -> str:
        """What a program of the image says, run as a pod's would be."""
        program, *rest = command
        variables = [f"--env={each}" for each in env]
        return self.podman(
            "run", "--rm", *LIKE_A_POD, *variables, f"--entrypoint={program}", IMAGE, *rest
        ).stdout

    @contextmanager
    def running(self, *arguments: str, command: Sequence[str] = ()) -> Iterator[Container]:
        """A container, run as a pod's; it is removed at the end.

        Args:
            arguments: of ``podman run``.
            command: of the program.
        """
        name = f"iot-test-{uuid4().hex[:12]}"
        self.podman("run", "--detach", f"--name={name}", *LIKE_A_POD, *arguments, IMAGE, *command)
        try:
            yield Container(self, name)
        finally:
            self.podman("rm", "--force", "--time=0", name, check=False)

    def close(self) -> None:
        """End and remove all."""
        self.podman("pod", "rm", "--all", "--force", "--time=0", check=False)
        self.podman("rm", "--all", "--force", "--time=0", check=False)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in sorted(mounted, reverse=True):  # what lies deeper comes first
            if Path(place).is_relative_to(self.folder):
                self.run("umount", place, check=False)
        shutil.rmtree(self.folder)


def pip_settings() -> str:
    """A pip.conf of where this machine gets its packages."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in _PIP_KEYS:  # those of the environment come before those of files
            found.setdefault(name, value.strip("'\""))
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in found.items())]) + "\n"


@dataclass(frozen=True)
class Container:
    """One that runs, or has ended."""

    store: Store
    name: str

    def state(self) -> dict[str, Any]:
        """As podman tells it."""
        found: dict[str, Any] = json.loads(self.store.podman("inspect", self.name).stdout)[0]
        return found

    def said(self) -> str:
        """All that it wrote so far, standard output and standard error."""
        done = self.store.podman("logs", self.name)
        return done.stdout + done.stderr

    def events(self) -> list[dict[str, Any]]:
        """Its log lines; every one is JSON."""
        return [json.loads(line) for line in self.said().splitlines()]

    def event(self, kind: str, is_it: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """The first log line of a kind that there is, waited for."""

        def found() -> dict[str, Any] | None:
            for event in self.events():
                if event["event"] == kind and is_it(event):
                    return event
            assert self.is_running(), self.said()
            return None

        return until(f"a line {kind}", found)

    def is_running(self) -> bool:
        """Whether its process lives."""
        return bool(self.state()["State"]["Running"])

    def stop(self, patience_s: int = 30) -> int:
        """SIGTERM, and SIGKILL to those that do not heed it; the exit code."""
        self.store.podman("stop", f"--time={patience_s}", self.name)
        return int(self.state()["State"]["ExitCode"])

    def end(self) -> int:
        """Wait for it; the exit code."""
        return int(self.store.podman("wait", self.name, patience_s=300).stdout)

    def cpu_s(self) -> float:
        """CPU time of all its processes so far."""
        old = self._controller("cpuacct") / "cpuacct.usage"
        if old.exists():
            return int(old.read_text()) / 1e9
        lines = (self._controller("") / "cpu.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6

    def most_bytes(self) -> int:
        """The most memory that it took so far, as its limit counts."""
        old = self._controller("memory") / "memory.max_usage_in_bytes"
        return int((old if old.exists() else self._controller("") / "memory.peak").read_text())

    def _controller(self, name: str) -> Path:
        path = self.state()["State"]["CgroupPath"].lstrip("/")
        return Path("/sys/fs/cgroup") / name / path


def until(what: str, found: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """The first answer that is not empty; fails when there is none in time."""
    end = time.monotonic() + patience_s
    while True:
        if answer := found():
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {patience_s:g} s")
        time.sleep(0.1)


def asked(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page on this machine; status 0: nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, urllib.error.URLError):
        return 0, ""


def sample(page: str, name: str) -> float:
    """The one sample of a name on a page of metrics."""
    (value,) = (
        line.rpartition(" ")[2]
        for line in page.splitlines()
        if line.startswith((f"{name} ", f"{name}{{"))
    )
    return float(value)
