"""The progress of a verification: one line on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final

import click

from iot_producer.verify import VerifyProgress

_LINE_EVERY_S: Final = 10.0


class VerifyLine:
    """Shows progress on standard error, within a ``with`` statement.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._drawn = False
        self._next_s = _LINE_EVERY_S

    def __enter__(self) -> VerifyLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear()

    def say(self, text: str) -> None:
        """A line of news."""
        self._clear()
        click.echo(text, err=True)

    def __call__(self, progress: VerifyProgress) -> None:
        """Show how far it is."""
        if self._quiet:
            return
        text = (
            f"{progress.n_read:,} of {progress.n_expected:,} records read back, "
            f"{progress.per_s:,.0f}/s"
        )
        if self._terminal:
            click.echo(f"\r\x1b[2K{text}", nl=False, err=True)
            self._drawn = True
        elif progress.seconds >= self._next_s:
            self._next_s = progress.seconds + _LINE_EVERY_S
            click.echo(text, err=True)

    def _clear(self) -> None:
        if self._drawn:
            click.echo("\r\x1b[2K", nl=False, err=True)
            self._drawn = False
