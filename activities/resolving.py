"""Finding out what became of an attempt, and saying so in claim, book and row."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity

from activities.clock import utc_now
from activities.rows import show
from models.broker import BrokerOrder
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.errors import NotFound
from models.messages import PlaceOrderInput, Resolution, ResolveInput, ResolveResult
from models.money import units_burned, units_minted
from models.order import OrderStatus, Stage
from models.outlook import UNKNOWN_ACTION, UnknownOutlook, last_outlook, unknown_outlook
from models.records import ClaimState, Placement
from models.requests import Side, remark_of
from models.splits import ONE_TO_ONE

if TYPE_CHECKING:
    from clients.store.store import Store

_SNAPSHOTS_NEEDED = 2
_FENCE_LOOK_SECONDS = 10.0
"""Before the fence only a push or a read that finds the order is news, and those wake by signal."""


class ResolvingActivities:
    """Asks the broker's book; never the broker's order entry."""

    def __init__(self, store: Store, *, fence: timedelta, reading: timedelta = timedelta()) -> None:
        """reading: how long two bulk reads and our look at them take after the fence, at most."""
        self._store = store
        self._fence = fence
        self._proof = fence + reading

    @activity.defn(name="resolve_placement")
    async def resolve_placement(self, message: ResolveInput) -> ResolveResult:
        """What became of an attempt. Burns it when nobody had claimed it yet."""
        request = message.request
        remark = remark_of(request.request_id, message.attempt)
        claim = await self._store.placements.void(
            request.request_id, message.attempt, remark, "", request.side, utc_now()
        )
        if claim.state is ClaimState.VOID:
            return ResolveResult(resolution=Resolution.NEVER_SENT, detail=claim.detail)
        # Snapshots first, then the book: an order that arrives between the two is still seen.
        snapshots = await self._store.book.complete_snapshots_after(
            claim.send_by + self._fence, claim.send_by
        )
        order = await self._store.book.by_remark(remark)
        if claim.state is ClaimState.REJECTED and (
            order is None or (order.filled == 0 and order.dead)
        ):
            return ResolveResult(resolution=Resolution.REJECTED, detail=claim.detail)
        if order is not None:
            await record_placed(self._store, message, order)
            return ResolveResult(resolution=Resolution.FOUND, order=order)
        found = await self._absent_or_wait(claim, len(snapshots))
        if found.resolution is not Resolution.WAIT:
            return found
        outlook = await self._outlook(message, claim, found.detail)
        return found.model_copy(update={"detail": outlook.words})

    async def _outlook(
        self, message: ResolveInput, claim: Placement, detail: str
    ) -> UnknownOutlook:
        """What the user is told; kept with the first look of an attempt, so it never moves."""
        request = message.request
        try:
            row = await self._store.orders.get(request.chain_id, request.vault, request.request_id)
            deadline, reclaim_at = row.deadline, row.reclaim_at
        except NotFound:
            deadline = reclaim_at = 0
        outlook = unknown_outlook(
            attempt=claim.attempt,
            cause=message.cause or detail,
            since=max(claim.send_by, naive_utc(utc_now())),
            proof=self._proof,
            deadline=deadline,
            reclaim_at=reclaim_at,
        )
        entry = AuditDraft(
            event_key=f"unknown:{claim.remark}",
            action=UNKNOWN_ACTION,
            request_id=request.request_id,
            data=outlook.data,
        )
        if await self._store.audit.append(entry, utc_now()):
            return outlook
        told = await self._store.audit.of_request(request.request_id)
        return last_outlook(told, claim.attempt) or outlook

    async def _absent_or_wait(self, claim: Placement, snapshots: int) -> ResolveResult:
        """Absent needs two bulk reads begun after the fence, on a connection made after it."""
        if claim.state is ClaimState.PLACED:
            return ResolveResult(
                resolution=Resolution.WAIT,
                detail=f"order {claim.broker_order_id} is placed but not in the book yet",
                retry_seconds=1.0,
            )
        if claim.state is ClaimState.ABSENT:
            return ResolveResult(resolution=Resolution.ABSENT, detail=claim.detail)
        if snapshots < _SNAPSHOTS_NEEDED:
            left = (claim.send_by + self._fence - utc_now()).total_seconds()
            return ResolveResult(
                resolution=Resolution.WAIT,
                detail=f"the broker's answer to {claim.remark} was lost",
                retry_seconds=max(1.0, min(left, _FENCE_LOOK_SECONDS)),
            )
        detail = f"two reads of the broker's book after {claim.send_by:%H:%M:%S} did not hold it"
        await self._store.placements.mark(
            claim.request_id, claim.attempt, ClaimState.ABSENT, detail=detail, now=utc_now()
        )
        return ResolveResult(resolution=Resolution.ABSENT, detail=detail)


async def record_placed(
    store: Store, message: PlaceOrderInput | ResolveInput, order: BrokerOrder
) -> None:
    """Claim, book and row say that the broker holds this order. Harmless to repeat."""
    request = message.request
    claim = await store.placements.mark(
        request.request_id,
        message.attempt,
        ClaimState.PLACED,
        broker_order_id=order.order_id,
        now=utc_now(),
    )
    await store.book.apply([order], utc_now())
    convert = units_minted if order.side is Side.BUY else units_burned
    await show(
        store,
        request,
        message.version,
        {
            "status": OrderStatus.EXECUTING,
            "stage": Stage.PART_FILLED if order.filled else Stage.PLACED,
            "waiting_for": "the fill",
            "attempt": message.attempt,
            "futu_order_id": order.order_id,
            "futu_order_status": order.vendor_status,
            "quantity": convert(order.quantity, claim.ratio or ONE_TO_ONE),
        },
        audit=AuditDraft(
            event_key=f"placed:{order.remark}",
            action="order.placed",
            request_id=request.request_id,
            data={
                "remark": order.remark,
                "broker_order_id": order.order_id,
                "quantity": order.quantity,
                "price": str(order.price),
            },
        ),
    )
