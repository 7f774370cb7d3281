"""Which views a run gets: the live one, log lines, or only what went wrong; and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iot_producer.clock import SystemClock
from iot_producer.commands.outputs import say
from iot_producer.destination import Scheme

if TYPE_CHECKING:
    from iot_producer.run_config import RunConfig
    from iot_producer.view import View


def view_of(config: RunConfig) -> View:
    """The views that the settings ask for; metrics are served from now on.

    Raises:
        ConfigError: the address for metrics cannot be listened on.
    """
    shown = _shown(config)
    if config.metrics is None:
        return shown
    from iot_producer.metrics.metrics_view import MetricsView
    from iot_producer.view import Views

    metrics = MetricsView(config.metrics, config, SystemClock())
    shown.say("info", f"metrics: {metrics.url}/metrics")
    return Views((metrics, shown))


def _shown(config: RunConfig) -> View:
    """What people see; beside the records where they go to standard output."""
    to_stdout = config.destination.scheme is Scheme.STDOUT
    if config.quiet:
        from iot_producer.log_view import QuietView

        return QuietView(say, json=config.log_format == "json", now_ns=SystemClock().now_ns)
    if config.live:
        from rich.console import Console

        from iot_producer.dashboard import LiveView

        return LiveView(Console(stderr=True), config)
    from iot_producer.log_view import LogView

    def write(line: str) -> None:
        click.echo(line, err=to_stdout)

    return LogView(
        write,
        json=config.log_format == "json",
        interval_ns=config.stats_interval_ns,
        now_ns=SystemClock().now_ns,
    )
