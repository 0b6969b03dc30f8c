"""Running in a terminal until told to stop, and leaving it clean."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import NoReturn, TypeVar

T = TypeVar("T")
# What Ctrl-C, `kill`, a closed terminal and `docker stop` send.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""What shells call a program that Ctrl-C ended."""


def go_on() -> None:
    """A place to end at, for work whose cancellation a library may have swallowed.

    Raises:
        CancelledError: this task was told to end and is still running.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def stay() -> NoReturn:
    """Wait until told to end."""
    go_on()
    while True:
        await asyncio.Event().wait()


async def until_told(work: Coroutine[None, None, T]) -> T | None:
    """The work's result; None when a signal ended it, after everything it had opened is closed.

    Only the first signal counts: a second Ctrl-C must not cut the clean-up short.
    """
    task = asyncio.create_task(work)
    told = asyncio.Event()

    def tell() -> None:
        if not told.is_set():
            told.set()
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, tell)
    try:
        return await task
    except asyncio.CancelledError:
        if not told.is_set():
            raise
        return None
