"""The progress of a download: a bar on a terminal, a line every tenth elsewhere.

Promise: shows what it is told, on standard error, and nothing when nothing is downloaded. It must
not know what is downloaded.
"""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TransferSpeedColumn


class DownloadProgress:
    """A callable of (done, total) bytes, within a ``with`` statement.

    Args:
        console: where it is drawn; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._told = -1

    def __enter__(self) -> DownloadProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        """Show that ``done_bytes`` of ``total_bytes`` are there."""
        if not self._console.is_terminal:
            tenth = 10 * done_bytes // max(total_bytes, 1)
            if tenth > self._told:
                self._told = tenth
                megabytes = f"{done_bytes / 1e6:.0f} of {total_bytes / 1e6:.0f} MB"
                self._console.print(f"downloading: {megabytes}", highlight=False)
            return
        if self._bar is None:
            self._bar = Progress(
                "downloading",
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total_bytes)
            self._bar.start()
        self._bar.update(self._task, completed=done_bytes, total=total_bytes)
