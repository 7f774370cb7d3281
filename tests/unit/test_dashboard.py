from __future__ import annotations

import os
import re
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from fake_run import S, report, snapshot, steady
from iot_producer.config import resolve_run
from iot_producer.dashboard import LiveView, outline_of
from iot_producer.history import Outline

OUTLINE = Outline("a run", duration_ns=20 * S)
ENVIRON = {"TERM": "xterm"}
CODE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Terminal:
    """As much of a terminal as the view uses; rows above and below the window are kept.

    Lines that became too long when the window got narrower are broken, as terminals do.
    """

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self.file = StringIO()
        self.console = Console(
            file=self.file,
            force_terminal=True,
            width=width,
            height=height,
            color_system=None,
            _environ=ENVIRON,
        )
        self.rows = [""]
        self.row = 0
        self.cursor_is_shown = True
        self.n_writes = 0
        self._column = 0
        self._read = 0

    def resize(self, width: int, height: int) -> None:
        self.look()
        rows: list[str] = []
        for number, text in enumerate(self.rows):
            pieces = [text[i : i + width] for i in range(0, len(text), width)] or [""]
            rows += pieces
            if number == self.row:
                self.row = len(rows) - 1
        self.rows = rows
        self.console.size = (width, height)  # type: ignore[assignment]

    def look(self) -> list[str]:
        """What is on the screen and above it."""
        text = self.file.getvalue()[self._read :]
        self._read += len(text)
        while text:
            code = CODE.match(text)
            if code:
                text = text[code.end() :]
                self._obey(code[1] + code[2] + code[3])
            else:
                self._put(text[0])
                text = text[1:]
        return [row.rstrip() for row in self.rows]

    def _obey(self, code: str) -> None:
        top = max(len(self.rows) - self.console.height, 0)
        if code in ("?25l", "?25h"):
            self.cursor_is_shown = code == "?25h"
        elif code.endswith("A"):
            self.row = max(self.row - int(code[:-1]), top)
        elif code == "0K":
            self.rows[self.row] = self.rows[self.row][: self._column]
        elif code == "J":
            self.rows[self.row] = self.rows[self.row][: self._column]
            del self.rows[self.row + 1 :]
        elif code == "2J":
            del self.rows[top:]
            self.rows.append("")
            self.row = top
        elif code == "H":
            self._column = 0
        else:
            raise AssertionError(f"the view sent an unknown code: {code!r}")

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._column = 0
            self.row += 1
            if self.row == len(self.rows):
                self.rows.append("")
        else:
            row = self.rows[self.row].ljust(self._column)
            self.rows[self.row] = row[: self._column] + character + row[self._column + 1 :]
            self._column += 1


def test_pictures_replace_each_other() -> None:
    terminal = Terminal()
    terminal.console.print("before")
    view = LiveView(terminal.console, OUTLINE)
    for each in steady(3):
        view.draw(each)
        rows = terminal.look()
        assert rows[:2] == ["before", "a run"]
        assert len(rows) == 18
        assert not terminal.cursor_is_shown
    assert "        3,000        3,000        3,000            0            0            0" in rows
    view.close(report())
    assert terminal.look() == ["before", ""]
    assert terminal.cursor_is_shown


def test_a_picture_is_one_write() -> None:
    writes: list[str] = []

    class File(StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    console = Console(file=File(), force_terminal=True, width=80, height=24, _environ=ENVIRON)
    view = LiveView(console, OUTLINE)
    view.draw(snapshot(0, 0))
    n_before = len(writes)
    view.draw(snapshot(1, 1000))
    assert len(writes) == n_before + 1
    # Nothing is erased before it is overwritten.
    assert "\x1b[2J" not in writes[-1]
    assert writes[-1].index("a run") < writes[-1].index("\x1b[0K")
    view.close(None)


@pytest.mark.parametrize("width", [40, 71, 100])
def test_the_window_gets_another_width(width: int) -> None:
    terminal = Terminal(80, 40)
    terminal.console.print("before")
    view = LiveView(terminal.console, OUTLINE)
    view.draw(snapshot(0, 0))
    view.draw(snapshot(1, 1000))
    terminal.resize(width, 40)
    view.draw(snapshot(2, 2000))
    rows = terminal.look()
    assert rows[:2] == ["before", "a run"]
    assert sum("Lag now" in row for row in rows) == 1
    view.close(report())
    assert terminal.look() == ["before", ""]


def test_the_window_gets_lower_than_the_picture() -> None:
    terminal = Terminal(80, 30)
    view = LiveView(terminal.console, OUTLINE)
    view.draw(snapshot(0, 0))
    view.draw(snapshot(1, 1000))
    terminal.resize(80, 8)
    view.draw(snapshot(2, 2000))
    window = terminal.look()[-8:]
    assert window[0] == "a run"
    assert sum("Confirmed " in row for row in window) == 1
    assert terminal.row == len(terminal.rows) - 1
    view.close(None)


def test_news_are_below_the_picture_and_are_told_again_if_bad() -> None:
    terminal = Terminal()
    view = LiveView(terminal.console, OUTLINE)
    view.say("info", "compiling [bold]x[/bold]")
    assert terminal.look() == ["compiling [bold]x[/bold]", ""]
    view.draw(snapshot(0, 0))
    view.draw(snapshot(3, 3000))
    view.say("info", "the topic has 3 partitions")
    view.say("warning", "connection lost;\ntrying again")
    view.draw(snapshot(4, 4000))
    view.say("warning", "connection lost;\ntrying again")
    view.say("error", "broken \x1b[2J")
    view.draw(snapshot(4, 4000))
    rows = terminal.look()
    assert rows[-4:] == [
        "0:03  the topic has 3 partitions",
        "0:04  connection lost; trying again (×2)",
        "0:04  broken [2J",
        "",
    ]
    view.close(report())
    assert terminal.look() == [
        "compiling [bold]x[/bold]",
        "warning: connection lost; trying again (×2)",
        "error: broken [2J",
        "",
    ]
    view.close(report())
    assert len(terminal.look()) == 4


def test_a_flood_of_warnings_is_cut() -> None:
    terminal = Terminal()
    view = LiveView(terminal.console, OUTLINE)
    view.draw(snapshot(0, 0))
    for number in range(1234):
        view.say("warning", f"warning {number}")
    view.close(report())
    rows = terminal.look()
    assert len(rows) == 22
    assert rows[19] == "warning: warning 19"
    assert rows[20] == "warning: and 1,214 more of such messages"


def test_without_a_result_the_last_picture_stays() -> None:
    terminal = Terminal()
    with LiveView(terminal.console, OUTLINE) as view:
        view.draw(snapshot(0, 0))
        view.draw(snapshot(1, 1000))
    rows = terminal.look()
    assert rows[0] == "a run"
    assert rows[-1] == ""
    assert terminal.row == len(rows) - 1
    assert terminal.cursor_is_shown


def test_without_a_terminal_there_are_only_messages() -> None:
    file = StringIO()
    view = LiveView(Console(file=file, width=80, _environ=ENVIRON), OUTLINE)
    for each in steady(2):
        view.draw(each)
    long = "x" * 100
    view.say("warning", long)
    view.close(report())
    assert file.getvalue() == f"warning: {long}\n"


def test_a_dumb_terminal_gets_no_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=True, _environ={"TERM": "dumb"})
    view = LiveView(console, OUTLINE)
    view.draw(snapshot(0, 0))
    view.close(report())
    assert file.getvalue() == ""


DIES = """
from rich.console import Console
from iot_producer.dashboard import LiveView
from iot_producer.history import Outline
from iot_producer.snapshot import Snapshot
view = LiveView(Console(force_terminal=True, width=80, height=24), Outline("a run"))
view.draw(Snapshot(0))
raise {error}
"""


@pytest.mark.parametrize("error", ["RuntimeError('x')", "KeyboardInterrupt", "SystemExit(3)"])
def test_the_cursor_comes_back_however_the_program_ends(error: str) -> None:
    code = DIES.replace("{error}", error)
    environ = {**os.environ, **ENVIRON, "PYTHONUTF8": "1"}
    arguments = [sys.executable, "-c", code]
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=60, env=environ, check=False
    )
    assert done.returncode != 0
    assert "a run" in done.stdout
    assert done.stdout.rindex("\x1b[?25h") > done.stdout.rindex("\x1b[?25l")


def test_the_outline_of_a_run() -> None:
    flags = {"rate": "500", "duration": "20s", "shard": "1/2", "start": "2026-11-22T16:00:00Z"}
    config = resolve_run(flags, {"PULSAR_URL": "pulsar://broker:6650", "PULSAR_TOPIC": "a/b/c"})
    assert outline_of(config) == Outline(
        "500 msg/s → pulsar://broker:6650 a/b/c", 10_000, 20 * S, 1_795_363_200 * S
    )
