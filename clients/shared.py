"""One read for many who ask at once, and answers that can never change kept for a while."""

import asyncio
from collections import OrderedDict
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


class Kept(Generic[T]):
    """The newest answers of questions whose answer never changes; `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[str, T] = OrderedDict()

    def get(self, question: str) -> T | None:
        """The answer; None when it was not kept."""
        answer = self._answers.get(question)
        if answer is not None:
            self._answers.move_to_end(question)
        return answer

    def put(self, question: str, answer: T) -> None:
        """Keep an answer; the one that was longest unused makes room."""
        self._answers[question] = answer
        self._answers.move_to_end(question)
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)


def _looked_at(task: asyncio.Task[T]) -> None:
    # Else asyncio complains about an error for which nobody waited any more.
    if not task.cancelled():
        task.exception()
