"""The seam between a run and what shows it: View; and several views as one.

Promise: a view draws what it is given and never touches workers; a run is the same whatever looks
at it. It must not know processes or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol

from iot_producer.report import RunReport
from iot_producer.snapshot import Snapshot


class View(Protocol):
    """Shows a run while it goes on. Used from one thread."""

    def say(self, level: str, text: str) -> None:
        """One sentence of news: ``level`` is ``info``, ``warning`` or ``error``."""
        ...

    def beat(self) -> None:
        """The run goes on: several times a second, also while there is nothing to draw yet."""
        ...

    def draw(self, snapshot: Snapshot) -> None:
        """The state of the run; several times a second, merged over all lanes."""
        ...

    def close(self, report: RunReport | None) -> None:
        """The end: draw no more; show the result, if the run came to one."""
        ...


class Views:
    """Several views of one run: each gets all of it, whatever becomes of the others.

    Args:
        views: in the order in which they are told.
    """

    def __init__(self, views: Sequence[View]) -> None:
        self._views = tuple(reversed(views))  # an ExitStack calls the last first

    def say(self, level: str, text: str) -> None:
        """To all of them."""
        with ExitStack() as calls:
            for view in self._views:
                calls.callback(view.say, level, text)

    def beat(self) -> None:
        """To all of them."""
        with ExitStack() as calls:
            for view in self._views:
                calls.callback(view.beat)

    def draw(self, snapshot: Snapshot) -> None:
        """To all of them."""
        with ExitStack() as calls:
            for view in self._views:
                calls.callback(view.draw, snapshot)

    def close(self, report: RunReport | None) -> None:
        """All of them."""
        with ExitStack() as calls:
            for view in self._views:
                calls.callback(view.close, report)
