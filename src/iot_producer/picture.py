"""One picture of a running load: readings in, lines of text out, for any size of terminal.

Promise: pure; the same readings and the same size give the same picture, no line is wider than the
room and no picture higher. Where room is short the least important parts are left out, never the
tally. It must not know terminals, cursors or clocks: dashboard.py puts it on the screen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from iot_producer import figures
from iot_producer.history import N_RATES, WINDOW_S, Readings, Spread, Spreads
from iot_producer.lane_start import lanes_words

MAX_WIDTH: Final = 100
"""Wider than this, the eye has to travel."""
_WIDE: Final = 72
"""From this width on there are two tables of latencies beside each other."""
_MAX_MESSAGES: Final = 4
_INDENT: Final = 10
"""Cells before the values: labels stand there."""

_LEVELS: Final = "▁▂▃▄▅▆▇█"
# One cell each, so that a line keeps its width on a terminal without Unicode.
_ASCII: Final = str.maketrans("▁▂▃▄▅▆▇█━─→·…µ−–×✓✗", "_.,-~=*#=->.~u--xo!")

_LABEL: Final = "dim"
_GOOD: Final = "green"
_POOR: Final = "yellow"
_BAD: Final = "red"
_PLAIN: Final = ""
_LEVEL_STYLES: Final = {"warning": _POOR, "error": _BAD}


@dataclass(frozen=True, slots=True)
class Message:
    """One sentence of news.

    Attributes:
        level: ``info``, ``warning`` or ``error``.
        text: on one line.
        elapsed_ns: when, since the start of the run; None: before it.
        n: how many times in a row.
    """

    level: str
    text: str
    elapsed_ns: int | None = None
    n: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Lines that are shown together or not at all; parts of one group stand close together."""

    group: int
    rank: int
    """What is left out first has a high one."""
    lines: Sequence[Text]


@dataclass(frozen=True, slots=True)
class Picture:
    """What rich draws; the room is that of the console.

    Args:
        title: the run in one line.
        readings: the state of the run; None before the first snapshot.
        messages: recent news, the latest last.
    """

    title: str
    readings: Readings | None = None
    messages: Sequence[Message] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.lines(options.max_width, options.height, options.ascii_only)

    def lines(self, width: int, height: int | None = None, ascii_only: bool = False) -> list[Text]:
        """The picture's lines.

        Args:
            width: room, in cells.
            height: room, in lines; None: as many as there are.
            ascii_only: use no character beyond ASCII.
        """
        width = max(min(width, MAX_WIDTH), 1)
        parts = [_Part(0, 0, _wrapped(self.title, width, "bold")), *self._parts(width)]
        if height is not None:
            parts = _fitting(parts, height)
        n_gaps = len({part.group for part in parts}) - 1
        roomy = height is None or sum(len(part.lines) for part in parts) + n_gaps <= height
        lines: list[Text] = []
        for before, part in zip([parts[0], *parts], parts, strict=False):
            if roomy and part.group != before.group:
                lines.append(Text())
            lines.extend(part.lines)
        for line in lines:
            if ascii_only:
                plain = line.plain.translate(_ASCII)
                line.plain = "".join(c if c.isascii() else "?" * cell_len(c) for c in plain)
            line.no_wrap = True
            line.truncate(width, overflow="crop" if ascii_only else "ellipsis")
        return lines[:height]

    def _parts(self, width: int) -> list[_Part]:
        parts = [] if self.readings is None else _parts_of(self.readings, width)
        # The latest news stays when there is little room.
        for rank, messages in ((9, self.messages[-_MAX_MESSAGES:-1]), (2, self.messages[-1:])):
            if messages:
                parts.append(_Part(5, rank, _news(messages, width)))
        return parts


def _fitting(parts: Sequence[_Part], height: int) -> list[_Part]:
    """As many as there is room for, the most important first; the title always."""
    kept = [parts[0]]
    for part in sorted(parts[1:], key=lambda part: part.rank):
        if sum(len(each.lines) for each in [*kept, part]) <= height:
            kept.append(part)
    return [part for part in parts if part in kept]


def _parts_of(now: Readings, width: int) -> list[_Part]:
    parts = [
        _Part(1, 0, [_rate(now, width)]),
        _Part(1, 7, [_sparkline(now, width)]),
        _Part(1, 5, [_time(now, width)]),
        _Part(1, 3, [_lag_now(now)]),
        _Part(1, 6, [_data(now)]),
    ]
    recent = f"last {round(now.window_s) or WINDOW_S} s"
    if width >= _WIDE:
        columns = [(recent, now.recent), ("whole run", now.total)]
        parts.append(_Part(2, 4, _latencies(columns, column=min((width - 14) // 6, 12))))
    else:
        parts.append(_Part(2, 4, _latencies([(recent, now.recent)], column=9)))
        parts.append(_Part(3, 8, _latencies([("whole run", now.total)], column=9)))
    parts.append(_Part(4, 1, _tally(now, width)))
    return parts


def _rate(now: Readings, width: int) -> Text:
    per_s, target = now.confirmed_per_s, now.target_per_s
    if per_s is None:
        return _row("Confirmed", Text("–", _LABEL))
    if not now.has_target or target is None:
        value = Text(f"{figures.rate(per_s)} msg/s", f"bold {_GOOD}")
        return _row("Confirmed", value.append(", as fast as it goes", f"not bold {_LABEL}"))
    share = per_s / target if target else 1.0
    style = _GOOD if share >= 0.99 else _POOR if share >= 0.9 else _BAD
    goal = figures.rate(target)
    # The width of the goal keeps the line from trembling.
    value = Text(figures.rate(per_s).rjust(len(goal)), f"bold {style}")
    value.append(f" of {goal} msg/s", _LABEL)
    return _with_bar("Confirmed", value, share, style, width)


def _time(now: Readings, width: int) -> Text:
    if now.elapsed_ns < 0:
        return _row("Time", Text(f"starts in {figures.clock(-now.elapsed_ns + 999_999_999)}"))
    value = Text(figures.clock(now.elapsed_ns))
    if now.remaining_ns is not None:
        value.append(f", {figures.clock(now.remaining_ns + 999_999_999)} left", _LABEL)
    if now.progress is None:
        return _row("Time", value)
    return _with_bar("Time", value, now.progress, "blue", width)


def _lag_now(now: Readings) -> Text:
    lag_ns = now.snapshot.lag_now_ns
    style = _BAD if lag_ns >= 10**9 else _POOR if lag_ns >= 10**8 else _PLAIN
    return _row("Lag now", Text(figures.latency(lag_ns), style))


def _data(now: Readings) -> Text:
    texts = [figures.size(now.snapshot.raw_bytes)]
    if now.raw_bytes_per_s is not None:
        texts.insert(0, figures.megabytes_per_s(now.raw_bytes_per_s))
    texts.append(lanes_words(now.snapshot.n_lanes, now.snapshot.lane))
    return _row("Data", Text(" · ".join(texts)))


def _sparkline(now: Readings, width: int) -> Text:
    room = width - _INDENT
    # A minute always, in whole seconds a cell.
    per_cell = next((k for k in (1, 2, 3, 4, 6) if N_RATES // k <= room), 10)
    rates = now.rates
    # Cells begin at the run's start while it grows, and end at now afterwards.
    cells = [rates[i : i + per_cell] for i in range(0, len(rates), per_cell)]
    means = [sum(cell) / len(cell) for cell in cells]
    # On target is just below the top, so that catching up can be seen.
    target = (now.target_per_s or 0.0) if now.has_target else 0.0
    top = max([1.15 * target, *means])
    if target:
        top = min(top, 1.5 * target)  # nor does a moment of catching up make the rest look flat
    cells_text = "".join(_cell(mean / top if mean else 0.0) for mean in means)
    line = _row("", Text(cells_text, "cyan"))
    note = "  last minute" if len(rates) == N_RATES else ""
    return line.append(note if cell_len(line.plain + note) <= width else "", _LABEL)


def _cell(share: float) -> str:
    """A cell of a sparkline; nothing at all is told from little."""
    return _LEVELS[max(min(round(share * 8), 8), 1) - 1] if share else "·"


def _latencies(columns: Sequence[tuple[str, Spreads]], column: int) -> list[Text]:
    """A table: lag, service and response by p50, p99 and max of each of the times."""
    head, names = Text(" " * _INDENT), Text(" " * _INDENT)
    rows = [Text(name.ljust(_INDENT), _LABEL) for name in ("Lag", "Service", "Response")]
    for number, (title, spreads) in enumerate(columns):
        pad = " " * (4 * number)
        head.append(pad + title.center(3 * column), _LABEL)
        names.append(pad + "".join(name.rjust(column) for name in ("p50", "p99", "max")), _LABEL)
        for row, spread in zip(rows, (spreads.lag, spreads.service, spreads.response), strict=True):
            row.append(pad + "".join(cell.rjust(column) for cell in _cells(spread)), _PLAIN)
    if len(columns) == 1:
        # One line less: the title stands where the labels end.
        names = Text(columns[0][0].ljust(_INDENT), _LABEL).append_text(names[_INDENT:])
        return [names, *rows]
    return [head, names, *rows]


def _cells(spread: Spread) -> tuple[str, str, str]:
    if not spread.n:
        return ("–", "–", "–")
    p50, p99, most = (figures.latency(ns) for ns in (spread.p50_ns, spread.p99_ns, spread.max_ns))
    return (p50, p99, most)


def _tally(now: Readings, width: int) -> list[Text]:
    """The counts in columns that do not move; all six always, zeros too."""
    tally = now.snapshot.tally
    entries = (
        ("scheduled", tally.scheduled, _PLAIN),
        ("sent", tally.sent, _PLAIN),
        ("confirmed", tally.confirmed, _GOOD),
        ("failed", tally.failed, _BAD),
        ("unconfirmed", tally.unconfirmed, _PLAIN),
        ("not sent", tally.not_sent, _POOR),
    )
    a_line = 6 if width >= _WIDE else 3
    column = min(width // a_line, 14)
    lines = []
    for first in range(0, len(entries), a_line):
        names, numbers = Text(), Text()
        for name, n, style in entries[first : first + a_line]:
            names.append(name.rjust(column), _LABEL)
            numbers.append(figures.count(n, column - 1).rjust(column), style if n else _LABEL)
        lines += [names, numbers]
    return lines


def _news(messages: Sequence[Message], width: int) -> list[Text]:
    """At most two lines a message; the whole of it is told when the run has ended."""
    lines = []
    for message in messages:
        at = "" if message.elapsed_ns is None else figures.clock(message.elapsed_ns)
        label = f"{at}  " if at else ""
        text = message.text + (f" (×{message.n:,})" if message.n > 1 else "")
        style = _LEVEL_STYLES.get(message.level, _PLAIN)
        for number, piece in enumerate(_wrapped(text, width - len(label), style)):
            before = label if number == 0 else " " * len(label)
            lines.append(Text(before, _LABEL).append_text(piece))
    return lines


def _wrapped(text: str, width: int, style: str) -> list[Text]:
    """At most two lines."""
    pieces = textwrap.wrap(text, max(width, 10), max_lines=2, placeholder=" …")
    return [Text(piece, style) for piece in pieces]


def _row(label: str, value: Text) -> Text:
    return Text(label.ljust(_INDENT), _LABEL).append_text(value)


def _with_bar(label: str, value: Text, share: float, style: str, width: int) -> Text:
    """A value, and a bar behind it where there is room; bars stand below each other."""
    line = _row(label, value)
    shown = f"{round(min(share, 9.99) * 100):>4} %"
    start = 36
    n_cells = width - max(start, cell_len(line.plain) + 2) - len(shown)
    if width < _WIDE or n_cells < 10:
        shown = shown.lstrip()
        n_free = width - cell_len(line.plain) - len(shown)
        return line.append(" " * max(n_free, 1)).append(shown, style)
    line.plain = set_cell_size(line.plain, max(start, cell_len(line.plain) + 2))
    n_full = min(round(share * n_cells), n_cells)
    line.append("━" * n_full, style).append("─" * (n_cells - n_full), _LABEL)
    return line.append(shown, style)
