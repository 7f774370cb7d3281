"""The live view: a picture of the run that stays in its place on a terminal.

Promise: it draws what it is given, in one write a picture, without a thread of its own; it leaves
the lines above alone, follows the size of the window, and gives the cursor back however the program
ends. It must not know workers or clocks. What is in the picture is picture.py's.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.text import Text

from iot_producer.figures import one_line
from iot_producer.history import History, Outline, Readings
from iot_producer.picture import Message, Picture
from iot_producer.plan_text import n_messages_of, title_of
from iot_producer.report import RunReport
from iot_producer.run_config import RunConfig
from iot_producer.snapshot import Snapshot

_N_RECENT: Final = 8
_N_KEPT: Final = 20
"""Warnings and errors that are told again below the run, when the picture is gone."""

_STYLES: Final = {"warning": "yellow", "error": "red"}


class LiveView:
    """Draws a run on a terminal; see view.View.

    On anything but a terminal it draws no picture and only writes messages.

    Args:
        console: the terminal.
        config: the run; or an outline of it.
    """

    def __init__(self, console: Console, config: RunConfig | Outline) -> None:
        self._outline = config if isinstance(config, Outline) else outline_of(config)
        self._console = console
        self._canvas = (
            Canvas(console) if console.is_terminal and not console.is_dumb_terminal else None
        )
        self._history = History(self._outline)
        self._readings: Readings | None = None
        self._recent: list[Message] = []
        self._kept: dict[tuple[str, str], int] = {}
        self._n_dropped = 0

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(None)

    def say(self, level: str, text: str) -> None:
        """News: below the next picture; before the first, or without a terminal, a line of its own.

        Warnings and errors are told again when the picture is gone.
        """
        text = one_line(text)
        if self._canvas is None or self._readings is None:
            self._write(level, text)
            return
        message = Message(level, text, max(self._readings.elapsed_ns, 0))
        last = self._recent[-1] if self._recent else None
        if last is not None and (last.level, last.text) == (level, text):
            self._recent[-1] = replace(message, n=last.n + 1)
        else:
            self._recent = [*self._recent[1 - _N_RECENT :], message]
        if level in _STYLES:
            key = (level, text)
            if key in self._kept or len(self._kept) < _N_KEPT:
                self._kept[key] = self._kept.get(key, 0) + 1
            else:
                self._n_dropped += 1

    def beat(self) -> None:
        """Only a snapshot changes the picture."""

    def draw(self, snapshot: Snapshot) -> None:
        """The state of the run, in the place of the last picture."""
        self._readings = self._history.add(snapshot)
        if self._canvas is not None:
            self._canvas.show(Picture(self._outline.title, self._readings, self._recent))

    def close(self, report: RunReport | None) -> None:
        """Take the picture away (it stays when there is no result) and tell what is to be known.

        The result itself is summary.py's to tell. Closing again does nothing.
        """
        if self._canvas is not None:
            self._canvas.close(keep=report is None)
            self._canvas = None
        for (level, text), n in self._kept.items():
            self._write(level, text + (f" (×{n:,})" if n > 1 else ""))
        if self._n_dropped:
            self._write("warning", f"and {self._n_dropped:,} more of such messages")
        self._kept.clear()
        self._n_dropped = 0

    def _write(self, level: str, text: str) -> None:
        label = f"{level}: " if level in _STYLES else ""
        line = Text(label, _STYLES.get(level, "")).append(text, "not bold")
        self._console.print(line, soft_wrap=True, highlight=False)


def outline_of(config: RunConfig) -> Outline:
    """What is known of a run before it begins."""
    return Outline(title_of(config), n_messages_of(config), config.duration_ns, config.start_ns)


class Canvas:
    """The lines at the cursor, drawn again and again in their place.

    Not rich's Live: that erases the lines that it remembers, and when the window has become
    narrower the terminal has broken them into more, so it leaves parts of pictures behind.

    Args:
        console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: list[int] = []  # width of each line that is there
        self._height = 0
        self._is_torn = False
        self._end: weakref.finalize[..., Canvas] | None = None

    def show(self, picture: Picture) -> None:
        """Draw over what is there."""
        if self._end is None:
            self._console.show_cursor(False)
            # Whatever ends the program, short of SIGKILL, shows the cursor again.
            self._end = weakref.finalize(self, self._console.show_cursor, True)
        size = self._console.size
        # The last cell stays free: a line that fills it makes some terminals begin another. So does
        # the last line: the cursor stays there.
        lines = picture.lines(
            max(size.width - 1, 1), max(size.height - 1, 1), self._console.options.ascii_only
        )
        rows_up = _rows(self._shown, size.width)
        if rows_up >= size.height:
            # The window has become lower than the picture: its top has scrolled out of reach, and
            # comes back when the window grows.
            self._is_torn = True
        if self._is_torn and size.height != self._height:
            self._console.clear()
            rows_up = 0
        self._console.print(_Redraw(rows_up, lines), end="", crop=False, soft_wrap=True)
        self._shown = [line.cell_len for line in lines]
        self._height = size.height

    def close(self, *, keep: bool) -> None:
        """Give the cursor back, below the picture or in its place."""
        if self._end is None:
            return
        self._end.detach()
        self._end = None
        if not keep:
            rows_up = _rows(self._shown, self._console.size.width)
            self._console.print(_Redraw(rows_up, []), end="", crop=False, soft_wrap=True)
        self._console.show_cursor(True)
        self._shown = []


class _Redraw:
    """Go up, write lines over what is there, erase what is left below: one write, no flicker.

    The cursor ends below the picture: there the terminal puts ^C, and Python a stack trace.
    """

    def __init__(self, rows_up: int, lines: Sequence[Text]) -> None:
        self._rows_up = rows_up
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Control(ControlType.CARRIAGE_RETURN)
        if self._rows_up:
            yield Control((ControlType.CURSOR_UP, self._rows_up))
        for line in self._lines:
            yield from line.render(console)
            yield Control((ControlType.ERASE_IN_LINE, 0))
            yield Segment.line()
        # Rich has no name for it: from the cursor to the end of the screen.
        yield Segment("\x1b[J", None, [(ControlType.ERASE_IN_LINE, 0)])


def _rows(widths: Sequence[int], width: int) -> int:
    """Rows that lines take after the window has got another width: terminals break long ones."""
    return sum(max(-(-w // max(width, 1)), 1) for w in widths)
