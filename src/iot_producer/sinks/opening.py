"""Which sink a destination gets; each is imported only when it is used.

Promise: the one place that knows all sinks. It must not know how any of them works.
"""

from __future__ import annotations

from collections.abc import Callable

from iot_producer.clock import Clock
from iot_producer.destination import Scheme
from iot_producer.errors import ConfigError
from iot_producer.fleet import fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.run_config import RunConfig
from iot_producer.sinks.sink import Sink


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
    raise ConfigError(f"there is no sink for {destination}")
