"""AWS and an image registry on loopback, as processes: moto's server, Debian's docker-registry."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from needed import needed

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / ".venv-deploy" / "bin"
ACCOUNT = "123456789012"
REGION = "eu-central-1"
# bcrypt of the password that moto's ECR gives to AWS in that account; the registry checks it.
_HTPASSWD = "AWS:$2b$04$0uAZqanjes0CeTwbzxzHWOdlatX8TJR0ant0MeWgrbMzZk7ovIC82\n"
_PATIENCE_S = 30.0


def tools_path() -> str:
    """A PATH on which the tools of .venv-deploy come first."""
    return f"{TOOLS}{os.pathsep}{os.environ['PATH']}"


def needs(tool: str, remedy: str) -> str:
    """The path of a tool."""
    return needed(tool, remedy, tools_path())


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # It answers; that it asks for a password is an answer.
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer:\n{log.read_text()}")


@contextmanager
def _running(command: list[str], url: str, log: Path, env: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
    try:
        _wait_for(url, process, log)
        yield
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)


@contextmanager
def moto(folder: Path, n_calls_without_rights: int | None = None) -> Iterator[str]:
    """AWS, as moto's server does it; yields its address for AWS_ENDPOINT_URL.

    Keys and rights are checked after ``n_calls_without_rights`` calls; None: never.
    """
    command = needs("moto_server", "make test-deploy installs it (moto)")
    checks = {}
    if n_calls_without_rights is not None:
        checks["INITIAL_NO_AUTH_ACTION_COUNT"] = str(n_calls_without_rights)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _running(
        [command, "-H", "127.0.0.1", "-p", str(port)],
        f"{url}/moto-api/data.json",
        folder / "moto.log",
        dict(os.environ) | checks,
    ):
        yield url


@contextmanager
def moto_with_cluster(folder: Path, name: str, endpoint: str, ca_file: Path) -> Iterator[str]:
    """AWS with one EKS cluster, whose API server is at ``endpoint``; yields AWS's address."""
    needs("moto_server", "make test-deploy installs it (moto)")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    script = Path(__file__).with_name("eks_in_moto.py")
    with _running(
        [str(TOOLS / "python"), str(script), str(port), REGION, name, endpoint, str(ca_file)],
        f"{url}/moto-api/data.json",
        folder / "moto-eks.log",
        dict(os.environ),
    ):
        yield url


@contextmanager
def image_registry(
    folder: Path, *, password: bool = True, read_only: bool = False
) -> Iterator[str]:
    """An image registry with data in ``folder``; yields ``host:port``.

    With ``password`` it lets only AWS in, with the password of moto's account. A registry that is
    ``read_only`` answers, and refuses every push.
    """
    command = needs("docker-registry", "apt install docker-registry")
    port = free_port()
    folder.mkdir(exist_ok=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    auth = f"auth:\n  htpasswd:\n    realm: tests\n    path: {folder}/htpasswd\n"
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\n"
        "storage:\n"
        f"  filesystem:\n    rootdirectory: {folder}/data\n"
        f"  maintenance:\n    readonly:\n      enabled: {str(read_only).lower()}\n"
        f"http:\n  addr: 127.0.0.1:{port}\n" + (auth if password else "")
    )
    environment = dict(os.environ) | {"OTEL_TRACES_EXPORTER": "none"}
    with _running(
        [command, "serve", str(config)],
        f"http://127.0.0.1:{port}/v2/",
        folder / "registry.log",
        environment,
    ):
        yield f"127.0.0.1:{port}"
