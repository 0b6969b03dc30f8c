"""Several endpoints of one chain asked at once: one that is down or slow changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from clients.dialects import BroadcastUnknown
from clients.rpc import Rpc, RpcUnreachable
from models.errors import SourceUnavailable

T = TypeVar("T")
# One answer is enough, but the others are given so long as well.
_GRACE_SECONDS = 1.0


class Endpoints:
    """The endpoints to ask just now, in the order of preference."""

    def __init__(self, now: Callable[[], Sequence[Rpc]]) -> None:
        self._now = now

    @property
    def first(self) -> Rpc:
        """The one to prefer.

        Raises:
            RpcUnreachable: there is none to ask.
        """
        return self._some()[0]

    def _some(self) -> Sequence[Rpc]:
        rpcs = tuple(self._now())
        if not rpcs:
            raise RpcUnreachable("chain", "choosing an endpoint", "none of them can be trusted")
        return rpcs

    async def answers(self, read: Callable[[Rpc], Awaitable[T]]) -> list[T]:
        """What those say who answer, in order of preference.

        Raises:
            SourceUnavailable: nobody does.
        """
        told = await self.ask(read, lambda _: True)
        answers = [answer for answer in told if not isinstance(answer, Exception)]
        if not answers:
            raise first_error(told)
        return answers

    async def ask(
        self, read: Callable[[Rpc], Awaitable[T]], enough: Callable[[T], bool]
    ) -> list[T | Exception]:
        """Ask everyone; after one answer that is enough, whoever is slow is left out.

        Where none is enough everyone is heard, each with an answer or with why there is none.
        """
        rpcs = self._some()
        if len(rpcs) == 1:
            return [await _caught(read(rpcs[0]))]
        tasks = [asyncio.ensure_future(_caught(read(rpc))) for rpc in rpcs]
        try:
            for next_done in asyncio.as_completed(tasks):
                answer = await next_done
                if not isinstance(answer, Exception) and enough(answer):
                    break
            await asyncio.wait(tasks, timeout=_GRACE_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [task.result() for task in tasks if not task.cancelled()]


def first_error(told: Sequence[Any]) -> Exception:
    """Why the first of them has no answer."""
    return next(answer for answer in told if isinstance(answer, Exception))


async def _caught(reading: Awaitable[T]) -> T | Exception:
    """The answer, or why there is none; anything else than ours goes up."""
    try:
        return await reading
    except (SourceUnavailable, BroadcastUnknown) as error:
        return error
