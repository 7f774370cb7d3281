"""Reads records back from files of JSON lines, plain or compressed, as chunks.

Promise: each line is a record, byte for byte, without its line feed; files are read in the order of
their names, each as a partition of its own, in bounded memory. The output of several lanes or of a
rotation is found by the name that was given for it. It must not know what the lines mean.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np

from iot_producer.chunk import Chunk
from iot_producer.errors import ConfigError

READ_BYTES: Final = 1 << 20
_LONGEST_LINE: Final = 1 << 26
_ENDINGS: Final = (".jsonl.gz", ".jsonl")
_OF_A_LANE: Final = r"(?P<lane>\.lane-[0-9]+of-[0-9]+)?(?:-[0-9]{5,})?"


class JsonLinesReader:
    """The files of an output.

    Args:
        path: as it was given to the run; ends in ``.jsonl`` or ``.jsonl.gz``.

    Raises:
        ConfigError: another ending, or there is no such file.
    """

    def __init__(self, path: str) -> None:
        self.paths = files_of(path)
        """The files, in the order of reading."""

    def __iter__(self) -> Iterator[Chunk]:
        """The records of all files.

        Raises:
            ConfigError: a file cannot be read, or is damaged.
        """
        lanes: dict[str, int] = {}
        for path in self.paths:
            # The parts of a rotation go on in order; lanes do not.
            lane = re.sub(r"-[0-9]{5,}$", "", path.name.removesuffix(_ending_of(path.name)))
            partition = lanes.setdefault(lane, len(lanes))
            try:
                with _opened(path) as file:
                    yield from _chunks(path, file, partition)
            except (OSError, EOFError, zlib.error) as error:
                raise ConfigError(
                    f"cannot read {path}: {error}", "is it complete, and readable for this user?"
                ) from error


def files_of(path: str) -> list[Path]:
    """The files that an output of this name consists of: one, or those of its lanes and parts.

    Raises:
        ConfigError: there is none.
    """
    given = Path(path)
    ending = _ending_of(given.name)
    stem = given.name.removesuffix(ending)
    form = re.compile(re.escape(stem) + _OF_A_LANE + re.escape(ending))
    if given.is_file():
        return [given]
    try:
        found = sorted(each for each in given.parent.iterdir() if form.fullmatch(each.name))
    except OSError as error:
        raise ConfigError(f"cannot read the directory {given.parent}: {error.strerror}") from error
    if not found:
        raise ConfigError(f"there is no file {path}", "give the path as the run's --to had it")
    return found


def _ending_of(name: str) -> str:
    for ending in _ENDINGS:
        if name.endswith(ending):
            return ending
    raise ConfigError(f"{name} is no file of JSON lines", f"known endings: {', '.join(_ENDINGS)}")


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path) if path.name.endswith(".gz") else path.open("rb"))


def _chunks(path: Path, file: BinaryIO, partition: int) -> Iterator[Chunk]:
    rest = b""
    while True:
        read = file.read(READ_BYTES)
        data = rest + read
        if not read:
            # A last line without a line feed was cut off, or written by hand: it counts.
            data += b"\n" if data else b""
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if cut:
            buffer = np.frombuffer(data, dtype=np.uint8, count=cut)
            ends = np.flatnonzero(buffer == ord("\n"))
            starts = np.concatenate(([0], ends[:-1] + 1))
            yield Chunk(buffer, starts, ends, partition=partition)
        if not read:
            return
        if len(rest) > _LONGEST_LINE:
            raise ConfigError(f"{path} has a line of more than {_LONGEST_LINE >> 20} MiB")
