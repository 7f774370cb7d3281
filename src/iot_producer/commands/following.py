"""``iot-producer verify --follow``: wiring of what is seen while a run goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iot_producer.errors import ConfigError

if TYPE_CHECKING:
    from iot_producer.destination import Destination
    from iot_producer.follow import FollowSnapshot, IsOver
    from iot_producer.pulsar.security import SecurityConfig
    from iot_producer.settings import Setting

_NEWS_EVERY_S: Final = 10.0
_REST_NS: Final = 2_000_000_000  # after the report is there, what is under way still comes


def follow_topic(
    source: Destination,
    security: SecurityConfig,
    settings: dict[str, Setting],
    say: Callable[[str], None],
) -> FollowSnapshot:
    """Follow a topic from now on, until Ctrl-C, silence, or the run's report.

    Args:
        source: the topic.
        security: TLS and token.
        settings: of verify.
        say: receives news of attempts to connect.

    Raises:
        ConfigError: it is no topic, or the official client was asked for.
        UnreachableError, RefusedError: the topic cannot be read.
    """
    from iot_producer.clock import SystemClock
    from iot_producer.destination import Scheme
    from iot_producer.follow import follow
    from iot_producer.sources.topic import OFFICIAL, TopicSource, open_native

    if source.scheme is not Scheme.PULSAR:
        raise ConfigError(f"{source} cannot be followed", "--follow is for a Pulsar topic")
    if settings["client"].value == OFFICIAL:
        raise ConfigError(
            "--follow needs the native client", "leave out --client official, or --follow"
        )
    clock = SystemClock()
    patience_ns = settings["give_up_after"].value
    topic = TopicSource(
        source.url,
        source.topic,
        security,
        since_ms=clock.now_ns() // 1_000_000,
        give_up_after_s=30.0 if patience_ns is None else patience_ns / 1e9,
    )
    reader = open_native(topic, clock, say, waits_for_topic=True)
    news = _News(quiet=settings["json"].value)
    try:
        return follow(reader.follow(), clock, news=news, is_over=_end_of(settings))
    finally:
        news.end()
        reader.close()


def _end_of(settings: dict[str, Setting]) -> IsOver:
    idle_ns: int = settings["idle"].value
    report = report_to_come(settings)
    # A report of an earlier run says nothing about this one.
    before = _written_at(report)

    def is_over(silent_ns: int | None) -> bool:
        if silent_ns is not None and silent_ns >= idle_ns:
            return True
        written = _written_at(report)
        return written not in (None, before) and (silent_ns is None or silent_ns >= _REST_NS)

    return is_over


def report_to_come(settings: dict[str, Setting]) -> Path | None:
    """The file that the run will write its report to, where one file was given."""
    written = (settings["report"].value or "").splitlines()
    return Path(written[0]) if len(written) == 1 else None


def _written_at(path: Path | None) -> int | None:
    if path is None:
        return None
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


class _News:
    """One line on a terminal, drawn again each second; a line every ten seconds elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._next_s = _NEWS_EVERY_S

    def __call__(self, snapshot: FollowSnapshot) -> None:
        from iot_producer.follow_text import news_line

        if self._quiet:
            return
        if self._terminal:
            click.echo(f"\r\x1b[2K{news_line(snapshot)}", nl=False, err=True)
        elif snapshot.seconds >= self._next_s:
            self._next_s = snapshot.seconds + _NEWS_EVERY_S
            click.echo(news_line(snapshot), err=True)

    def end(self) -> None:
        """Leave the line."""
        if self._terminal and not self._quiet:
            click.echo("\r\x1b[2K", nl=False, err=True)
