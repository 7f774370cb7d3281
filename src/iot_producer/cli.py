"""The command line: wiring only, and the one place that prints or exits.

Promise: a mistake of the user's ends with one sentence of what is wrong, one of what to do, and an
exit code that says whose fault it is; never with a stack trace. Everything heavy is imported inside
the command that needs it, so that ``--help`` and usage errors are quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iot_producer import __version__
from iot_producer.errors import ExitCode, IotProducerError
from iot_producer.flags import SettingsCommand

if TYPE_CHECKING:
    from iot_producer.run_config import RunConfig
    from iot_producer.settings import Setting
    from iot_producer.stack import StackConfig, StackStatus
    from iot_producer.view import View

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Put a realistic, exactly known stream of IoT sensor records on Apache Pulsar, and prove it.

    \b
    A first look, no service needed:       iot-producer preview
    The whole thing on a local Pulsar:     iot-producer demo
    To your own broker:                    iot-producer run --pulsar-url pulsar://host:6650

    Every flag has an environment variable and a key in the TOML file of --config; a flag wins over
    a variable, a variable over the file.
    """  # noqa: D301


def _say(text: str) -> None:
    click.echo(text, err=True)


def _prepare_kernels() -> bool:
    """Choose the kernel cache before numba is imported; whether a first compile lies ahead."""
    import os

    from iot_producer import kernel_cache

    directory = kernel_cache.prepare(_cache_dir(None), os.environ)
    return not kernel_cache.is_warm(directory)


def _cache_dir(given: Any) -> Path:
    from iot_producer.config import read_environment
    from iot_producer.kernel_cache import user_cache_dir

    environ = read_environment()
    chosen = given or environ.get("IOT_PRODUCER_CACHE", "")
    return Path(chosen) if chosen else user_cache_dir(environ)


_COMPILING = "compiling the kernels: once per version, about 10 s; later starts take a second"


@cli.command(cls=SettingsCommand, settings_of="run")
def run(**flags: Any) -> None:
    """Produce until stopped, or for --duration or --messages; to Pulsar unless --to says else.

    Ctrl-C or SIGTERM stops scheduling, waits for confirmations and writes the report; a second
    Ctrl-C ends at once.

    \b
    iot-producer run --rate 5000 --duration 1m --report run.json
    iot-producer run --to records.jsonl.gz --rate max --messages 1000000
    iot-producer run --config ramp-to-50k
    """  # noqa: D301
    from iot_producer.config import load_run

    config = load_run(flags, sys.stderr.isatty())
    for warning in config.warnings:
        _say(f"warning: {warning}")
    if config.dry_run:
        from iot_producer.summary import plan_text

        click.echo(plan_text(config))
        return
    sys.exit(_run(config))


def _run(config: RunConfig) -> int:
    """Carry out a run, write its report, say how it ended; returns the exit code."""
    from iot_producer.destination import Scheme
    from iot_producer.supervisor import run_load

    if config.create_topic is not None:
        from iot_producer.pulsar.admin import PulsarAdmin

        admin = PulsarAdmin(config.admin_url)
        admin.create_topic(config.destination.topic, config.create_topic)
    to_stdout = config.destination.scheme is Scheme.STDOUT
    view = _view(config, to_stdout)
    if _prepare_kernels():
        view.say("info", _COMPILING)
    outcome = run_load(config, view)
    if outcome.report is not None and config.report is not None:
        from iot_producer.files import write_whole

        write_whole(config.report, outcome.report.to_json())
    if outcome.report is not None and not config.quiet:
        from iot_producer.summary import summary

        click.echo(summary(outcome.report, config.report), err=to_stdout)
    if outcome.error is not None:
        _complain(outcome.error)
    return outcome.exit_code


def _view(config: RunConfig, to_stdout: bool) -> View:
    if config.quiet:
        from iot_producer.log_view import QuietView

        return QuietView(_say, json=config.log_format == "json")
    if config.live:
        from rich.console import Console

        from iot_producer.dashboard import LiveView

        return LiveView(Console(stderr=True), config)
    from iot_producer.log_view import LogView

    def write(line: str) -> None:
        click.echo(line, err=to_stdout)

    return LogView(write, json=config.log_format == "json", interval_ns=config.stats_interval_ns)


@cli.command(cls=SettingsCommand, settings_of="preview")
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
    if _prepare_kernels():
        _say(_COMPILING)
    from iot_producer.preview import preview_lines, preview_table

    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(preview_table(config, n))
    else:
        for chunk in preview_lines(config, n):
            click.echo(chunk, nl=False)


@cli.command(cls=SettingsCommand, settings_of="schema")
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


@cli.group(context_settings=_CONTEXT)
def stack() -> None:
    """A real Pulsar on this machine, on the loopback address only; no Docker needed."""


def _stack_settings(command: str, flags: dict[str, Any]) -> tuple[StackConfig, dict[str, Setting]]:
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
        _cache_dir(value("cache_dir")),
        value("stack_name") or "default",
        java_home=Path(java_home) if from_flag else None,
        java_home_hint=Path(java_home) if java_home and not from_flag else None,
        broker_port=given("broker_port"),
        admin_port=given("admin_port"),
        preferred_broker_port=value("broker_port"),
        preferred_admin_port=value("admin_port"),
        heap_mb=(value("heap_bytes") or 256 << 20) >> 20,
    )
    return config, settings


@stack.command("up", cls=SettingsCommand, settings_of="stack up")
def stack_up(**flags: Any) -> None:
    """Start it, or find it running; returns when it is ready. The first time it is fetched (245 MB).

    \b
    iot-producer stack up && eval "$(iot-producer stack env)"
    """  # noqa: D301
    from iot_producer.download_progress import DownloadProgress
    from iot_producer.stack import up

    config, _ = _stack_settings("stack up", flags)
    with DownloadProgress() as progress:
        status = up(config, _say, progress)
    click.echo(_status_text(status))


@stack.command("down", cls=SettingsCommand, settings_of="stack down")
def stack_down(**flags: Any) -> None:
    """Stop it; with --purge delete its data too."""
    from iot_producer.stack import down

    config, settings = _stack_settings("stack down", flags)
    down(config, purge=settings["purge"].value, say=_say)


@stack.command("status", cls=SettingsCommand, settings_of="stack status")
def stack_status(**flags: Any) -> None:
    """Say whether it is up, where, and since when; exit code 1 when it is not."""
    import json

    from iot_producer.stack import status

    config, settings = _stack_settings("stack status", flags)
    found = status(config)
    if settings["json"].value:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        click.echo(_status_text(found))
    sys.exit(ExitCode.OK if found.is_up else ExitCode.FAILED)


@stack.command("env", cls=SettingsCommand, settings_of="stack env")
def stack_env(**flags: Any) -> None:
    """Print its addresses as shell variables: eval "$(iot-producer stack env)"."""
    import shlex

    from iot_producer.stack import status

    config, _ = _stack_settings("stack env", flags)
    for name, value in status(config).env().items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _status_text(status: StackStatus) -> str:
    return str(status)


def _complain(error: IotProducerError) -> None:
    _say(f"error: {error.message}")
    if error.hint:
        _say(f"       {error.hint}")


def main(arguments: list[str] | None = None) -> None:
    """The program: runs a command, and ends the process with its exit code."""
    sys.exit(_guarded(lambda: cli.main(arguments, prog_name="iot-producer", standalone_mode=False)))


def _guarded(command: Callable[[], Any]) -> int:
    try:
        result = command()
    except IotProducerError as error:
        _complain(error)
        return error.exit_code
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (head): not an error, and nothing to flush.
        sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115, PTH123
        return ExitCode.OK
    return result if isinstance(result, int) else ExitCode.OK
