"""Where this process caches its kernels: decided before numba is imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from iot_producer import kernel_cache
from iot_producer.cpu_target import check_cpu

COMPILING: Final = "compiling the kernels: once per version, about 10 s; later starts take a second"


def prepare_kernels(kernel: str = kernel_cache.TEXT_KERNEL) -> bool:
    """Choose the kernel cache; whether a first compile of the main kernel lies ahead.

    Raises:
        ConfigError: this CPU cannot run what the kernels are compiled for.
    """
    check_cpu(os.environ)
    directory = kernel_cache.prepare(cache_dir(None), os.environ)
    return not kernel_cache.is_warm(directory, kernel)


def cache_dir(given: Any) -> Path:
    """The tool's cache directory: as given, else ``IOT_PRODUCER_CACHE``, else the user's."""
    from iot_producer.config import read_environment

    environ = read_environment()
    chosen = given or environ.get("IOT_PRODUCER_CACHE", "")
    return Path(chosen) if chosen else kernel_cache.user_cache_dir(environ)
