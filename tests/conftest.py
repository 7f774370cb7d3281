"""Before anything imports numba: test runs share one cache of compiled kernels with the tool."""

from __future__ import annotations

import os

from iot_producer.kernel_cache import prepare, user_cache_dir

prepare(user_cache_dir(os.environ), os.environ)
