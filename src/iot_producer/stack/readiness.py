"""Whether a stack is up: asked of its process and of the broker itself, not of files.

Promise: ``up`` means that a client could work now. This module must not change anything.
"""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import Final

from iot_producer.errors import DestinationError
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig
from iot_producer.stack import broker_files, process
from iot_producer.stack.ports import LOOPBACK
from iot_producer.stack.stack_config import StackConfig, StackStatus
from iot_producer.stack.stack_folder import disk_bytes
from iot_producer.stack.stack_state import StackState, read_state

_NAMESPACE: Final = "public/default"
_PROBE_TIMEOUT_S: Final = 2.0


def status(config: StackConfig) -> StackStatus:
    """What a stack is doing; a broker whose process is gone is down, whatever the files say."""
    home = config.home
    state = read_state(home)
    if state is None or state.process is None or not process.is_alive(state.process):
        return stack_down(config)
    return StackStatus(
        name=config.name,
        state="up" if answers(state, config.security) else "starting",
        pulsar_url=f"pulsar://{LOOPBACK}:{state.broker_port}",
        admin_url=_admin_url(state),
        pid=state.process.pid,
        version=state.version,
        java=state.java,
        home=str(home),
        log_file=str(home / broker_files.LOG_FILE),
        resident_bytes=process.resident_bytes(state.process),
        disk_bytes=disk_bytes(home),
    )


def answers(state: StackState, security: SecurityConfig = NO_SECURITY) -> bool:
    """Clients can work: the broker calls itself ready, the namespace is there, and look-ups work.

    The namespace comes about a second after the broker calls itself ready.
    """
    admin = PulsarAdmin(_admin_url(state), _PROBE_TIMEOUT_S, security)
    try:
        if not (admin.is_ready() and admin.has_namespace(_NAMESPACE)):
            return False
        _look_up(admin)
        socket.create_connection((LOOPBACK, state.broker_port), _PROBE_TIMEOUT_S).close()
    except (DestinationError, OSError):
        return False
    return True


def _look_up(admin: PulsarAdmin) -> None:
    """Ask who serves a topic of the namespace."""
    try:
        admin.look_up(f"persistent://{_NAMESPACE}/ready")
    except AdminRefusedError as error:
        # Where topics are not made on demand, this is the answer for one that is not there.
        if error.status != HTTPStatus.NOT_FOUND:
            raise


def stack_down(config: StackConfig) -> StackStatus:
    """The status of a stack that is down."""
    return StackStatus(name=config.name, state="down", home=str(config.home))


def _admin_url(state: StackState) -> str:
    return f"http://{LOOPBACK}:{state.admin_port}"
