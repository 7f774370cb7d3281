"""Output files: their names, the temporary name while they grow, and what can go wrong with them.

Promise: a file has its final name only when it is complete and synced to its disk. While it grows
it is called ``<final name>.partial`` and is locked by its process, so a run that was killed leaves
a file that is recognisable, and two runs never write the same one. Lanes never collide. It must
not know what is written.

Names, for ``out.jsonl``::

    out.jsonl                          one lane
    out.lane-03of-08.jsonl             lane 3 of 8 (from 0)
    out-00001.jsonl                    rotated: the first part, complete when the second begins
    out.lane-03of-08-00001.jsonl       both

With ``force``, older files of the output are removed when the first new one is complete, not
before; only a partial file of the same name is emptied at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from pathlib import Path
from typing import Final

from iot_producer.errors import ConfigError, OutputExistsError, RefusedError
from iot_producer.lane import LaneSpec

ENDINGS: Final = (".jsonl.gz", ".jsonl", ".parquet")
PARTIAL: Final = ".partial"

_HINTS: Final = {
    errno.ENOSPC: "free some space, or write to another disk; what was confirmed is kept",
    errno.EDQUOT: "free some space, or write to another disk; what was confirmed is kept",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or rotate the output by size",
    errno.EACCES: "choose a directory that this user may write, or change its permissions",
    errno.EPERM: "choose a directory that this user may write, or change its permissions",
    errno.EROFS: "its file system is read-only: choose another directory",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def refused(error: OSError, what: str) -> RefusedError:
    """The operating system's refusal to write, in the project's words.

    Args:
        error: what it raised.
        what: the file, or what it is called.
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    return RefusedError(f"cannot write {what}: {reason}", _HINTS.get(error.errno or 0, ""))


class OutputPart:
    """One file while it grows.

    Attributes:
        path: its final name.
        n_bytes: how much was written.
    """

    __slots__ = ("_fd", "_files", "n_bytes", "path")

    def __init__(self, path: Path, fd: int, files: OutputFiles) -> None:
        self.path = path
        self.n_bytes = 0
        self._fd = fd
        self._files = files

    @property
    def partial(self) -> Path:
        """Its name while it grows."""
        return self.path.with_name(self.path.name + PARTIAL)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of ``data``, or nothing: what was written of it before a failure is undone.

        Raises:
            RefusedError: the disk is full, or any other refusal.
        """
        rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            os.ftruncate(self._fd, self.n_bytes)
            os.lseek(self._fd, self.n_bytes, os.SEEK_SET)
            raise refused(error, str(self.partial)) from error
        self.n_bytes += len(memoryview(data).cast("B"))

    def sync(self) -> None:
        """Return when what was written is on the disk.

        Raises:
            RefusedError: it could not be written there.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise refused(error, str(self.partial)) from error

    def complete(self) -> None:
        """Sync it and give it its final name.

        Raises:
            RefusedError: the file system refused; the partial file stays.
            OutputExistsError: somebody else made a file of that name meanwhile; the partial stays.
        """
        try:
            self.sync()
            self._files.finish(self)
        finally:
            os.close(self._fd)

    def abandon(self) -> None:
        """Remove it: nothing in it can be used."""
        self.partial.unlink(missing_ok=True)
        os.close(self._fd)


class OutputFiles:
    """The files of one lane's output.

    Args:
        path: as the user gave it; ends in one of `ENDINGS`.
        lane: whose records.
        rotated: whether parts are numbered from the first on.
        force: replace files that are there.

    Raises:
        ConfigError: the directory is missing, or the path cannot be a file.
        OutputExistsError: the output, a part of it or of a run with other lanes is there already.
        RefusedError: another process is writing it.
    """

    def __init__(self, path: str, lane: LaneSpec, *, rotated: bool, force: bool) -> None:
        given = Path(path)
        self._directory = given.parent
        self._ending = next((e for e in ENDINGS if given.name.endswith(e)), "")
        self._stem = given.name[: len(given.name) - len(self._ending)]
        if not self._stem or not self._ending:
            raise ConfigError(f"{path!r} does not end in {', '.join(ENDINGS)}", "rename it")
        if not self._directory.is_dir():
            raise ConfigError(
                f"the directory of {path!r} does not exist: {self._directory}",
                f"create it: mkdir -p {self._directory}",
            )
        self._lane = lane
        self._rotated = rotated
        self._force = force
        self._n_parts = 0
        self._old = self._find_old()
        for old in self._old:
            if old.name.endswith(PARTIAL):
                _require_unlocked(old)
        if self._old and not force:
            names = ", ".join(old.name for old in self._old[:3])
            more = f" and {len(self._old) - 3} more" if len(self._old) > 3 else ""
            killed = any(old.name.endswith(PARTIAL) for old in self._old)
            raise OutputExistsError(
                f"output exists already in {self._directory}: {names}{more}",
                "give --force to replace it, or another name"
                + (f"; {PARTIAL} is what a killed run left" if killed else ""),
            )

    def open_part(self) -> OutputPart:
        """The next file, empty, under its temporary name.

        Raises:
            RefusedError: the operating system refused, or another process is writing that file.
        """
        path = self._directory / self._name(self._n_parts + 1)
        partial = path.with_name(path.name + PARTIAL)
        if path.is_dir():
            raise ConfigError(f"{path} is a directory", "give the name of a file")
        try:
            fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise refused(error, str(path)) from error
        try:
            _lock(fd, partial)
            os.ftruncate(fd, 0)
        except OSError as error:
            os.close(fd)
            raise refused(error, str(path)) from error
        except RefusedError:
            os.close(fd)
            raise
        self._n_parts += 1
        return OutputPart(path, fd, self)

    def finish(self, part: OutputPart) -> None:
        """Rename a synced part; the first one takes older files of the output with it."""
        if not self._force and os.path.lexists(part.path):
            raise OutputExistsError(
                f"{part.path} was made by somebody else during the run",
                f"the records are in {part.partial}",
            )
        try:
            os.replace(part.partial, part.path)
            for old in self._old:
                if old != part.path and old != part.partial:
                    old.unlink(missing_ok=True)
            self._old = []
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise refused(error, str(part.path)) from error

    def _name(self, number: int) -> str:
        n_lanes = self._lane.n_lanes
        width = max(2, len(str(n_lanes)))
        lane = f".lane-{self._lane.index:0{width}d}of-{n_lanes:0{width}d}" if n_lanes > 1 else ""
        # Without rotation there is one file, unless the sink was drained and used again.
        count = f"-{number:05d}" if self._rotated or number > 1 else ""
        return f"{self._stem}{lane}{count}{self._ending}"

    def _find_old(self) -> list[Path]:
        """Files of this output that are not another lane's of the same run."""
        form = re.compile(
            re.escape(self._stem)
            + r"(?:\.lane-([0-9]+)of-([0-9]+))?(?:-[0-9]{5,})?"
            + re.escape(self._ending)
            + rf"(?:{re.escape(PARTIAL)})?"
        )
        own = (self._lane.index, self._lane.n_lanes)
        found = []
        for name in sorted(os.listdir(self._directory)):
            match = form.fullmatch(name)
            if match:
                index, n_lanes = int(match[1] or 0), int(match[2] or 1)
                if n_lanes != own[1] or index == own[0]:
                    found.append(self._directory / name)
        return found


def _lock(fd: int, partial: Path) -> None:
    """Make the file this process's own for as long as it is open."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise _in_use(partial) from error
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # some network file systems
            raise
    # Its owner may have completed it between open and lock: then the name is gone or another's.
    if not partial.exists() or partial.stat().st_ino != os.fstat(fd).st_ino:
        raise _in_use(partial)


def _require_unlocked(partial: Path) -> None:
    """Refuse to touch a partial file that somebody is writing."""
    try:
        fd = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # completed or removed since the directory was read
    except OSError as error:
        raise refused(error, str(partial)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise _in_use(partial) from error
    finally:
        os.close(fd)


def _in_use(partial: Path) -> RefusedError:
    return RefusedError(f"another process is writing {partial}", "let it end, or give another name")
