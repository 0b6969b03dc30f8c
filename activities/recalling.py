"""What works at the broker is called back: a pause that also cancels."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity

from models.control import Recall, Recalled
from models.drafts import AuditDraft

if TYPE_CHECKING:
    from clients.gateway import WorkflowGateway
    from clients.store import Store

SIGNAL = "recall"
_PAGE = 50


class RecallActivities:
    """Tells working orders that the desk wants them back; telling them twice is harmless."""

    def __init__(self, store: Store, gateway: WorkflowGateway) -> None:
        self._store = store
        self._gateway = gateway

    @activity.defn(name="recall_working")
    async def recall_working(self, recall: Recall) -> Recalled:
        """Signal every order in the scope that is at the broker, or may be on its way there.

        The order's own workflow cancels: only it knows what is filled. Idempotent by the recall.

        Raises:
            SourceUnavailable: store or Temporal could not be asked; it is repeated as a whole.
        """
        told: set[str] = set()
        last = 0
        while page := await self._store.orders.working(recall.side, recall.symbol, last, _PAGE):
            told |= await self._tell({workflow_id for _, workflow_id in page}, recall)
            last = page[-1][0]
        told |= await self._tell(await self._in_hand(recall) - told, recall)
        await self._store.audit.append(_audit_of(recall, len(told)))
        return Recalled(orders=len(told))

    async def _in_hand(self, recall: Recall) -> set[str]:
        """Workflows of orders that were being sent when the hold came into force."""
        claims = await self._store.placements.in_hand(datetime.now(UTC))
        covered = {row.request_id for row in claims if recall.covers(row.side, row.symbol)}
        return set((await self._store.orders.workflow_ids(covered)).values()) if covered else set()

    async def _tell(self, workflow_ids: set[str], recall: Recall) -> set[str]:
        """Those that took the signal."""
        activity.heartbeat()
        names = sorted(workflow_ids)
        taken = await asyncio.gather(
            *(self._gateway.signal_order(name, SIGNAL, recall.reason) for name in names)
        )
        return {name for name, took in zip(names, taken, strict=True) if took}


def _audit_of(recall: Recall, orders: int) -> AuditDraft:
    return AuditDraft(
        event_key=f"recall:{recall.version}:{recall.at}",
        action="orders.recalled",
        actor=recall.who or "unknown",
        data={
            "reason": recall.reason,
            "side": recall.side.value if recall.side else "",
            "symbol": recall.symbol,
            "orders": orders,
        },
    )
