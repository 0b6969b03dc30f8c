"""One call of a kind at a time, whichever worker makes it, and the broker's gap between two.

OpenD wants a gap between two placements and two changes of an account. Kept between two sends it is
not kept at the broker, as the ways there differ in length. Kept from an answer to the next send it
is.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from models.errors import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clients.flags import Flags

SEND_SECONDS = 10.0
"""Who has the turn sends within this or never."""
_LONGEST_LOOK_SECONDS = 0.25


@asynccontextmanager
async def in_line(line: asyncio.Lock, patience: float) -> AsyncIterator[bool]:
    """Behind who waits in this process already, first come first served; False: in vain.

    Only the first of them looks at Redis: many that look there keep each other waiting.
    """
    first = False
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            first = await line.acquire()
    try:
        yield first
    finally:
        if first:
            line.release()


class Turns(NamedTuple):
    """Turns of one kind of call of one account.

    longest_seconds: how long a turn counts whose end is never told; no call takes longer than this.
    """

    flags: Flags
    account: str
    call: str
    window_seconds: float
    gap_seconds: float
    longest_seconds: float

    @asynccontextmanager
    async def held(self, member: str, patience: float | None = None) -> AsyncIterator[float]:
        """The turn, waited for; until when (time.monotonic()) the call may be sent in it.

        patience: seconds after which, as where Redis cannot be asked, the call is made without.
        Only for what is harmless when the broker refuses it as too early.

        Raises:
            SourceUnavailable: Redis could not be asked, and it may not be without.
        """
        try:
            until = await self._taken(member, patience)
        except asyncio.CancelledError:
            await self._end(member)
            raise
        try:
            yield until
        finally:
            await self._end(member)

    async def _taken(self, member: str, patience: float | None) -> float:
        give_up = None if patience is None else time.monotonic() + patience
        look = 0.0
        while True:
            until = time.monotonic() + SEND_SECONDS
            try:
                wait = await self._use(member)
            except SourceUnavailable:
                if give_up is None:
                    raise
                return until
            if wait <= 0 or (give_up is not None and time.monotonic() >= give_up):
                return until
            # Seldomer the longer it takes: somebody's call may go unanswered.
            look = min(_LONGEST_LOOK_SECONDS, max(wait, look * 1.5))
            await asyncio.sleep(look)

    async def _use(self, member: str) -> float:
        times = (self.window_seconds, self.gap_seconds, self.longest_seconds)
        return await self.flags.use_slot(self.account, self.call, member, *times)

    async def _end(self, member: str) -> None:
        """One that cannot be ended ends by itself."""
        with suppress(SourceUnavailable):
            await self.flags.keep_slot(self.account, self.call, member)
