"""A broker for the length of a measurement, in a temporary folder, on free loopback ports.

Promise: whatever ends the measurement ends the broker and deletes its data too. It must not know
what is measured. Needs the extra ``stack``; importing it without says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from iot_producer.bench.bench_options import BenchOptions
from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up
from iot_producer.stack.interrupts import unwinding_on_signals

_RETENTION_MB = 64  # nobody reads what was confirmed


@contextmanager
def local_broker(options: BenchOptions, say: Callable[[str], None]) -> Iterator[StackStatus]:
    """A broker that is up inside the ``with`` block and gone after it.

    Args:
        options: where downloads are kept; the environment (JAVA_HOME, PATH).
        say: takes a line of news.

    Raises:
        IotProducerError: it cannot be fetched or started.
    """
    environ = options.environ
    java_home = environ.get("JAVA_HOME", "")
    # SIGTERM shall unwind too, and not leave a broker behind.
    with unwinding_on_signals(), tempfile.TemporaryDirectory(prefix="iot-producer-bench-") as home:
        config = StackConfig(
            Path(home),
            options.cache_dir or default_cache_dir(environ),
            "bench",
            java_home_hint=Path(java_home) if java_home else None,
            retention_mb=_RETENTION_MB,
        )
        try:
            yield up(config, say, _quarters(say))
        finally:
            down(config, purge=True)


def _quarters(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """A download's progress in four lines."""
    said = 0

    def progress(done_bytes: int, total_bytes: int) -> None:
        nonlocal said
        quarter = 4 * done_bytes // total_bytes if total_bytes else 0
        if quarter > said:
            said = quarter
            say(f"    {done_bytes / 1e6:.0f} of {total_bytes / 1e6:.0f} MB")

    return progress
