"""Whole files: written under a temporary name and renamed, so that nobody ever reads half of one.

Promise: after a failure the old file is as it was. It must not know what is written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from iot_producer.errors import RefusedError


def write_whole(path: Path, text: str) -> None:
    """Write a text file, or leave what was there.

    Raises:
        RefusedError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(
            f"cannot write {path}: {error.strerror}", "free some space or give another path"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
