"""What works at the broker is called back: a pause that also cancels."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity

from models.control import Recall, Recalled
from models.drafts import AuditDraft
from models.errors import SourceUnavailable
from models.requests import parse_remark

if TYPE_CHECKING:
    from clients.flags import Flags
    from clients.gateway import WorkflowGateway
    from clients.store import Store

SIGNAL = "recall"
_PAGE = 50


class RecallActivities:
    """Tells working orders that the desk wants them back; telling them twice is harmless."""

    def __init__(self, store: Store, flags: Flags, gateway: WorkflowGateway) -> None:
        self._store = store
        self._flags = flags
        self._gateway = gateway

    @activity.defn(name="recall_working")
    async def recall_working(self, recall: Recall) -> Recalled:
        """Signal every order in the scope that is at the broker, or may be on its way there.

        The order's own workflow cancels: only it knows what is filled. Idempotent by the recall.

        Raises:
            SourceUnavailable: store or Temporal could not be asked; it is repeated as a whole.
        """
        # In the order in which a placement goes on from one to the next: none slips between them.
        told = await self._tell(await self._on_their_way(recall), recall)
        last = 0
        while page := await self._store.orders.working(recall.side, recall.symbol, last, _PAGE):
            told |= await self._tell({workflow_id for _, workflow_id in page} - told, recall)
            last = page[-1][0]
        await self._store.audit.append(_audit_of(recall, len(told)))
        return Recalled(orders=len(told))

    async def _on_their_way(self, recall: Recall) -> set[str]:
        """Workflows of orders that were being sent when the hold came into force."""
        begun = await self._begun()
        claims = await self._store.placements.in_hand(datetime.now(UTC))
        found = await self._store.orders.workflow_ids(
            begun | {row.request_id for row in claims}, recall.side, recall.symbol
        )
        return set(found.values())

    async def _begun(self) -> set[str]:
        """Requests whose placement has a permit; without Redis only the claims are known."""
        try:
            flights = await self._flags.in_flight()
        except SourceUnavailable as error:
            activity.logger.warning("recall_without_redis", extra={"detail": str(error)})
            return set()
        parsed = (parse_remark(flight.remark) for flight in flights)
        return {request_id for request_id, _ in filter(None, parsed)}

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
