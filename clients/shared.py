"""One read for many who ask at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Joins reads: whoever asks gets a read that begins after it asked, with all who wait as well.

    A hundred orders placed at once would otherwise ask a hundred times for the same account.
    """

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._running: asyncio.Task[T] | None = None
        self._waiting: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The next read's answer, or what it raised."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._after(self._running))
            self._waiting.add_done_callback(_looked_at)
        # One who stops waiting does not end the read of the others.
        return await asyncio.shield(self._waiting)

    async def _after(self, before: asyncio.Task[T] | None) -> T:
        if before is not None and not before.done():
            await asyncio.wait([before])
        # From here on this one has begun: who asks now waits for the next.
        self._running, self._waiting = self._waiting, None
        return await self._read()


def _looked_at(task: asyncio.Task[T]) -> None:
    # Else asyncio complains about an error for which nobody waited any more.
    if not task.cancelled():
        task.exception()
