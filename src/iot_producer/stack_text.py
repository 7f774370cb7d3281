"""The state of the local stack, as people read it.

Promise: a line for each fact that is known, and what to do next. It must not ask the stack itself.
"""

from __future__ import annotations

from iot_producer.figures import size
from iot_producer.stack.stack_config import StackStatus

_NEXT = 'eval "$(iot-producer stack env)" makes every command use it'


def stack_text(status: StackStatus) -> str:
    """Some lines, without a newline at their end."""
    facts = [
        ("broker", status.pulsar_url),
        ("admin API", status.admin_url),
        ("server", f"Pulsar {status.version}" if status.version else ""),
        ("Java", status.java),
        (
            "process",
            f"{status.pid}, {size(status.resident_bytes)} of memory" if status.pid else "",
        ),
        ("data", f"{status.home} ({size(status.disk_bytes)})" if status.home else ""),
        ("log", status.log_file),
    ]
    state = "was up already" if status.was_up else f"is {status.state}"
    lines = [f"stack {status.name} {state}"]
    lines += [f"  {name:<10} {value}" for name, value in facts if value]
    if status.is_up:
        lines.append(f"  {'next':<10} {_NEXT}")
    elif status.state == "down":
        lines.append(f"  {'next':<10} iot-producer stack up starts it")
    return "\n".join(lines)
