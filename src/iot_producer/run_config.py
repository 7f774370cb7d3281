"""What a run was told, as one frozen value that crosses process boundaries.

Promise: a `RunConfig` that config.py made is parsed, checked and consistent; whoever has one checks
nothing again. This module must not know where settings come from, nor how they are carried out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iot_producer.destination import Destination
from iot_producer.pulsar.security import SecurityConfig

if TYPE_CHECKING:  # numpy stays unloaded until there is a run (config.py)
    from iot_producer.fleet import FleetSpec
    from iot_producer.schedule import MaxRate, Schedule


@dataclass(frozen=True, slots=True)
class Source:
    """Where a setting came from, for ``--dry-run``; passwords are hidden.

    Attributes:
        name: the setting's flag.
        value: its value as it was written; the default in words where there is none.
        origin: ``--rate``, ``MESSAGES_PER_SECOND``, ``run.rate in x.toml`` or ``default``.
    """

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The settings of a run.

    Attributes:
        destination: where the records go.
        fleet: all that changes the data.
        schedule: the whole plan's schedule: that of this pod times ``n_shards``, with its limits.
        shard, n_shards: this pod's part of the plan, ``shard`` from 0.
        shard_is_given: False: nobody said; the run is lane 0 of the broker's.
        workers: processes of this pod; each has one of ``n_lanes`` lanes.
        start_ns: intended time of message 0, ns since the epoch; None: now.
        duration_ns, n_messages: limits as given, of this pod; the schedule has them already.
        warm_up_ns: messages due within it are left out of the histograms.
        on_overload: ``catch-up``, ``drop`` or ``fail``.
        max_lag_ns: the lag at which ``drop`` and ``fail`` act.
        block_records: largest number of records in a block.
        linger_ns: largest age of a block that is being filled.
        client: who talks to Pulsar, ``native`` or ``official``.
        compression: ``lz4``, ``zstd``, ``zlib``, ``snappy`` or ``none``; for Pulsar.
        max_pending: most messages of a worker without a receipt.
        rotate_bytes: size at which a new output file begins; None: never.
        create_topic: partitions of the topic to create, 0 for none; None: do not create it.
        admin_url: Pulsar's admin API; empty for other destinations.
        security: TLS and token, for Pulsar and its admin API.
        on_gap: ``skip`` or ``catch-up``: what a resumed lane does with what was due while it was
            away.
        max_gap_ns: the longest gap that ``catch-up`` fills.
        give_up_after_ns: time without a destination before the run fails; None: never.
        drain_timeout_ns: time for confirmations at the end.
        report: where the run report goes; None: nowhere.
        dry_run: only print the plan.
        force: overwrite outputs that exist.
        log_format: ``human`` or ``json``.
        live: whether to draw the live view.
        quiet: no log lines but warnings and errors.
        stats_interval_ns: time between log lines.
        metrics: host and port where metrics are served; None: nowhere.
        sources: each setting of the run, in the order of the help.
        warnings: sentences to print once.
        lane: number of the lane that was claimed from the broker; None: not Pulsar, or the shard
            was given.
    """

    destination: Destination
    fleet: FleetSpec
    schedule: Schedule | MaxRate
    shard: int
    n_shards: int
    shard_is_given: bool
    workers: int
    start_ns: int | None
    duration_ns: int | None
    n_messages: int | None
    warm_up_ns: int
    on_overload: str
    max_lag_ns: int
    block_records: int
    linger_ns: int
    client: str
    compression: str
    max_pending: int
    rotate_bytes: int | None
    create_topic: int | None
    admin_url: str
    security: SecurityConfig
    on_gap: str
    max_gap_ns: int
    give_up_after_ns: int | None
    drain_timeout_ns: int
    report: Path | None
    dry_run: bool
    force: bool
    log_format: str
    live: bool
    quiet: bool
    stats_interval_ns: int
    metrics: tuple[str, int] | None = None
    sources: tuple[Source, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    lane: int | None = None

    @property
    def n_lanes(self) -> int:
        """Lanes of the whole plan."""
        return self.n_shards * self.workers

    def lane_index(self, worker: int) -> int:
        """The lane (of `n_lanes`) of this pod's worker number ``worker``, from 0."""
        return self.shard * self.workers + worker
