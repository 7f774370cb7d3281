from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
import threading

import pytest

from iot_producer.pulsar.event_loop import EventLoop


def test_results_and_errors_come_back():
    loop = EventLoop()

    async def answer() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    async def fail() -> None:
        raise KeyError("no")

    try:
        assert loop.run(answer()) != threading.get_ident()
        with pytest.raises(KeyError, match="no"):
            loop.run(fail())
    finally:
        loop.close()


def test_a_wait_that_ends_early_cancels_what_was_waited_for():
    loop = EventLoop()
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def for_ever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ended.put("cancelled")
            raise

    try:
        with pytest.raises(TimeoutError):
            loop.run(for_ever(), 0.01)
        assert ended.get(timeout=20) == "cancelled"
    finally:
        loop.close()


def test_calls_keep_their_order():
    loop = EventLoop()
    seen: queue.SimpleQueue[int] = queue.SimpleQueue()
    for i in range(100):
        loop.call(seen.put, i)
    assert [seen.get(timeout=20) for _ in range(100)] == list(range(100))
    loop.close()


def test_closing_ends_what_runs_and_the_thread():
    loop = EventLoop("to be closed")
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def background() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.put("ended")

    async def begin() -> None:
        tasks.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    loop.run(begin())
    loop.close()
    loop.close()
    assert ended.get_nowait() == "ended"
    assert loop.is_closed
    assert "to be closed" not in {thread.name for thread in threading.enumerate()}

    async def nothing() -> None: ...

    with pytest.raises(RuntimeError, match="closed"):
        loop.run(nothing())


def test_a_program_that_forgets_it_ends_quietly():
    program = """
from iot_producer.pulsar.event_loop import EventLoop
import asyncio
loop = EventLoop()
async def background(): await asyncio.sleep(3600)
async def begin():
    global task
    task = asyncio.create_task(background())
loop.run(begin())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
