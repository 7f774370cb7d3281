"""A real Apache Pulsar on this machine, without Docker: fetched once, started, stopped, observed.

Promise: loopback only, bounded memory and disk, nothing left behind. It must not know what is
produced to it. Needs the extra ``stack``; importing it without says so.
"""

from iot_producer.stack.admin import AdminRefusedError, PulsarAdmin
from iot_producer.stack.pulsar_standalone import StartingBroker, down, start, status, up
from iot_producer.stack.stack_config import (
    Progress,
    Say,
    StackConfig,
    StackStatus,
    default_cache_dir,
    default_state_dir,
)

__all__ = [
    "AdminRefusedError",
    "Progress",
    "PulsarAdmin",
    "Say",
    "StackConfig",
    "StackStatus",
    "StartingBroker",
    "default_cache_dir",
    "default_state_dir",
    "down",
    "start",
    "status",
    "up",
]
