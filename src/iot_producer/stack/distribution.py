"""The official server distribution, fetched once, checked against its sha256, unpacked once.

Promise: the folder that `fetch` returns is whole. An attempt that is interrupted, cut short or
falsified leaves nothing that a later one could mistake for a whole one, and two processes do not
disturb each other. This module must not know what the files are for.

A fetch works inside ``.staging-…`` and renames at its end. So whatever else lies there while the
lock is held is the rest of an attempt that died, and is removed. The archive is not kept: a folder
that was damaged later is found out by the sizes of its files, and fetched again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iot_producer.errors import ConfigError, DestinationError, RefusedError, UnreachableError
from iot_producer.stack.file_lock import locked
from iot_producer.stack.java import INSTALL_HINT
from iot_producer.stack.stack_config import Progress, Say

_MANIFEST: Final = ".files.json"
_STAGING: Final = ".staging-"
_READ_TIMEOUT_S: Final = 30
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class DistributionSpec:
    """One archive in a Maven registry.

    Attributes:
        group, artifact, version, classifier, packaging: its coordinates.
        n_bytes: size of the archive.
        sha256: of the archive, in hexadecimal.
        unpacked_bytes: what its files take at most.
    """

    group: str
    artifact: str
    version: str
    classifier: str
    packaging: str
    n_bytes: int
    sha256: str
    unpacked_bytes: int

    def __str__(self) -> str:
        return f"{self.artifact} {self.version}"


PULSAR: Final = DistributionSpec(
    group="org.apache.pulsar",
    artifact="pulsar-server-distribution",
    version="4.0.8",
    classifier="bin",
    packaging="tar.gz",
    n_bytes=245_494_718,
    sha256="35c7d064c9e0928edbf2e708989faba0379662f98aa84ce0d4190c59efb6765e",
    unpacked_bytes=280_000_000,
)

Download = Callable[[DistributionSpec, Path, Callable[[int], None]], Path]
"""Fetches an archive into a folder; calls back with the size of each piece; returns the file."""


def find(cache_dir: Path, spec: DistributionSpec = PULSAR) -> Path | None:
    """The unpacked distribution, if it is there and no file of it is missing or cut short."""
    home = _home(cache_dir, spec)
    try:
        sizes = json.loads((home / _MANIFEST).read_text("utf-8"))
        whole = all((home / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return None
    return home if whole else None


def fetch(
    cache_dir: Path,
    say: Say,
    progress: Progress,
    spec: DistributionSpec = PULSAR,
    download: Download | None = None,
) -> Path:
    """The unpacked distribution; it is downloaded unless it is there.

    Args:
        cache_dir: where it is kept; made when missing.
        say: told what is going on.
        progress: told how many bytes are there, and of how many; the last call has both equal.
        spec: which.
        download: how; by default from the registry that the library jgo knows.

    Returns:
        The folder that holds ``lib`` and ``conf``.

    Raises:
        UnreachableError: it is not there, and the registry cannot be reached.
        RefusedError: the disk is full, or the registry has no such archive.
        DestinationError: what was downloaded is not what is known under this name.
        ConfigError: the folder cannot be written, or the library that downloads is missing.
    """
    home = find(cache_dir, spec)
    if home is not None:
        return home
    with _disk_errors(cache_dir):
        home = _home(cache_dir, spec)
        home.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another process that fetches {spec}"
        with locked(home.parent / ".lock", lambda: say(waiting)):
            if find(cache_dir, spec) is not None:
                return home
            for rest in home.parent.glob(f"{_STAGING}*"):
                shutil.rmtree(rest)
            _check_room(home.parent, spec)
            staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=home.parent))
            try:
                say(f"fetching {spec}, {spec.n_bytes / 1e6:.0f} MB, once")
                archive = _downloaded(spec, staging, progress, download or _download_with_jgo)
                _check(archive, spec)
                say("unpacking")
                unpacked = _unpack(archive, staging / "unpacked")
                if home.exists():
                    home.rename(staging / "damaged")
                unpacked.rename(home)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return home


def _home(cache_dir: Path, spec: DistributionSpec) -> Path:
    return cache_dir.absolute() / spec.artifact / spec.version


def _check_room(folder: Path, spec: DistributionSpec) -> None:
    needed = spec.n_bytes + spec.unpacked_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RefusedError(
            f"{spec} needs {needed / 1e6:.0f} MB of disk, and {free / 1e6:.0f} MB are free "
            f"at {folder}",
            "free some, or choose another place with --cache-dir",
        )


def _downloaded(
    spec: DistributionSpec, staging: Path, progress: Progress, download: Download
) -> Path:
    done_bytes = 0

    def add(n_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += n_bytes
        # More than announced is not worth a percentage over 100: the checksum will tell.
        progress(min(done_bytes, spec.n_bytes), spec.n_bytes)

    progress(0, spec.n_bytes)
    return download(spec, staging, add)


def _check(archive: Path, spec: DistributionSpec) -> None:
    again = "run it again; if that does not help, something between here and the registry alters it"
    n_bytes = archive.stat().st_size
    if n_bytes != spec.n_bytes:
        raise DestinationError(f"{spec} came with {n_bytes} bytes instead of {spec.n_bytes}", again)
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
    if digest.hexdigest() != spec.sha256:
        raise DestinationError(
            f"{spec} came with the sha256 {digest.hexdigest()} instead of {spec.sha256}", again
        )


def _unpack(archive: Path, target: Path) -> Path:
    """Unpack an archive of one top folder, and note the sizes of its files beside them."""
    with tarfile.open(archive, "r:gz") as tar:
        # Python 3.11.0 to 3.11.3 have no filter; there the checksum alone has to do.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(target)  # noqa: S202 - its sha256 is known
    (top,) = target.iterdir()
    sizes = {
        str(file.relative_to(top)): file.stat().st_size
        for file in sorted(top.rglob("*"))
        if file.is_file()
    }
    (top / _MANIFEST).write_text(json.dumps(sizes), "utf-8")
    return top


def _download_with_jgo(spec: DistributionSpec, staging: Path, add: Callable[[int], None]) -> Path:
    try:
        import requests
        from jgo.maven import MavenContext, PythonResolver
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{spec} is not here yet, and the package {error.name} that fetches it is missing",
            INSTALL_HINT,
        ) from error

    @contextmanager
    def adding(_name: str, _total_bytes: int) -> Iterator[Callable[[int], None]]:
        yield add

    resolver = PythonResolver(progress_callback=adding)
    context = MavenContext(repo_cache=staging, resolver=resolver, timeout=_READ_TIMEOUT_S)
    component = context.project(spec.group, spec.artifact).at_version(spec.version)
    try:
        return Path(component.artifact(spec.classifier, spec.packaging).resolve())
    except requests.RequestException as error:
        raise UnreachableError(
            f"{spec} is not here yet and cannot be fetched: {_reason(error)}",
            "connect this machine (proxies: HTTPS_PROXY), run it again; or copy the cache "
            "folder of a machine that has it",
        ) from error
    except RuntimeError as error:
        raise RefusedError(f"the registry does not hand out {spec}: {error}") from error


def _reason(error: BaseException) -> str:
    """The innermost reason that says something: the outer ones repeat it with addresses."""
    said = str(error)
    inner: BaseException | None = error
    while inner is not None:
        said = str(inner) or said
        inner = inner.__cause__ or inner.__context__
    return said


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RefusedError(
                f"the disk is full: {where}", "free some, or choose another place with --cache-dir"
            ) from error
        raise ConfigError(
            f"the cache folder cannot be used: {error.strerror or error}: {where}",
            "choose another place with --cache-dir",
        ) from error
    except tarfile.TarError as error:
        raise DestinationError(f"the archive cannot be unpacked: {error}") from error
