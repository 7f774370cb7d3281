"""Before anything imports numba: test runs share one cache of compiled kernels with the tool.

Two profiles of Hypothesis: ``full`` by default and in CI, ``quick`` in `make check`
(``--hypothesis-profile=quick``).
"""

from __future__ import annotations

import os

from hypothesis import settings

from iot_producer.kernel_cache import prepare, user_cache_dir

prepare(user_cache_dir(os.environ), os.environ)

settings.register_profile("full", max_examples=100, deadline=None)
settings.register_profile("quick", max_examples=15, deadline=None)
settings.load_profile("full")
