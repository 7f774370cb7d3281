"""The pages of docs/reference/, each generated from the code.

Promise: a page that differs from what is generated here fails a test; ``make docs`` writes them.
Above the command line, because it describes it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

_HEAD: Final = "Generated from the code by `make docs`; do not edit."


def pages() -> dict[str, str]:
    """Each page by its file name."""
    from iot_producer.reference import markdown_reference

    return {
        "settings.md": markdown_reference(),
        "commands.md": _commands(),
        "fields.md": _fields(),
        "log-lines.md": _log_lines(),
        "metrics.md": _metrics(),
    }


def _commands() -> str:
    from iot_producer.cli import cli

    parts = [f"# Commands\n\n{_HEAD}\n"]
    for path, command in _tree("iot-producer", cli):
        context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100)
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## `{path}`\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _tree(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _tree(f"{path} {name}", command.commands[name])


def _fields() -> str:
    from iot_producer.schema import clickhouse_script, flink_ddl, markdown_table

    return (
        f"# The record\n\n{_HEAD}\n\n{markdown_table()}\n\n"
        "Around it, in Pulsar: the key is the device_id, the properties are `device_type` and "
        "`customer_id`, the event time is `time`, the sequence id is the intended time in "
        "nanoseconds.\n\n"
        f"## ClickHouse\n\n```sql\n{clickhouse_script()}\n```\n\n"
        f"## Flink\n\n```sql\n{flink_ddl()}\n```\n"
    )


def _log_lines() -> str:
    """The keys of the JSON log lines."""
    from iot_producer.log_view import event_keys

    parts = [
        f"# Log lines\n\n{_HEAD}\n\nWithout a terminal (`--log-format json`) each line is an "
        "object with these keys. Latencies are in milliseconds, over the interval in `stats` and "
        "over the whole run in `end`.\n"
    ]
    for event, keys in event_keys().items():
        listed = ", ".join(f"`{key}`" for key in keys)
        parts.append(f"## `{event}`\n\n{listed}\n")
    return "\n".join(parts)


def _metrics() -> str:
    from iot_producer.metrics.catalogue import markdown_metrics
    from iot_producer.metrics.health import BEAT_NS, READY_NS

    return markdown_metrics(BEAT_NS / 1e9, READY_NS / 1e9)


def main() -> None:
    """Write the pages into the directory that is given."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
