"""An asyncio loop in a thread of its own, for code that is not asynchronous.

Promise: the calling thread can always be interrupted while it waits, and no loop keeps the process
alive. It must not know what runs on it.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_END_S: Final = 5.0


class EventLoop:
    """A running loop.

    Args:
        name: of its thread.
    """

    def __init__(self, name: str = "pulsar") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        _running.add(self)

    @property
    def is_closed(self) -> bool:
        """Whether nothing can run on it any more."""
        return self._loop.is_closed() or not self._thread.is_alive()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run a coroutine on the loop and wait for its result; from another thread.

        Args:
            coroutine: is cancelled when the wait ends early, by time-out or a signal's exception.
            timeout_s: None: as long as it takes.

        Raises:
            TimeoutError: it took too long.
            RuntimeError: the loop is closed.
        """
        if self.is_closed:
            coroutine.close()
            raise RuntimeError("the event loop is closed")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.CancelledError as error:
            raise RuntimeError("the event loop was closed") from error
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function on the loop, soon; from any thread. Calls keep their order."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """Cancel what still runs, and end the thread; closed again does no harm."""
        _running.discard(self)
        if self.is_closed or threading.current_thread() is self._thread:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_S)

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=_END_S))
        finally:
            loop.close()


# The interpreter must not end while a loop's thread is in the middle of something.
_running: weakref.WeakSet[EventLoop] = weakref.WeakSet()


@atexit.register
def _close_forgotten() -> None:
    for loop in list(_running):
        loop.close()
