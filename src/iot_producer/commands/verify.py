"""``iot-producer verify``: wiring of the verification."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from iot_producer.errors import ConfigError, ExitCode, ReportError
from iot_producer.flags import SettingsCommand

if TYPE_CHECKING:
    from iot_producer.destination import Destination
    from iot_producer.known_run import KnownRun
    from iot_producer.pulsar.security import SecurityConfig
    from iot_producer.report import RunReport
    from iot_producer.settings import Setting
    from iot_producer.verify import VerifyReport
    from iot_producer.verify_totals import Span

_NS_PER_MS: Final = 1_000_000


@click.command(cls=SettingsCommand, settings_of="verify")
def verify(**flags: Any) -> None:
    """Recompute what runs sent, and compare a topic or a file with it, byte by byte.

    Without --report, what the lanes of a topic published about themselves stands in for it. Exit
    code 1 if anything is lost, duplicated, changed or out of order.

    \b
    iot-producer verify --report run.json
    iot-producer verify --from pulsar --topic iot-sensor-data
    iot-producer verify --report pod-0.json --report pod-1.json
    iot-producer verify --report run.json --from pulsar --pulsar-url pulsar://other:6650
    iot-producer verify --report run.json --from records.jsonl.gz --json
    iot-producer verify --follow
    """  # noqa: D301
    from iot_producer.commands.kernels import prepare_kernels
    from iot_producer.config import read_environment
    from iot_producer.settings import settle

    environ = read_environment()
    settings = settle("verify", flags, environ)
    followed: dict[str, object] = {}
    if settings["follow"].value:
        followed = _follow(settings, environ)
    prepare_kernels()  # what lanes published is read with numba loaded
    try:
        runs, source, problems = _known(settings, environ)
    except ReportError as error:
        if not followed:
            raise
        click.echo(f"not verified: {error.message}", err=True)
        if settings["json"].value:
            click.echo(json.dumps(followed, indent=2))
        sys.exit(ExitCode.OK)
    result = _compare(runs, source, settings, environ)
    if problems:
        result = replace(result, problems=tuple(problems))
    if settings["json"].value:
        click.echo(json.dumps(result.to_dict() | followed, indent=2))
    else:
        from iot_producer.verify_text import render

        click.echo(render(result))
    sys.exit(ExitCode.OK if result.ok else ExitCode.FAILED)


def _follow(settings: dict[str, Setting], environ: Mapping[str, str]) -> dict[str, object]:
    """Follow the topic, show what was seen, and give it as JSON has it.

    What is verified afterwards is the run of the report, if that has been written by then, else
    what was due since following began (or --since).
    """
    from iot_producer.clock import SystemClock
    from iot_producer.commands.following import follow_topic, report_to_come
    from iot_producer.commands.kernels import prepare_kernels
    from iot_producer.destination import parse_destination
    from iot_producer.follow_text import render

    given = settings["from_"].value
    url = settings["pulsar_url"].value if given in (None, "pulsar") else given
    source = parse_destination(url, settings["topic"].value)
    security = _security(source, settings, environ)
    prepare_kernels()
    began_ns = SystemClock().now_ns()
    snapshot = follow_topic(source, security, settings, lambda line: click.echo(line, err=True))
    if not settings["json"].value:
        click.echo(render(snapshot) + "\n")
    report = report_to_come(settings)
    if report is not None and not report.exists():
        settings["report"] = replace(settings["report"], value=None)
    if not settings["report"].value and settings["since"].value is None:
        settings["since"] = replace(settings["since"], value=began_ns)
    return {"follow": snapshot.to_dict()}


def _security(
    source: Destination, settings: dict[str, Setting], environ: Mapping[str, str]
) -> SecurityConfig:
    from iot_producer.broker_settings import security_of

    warnings: list[str] = []
    security = security_of(settings, environ, source, warnings)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    return security


def _known(
    settings: dict[str, Setting], environ: Mapping[str, str]
) -> tuple[list[KnownRun], Destination, list[str]]:
    """The runs to verify, what to read, and what could not be read of the runs."""
    from iot_producer.blocks import DATA_VERSION
    from iot_producer.destination import Scheme, parse_destination
    from iot_producer.report_files import read_reports

    written = settings["report"].value
    if written:
        runs = read_reports(written.splitlines(), DATA_VERSION)
        return runs, _source([run.report for run in runs], settings), []
    given = settings["from_"].value
    url = settings["pulsar_url"].value if given in (None, "pulsar") else given
    source = parse_destination(url, settings["topic"].value)
    if source.scheme is not Scheme.PULSAR:
        raise ConfigError(
            f"verify needs the report of the run that wrote {source}",
            "give it: --report run.json; only for a Pulsar topic it can do without",
        )
    return _published(source, settings, environ)


def _published(
    source: Destination, settings: dict[str, Setting], environ: Mapping[str, str]
) -> tuple[list[KnownRun], Destination, list[str]]:
    """What the lanes of a topic published about themselves."""
    from iot_producer.commands.progress import VerifyLine
    from iot_producer.verify import published_runs

    with VerifyLine(quiet=settings["json"].value) as line:
        runs, problems = published_runs(
            source.url,
            source.topic,
            give_up_after_s=_patience_s(settings),
            say=line.say,
            security=_security(source, settings, environ),
        )
    return runs, source, problems


def _source(reports: list[RunReport], settings: dict[str, Setting]) -> Destination:
    """What to read: ``--from``, else where the runs sent it."""
    from iot_producer.destination import parse_destination, parse_topic
    from iot_producer.settings import Level

    destinations = list(dict.fromkeys(report.destination for report in reports))
    pulsar_url, pulsar_topic = settings["pulsar_url"], settings["topic"]
    given = settings["from_"].value
    if len(destinations) > 1 and not given:
        raise ConfigError(
            f"the reports are of different destinations: {', '.join(destinations)}",
            "say what to check: --from",
        )
    url, _, topic = destinations[0].partition(" ")
    given = given or url
    if given == "pulsar":
        given = url
        if pulsar_url.level > Level.DEFAULT or not url.startswith("pulsar"):
            given = pulsar_url.value
    if pulsar_topic.level > Level.DEFAULT or not topic:
        topic = pulsar_topic.value
    return parse_destination(given, parse_topic(topic) if topic else "")


def _span(settings: dict[str, Setting]) -> Span:
    """The time whose records are checked."""
    from iot_producer.verify_totals import Span

    since, until = settings["since"], settings["until"]
    if since.written is not None and since.value is None:
        raise ConfigError(f"{since.origin} is now: nothing would be left to check", "give a time")
    whole = Span()
    span = Span(
        whole.first_ms if since.value is None else -(-since.value // _NS_PER_MS),
        whole.stop_ms if until.value is None else -(-until.value // _NS_PER_MS),
    )
    if span.first_ms >= span.stop_ms:
        raise ConfigError(
            f"{until.origin} is not after {since.origin}: nothing would be left to check",
            "give a later time",
        )
    return span


def _patience_s(settings: dict[str, Setting]) -> float:
    patience_ns = settings["give_up_after"].value
    return 30.0 if patience_ns is None else float(patience_ns / 1e9)


def _compare(
    runs: list[KnownRun],
    source: Destination,
    settings: dict[str, Setting],
    environ: Mapping[str, str],
) -> VerifyReport:
    from iot_producer.commands.progress import VerifyLine
    from iot_producer.destination import Scheme
    from iot_producer.verify import run_verify, run_verify_file

    span = _span(settings)
    with VerifyLine(quiet=settings["json"].value) as line:
        if source.scheme is Scheme.PULSAR:
            return run_verify(
                runs,
                source.url,
                source.topic,
                progress=line,
                give_up_after_s=_patience_s(settings),
                say=line.say,
                span=span,
                security=_security(source, settings, environ),
                client=settings["client"].value,
                was_there=not settings["report"].value,  # they published what they know beside it
            )
        if source.scheme in (Scheme.JSONL, Scheme.JSONL_GZ):
            return run_verify_file(runs, source.path, progress=line, span=span)
    raise ConfigError(
        f"{source} cannot be verified in this version",
        "verify reads a Pulsar topic (--from pulsar) or files of JSON lines",
    )
