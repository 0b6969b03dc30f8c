"""Cancelling at the broker. Placing has a file of its own."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.rows import show
from activities.turns import SEND_SECONDS, Turns, in_line
from models.drafts import AuditDraft
from models.errors import NotFound, RateLimited, SourceUnavailable
from models.messages import CancelOrderInput, CancelOrderResult
from models.order import Stage
from models.requests import remark_of

if TYPE_CHECKING:
    from clients.broker import BrokerClient
    from clients.flags import Flags
    from clients.store.store import Store

CHANGE_CALL = "change"
"""Name of the account's window for changes and cancels, shared by all workers."""
_PATIENCE_SECONDS = 2.0


class BrokerActivities:
    """change_window: calls, seconds, gap in seconds, as the broker allows an account."""

    def __init__(
        self,
        broker: BrokerClient,
        store: Store,
        flags: Flags,
        change_window: tuple[int, float, float],
        *,
        answer: timedelta = timedelta(seconds=20),
    ) -> None:
        self._broker = broker
        self._store = store
        self._flags = flags
        self._change_window = change_window
        self._longest = SEND_SECONDS + answer.total_seconds()
        self._line = asyncio.Lock()

    @activity.defn(name="cancel_order")
    async def cancel_order(self, message: CancelOrderInput) -> CancelOrderResult:
        """Ask the broker to cancel; the book, not this answer, says whether it happened.

        Asking twice is harmless. A full window is waited out by Temporal, not here; without Redis
        OpenD alone guards it.
        """
        known = await self._store.book.by_order_id(message.broker_order_id)
        if known is not None and known.dead:
            return CancelOrderResult(accepted=True, detail=f"it was {known.status.value} already")
        try:
            await self._in_turn(message.broker_order_id)
        except NotFound as missing:
            # Not proof of anything: lists are read from a cache. The book and its poller decide.
            return CancelOrderResult(accepted=False, detail=str(missing))
        except RateLimited as full:
            raise _later(full) from full
        await self._record(message)
        return CancelOrderResult(accepted=True, detail="the broker took the cancel")

    async def _in_turn(self, order_id: str) -> None:
        """Cancel in a slot of the window, and in its turn. Raises as BrokerClient.cancel."""
        slot, account = uuid.uuid4().hex, self._broker.account
        await self._take_slot(slot)
        _, window, gap = self._change_window
        turns = Turns(self._flags, account, CHANGE_CALL, window, gap, self._longest)
        async with in_line(self._line, _PATIENCE_SECONDS), turns.held(slot, _PATIENCE_SECONDS):
            await self._broker.cancel(order_id)

    async def _take_slot(self, slot: str) -> None:
        limit, window, _ = self._change_window
        account, wait = self._broker.account, 0.0
        # An order that cannot be cancelled goes on filling, so this does not fail closed: a cancel
        # too many is refused by OpenD and comes back as RateLimited.
        with suppress(SourceUnavailable):
            wait = await self._flags.take_slot(account, CHANGE_CALL, limit, window, 0.0, slot)
        if wait > 0:
            raise _later(RateLimited("cancel_order", wait))

    async def _record(self, message: CancelOrderInput) -> None:
        request, remark = message.request, remark_of(message.request.request_id, message.attempt)
        await show(
            self._store,
            request,
            message.version,
            {"stage": Stage.CANCELLING, "waiting_for": "the broker's word on our cancel"},
            AuditDraft(
                event_key=f"cancel:{remark}:{message.version}",
                action="order.cancel_asked",
                request_id=request.request_id,
                data={"broker_order_id": message.broker_order_id, "why": message.why},
            ),
        )


def _later(full: RateLimited) -> ApplicationError:
    return ApplicationError(
        str(full),
        type=RateLimited.__name__,
        next_retry_delay=timedelta(seconds=full.retry_after_seconds),
    )
