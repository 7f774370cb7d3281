"""A broker for the length of a measurement, in a temporary folder, on free loopback ports.

Promise: whatever ends the measurement ends the broker and deletes its data too, and what rounds
leave on the disk stays bounded. It must not know what is measured. Needs the extra ``stack``;
importing it without says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iot_producer.bench.bench_options import BenchOptions
from iot_producer.clock import Clock, SystemClock
from iot_producer.errors import DestinationError
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, distribution, down, up
from iot_producer.stack.interrupts import unwinding_on_signals
from iot_producer.stack.java import Java, find_java

_RETENTION_MB: Final = 64  # nobody reads what was confirmed
_MOST_LEFT_BYTES: Final = 1_000_000_000
_PAUSE_NS: Final = 500_000_000
_PATIENCE_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class LocalBroker:
    """A broker that is up.

    Attributes:
        status: where it is, and which.
        folder: its data and logs, and room for what a measurement needs.
        java, server: what it runs on, for the tools that come with it.
    """

    status: StackStatus
    folder: Path
    java: Java
    server: Path

    def end_round(self, topic: str, clock: Clock | None = None) -> float:
        """Delete a round's topic, and wait until the disk is given back.

        Args:
            topic: which.
            clock: for waiting; the machine's by default.

        Returns:
            bytes of a message on the wire with its share of its entry's metadata, by the broker's
            own counters.

        Raises:
            DestinationError: the admin API refuses or is gone, or the disk stays full.
        """
        clock = clock or SystemClock()
        admin = PulsarAdmin(self.status.admin_url)
        stats = admin.stats(topic)
        admin.delete_topic(topic, force=True)
        deadline_ns = clock.now_ns() + _PATIENCE_NS
        while (left_bytes := _size(self.folder)) > _MOST_LEFT_BYTES:
            if clock.now_ns() >= deadline_ns:
                raise DestinationError(
                    f"the broker keeps {left_bytes / 1e9:.1f} GB of topics that were deleted",
                    "measure fewer stages at once",
                )
            clock.sleep_until(clock.now_ns() + _PAUSE_NS)
        return float(stats["bytesInCounter"] / max(stats["msgInCounter"], 1))


@contextmanager
def local_broker(options: BenchOptions, say: Callable[[str], None]) -> Iterator[LocalBroker]:
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
            status = up(config, say, _quarters(say))
            java = find_java(config.java_home, config.java_home_hint, config.search_path)
            server = distribution.find(config.cache_dir)
            assert server is not None  # it runs
            yield LocalBroker(status, Path(home), java, server)
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


def _size(folder: Path) -> int:
    """Bytes of all files; those that vanish meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if not path.is_symlink():
                total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
