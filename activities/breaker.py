"""A hold that a watch sets when something is wrong, and lifts when it is measured to be well."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.gateway import WorkflowGateway
    from models.control import HoldCommand

# The hold may be another watcher's, which cannot lift it any more.
_LOOK_AGAIN_SECONDS = 60.0


class Breaker:
    """One hold of all trading. Setting or lifting it twice is harmless."""

    def __init__(
        self, gateway: WorkflowGateway, key: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gateway = gateway
        self._key = key
        self._clock = clock
        self._held = False
        self._looked: float | None = None

    async def trip(self, hold: HoldCommand) -> None:
        """Hold; the reason of the first time stays.

        Raises:
            SourceUnavailable: Temporal could not be asked; the next call does it.
        """
        if not self._held:
            self._held = await self._gateway.set_hold(hold)

    async def clear(self, hold: HoldCommand) -> None:
        """Lift it, also where somebody set it who is gone. Raises as `trip`."""
        now = self._clock()
        due = self._looked is None or now - self._looked >= _LOOK_AGAIN_SECONDS
        if not (self._held or due):
            return
        if self._held or await self._gateway.is_held(self._key):
            await self._gateway.lift_hold(hold)
        self._held, self._looked = False, now
