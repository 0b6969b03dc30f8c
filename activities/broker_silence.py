"""The broker's book is not read: all trading is held, and opened again by the next read.

Nothing could be placed meanwhile anyway. The hold says so in one place, and lifting it wakes every
order that waited at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from activities.breaker import Breaker
from models.control import HoldCommand, HoldKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.gateway import WorkflowGateway

SILENCE_HOLD = "broker-silent"


class BrokerSilence:
    """Measures since when no read of the book succeeded. limit_seconds 0: never holds."""

    def __init__(
        self,
        gateway: WorkflowGateway,
        limit_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._breaker = Breaker(gateway, SILENCE_HOLD, clock)
        self._limit = limit_seconds
        self._clock = clock
        self._well_at = clock()

    async def saw(self, problem: str) -> None:
        """Take what the last read came to, empty for one that succeeded.

        Raises:
            SourceUnavailable: Temporal could not be asked; the next call does it.
        """
        now = self._clock()
        if not problem:
            self._well_at = now
        if not self._limit:
            return
        if not problem:
            await self._breaker.clear(self._hold(problem))
        elif now - self._well_at > self._limit:
            await self._breaker.trip(self._hold(problem))

    def _hold(self, problem: str) -> HoldCommand:
        return HoldCommand(
            key=SILENCE_HOLD,
            kind=HoldKind.BREAKER,
            reason=f"the broker's book was not read for {self._limit:g} s ({problem}); the next "
            f"read lifts this",
            who="broker watch",
        )
