"""``iot-producer bench``: wiring of the benchmark."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from iot_producer.commands.outputs import say
from iot_producer.errors import ExitCode
from iot_producer.flags import SettingsCommand


@click.command(cls=SettingsCommand, settings_of="bench")
def bench(**flags: Any) -> None:
    """How fast each stage is here, in CPU seconds per million records, next to plain Python.

    Pulsar is measured on a local broker of its own, which is deleted afterwards. Takes about ten
    minutes; --quick takes fewer, and is noisier.

    \b
    iot-producer bench --quick
    iot-producer bench --stages json,native --workers 1 --json
    """  # noqa: D301
    from iot_producer.bench import BenchOptions, parse_stages, render, run_bench, write_results
    from iot_producer.commands.kernels import cache_dir, prepare_kernels
    from iot_producer.config import read_environment
    from iot_producer.fleet import FleetSpec
    from iot_producer.settings import Level, settle

    environ = read_environment()
    settings = settle("bench", flags, environ)
    devices = settings["devices"].value
    fleet = FleetSpec(
        devices,
        settings["customers"].value or min(10_000, devices),
        settings["sites"].value or min(1_000, devices),
        settings["seed"].value,
    )
    workers = settings["workers"]
    options = BenchOptions(
        stages=parse_stages(settings["stages"].value),
        workers=(1, 2) if workers.level is Level.DEFAULT else (workers.value,),
        quick=settings["quick"].value,
        fleet=fleet,
        block_records=settings["block_records"].value,
        cache_dir=cache_dir(None),
        environ=environ,
    )
    prepare_kernels()
    report = run_bench(options, say)
    if settings["results"].value:
        for path in write_results(report, Path(settings["results"].value)):
            say(f"written: {path}")
    if settings["json"].value:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        click.echo(render(report))
    sys.exit(ExitCode.OK if report.ok else ExitCode.FAILED)
