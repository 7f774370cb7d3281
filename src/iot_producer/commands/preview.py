"""``iot-producer preview`` and ``iot-producer schema``: the records, and their contract."""

from __future__ import annotations

import sys
from typing import Any

import click

from iot_producer.flags import SettingsCommand


@click.command(cls=SettingsCommand, settings_of="preview")
def preview(**flags: Any) -> None:
    """Show a few records; no service needed. A table on a terminal, JSON lines in a pipe.

    \b
    iot-producer preview -n 3
    iot-producer preview -n 1000 --start 2026-07-01T12:00:00Z > records.jsonl
    """  # noqa: D301
    from iot_producer.config import load_run, read_environment
    from iot_producer.settings import settle

    config = load_run({**flags, "to": "null:"}, False, command="preview")
    n: int = settle("preview", flags, read_environment())["count"].value
    from iot_producer.commands.kernels import COMPILING, prepare_kernels

    if prepare_kernels():
        click.echo(COMPILING, err=True)
    from iot_producer.preview import preview_lines, preview_table

    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        console.print(preview_table(config, n, width=console.width))
    else:
        for chunk in preview_lines(config, n):
            click.echo(chunk, nl=False)


@click.command(cls=SettingsCommand, settings_of="schema")
def schema(**flags: Any) -> None:
    """Print the record's contract: JSON Schema, ClickHouse DDL, Flink DDL or the docs' table.

    \b
    iot-producer schema --as clickhouse | clickhouse-client --multiquery
    """  # noqa: D301
    from iot_producer.config import read_environment
    from iot_producer.schema import FORMS
    from iot_producer.settings import settle

    settings = settle("schema", flags, read_environment())
    click.echo(FORMS[settings["schema_as"].value]())
