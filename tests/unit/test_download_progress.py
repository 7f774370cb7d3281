from __future__ import annotations

import io

from rich.console import Console

from iot_producer.download_progress import DownloadProgress

MB = 1_000_000


def test_elsewhere_than_on_a_terminal_there_is_a_line_every_tenth():
    out = io.StringIO()
    with DownloadProgress(Console(file=out, width=80)) as progress:
        for done in range(0, 245 * MB + 1, MB):
            progress(done, 245 * MB)
    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0] == "downloading: 0 of 245 MB"
    assert lines[5] == "downloading: 123 of 245 MB"
    assert lines[-1] == "downloading: 245 of 245 MB"


def test_a_terminal_gets_a_bar_that_vanishes():
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, _environ={"TERM": "xterm"})
    with DownloadProgress(console) as progress:
        progress(100 * MB, 200 * MB)
        progress(200 * MB, 200 * MB)
    text = out.getvalue()
    assert "downloading" in text
    assert "200.0/200.0 MB" in text
    assert text.endswith("\x1b[2K")


def test_without_a_download_nothing_is_shown():
    out = io.StringIO()
    with DownloadProgress(Console(file=out, force_terminal=True)):
        pass
    assert out.getvalue() == ""


def test_an_empty_download():
    out = io.StringIO()
    with DownloadProgress(Console(file=out)) as progress:
        progress(0, 0)
    assert out.getvalue() == "downloading: 0 of 0 MB\n"
