"""The program's entry: ``iot-producer`` and ``python -m iot_producer``.

Promise: a Ctrl-C from here on, also while modules are imported and while the interpreter ends, is
exit code 130 without a stack trace. It must not import anything else before it has seen to that.
"""

from __future__ import annotations

import os
import signal
from types import FrameType


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(130)


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Import the command line, run it, end the process."""
    # Handlers that somebody else chose stay: nohup ignores signals.
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, _interrupted)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # The first process of a container would not even notice it.
        signal.signal(signal.SIGTERM, _terminated)
    from iot_producer.cli import main as command_line

    if is_ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command_line()
    finally:
        if is_ours:  # nothing is left to be cleaned up
            signal.signal(signal.SIGINT, _interrupted)


if __name__ == "__main__":
    main()
