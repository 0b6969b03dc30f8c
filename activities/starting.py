"""Starting many workflows: several at once, no faster than told, slower while Temporal is busy."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from models.errors import SourceBusy, SourceUnavailable
from models.requests import VaultRequest

AT_ONCE = 64
_LONGEST_PAUSE_SECONDS = 30.0
Start = Callable[[VaultRequest], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]


class Starter:
    """Counts what it starts. per_second: the most it starts a second, over all calls."""

    def __init__(
        self,
        start: Start,
        per_second: float,
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._per_second = per_second
        self._sleep = sleep
        self._clock = clock
        self._width = AT_ONCE
        self._busy = 0
        self.started = 0

    async def start(self, requests: Iterable[VaultRequest]) -> dict[int, SourceUnavailable]:
        """Start them all; what failed, by request number, and why. Busy is waited out.

        Raises:
            SourceUnavailable: as many in a row as are tried at once failed: Temporal is not there.
        """
        waiting = deque(requests)
        failed: dict[int, SourceUnavailable] = {}
        while waiting:
            begun = self._clock()
            chunk = [waiting.popleft() for _ in islice(waiting.copy(), self._width)]
            errors = await asyncio.gather(*map(self._try, chunk))
            self.started += sum(error is None for error in errors)
            refused = [(r, e) for r, e in zip(chunk, errors, strict=True) if e is not None]
            waiting.extendleft(r for r, e in reversed(refused) if isinstance(e, SourceBusy))
            down = {r.n: e for r, e in refused if not isinstance(e, SourceBusy)}
            if len(down) == len(chunk) and (len(chunk) > 1 or not waiting):
                raise next(iter(down.values()))
            failed |= down
            await self._pace(begun, len(chunk), [e for _, e in refused])
        return failed

    async def _try(self, request: VaultRequest) -> SourceUnavailable | None:
        try:
            await self._start(request)
        except SourceUnavailable as error:
            return error
        return None

    async def _pace(self, begun: float, tried: int, errors: list[SourceUnavailable]) -> None:
        """Half as many at once, and later, after each time that Temporal was busy."""
        busy = [error.retry_after_seconds for error in errors if isinstance(error, SourceBusy)]
        if busy:
            self._width = max(1, self._width // 2)
            self._busy += 1
            pause = max(busy) * 2.0 ** min(self._busy - 1, 10)
            await self._sleep(min(pause, _LONGEST_PAUSE_SECONDS))
            return
        self._width = min(AT_ONCE, self._width + 1)
        self._busy = 0
        left = tried / self._per_second - (self._clock() - begun)
        if left > 0:
            await self._sleep(left)
