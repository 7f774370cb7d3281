"""The folder of a stack: its lock, its files, its size, and what the file system refuses.

Promise: only what a stack made is overwritten or deleted. This module must not know whether a
broker runs.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from iot_producer.errors import ConfigError, RefusedError
from iot_producer.stack import broker_files
from iot_producer.stack.file_lock import locked, write_whole
from iot_producer.stack.stack_config import Say, StackConfig
from iot_producer.stack.stack_state import STATE_FILE, StackState

_ROOM_MB: Final = 512
_MADE_BY_SERVER: Final = "rocksdb-log"


def stack_lock(config: StackConfig, say: Say) -> AbstractContextManager[None]:
    """One command at a time changes a stack. Not in its folder, which may be deleted."""
    waiting = f"waiting for another command that works on stack {config.name!r}"
    return locked(config.state_dir / f".{config.name}.lock", lambda: say(waiting))


@contextmanager
def folder_errors(home: Path) -> Iterator[ExitStack]:
    """Map what the file system refuses; the `ExitStack` that is yielded is unwound inside.

    Raises:
        RefusedError: the disk is full.
        ConfigError: anything else.
    """
    try:
        with ExitStack() as guard:
            yield guard
    except OSError as error:
        what = error.strerror or str(error)
        where = error.filename or home
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RefusedError(
                f"the disk is full: {where}", "free some, or choose another place with --state-dir"
            ) from error
        raise ConfigError(
            f"the stack's folder cannot be used: {what}: {where}",
            "choose another place with --state-dir",
        ) from error


def check_room(config: StackConfig, say: Say) -> None:
    """Refuse to start with too little disk, and say so where it may become too little.

    Raises:
        RefusedError: the broker would stop storing at once.
    """
    free_mb = shutil.disk_usage(config.state_dir).free // broker_files.MIB
    where = config.state_dir.absolute()
    if free_mb < config.min_free_disk_mb + _ROOM_MB:
        raise RefusedError(
            f"{free_mb} MB of disk are free at {where}; the broker needs {_ROOM_MB} MB besides the "
            f"{config.min_free_disk_mb} MB that it leaves free",
            "free some, or choose another place with --state-dir",
        )
    if free_mb < config.min_free_disk_mb + config.retention_mb:
        say(
            f"note: {free_mb} MB of disk are free at {where}, and a topic may grow to "
            f"{config.retention_mb} MB; the broker stops storing at "
            f"{config.min_free_disk_mb} MB free"
        )


def write_files(config: StackConfig, server: Path, state: StackState) -> None:
    """Make the folder and what the broker reads.

    Args:
        config: of the stack.
        server: the unpacked distribution.
        state: with the ports.
    """
    home = config.home
    home.mkdir(mode=0o700, exist_ok=True)
    # Native libraries are unpacked there, and stay when the process is killed.
    shutil.rmtree(home / broker_files.TEMPORARY_FOLDER, ignore_errors=True)
    for folder in (broker_files.TEMPORARY_FOLDER, "logs", *broker_files.DATA_FOLDERS):
        (home / folder).mkdir(exist_ok=True)
    # What an earlier start complained about must not be read as the reason of a later failure.
    log = home / broker_files.LOG_FILE
    if log.exists():
        log.replace(home / broker_files.PREVIOUS_LOG_FILE)
    changes = broker_files.overrides(
        config, state.broker_port, state.admin_port, shutil.disk_usage(home).total
    )
    original = (server / "conf" / "standalone.conf").read_text("utf-8")
    write_whole(home / broker_files.CONF_FILE, broker_files.merged_conf(original, changes))
    write_whole(home / broker_files.LOG_CONF_FILE, broker_files.log_conf())


def storage_port(home: Path) -> int | None:
    """The port that the data in a stack's folder belong to; None where there are none."""
    try:
        cookie = home / broker_files.DATA_FOLDERS[1] / "current" / "VERSION"
        return broker_files.storage_port(cookie.read_text("utf-8", "replace"))
    except OSError:
        return None


def purge_folder(home: Path) -> None:
    """Delete what a stack made, and nothing that somebody else put beside it."""
    for name in (
        *broker_files.DATA_FOLDERS,
        "logs",
        broker_files.TEMPORARY_FOLDER,
        _MADE_BY_SERVER,
    ):
        if (home / name).is_dir():
            shutil.rmtree(home / name)
    for name in (STATE_FILE, broker_files.CONF_FILE, broker_files.LOG_CONF_FILE):
        (home / name).unlink(missing_ok=True)
    with suppress(OSError):
        home.rmdir()


def disk_bytes(folder: Path) -> int:
    """What the files of a folder take on the disk."""
    n_bytes = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            n_bytes += file.lstat().st_blocks * 512
    return n_bytes
