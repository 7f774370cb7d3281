"""A broker between its start and the moment it answers, when it still belongs to its starter.

Promise: it becomes independent when it answers, or it is ended; nothing in between survives an
error, Ctrl-C or SIGTERM. This module must not know how it was started.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from iot_producer.clock import Clock
from iot_producer.errors import RefusedError, UnreachableError
from iot_producer.stack import broker_files, process
from iot_producer.stack.interrupts import held_signals, unwinding_on_signals
from iot_producer.stack.last_words import explained
from iot_producer.stack.ports import LOOPBACK, not_on_loopback
from iot_producer.stack.process import ProcessId
from iot_producer.stack.readiness import answers, status
from iot_producer.stack.stack_config import Say, StackConfig, StackStatus
from iot_producer.stack.stack_state import StackState, write_state

_POLL_NS: Final = 100_000_000
_ABORT_GRACE_S: Final = 3.0


class StartingBroker:
    """A broker that boots, until `wait_ready` says that it is up; made by `start`.

    Leaving its ``with`` block before that ends it, if it was started here.
    """

    def __init__(self, config: StackConfig, say: Say, clock: Clock) -> None:
        self._config = config
        self._say = say
        self._clock = clock
        self._began_ns = clock.now_ns()
        self._state: StackState | None = None
        self._is_ours = False
        self._settled = False
        self._guard = ExitStack()
        self._guard.enter_context(unwinding_on_signals())

    def adopt(self, state: StackState, is_ours: bool) -> None:
        """Wait for this broker.

        Args:
            state: with its process.
            is_ours: it was started now, and is ended unless it becomes ready.
        """
        self._state = state
        self._is_ours = is_ours
        self._began_ns = self._clock.now_ns()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Ctrl-C may strike between the return of `start` and the entry of the with block.
        self.close()

    def wait_ready(self, cancelled: Callable[[], bool] = lambda: False) -> StackStatus:
        """Wait until the broker answers; from then on it is independent of this process.

        Args:
            cancelled: asked ten times a second; if it says so, the broker is ended.

        Returns:
            Its status, up.

        Raises:
            UnreachableError: it died, did not get ready in time, or the wait was cancelled; the
                message has the last lines of its log.
            RefusedError: it died for want of disk, memory or a port, or listens elsewhere than on
                the loopback address.
        """
        try:
            self._wait(cancelled)
        except BaseException:
            self.close()
            raise
        self._settled = True
        self._guard.close()
        found = replace(status(self._config), was_up=not self._is_ours)
        took_s = (self._clock.now_ns() - self._began_ns) / 1e9
        since = f"in {took_s:.1f} s" if self._is_ours else "already"
        self._say(f"Pulsar is up {since}: {found.pulsar_url}, admin {found.admin_url}")
        return found

    def close(self) -> None:
        """End a broker that was started here and is not up yet; else do nothing."""
        if self._settled:
            return
        self._settled = True
        try:
            with held_signals():
                if self._is_ours and self._state is not None and self._state.process is not None:
                    process.terminate(self._state.process, _ABORT_GRACE_S)
                    with suppress(OSError):
                        write_state(self._config.home, replace(self._state, process=None))
        finally:
            # After the block, which puts back the handlers that were there before it.
            self._guard.close()

    def _wait(self, cancelled: Callable[[], bool]) -> None:
        state = self._state
        if state is None or state.process is None:
            raise UnreachableError("there is no broker to wait for")
        deadline_ns = self._began_ns + round(self._config.ready_timeout_s * 1e9)
        while not answers(state, self._config.security):
            if not process.is_alive(state.process):
                raise explained(
                    f"the broker died while starting{_end(state.process)}", self._logs()
                )
            if cancelled():
                raise UnreachableError("the start of the broker was cancelled")
            if self._clock.now_ns() > deadline_ns:
                raise explained(
                    f"the broker was not ready in {self._config.ready_timeout_s:g} s", self._logs()
                )
            self._clock.sleep_until(self._clock.now_ns() + _POLL_NS)
        reachable = not_on_loopback(process.listening_addresses(state.process))
        if reachable:
            raise RefusedError(
                f"the broker listens on {', '.join(reachable)}, not only on {LOOPBACK}",
                "this should not happen: please report it",
            )

    def _logs(self) -> tuple[Path, ...]:
        home = self._config.home
        return home / broker_files.LOG_FILE, home / broker_files.OUTPUT_FILE


def _end(ended: ProcessId) -> str:
    code = process.exit_code(ended)
    return "" if code is None else f" (exit code {code})"
