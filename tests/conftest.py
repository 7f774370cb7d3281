"""Before anything imports numba: test runs share one cache of compiled kernels with the tool.

Two profiles of Hypothesis: ``full`` by default and in CI, ``quick`` in `make check`
(``--hypothesis-profile=quick``).
"""

from __future__ import annotations

import os
import signal

from hypothesis import settings

from iot_producer.kernel_cache import prepare, user_cache_dir

prepare(user_cache_dir(os.environ), os.environ)

settings.register_profile("full", max_examples=100, deadline=None)
settings.register_profile("quick", max_examples=15, deadline=None)
settings.load_profile("full")

# Whoever starts the tests in the background or under nohup has SIGINT and SIGHUP ignored, and
# children inherit that; the tests of Ctrl-C mean a terminal's.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
