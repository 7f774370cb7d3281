"""What the parent of a run wants of its workers.

Promise: imports nothing, so that the parent need not load what a worker needs.
"""

from __future__ import annotations

from enum import IntEnum


class Command(IntEnum):
    """A higher one replaces a lower one."""

    GO_ON = 0
    DRAIN = 1
    """Schedule nothing more; send what is due, wait for confirmations."""
    ABORT = 2
    """End at once; the rest counts as unconfirmed or not sent."""
