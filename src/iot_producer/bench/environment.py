"""The environment of commands that are measured: the user's, without what changes the result.

Promise: a new mapping. It must not know the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ALIEN: Final = ("NUMBA_", "IOT_PRODUCER_", "MESSAGES_", "PULSAR_", "XDG_CACHE_HOME")
"""Variables that begin so would change what is measured."""
_SETTINGS: Final = frozenset(("WORKERS", "SHARD", "SEED", "DEVICES", "CUSTOMERS", "SITES"))


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``environ`` that are no settings of ours."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(_ALIEN) and name not in _SETTINGS
    }
