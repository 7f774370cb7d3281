"""One worker's part of a stage, as it crosses to its process.

Promise: plain values, and the plan that they mean. It must not know how a stage is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from iot_producer.blocks import Plan
from iot_producer.due_times import ConstantSchedule
from iot_producer.fleet import FleetSpec
from iot_producer.lane import LaneSpec

START_NS: Final = 1_782_050_400_000_000_000
"""Where plans begin: 21 June 2026, 14:00 UTC."""


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One worker's part of a stage; crosses to its process.

    Attributes:
        stage: name of the stage.
        worker, n_workers: which of how many.
        fleet: of the records.
        block_records: records in a block.
        per_s: rate of one worker at which times advance.
        pulsar_url, topic: where stages with a broker send to; each round has a topic of its own,
            see `round_topic`.
    """

    stage: str
    worker: int
    n_workers: int
    fleet: FleetSpec
    block_records: int
    per_s: int
    pulsar_url: str = ""
    topic: str = ""

    @property
    def lane(self) -> LaneSpec:
        """The worker's lane."""
        return LaneSpec(self.worker, self.n_workers)

    def plan(self) -> Plan:
        """The worker's plan: all workers together have ``n_workers`` times its rate."""
        schedule = ConstantSchedule(Fraction(self.per_s * self.n_workers))
        return Plan(self.fleet, self.lane, schedule, START_NS)
