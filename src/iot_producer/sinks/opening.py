"""Which sink a destination gets; each is imported only when it is used.

Promise: the one place that knows all sinks. It must not know how any of them works.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from iot_producer.clock import Clock
from iot_producer.destination import Scheme
from iot_producer.errors import NameTakenError, RefusedError
from iot_producer.fleet import Fleet, fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.run_config import RunConfig
from iot_producer.sinks.sink import Sink

if TYPE_CHECKING:
    from iot_producer.sinks.clickhouse_client import ClickHouseConfig

MOST_LANES: Final = 10_000
NAME_WAIT_NS: Final = 8_000_000_000
"""A dead producer's name is free within 5 s (docs/adr/0009-lanes-by-producer-name.md)."""
_NAME_PAUSE_NS: Final = 250_000_000
_NS_PER_DAY: Final = 86_400 * 10**9
_KEPT_DAYS: Final = 30
_PATIENCE_FOREVER_S: Final = 1e9


def producer_name(config: RunConfig, worker: int) -> str:
    """The fixed name of a lane's producer, ``.<worker>`` behind it where there are several.

    It is ``iot-producer-<k>`` for claimed lane k, and ``iot-producer-<i>of<n>`` with ``SHARD=i/n``.
    """
    name = "iot-producer"
    name += (
        f"-{config.shard}of{config.n_shards}" if config.shard_is_given else f"-{config.lane or 0}"
    )
    return f"{name}.{worker}" if config.workers > 1 else name


def claim_lane(
    config: RunConfig, first: int, clock: Clock, say: Callable[[str], None]
) -> tuple[int, Sink]:
    """Take the first lane that is free, and connect this pod's worker 0 to it.

    The broker is the lock: it refuses a second living producer of a name.

    Args:
        config: the run.
        first: the number of the first lane to try.
        clock: stamps.
        say: receives news of attempts to connect.

    Returns:
        the number of the lane, and its sink.

    Raises:
        DestinationError: it is unreachable, or refuses for another reason.
    """
    for lane in range(first, first + MOST_LANES):
        with suppress(NameTakenError):
            return lane, open_sink(replace(config, lane=lane), 0, clock, say)
    raise RefusedError(
        f"all lanes from {first} to {first + MOST_LANES - 1} are taken on "
        f"{config.destination.topic}",
        "choose another topic",
    )


def open_free(config: RunConfig, worker: int, clock: Clock, say: Callable[[str], None]) -> Sink:
    """`open_sink`, with patience where the lane's producer name is taken.

    The broker keeps the name of a producer that died without a word for some seconds.
    """
    deadline_ns = clock.now_ns() + NAME_WAIT_NS
    while True:
        try:
            return open_sink(config, worker, clock, say)
        except NameTakenError:
            now_ns = clock.now_ns()
            if now_ns >= deadline_ns:
                raise
            clock.sleep_until(min(now_ns + _NAME_PAUSE_NS, deadline_ns))


def open_sink(config: RunConfig, worker: int, clock: Clock, say: Callable[[str], None]) -> Sink:
    """Connect a worker's lane to the destination of a run.

    Args:
        config: the run.
        worker: number of the worker in this pod, from 0.
        clock: stamps.
        say: receives news of attempts to connect.

    Raises:
        UsageError: the destination cannot be used so.
        DestinationError: it is unreachable, or refuses.
    """
    fleet = fleet_of(config.fleet)
    lane = LaneSpec(config.lane_index(worker), config.n_lanes)
    destination = config.destination
    path = destination.path
    match destination.scheme:
        case Scheme.PULSAR:
            return _pulsar(config, producer_name(config, worker), fleet, clock, say)
        case Scheme.JSONL | Scheme.JSONL_GZ:
            from iot_producer.sinks.json_file import JsonFileSink

            return JsonFileSink(
                path, fleet, lane, clock, rotate_bytes=config.rotate_bytes, force=config.force
            )
        case Scheme.PARQUET:
            from iot_producer.sinks.parquet_file import ParquetFileSink

            return ParquetFileSink(
                path, fleet, lane, clock, rotate_bytes=config.rotate_bytes, force=config.force
            )
        case Scheme.STDOUT:
            from iot_producer.sinks.stdout import StdoutSink

            return StdoutSink(fleet, clock)
        case Scheme.NULL:
            from iot_producer.sinks.null import NullSink

            return NullSink(fleet, clock)
        case Scheme.CLICKHOUSE | Scheme.CHDB:
            from iot_producer.sinks.clickhouse import ClickHouseSink

            # One identity a run: how blocks are gathered is another each time, so a repeated run's
            # inserts must not be taken for the first one's.
            identity = f"{config.fleet.seed}-{config.fleet.devices}-{clock.now_ns()}"
            return ClickHouseSink(_clickhouse(config, clock.now_ns()), fleet, lane, identity, clock)


def _pulsar(
    config: RunConfig, name: str, fleet: Fleet, clock: Clock, say: Callable[[str], None]
) -> Sink:
    destination = config.destination
    give_up_ns = config.give_up_after_ns
    give_up_after_s = None if give_up_ns is None else give_up_ns / 1e9
    if config.client == "official":
        from iot_producer.pulsar.client_errors import not_installed

        try:
            from iot_producer.sinks.pulsar import PulsarSink
            from iot_producer.sinks.pulsar_config import PulsarSinkConfig
        except ImportError as error:
            raise not_installed(error) from error
        official = PulsarSinkConfig(
            destination.url,
            destination.topic,
            name,
            compression=config.compression,
            max_pending=config.max_pending,
            give_up_after_s=give_up_after_s,
            security=config.security,
        )
        return PulsarSink(official, fleet, clock, say=say)
    from iot_producer.sinks.pulsar_native import NativePulsarConfig, NativePulsarSink

    native = NativePulsarConfig(
        destination.hosts,
        destination.topic,
        name,
        compression=config.compression,
        security=config.security,
        max_pending=config.max_pending,
        give_up_after_s=give_up_after_s,
        name_wait_s=0.0,  # who claims takes the next lane, and open_free waits
    )
    return NativePulsarSink(native, fleet, clock, say)


def _clickhouse(config: RunConfig, now_ns: int) -> ClickHouseConfig:
    from iot_producer.sinks.clickhouse_client import ClickHouseConfig

    destination = config.destination
    host, port = destination.hosts[0] if destination.hosts else ("", 0)
    give_up_ns = config.give_up_after_ns
    # The rows of a plan that starts in the past must not vanish from a new table at once.
    age_ns = 0 if config.start_ns is None else max(now_ns - config.start_ns, 0)
    return ClickHouseConfig(
        directory=destination.path,
        host=host,
        port=port,
        user=destination.user,
        password=destination.password,
        database=destination.database,
        table=destination.table,
        ttl_days=_KEPT_DAYS + age_ns // _NS_PER_DAY,
        give_up_after_s=_PATIENCE_FOREVER_S if give_up_ns is None else give_up_ns / 1e9,
    )
