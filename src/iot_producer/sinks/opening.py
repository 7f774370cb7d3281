"""Which sink a destination gets; each is imported only when it is used.

Promise: the one place that knows all sinks. It must not know how any of them works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from iot_producer.clock import Clock
from iot_producer.destination import Scheme
from iot_producer.fleet import fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.run_config import RunConfig
from iot_producer.sinks.sink import Sink

if TYPE_CHECKING:
    from iot_producer.sinks.clickhouse_client import ClickHouseConfig

_NS_PER_DAY: Final = 86_400 * 10**9
_KEPT_DAYS: Final = 30
_PATIENCE_FOREVER_S: Final = 1e9


def producer_name(config: RunConfig, worker: int) -> str:
    """The fixed name of a lane's producer: ``iot-producer-<i>of<n>``, ``.<worker>`` behind it."""
    name = "iot-producer"
    name += f"-{config.shard}of{config.n_shards}" if config.shard_is_given else "-0"
    return f"{name}.{worker}" if config.workers > 1 else name


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
            from iot_producer.sinks.pulsar import PulsarSink, PulsarSinkConfig

            give_up_ns = config.give_up_after_ns
            give_up_after_s = None if give_up_ns is None else give_up_ns / 1e9
            pulsar = PulsarSinkConfig(
                destination.url,
                destination.topic,
                producer_name(config, worker),
                compression=config.compression,
                max_pending=config.max_pending,
                give_up_after_s=give_up_after_s,
            )
            return PulsarSink(pulsar, fleet, clock, say=say)
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
