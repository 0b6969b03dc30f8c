"""No new block for minutes: all trading is held, and opened again when blocks come.

What stands still may be the chain, our endpoints or our line to them; in each case orders would be
placed on what was true some time ago.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from activities.breaker import Breaker
from activities.ports import WatchProblem
from models.control import HoldCommand, HoldKind
from models.requests import BlockRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.gateway import WorkflowGateway

STALL_HOLD = "chain-stalled"
SOURCE = "chain heads"


class HeadStall:
    """Measures since when the agreed head stands still. limit_seconds 0: never holds."""

    def __init__(
        self,
        gateway: WorkflowGateway,
        limit_seconds: float,
        report: WatchProblem,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._breaker = Breaker(gateway, STALL_HOLD, clock)
        self._limit = limit_seconds
        self._report = report
        self._clock = clock
        self._head: BlockRef | None = None
        self._since = clock()

    @property
    def seconds(self) -> float:
        """How long the head stands still."""
        return self._clock() - self._since

    async def saw(self, head: BlockRef | None) -> None:
        """Take the newest agreed head, None when nobody gave one; hold or lift as it says.

        Raises:
            SourceUnavailable: Temporal could not be asked; the next call does it.
        """
        before, self._head = self._head, head or self._head
        if head is not None and (before is None or _is_on(before, head)):
            self._since = self._clock()
            if before is not None:
                await self._moving()
        elif self._limit and self.seconds > self._limit:
            await self._standing()

    async def _standing(self) -> None:
        self._report(SOURCE, f"no new block for {self._limit:g} s: trading is held")
        await self._breaker.trip(self._hold())

    async def _moving(self) -> None:
        self._report(SOURCE, "")
        if self._limit:
            await self._breaker.clear(self._hold())

    def _hold(self) -> HoldCommand:
        return HoldCommand(
            key=STALL_HOLD,
            kind=HoldKind.BREAKER,
            reason=f"no new block of the chain for {self._limit:g} s; the next one lifts this",
            who="chain watch",
        )


def _is_on(before: BlockRef, head: BlockRef) -> bool:
    """A block above, or another one in the place of the newest: the chain goes on."""
    return head.number >= before.number and head.hash != before.hash
