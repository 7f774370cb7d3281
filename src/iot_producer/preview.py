"""A few records to look at, without any service.

Promise: exactly the records that a run with the same settings would send first. It must not print.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.table import Table

from iot_producer.blocks import Block, Plan, block_at
from iot_producer.clock import Clock, SystemClock
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.run_config import RunConfig
from iot_producer.schedule import MaxRate
from iot_producer.schema import FIELDS

_CHUNK: Final = 1000
_NAMES_WIDTH: Final = 29
_RECORD_WIDTH: Final = 26
"""Columns of a table on a terminal: names and units, and the longest value with its frame."""


def _blocks(config: RunConfig, n: int, clock: Clock) -> Iterator[Block]:
    lane = LaneSpec(config.shard, config.n_shards)
    now_ns = clock.now_ns() // 1_000_000 * 1_000_000
    start_ns = now_ns if config.start_ns is None else config.start_ns
    if isinstance(config.schedule, MaxRate):
        members = lane_of(config.fleet.devices, lane)
        step = min(_CHUNK, members.n_per_cycle)
        for number, first in enumerate(range(0, n, step)):
            at_ns = start_ns + number * 1_000_000
            yield block_at(members, first, min(step, n - first), at_ns)
    else:
        plan = Plan(config.fleet, lane, config.schedule, start_ns)
        most = n if plan.n_messages is None else min(n, plan.n_messages)
        yield from plan.blocks(0, most, _CHUNK)


def preview_lines(config: RunConfig, n: int, clock: Clock | None = None) -> Iterator[bytes]:
    """The first ``n`` records as JSON lines, in chunks of many lines."""
    encoder = JsonEncoder(fleet_of(config.fleet), newline=True)
    for block in _blocks(config, n, clock or SystemClock()):
        yield encoder.encode(block.devices, block.times_ms).buffer.tobytes()


def preview_table(
    config: RunConfig, n: int, clock: Clock | None = None, *, width: int = 160
) -> Table:
    """The first ``n`` records as a table: a row a field, a column a record, as many as fit.

    Args:
        config: whose records.
        n: how many at most.
        clock: for the time of the first; the machine's by default.
        width: columns of the terminal.
    """
    import json

    shown = max(1, min(n, (width - _NAMES_WIDTH) // _RECORD_WIDTH))
    lines = b"".join(preview_lines(config, shown, clock)).splitlines()
    # Texts of numbers as they are sent: 21.30 stays 21.30.
    records = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
    title = f"the first {shown:,} of {n:,} records" if shown < n else f"{n:,} records"
    if shown < n:
        title += "; in a pipe you get all of them as JSON lines"
    table = Table(title=title, title_justify="left", show_lines=False)
    table.add_column("field", style="bold", no_wrap=True)
    table.add_column("unit", style="dim", no_wrap=True)
    for number in range(1, len(records) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for field in FIELDS:
        unit = "" if field.name == "time" else field.unit
        table.add_row(field.name, unit, *(str(record[field.name]) for record in records))
    return table
