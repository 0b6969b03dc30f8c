"""Placing, once: quote, guards, reservations, claim and send as one step with nothing between.

guards ▶ its turn for a slot ▶ permit (lease, holds, in flight) ▶ claim ▶ use the slot ▶ is it still
there ▶ send ▶ mark
Die before the claim: nobody sent, and the resolver burns the attempt. Die after it: the claim says
that something may be at the broker, and only the broker's book can say what.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity

from activities.after_move import AfterMove
from activities.beating import beating
from activities.clock import utc_now
from activities.guards import Ready
from activities.queueing import PLACE_CALL, Queueing
from activities.resolving import record_placed
from activities.spans import span
from activities.turns import SEND_SECONDS, Turns, in_line
from models.broker import OrderTicket
from models.control import Permit, Refusal
from models.drafts import ClaimDraft, ClaimKind
from models.errors import (
    Conflict,
    OrderRejected,
    PlacementUnknown,
    RateLimited,
    SourceUnavailable,
    Unusable,
)
from models.messages import (
    PlaceOrderInput,
    PlaceOrderResult,
    PlaceOutcome,
)
from models.order import Reason
from models.records import ClaimState
from models.requests import Side, remark_of

if TYPE_CHECKING:
    from datetime import datetime

    from activities.guards import Guards
    from activities.house_guards import HouseGuards
    from clients.broker import BrokerClient
    from clients.flags import Flags
    from clients.store.store import Store

_DOWN_RETRY_SECONDS = 5.0
# What was checked is not kept for longer behind this process's other placements.
_LINE_SECONDS, _LINE_RETRY = 5.0, 1.0
# The poller reads the whole book every few seconds; a store that has not seen it for this long may
# have forgotten (a restored database), so nothing is claimed before it was read again.
_BOOK_AGE = timedelta(minutes=2)
# Quotes, the claims' queue and a full window may each take seconds, and blocks come meanwhile.
_JUST_READ = timedelta(seconds=1)


class PlacingActivities:
    """The only place from which an order is sent."""

    def __init__(
        self,
        guards: Guards | HouseGuards,
        broker: BrokerClient,
        store: Store,
        flags: Flags,
        *,
        place_window: tuple[int, float, float],
        send_window: timedelta,
        line_per_owner: int,
        fence: timedelta = timedelta(minutes=1),
        answer: timedelta = timedelta(seconds=20),
    ) -> None:
        self._guards = guards
        self._after_move = AfterMove(broker, store, fence)
        self._queueing = Queueing(guards, broker, flags, place_window, line_per_owner)
        self._broker = broker
        self._store = store
        self._flags = flags
        _, window, gap = place_window
        self._times = (window, gap, SEND_SECONDS + answer.total_seconds())
        self._line = asyncio.Lock()
        self._send_window = send_window

    @activity.defn(name="place_order")
    async def place_order(self, message: PlaceOrderInput) -> PlaceOrderResult:
        """Place one attempt, or say why not. Idempotency key: (request id, attempt).

        A source that is down is a wait, not an error: nothing was sent.
        """
        async with beating():
            try:
                with span("place", attempt=message.attempt):
                    return await self._place(message)
            except RateLimited as full:
                return _waiting(PlaceOutcome.RATE_LIMITED, str(full), full.retry_after_seconds)
            except SourceUnavailable as down:
                waits = _waiting(PlaceOutcome.SOURCE_DOWN, str(down), _DOWN_RETRY_SECONDS)
                guard = down.guard if isinstance(down, Unusable) else ""
                return waits.model_copy(update={"guard": guard})

    async def _place(self, message: PlaceOrderInput) -> PlaceOrderResult:
        remark = remark_of(message.request.request_id, message.attempt)
        if open_ones := await self._after_move.unresolved(remark):
            return _waiting(PlaceOutcome.SOURCE_DOWN, open_ones, _DOWN_RETRY_SECONDS)
        checked = await self._queueing.turn(message, remark)
        if isinstance(checked, PlaceOrderResult):
            return checked
        async with in_line(self._line, _LINE_SECONDS) as first:
            if not first:
                await self._drop_slot(remark)
                return _waiting(PlaceOutcome.RATE_LIMITED, "others are being placed", _LINE_RETRY)
            return await self._place_alone(message, remark, checked)

    async def _place_alone(
        self, message: PlaceOrderInput, remark: str, checked: Ready
    ) -> PlaceOrderResult:
        """One at a time from here on: what waits for others has no permit and no claim."""
        # Taken before the permit, so that nothing is sent after its entry in flight has expired.
        began = utc_now()
        send_by = min(began + self._send_window, checked.place_until)
        permit = await self._permit(remark, message.request.side, checked.asset.symbol)
        if isinstance(permit, Refusal):
            await self._drop_slot(remark)
            return _waiting(PlaceOutcome.HELD, _why_held(permit), _held_retry_seconds(permit))
        try:
            refused = await self._claim(_draft(message, remark, checked, send_by), checked, began)
            return refused or await self._send(message, checked, remark, send_by)
        except SourceUnavailable as down:
            # From the claim on nothing is "not sent" any more: store and book decide.
            return PlaceOrderResult(outcome=PlaceOutcome.RESOLVE, detail=str(down))
        except Conflict as conflict:
            # Another attempt fills or filled, or there is an item: what ends it decides which.
            return PlaceOrderResult(
                outcome=PlaceOutcome.REFUND, reason=Reason.NOT_FILLED, detail=str(conflict)
            )

    async def _permit(self, remark: str, side: Side, symbol: str) -> Permit | Refusal:
        seconds = self._send_window.total_seconds()
        return await self._flags.begin_placement(remark, side, symbol, seconds)

    async def _claim(
        self, draft: ClaimDraft, ready: Ready, began: datetime
    ) -> PlaceOrderResult | None:
        """Why there is no right to send; None when it was given, dated from before its permit.

        An attempt that was claimed before may still be in flight, so its entry stays.
        """
        try:
            claim = await self._store.placements.claim(draft, ready.headroom, began)
        except (SourceUnavailable, Conflict):
            await self._not_begun(draft.remark)
            raise
        if claim.kind is ClaimKind.CLAIMED:
            return None
        if claim.kind is ClaimKind.EXISTS:
            return PlaceOrderResult(outcome=PlaceOutcome.RESOLVE, detail=claim.detail)
        await self._not_begun(draft.remark)
        return _waiting(PlaceOutcome.NO_HEADROOM, claim.detail, _DOWN_RETRY_SECONDS)

    def _turns(self) -> Turns:
        return Turns(self._flags, self._broker.account, PLACE_CALL, *self._times)

    async def _drop_slot(self, remark: str) -> None:
        """Nothing was sent; a slot that cannot be given back is wasted, and no more."""
        with suppress(SourceUnavailable):
            await self._flags.drop_slot(self._broker.account, PLACE_CALL, remark)

    async def _not_begun(self, remark: str) -> None:
        await self._drop_slot(remark)
        await self._ended(remark)

    async def _ended(self, remark: str) -> None:
        """Its end is known; an entry that cannot be removed expires, and changes no outcome."""
        with suppress(SourceUnavailable):
            await self._flags.end_placement(remark)

    async def _send(
        self, message: PlaceOrderInput, ready: Ready, remark: str, send_by: datetime
    ) -> PlaceOrderResult:
        request_id, attempt = message.request.request_id, message.attempt
        ticket = OrderTicket(
            remark=remark,
            symbol=ready.asset.symbol,
            side=message.request.side,
            quantity=ready.plan.quantity,
            price=ready.plan.price,
        )
        try:
            # The slot counts from now: the claim before may have stood in line.
            async with self._turns().held(remark) as turn_ends:
                await self._still_named(remark)
                gone = await self._gone(message, ready)
                if gone is not None:
                    return await self._withheld(message, remark, gone)
                if open_ones := await self._after_move.unresolved(remark):
                    raise SourceUnavailable("broker", f"placing {remark}", open_ones)
                left = min((send_by - utc_now()).total_seconds(), turn_ends - time.monotonic())
                order = await self._broker.place(ticket, left)
        except PlacementUnknown as unknown:
            # Stays registered in flight, so that a pause names it.
            return PlaceOrderResult(outcome=PlaceOutcome.RESOLVE, detail=str(unknown))
        except OrderRejected as no:
            await self._store.placements.mark(
                request_id, attempt, ClaimState.REJECTED, detail=no.reason, now=utc_now()
            )
            await self._ended(remark)
            return PlaceOrderResult(
                outcome=PlaceOutcome.REJECTED, detail=no.reason, attempt_used=True
            )
        except (SourceUnavailable, RateLimited) as unsent:
            return await self._unsent(request_id, attempt, remark, unsent)
        await record_placed(self._store, message, order)
        await self._ended(remark)
        return PlaceOrderResult(
            outcome=PlaceOutcome.PLACED,
            order=order,
            quantity=ready.plan.quantity,
            price=ready.plan.price,
            attempt_used=True,
        )

    async def _still_named(self, remark: str) -> None:
        """A Redis that lost its memory after the permit would not name this one to a pause.

        Lost after this look, the claim names it: a pause reads those, too.

        Raises:
            SourceUnavailable: it has lost it, or cannot be asked.
        """
        if not await self._flags.is_in_flight(remark):
            raise SourceUnavailable("Redis", f"placing {remark}", "its permit was forgotten")

    async def _gone(self, message: PlaceOrderInput, ready: Ready) -> PlaceOrderResult | None:
        """Why the request may not be traded any more; None also when it was read just now."""
        read_at = ready.headroom.as_of
        if read_at is not None and utc_now() - read_at < _JUST_READ:
            return None
        stop = await self._guards.again(message)
        return None if stop is None else stop.result

    async def _withheld(
        self, message: PlaceOrderInput, remark: str, why: PlaceOrderResult
    ) -> PlaceOrderResult:
        """The claim is spent and nothing was sent: what the guards say now is the answer."""
        await self._spend(message.request.request_id, message.attempt, remark, why.detail)
        return why.model_copy(update={"attempt_used": True})

    async def _spend(self, request_id: str, attempt: int, remark: str, why: str) -> None:
        await self._store.placements.mark(
            request_id, attempt, ClaimState.VOID, detail=why, now=utc_now()
        )
        await self._not_begun(remark)

    async def _unsent(
        self, request_id: str, attempt: int, remark: str, error: SourceUnavailable | RateLimited
    ) -> PlaceOrderResult:
        """The client proved that nothing left: the claim is spent, its holder never sends."""
        await self._spend(request_id, attempt, remark, str(error))
        limited = isinstance(error, RateLimited)
        return PlaceOrderResult(
            outcome=PlaceOutcome.RATE_LIMITED if limited else PlaceOutcome.SOURCE_DOWN,
            detail=str(error),
            retry_seconds=getattr(error, "retry_after_seconds", _DOWN_RETRY_SECONDS),
            attempt_used=True,
        )


def _draft(message: PlaceOrderInput, remark: str, ready: Ready, send_by: datetime) -> ClaimDraft:
    selling = message.request.side is Side.SELL
    return ClaimDraft(
        request_id=message.request.request_id,
        attempt=message.attempt,
        remark=remark,
        symbol=ready.asset.symbol,
        side=message.request.side,
        quantity=ready.plan.quantity,
        price=ready.plan.price,
        send_by=send_by,
        reserved_payout=ready.plan.payout,
        reserved_cash=ready.plan.cash,
        reserved_shares=ready.plan.quantity if selling else 0,
        may_cross=False,
        book_since=utc_now() - _BOOK_AGE,
        ratio=ready.ratio,
        basis=ready.basis,
    )


def _waiting(outcome: PlaceOutcome, detail: str, seconds: float) -> PlaceOrderResult:
    return PlaceOrderResult(outcome=outcome, detail=detail, retry_seconds=seconds)


def _held_retry_seconds(refusal: Refusal) -> float:
    """Who lifts a hold or a halt wakes its orders; a lease that lapsed may be back unannounced."""
    return 0.0 if refusal.holds or refusal.halted else _DOWN_RETRY_SECONDS


def _why_held(refusal: Refusal) -> str:
    reasons = "; ".join(f"{hold.kind.value}: {hold.reason or hold.key}" for hold in refusal.holds)
    return f"trading is held: {reasons}" if reasons else refusal.reason
