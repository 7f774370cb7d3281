"""The seam between a run and what shows it: View.

Promise: a view draws what it is given and never touches workers; a run is the same whatever looks
at it. It must not know processes or files.
"""

from __future__ import annotations

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
