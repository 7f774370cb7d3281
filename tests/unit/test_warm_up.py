"""After the warm-up nothing is left to compile: the clock of a run starts after it."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: others may have compiled more.
CODE = """
from fractions import Fraction
from iot_producer.blocks import Plan, block_at
from iot_producer.encoders import json_rows
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.latency_counts import count_latencies, count_latency
from iot_producer.latency import empty_counts
from iot_producer.schedule import ConstantSchedule
from iot_producer.worker_process import warm_up

def n_compiled():
    functions = (json_rows.write_rows, count_latencies, count_latency)
    return [len(function.signatures) for function in functions]

fleet = FleetSpec(50, 10, 5)
warm_up(fleet)
before = n_compiled()
encoder = json_rows.JsonEncoder(fleet_of(fleet))
plan = Plan(fleet, LaneSpec(), ConstantSchedule(Fraction(100)), 10**18)
for block in (plan.block(0, 10), plan.block(45, 10), block_at(plan.members, 7, 20, 10**18)):
    encoder.encode(block.devices, block.times_ms)
    count_latencies(empty_counts(), 5, block.offsets_ns[2:])
    count_latency(empty_counts(), 5, block.n)
print(before, n_compiled())
"""


def test_real_blocks_add_no_compilation() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    before, _, after = said.stdout.strip().partition("] ")
    assert before + "]" == after == "[1, 1, 1]"
