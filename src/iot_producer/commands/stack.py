"""``iot-producer stack``: the local Pulsar."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iot_producer.commands.kernels import cache_dir
from iot_producer.commands.outputs import say
from iot_producer.errors import ExitCode
from iot_producer.flags import SettingsCommand

if TYPE_CHECKING:
    from iot_producer.settings import Setting
    from iot_producer.stack import StackConfig


@click.group(invoke_without_command=True)
@click.pass_context
def stack(context: click.Context) -> None:
    """A real Pulsar on this machine, on the loopback address only; no Docker needed.

    \b
    iot-producer stack up && eval "$(iot-producer stack env)"
    iot-producer run --duration 1m
    iot-producer stack down --purge
    """  # noqa: D301
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def stack_settings(command: str, flags: dict[str, Any]) -> tuple[StackConfig, dict[str, Setting]]:
    """The stack that flags and environment describe, and all settings of the command."""
    from iot_producer.config import read_environment
    from iot_producer.settings import Level, settle
    from iot_producer.stack import StackConfig, default_state_dir

    environ = read_environment()
    settings = settle(command, flags, environ)

    def value(name: str) -> Any:
        return settings[name].value if name in settings else None

    def given(name: str) -> Any:
        known = name in settings and settings[name].level > Level.DEFAULT
        return settings[name].value if known else None

    java_home = given("java_home")
    from_flag = java_home is not None and settings["java_home"].level is Level.FLAG
    config = StackConfig(
        Path(value("state_dir") or default_state_dir(environ)),
        cache_dir(value("cache_dir")),
        value("stack_name") or "default",
        java_home=Path(java_home) if from_flag else None,
        java_home_hint=Path(java_home) if java_home and not from_flag else None,
        broker_port=given("broker_port"),
        admin_port=given("admin_port"),
        preferred_broker_port=value("broker_port"),
        preferred_admin_port=value("admin_port"),
        heap_mb=(value("heap_bytes") or 256 << 20) >> 20,
        deduplication=True,
    )
    return config, settings


@stack.command("up", cls=SettingsCommand, settings_of="stack up")
def stack_up(**flags: Any) -> None:
    """Start it, or find it running; returns when it is ready. The first time 245 MB are fetched.

    \b
    iot-producer stack up && eval "$(iot-producer stack env)"
    """  # noqa: D301
    from iot_producer.download_progress import DownloadProgress
    from iot_producer.stack import up
    from iot_producer.stack_text import stack_text

    config, _ = stack_settings("stack up", flags)
    with DownloadProgress() as progress:
        status = up(config, say, progress)
    click.echo(stack_text(status))


@stack.command("down", cls=SettingsCommand, settings_of="stack down")
def stack_down(**flags: Any) -> None:
    """Stop it; with --purge delete its data too.

    \b
    iot-producer stack down --purge
    """  # noqa: D301
    from iot_producer.stack import down

    config, settings = stack_settings("stack down", flags)
    down(config, purge=settings["purge"].value, say=say)


@stack.command("status", cls=SettingsCommand, settings_of="stack status")
def stack_status(**flags: Any) -> None:
    """Say whether it is up, and where; exit code 1 when it is not.

    \b
    iot-producer stack status
    iot-producer stack status --json
    """  # noqa: D301
    from dataclasses import asdict
    from json import dumps

    from iot_producer.stack import status
    from iot_producer.stack_text import stack_text

    config, settings = stack_settings("stack status", flags)
    found = status(config)
    if settings["json"].value:
        click.echo(dumps(asdict(found), indent=2))
    else:
        click.echo(stack_text(found))
    sys.exit(ExitCode.OK if found.is_up else ExitCode.FAILED)


@stack.command("env", cls=SettingsCommand, settings_of="stack env")
def stack_env(**flags: Any) -> None:
    """Print its addresses as shell variables.

    \b
    eval "$(iot-producer stack env)"
    """  # noqa: D301
    import shlex

    from iot_producer.stack import status

    config, _ = stack_settings("stack env", flags)
    for name, value in status(config).env().items():
        click.echo(f"export {name}={shlex.quote(value)}")
