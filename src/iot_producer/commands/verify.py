"""``iot-producer verify``: wiring of the verification."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iot_producer.errors import ConfigError, ExitCode, ReportError
from iot_producer.flags import SettingsCommand

if TYPE_CHECKING:
    from iot_producer.destination import Destination
    from iot_producer.report import RunReport
    from iot_producer.settings import Setting
    from iot_producer.verify import VerifyReport


@click.command(cls=SettingsCommand, settings_of="verify")
def verify(**flags: Any) -> None:
    """Recompute what a run sent, and compare a topic or a file with it, byte by byte.

    Exit code 1 if anything is lost, duplicated, changed or out of order.

    \b
    iot-producer verify --report run.json
    iot-producer verify --report run.json --from pulsar --pulsar-url pulsar://other:6650
    iot-producer verify --report run.json --from records.jsonl.gz --json
    """  # noqa: D301
    from iot_producer.blocks import DATA_VERSION
    from iot_producer.commands.kernels import prepare_kernels
    from iot_producer.config import read_environment
    from iot_producer.report import RunReport
    from iot_producer.settings import settle

    settings = settle("verify", flags, read_environment())
    if not settings["report"].value:
        raise ConfigError("verify needs the report of the run", "give it: --report run.json")
    report = RunReport.from_json(_text_of(Path(settings["report"].value)), DATA_VERSION)
    source = _source(report, settings)
    prepare_kernels()
    result = _compare(report, source, settings)
    if settings["json"].value:
        click.echo(json.dumps(result.to_dict(), indent=2))
    else:
        from iot_producer.verify_text import render

        click.echo(render(result))
    sys.exit(ExitCode.OK if result.ok else ExitCode.FAILED)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ReportError(f"there is no report {path}", "run writes it with --report") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ReportError(
            f"the report {path} cannot be read: {why}", "give the file that run wrote with --report"
        ) from error


def _source(report: RunReport, settings: dict[str, Setting]) -> Destination:
    """What to read: ``--from``, else where the run sent it."""
    from iot_producer.destination import parse_destination, parse_topic
    from iot_producer.settings import Level

    url, _, topic = report.destination.partition(" ")
    given = settings["from_"].value or url
    pulsar_url, pulsar_topic = settings["pulsar_url"], settings["topic"]
    if given == "pulsar":
        given = url
        if pulsar_url.level > Level.DEFAULT or not url.startswith("pulsar"):
            given = pulsar_url.value
    if pulsar_topic.level > Level.DEFAULT or not topic:
        topic = pulsar_topic.value
    return parse_destination(given, parse_topic(topic) if topic else "")


def _compare(report: RunReport, source: Destination, settings: dict[str, Setting]) -> VerifyReport:
    from iot_producer.commands.progress import VerifyLine
    from iot_producer.destination import Scheme
    from iot_producer.verify import run_verify, run_verify_file

    with VerifyLine(quiet=settings["json"].value) as line:
        if source.scheme is Scheme.PULSAR:
            patience_ns = settings["give_up_after"].value
            return run_verify(
                report,
                source.url,
                source.topic,
                progress=line,
                give_up_after_s=30.0 if patience_ns is None else patience_ns / 1e9,
                say=line.say,
            )
        if source.scheme in (Scheme.JSONL, Scheme.JSONL_GZ):
            return run_verify_file(report, source.path, progress=line)
    raise ConfigError(
        f"{source} cannot be verified in this version",
        "verify reads a Pulsar topic (--from pulsar) or files of JSON lines",
    )
