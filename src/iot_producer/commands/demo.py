"""``iot-producer demo``: wiring of the demo."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iot_producer.commands.outputs import say
from iot_producer.flags import SettingsCommand

if TYPE_CHECKING:
    from iot_producer.report import RunReport
    from iot_producer.run_config import RunConfig
    from iot_producer.stack import StackStatus
    from iot_producer.verify import VerifyReport


@click.command(cls=SettingsCommand, settings_of="demo")
def demo(**flags: Any) -> None:
    """The whole thing on this machine: a real Pulsar, 20 s of load, the proof, nothing left behind.

    The first time, 245 MB are fetched.

    \b
    iot-producer demo
    iot-producer demo --rate 20000 --duration 1m --report run.json
    """  # noqa: D301
    from iot_producer.commands.kernels import prepare_kernels
    from iot_producer.commands.stack import stack_settings
    from iot_producer.commands.views import view_of
    from iot_producer.config import load_run
    from iot_producer.download_progress import DownloadProgress

    is_terminal = sys.stderr.isatty()

    def config_for(status: StackStatus) -> RunConfig:
        return load_run(
            {**flags, "to": status.pulsar_url, "admin_url": status.admin_url},
            is_terminal,
            command="demo",
        )

    # Mistakes are told before anything is fetched or started.
    planned = load_run({**flags, "to": "null:"}, is_terminal, command="demo")
    stack, _ = stack_settings("demo", flags)
    prepare_kernels()
    from iot_producer.demo import DemoParts, run_demo
    from iot_producer.files import write_whole
    from iot_producer.stack.interrupts import unwinding_on_signals
    from iot_producer.summary import summary
    from iot_producer.verify_text import render

    def show_run(report: RunReport) -> None:
        if planned.report is not None:
            write_whole(planned.report, report.to_json())
        lines = summary(report, planned.report).splitlines()
        if planned.report is None:  # the demo verifies what it has in memory
            lines = [line for line in lines if not line.startswith("Report ")]
        click.echo("\n".join(lines))

    def show_proof(proof: VerifyReport) -> None:
        click.echo(render(proof))

    # A place of its own: a demo never meets a stack of the user's, nor another demo.
    with (
        tempfile.TemporaryDirectory(prefix="iot-producer-demo-") as directory,
        unwinding_on_signals(),
        DownloadProgress() as progress,
    ):
        parts = DemoParts(
            replace(stack, name=f"demo-{os.getpid()}", state_dir=Path(directory)),
            planned.fleet,
            config_for,
            view_of,
            say,
            progress,
            show_run,
            show_proof,
        )
        code = run_demo(parts)
    sys.exit(code)
