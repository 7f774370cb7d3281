"""TOML files with settings, and the named workloads that come with the program.

Promise: a TOML document, or a `ConfigError` that says what is wrong with the file. This module must
not know what the keys mean.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from iot_producer.errors import ConfigError
from iot_producer.spelling import did_you_mean


def workload_names() -> list[str]:
    """The workloads that come with the program, by name."""
    return sorted(path.stem for path in _workloads().glob("*.toml"))


def read_toml(name: str) -> tuple[dict[str, Any], str]:
    """A TOML file.

    Args:
        name: a path, or the bare name of a workload that comes with the program.

    Returns:
        the document, and what messages call the file.

    Raises:
        ConfigError: no such file or workload, it cannot be read, or it is not TOML.
    """
    path = Path(name)
    if "/" not in name and not path.suffix and not path.is_file():
        path = _workloads() / f"{name}.toml"
        if not path.is_file():
            raise ConfigError(
                f"there is no workload {name!r}",
                f"{did_you_mean(name, workload_names())} A file's name ends in .toml",
            )
    try:
        return tomllib.loads(path.read_bytes().decode()), path.name
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{name} is not TOML: {error}", "correct the file at that place"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot read the TOML file {name}: {error.strerror}",
            f"give a path, or the name of a workload: {', '.join(workload_names())}",
        ) from error


def _workloads() -> Path:
    """The directory of the workloads: inside the package, or beside src/ in a checkout."""
    installed = Path(__file__).parent / "workloads"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "workloads"
