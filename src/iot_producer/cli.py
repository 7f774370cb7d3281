"""The command line: wiring only, and, with commands/, the one place that prints or exits.

Promise: a mistake of the user's ends with one sentence of what is wrong, one of what to do, and an
exit code that says whose fault it is; never with a stack trace. Everything heavy is imported inside
the command that needs it, so that ``--help`` and usage errors are quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from iot_producer import __version__
from iot_producer.commands.bench import bench
from iot_producer.commands.demo import demo
from iot_producer.commands.doctor import doctor
from iot_producer.commands.outputs import complain, mute_stdout, say
from iot_producer.commands.preview import preview, schema
from iot_producer.commands.run import run
from iot_producer.commands.stack import stack
from iot_producer.commands.verify import verify
from iot_producer.errors import ExitCode, IotProducerError

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_CONTEXT, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Put a realistic, exactly known stream of IoT sensor records on Apache Pulsar, and prove it.

    \b
    A first look, no service needed:       iot-producer preview
    The whole thing on a local Pulsar:     iot-producer demo
    To your own broker:                    iot-producer run --pulsar-url pulsar://host:6650

    Every flag has an environment variable and a key in the TOML file of --config; a flag wins over
    a variable, a variable over the file.
    """  # noqa: D301
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (run, preview, verify, doctor, stack, demo, bench, schema):
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """The program: runs a command, and ends the process with its exit code."""
    try:
        sys.exit(_guarded(lambda: _invoke(sys.argv[1:] if arguments is None else arguments)))
    finally:
        # What nobody reads any more is not worth a word when the interpreter ends.
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            mute_stdout()


def _invoke(arguments: list[str]) -> Any:
    # Not cli.main: it makes a broken pipe an exit code of its own.
    with cli.make_context("iot-producer", arguments) as context:
        return cli.invoke(context)


def _guarded(command: Callable[[], Any]) -> int:
    try:
        result = command()
    except IotProducerError as error:
        complain(error)
        return error.exit_code
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (head): not an error.
        mute_stdout()
        return ExitCode.OK
    except OSError as error:
        mute_stdout()
        say(f"error: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        return ExitCode.DESTINATION
    return result if isinstance(result, int) else ExitCode.OK
