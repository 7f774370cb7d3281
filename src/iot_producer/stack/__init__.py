"""A real Apache Pulsar on this machine, without Docker: fetched once, started, stopped, observed.

Promise: loopback only, bounded memory and disk, nothing left behind. It must not know what is
produced to it. What runs processes needs the extra ``stack`` and says so when it is used; the
settings need nothing, which is why names are loaded when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from iot_producer.stack.pulsar_standalone import StartingBroker, down, start, status, up
    from iot_producer.stack.stack_config import (
        Progress,
        Say,
        StackConfig,
        StackStatus,
        default_cache_dir,
        default_state_dir,
    )

__all__ = [
    "Progress",
    "Say",
    "StackConfig",
    "StackStatus",
    "StartingBroker",
    "default_cache_dir",
    "default_state_dir",
    "down",
    "start",
    "status",
    "up",
]

_MODULES: Final = {
    "StartingBroker": "pulsar_standalone",
    "down": "pulsar_standalone",
    "start": "pulsar_standalone",
    "status": "pulsar_standalone",
    "up": "pulsar_standalone",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES.get(name, 'stack_config')}")
    return getattr(module, name)
