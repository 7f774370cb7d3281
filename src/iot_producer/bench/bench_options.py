"""What a benchmark measures: its stages, and how much of each.

Promise: plain values, checked once. Nothing is measured here, and the environment is an argument.
This module must not know how a stage is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from iot_producer.errors import ConfigError
from iot_producer.fleet import FleetSpec
from iot_producer.spelling import did_you_mean


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One thing that is measured.

    Attributes:
        name: what users and results call it.
        title: what it does, in a few words.
        n_records: records of one worker in one round: a tenth of a second to some seconds.
        needs_broker: it sends to a local Pulsar.
    """

    name: str
    title: str
    n_records: int
    needs_broker: bool = False


REFERENCE: Final = "python"
ENTRY: Final = "entry"
READY: Final = "ready"
NATIVE: Final = "native"
OFFICIAL: Final = "official"
PERF: Final = "pulsar-perf"
VERIFY: Final = "verify"
PACED: Final = "paced"

STAGES: Final[tuple[StageSpec, ...]] = (
    StageSpec(REFERENCE, "reference: random + json.dumps", 50_000),
    StageSpec("blocks", "which devices, at which times", 2_000_000),
    StageSpec("values", "all signals, as integers", 1_000_000),
    StageSpec("json", "values + JSON text", 1_000_000),
    StageSpec("arrow", "values + Arrow columns", 500_000),
    StageSpec("null", "the worker's whole loop, to null:", 1_000_000),
    StageSpec(ENTRY, "values as entries for Pulsar, LZ4", 1_000_000),
    StageSpec(READY, "the same entries again and again, to Pulsar", 2_000_000, True),
    StageSpec(NATIVE, "the worker's whole loop, to Pulsar, confirmed", 2_000_000, True),
    StageSpec(OFFICIAL, "the same with the official client", 300_000, True),
    StageSpec(PERF, "the distribution's Java tool, records from a file", 2_000_000, True),
    StageSpec(VERIFY, "a run's records read back and compared, whole command", 4_000_000, True),
    StageSpec(PACED, "real runs at a set rate, to Pulsar", 1_000, True),
)
"""All stages, in the order of the data's way."""

BY_NAME: Final = {stage.name: stage for stage in STAGES}

N_ROUNDS: Final = 7
N_QUICK_ROUNDS: Final = 3
_N_BROKER_ROUNDS: Final = 3  # each takes seconds, and a broker's disk
_QUICK_SHARE: Final = 10
_MAX_WORKERS: Final = 64


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The settings of a benchmark.

    Attributes:
        stages: names of stages; they run in the order of `STAGES`.
        workers: how many processes at once; each number is measured of each stage.
        n_records: records of one worker in one round; None: each stage's own number.
        quick: fewer records and rounds: seconds instead of minutes, and noisier.
        start_up: also measure how long commands take to begin.
        fleet: of the records.
        block_records: records in a block.
        per_s: rate of one worker at which the times of records advance, where the stage has no
            clock. What changes slowly is computed once a tick, so fewer records a second cost more.
        cache_dir: where the server distribution is kept; None: the user's cache directory.
        environ: the environment variables, for the commands that are timed and the broker's paths.

    Raises:
        ConfigError: an unknown stage, or a number that cannot be used.
    """

    stages: tuple[str, ...] = tuple(BY_NAME)
    workers: tuple[int, ...] = (1, 2)
    n_records: int | None = None
    quick: bool = False
    start_up: bool = True
    fleet: FleetSpec = field(default_factory=FleetSpec)
    block_records: int = 1_000
    per_s: int = 50_000
    cache_dir: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in self.stages:
            if name not in BY_NAME:
                raise ConfigError(f"unknown stage {name!r}", did_you_mean(name, BY_NAME))
        for n in self.workers:
            if not 1 <= n <= min(_MAX_WORKERS, self.fleet.devices):
                raise ConfigError(
                    f"{n} workers cannot be measured",
                    f"give 1 to {_MAX_WORKERS}, and not more than DEVICES",
                )
        if self.n_records is not None and self.n_records < 1:
            raise ConfigError(f"{self.n_records} records cannot be measured", "give 1 or more")

    def chosen(self) -> tuple[StageSpec, ...]:
        """The stages to measure, in the order of `STAGES`."""
        return tuple(stage for stage in STAGES if stage.name in self.stages)

    def n_records_of(self, stage: StageSpec) -> int:
        """Records of one worker in one round."""
        if self.n_records is not None:
            return self.n_records
        return stage.n_records // _QUICK_SHARE if self.quick else stage.n_records

    def n_rounds_of(self, stage: StageSpec) -> int:
        """Rounds that count; one more warms up."""
        if self.quick:
            return N_QUICK_ROUNDS
        return _N_BROKER_ROUNDS if stage.needs_broker else N_ROUNDS


def round_topic(topic: str, turn: int) -> str:
    """The topic of a round, counted from 0; deleted after it."""
    return f"{topic}-{turn}"


def parse_stages(text: str) -> tuple[str, ...]:
    """Names of stages from what the user wrote: separated by commas, or ``all``.

    Raises:
        ConfigError: none, or one that is not known, with the nearest name.
    """
    names = tuple(name for part in text.split(",") if (name := part.strip().lower()))
    if names == ("all",):
        return tuple(BY_NAME)
    if not names:
        raise ConfigError("no stage is given", f"known: {', '.join(BY_NAME)}")
    for name in names:
        if name not in BY_NAME:
            raise ConfigError(f"unknown stage {name!r}", did_you_mean(name, BY_NAME))
    return names
