"""Where compiled kernels are cached: a directory that is named by what they were compiled from.

Promise: a kernel that is found in the directory was compiled from exactly these sources, by this
numba, for this Python (numba itself does not notice a change in a helper of another file). A
directory that cannot be written never stops a run: there is another one, or no cache; and where it
was set by hand, as in a container image, what it holds is used as it is. It must not import numba
or numpy: it decides before they are imported, and ``--help`` has no time for them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Mapping, MutableMapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

KERNEL_MODULES: Final = (
    "compiled.py",
    "conditions.py",
    "device_life.py",
    "device_order.py",
    "encoders/device_text.py",
    "encoders/json_rows.py",
    "encoders/text_pieces.py",
    "encoders/words.py",
    "fixedpoint.py",
    "fleet.py",
    "latency.py",
    "latency_counts.py",
    "lattice.py",
    "pulsar/entry_lz4.py",
    "pulsar/entry_rows.py",
    "pulsar/entry_scan.py",
    "pulsar/lz4_record.py",
    "pulsar/lz4_sequences.py",
    "pulsar/message_frame.py",
    "pulsar/message_keys.py",
    "pulsar/routing.py",
    "record_scan.py",
    "record_sums.py",
    "schema.py",
    "sighting_counts.py",
    "signals.py",
    "tile.py",
)
"""Every source file that compiled code depends on; a test proves it complete."""

VARIABLE: Final = "NUMBA_CACHE_DIR"
"""The environment variable that numba reads when it is imported."""

LOCATORS: Final = "NUMBA_CACHE_LOCATOR_CLASSES"
"""Another one: the classes that may find a function's cache."""
PREBUILT: Final = "iot_producer.compiled.PrebuiltKernels"
"""The one for a directory that cannot be written: numba's own refuse it, be it full of kernels."""

TEXT_KERNEL: Final = "json_rows.write_rows"
"""Writes records as text: for files, standard output, preview."""
ENTRY_KERNELS: Final = {"lz4": "entry_lz4.write_lz4_entry"}
"""Write entries of the native client, by compression; the others' is `PLAIN_ENTRY_KERNEL`."""
PLAIN_ENTRY_KERNEL: Final = "entry_rows.write_entry"
_KEPT: Final = 3  # directories of other kernels that stay: people go back and forth
_IN_USE_S: Final = 86_400  # one that was used within a day may belong to a running process


def kernel_hash() -> str:
    """20 hexadecimal digits of the kernels' sources, numba's version and Python's."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for name in KERNEL_MODULES:
        source = (package / name).read_bytes()
        digest.update(f"{name} {len(source)}\n".encode())
        digest.update(source)
    for part in (_version_of("numba"), _version_of("numpy"), sys.version):
        digest.update(f"{part}\n".encode())
    return digest.hexdigest()[:20]


def kernel_cache_dir(cache_dir: Path) -> Path:
    """The directory of the kernels as they are now, below the tool's cache directory."""
    return cache_dir / "kernels" / kernel_hash()


def user_cache_dir(environ: Mapping[str, str]) -> Path:
    """``$XDG_CACHE_HOME/iot-producer`` or ``~/.cache/iot-producer``."""
    base = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the specification says to ignore a relative one
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".cache")
    return Path(base) / "iot-producer"


def prepare(cache_dir: Path, environ: MutableMapping[str, str]) -> Path | None:
    """Tell numba where to cache; to be called before it is imported.

    Sets NUMBA_CACHE_DIR to the first directory that can be written: below ``cache_dir``, else below
    the directory for temporary files. Directories of older kernels beside it are removed. Nothing
    is changed if the variable is set already: by the user, who then answers for stale kernels, by
    the process that started this one, or by a container image, whose file system may be read-only:
    then numba is told to read and never to write.

    Args:
        cache_dir: the tool's cache directory; it need not exist.
        environ: the environment, usually ``os.environ``.

    Returns:
        The directory, or None when there is none that can be written: kernels are compiled anew in
        each process then (compiled.py caches only if the variable is set).
    """
    if environ.get(VARIABLE):
        given = Path(environ[VARIABLE])
        if not environ.get(LOCATORS) and not _made_writable(given):
            environ[LOCATORS] = PREBUILT
        return given
    name = kernel_hash()
    temporary = Path(environ.get("TMPDIR") or "/tmp") / f"iot-producer-{os.getuid()}"  # noqa: S108
    for base in (cache_dir / "kernels", temporary / "kernels"):
        if base.is_relative_to(temporary) and not _made_private(temporary):
            continue
        directory = base / name
        if _made_writable(directory):
            _remove_old(base, directory)
            environ[VARIABLE] = str(directory)
            return directory
    return None


def entry_kernel(compression: str) -> str:
    """The kernel that writes entries of a compression."""
    return ENTRY_KERNELS.get(compression, PLAIN_ENTRY_KERNEL)


def is_warm(directory: Path | None, kernel: str = TEXT_KERNEL) -> bool:
    """Whether a kernel was compiled into a directory before: no long compile lies ahead."""
    if directory is None:
        return False
    return any(directory.glob(f"*/{kernel}-*.nbc"))


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _made_private(directory: Path) -> bool:
    """Make a directory that only we can write: kernels are code, and others can write beside it."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _made_writable(directory: Path) -> bool:
    """Make a directory, and write into it: neither permissions nor statvfs tell everything."""
    probe = directory / f".probe-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
        os.utime(directory)
    except OSError:
        return False
    return True


def _remove_old(base: Path, current: Path) -> None:
    """Remove directories of other kernels, but the newest few and those that may be in use."""
    try:
        now_s = current.stat().st_mtime
        others = [
            (entry.stat().st_mtime, entry)
            for entry in base.iterdir()
            if entry != current and entry.is_dir() and not entry.is_symlink()
        ]
    except OSError:  # another process cleans at the same time
        return
    for used_s, directory in sorted(others, reverse=True)[_KEPT:]:
        if now_s - used_s > _IN_USE_S:
            shutil.rmtree(directory, ignore_errors=True)
