"""Heartbeats beside the work: a worker that dies is known at once, whatever it waited for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity

_EVERY_SECONDS = 1.0


@asynccontextmanager
async def beating() -> AsyncIterator[None]:
    """Heartbeat each second while the body runs; start-to-close bounds a body that hangs."""
    task = asyncio.create_task(_beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(_EVERY_SECONDS)
