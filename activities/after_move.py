"""After the broker was reached another way: look for what is open before anything new is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from models.records import ClaimState

if TYPE_CHECKING:
    from datetime import datetime

    from clients.broker import BrokerClient
    from clients.store.store import Store


class AfterMove:
    """fence: how long after its last moment an order may take to show up in the broker's book."""

    def __init__(self, broker: BrokerClient, store: Store, fence: timedelta) -> None:
        self._broker = broker
        self._store = store
        self._fence = fence
        self._looked_for: datetime | None = None

    async def unresolved(self, remark: str) -> str:
        """Why nothing new may be sent yet; empty when it may. remark: of the one that would be.

        Each placement from before the move whose outcome is unknown was found, or was looked for in
        a whole read of the book that began after its fence. One that was not found stays unknown,
        with all that is reserved for it, until no OpenD can hold it any more.
        """
        moved_at = self._broker.moved_at
        if moved_at is None or moved_at == self._looked_for:
            return ""
        moved = moved_at.replace(tzinfo=None)
        claims = await self._store.placements.open_claims()
        lost = [
            claim
            for claim in claims
            if claim.state is ClaimState.CLAIMED
            and claim.created_at < moved
            and claim.remark != remark
        ]
        last = max((claim.send_by for claim in lost), default=moved)
        if lost and not await self._store.book.read_since(max(last, moved) + self._fence):
            named = ", ".join(claim.remark for claim in lost[:3])
            return (
                f"OpenD was changed to {self._broker.endpoint}: {len(lost)} placements without an "
                f"answer are looked for in the broker's book first ({named})"
            )
        self._looked_for = moved_at
        return ""
