"""``iot-producer run``: wiring of a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from iot_producer.commands.kernels import COMPILING, prepare_kernels
from iot_producer.commands.outputs import complain, mute_stdout, say
from iot_producer.commands.views import view_of
from iot_producer.flags import SettingsCommand

if TYPE_CHECKING:
    from iot_producer.run_config import RunConfig


@click.command(cls=SettingsCommand, settings_of="run")
def run(**flags: Any) -> None:
    """Produce until stopped, or for --duration or --messages; to Pulsar unless --to says else.

    Ctrl-C or SIGTERM stops scheduling, waits for confirmations and writes the report; a second
    Ctrl-C ends at once.

    \b
    iot-producer run --rate 5000 --duration 1m --report run.json
    iot-producer run --to records.jsonl.gz --rate max --messages 1000000
    iot-producer run --config ramp-to-50k
    """  # noqa: D301
    from iot_producer.stop_requests import end_at_once_until_begun

    end_at_once_until_begun()
    from iot_producer.config import load_run

    config = load_run(flags, sys.stderr.isatty())
    if config.dry_run or config.log_format == "human":
        for warning in config.warnings:
            say(f"warning: {warning}")
    if config.dry_run:
        from iot_producer.plan_text import plan_text

        click.echo(plan_text(config))
        return
    sys.exit(_run(config))


def _main_kernel(config: RunConfig) -> str:
    """The kernel that takes longest to compile, of those that the destination needs."""
    from iot_producer.destination import Scheme
    from iot_producer.kernel_cache import TEXT_KERNEL, entry_kernel

    if config.destination.scheme is Scheme.PULSAR and config.client == "native":
        return entry_kernel(config.compression)
    return TEXT_KERNEL


def _create_topic(config: RunConfig, n_partitions: int) -> str:
    """Create the topic unless it is there; returns what is to be said of one that is another."""
    from iot_producer.pulsar.admin import PulsarAdmin

    admin = PulsarAdmin(config.admin_url, security=config.security)
    topic = config.destination.topic
    if admin.create_missing_topic(topic, n_partitions):
        return ""
    n_there = admin.n_partitions(topic)
    if n_there == n_partitions:
        return ""
    return f"{topic} is there already, with {n_there} partitions, not {n_partitions}: it stays so"


def _run(config: RunConfig) -> int:
    """Carry out a run, write its report, say how it ended; returns the exit code."""
    from iot_producer.destination import Scheme
    from iot_producer.supervisor import run_load

    to_stdout = config.destination.scheme is Scheme.STDOUT
    view = view_of(config)
    if config.log_format == "json":  # of a log for machines each line is an object
        for warning in config.warnings:
            view.say("warning", warning)
    if config.create_topic is not None:
        trouble = _create_topic(config, config.create_topic)
        if trouble:
            view.say("warning", trouble)
    if prepare_kernels(_main_kernel(config)):
        view.say("info", COMPILING)
    outcome = run_load(config, view)
    # A log for machines has the end of the run as a line of its own.
    if outcome.report is not None and not config.quiet and config.log_format == "human":
        from iot_producer.summary import summary

        try:
            click.echo(summary(outcome.report, config.report), err=to_stdout)
        except BrokenPipeError:
            mute_stdout()
    if outcome.error is not None:
        complain(outcome.error)
    return outcome.exit_code
