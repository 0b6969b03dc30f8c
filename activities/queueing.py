"""Waiting for a slot of the account's window: in line, fairly, with guards as fresh as the turn."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from activities.clock import utc_now
from activities.guards import Ready, Wait
from models.errors import SourceUnavailable
from models.line import Turn, Waiter
from models.messages import PlaceOrderInput, PlaceOrderResult, PlaceOutcome
from models.order import Reason

if TYPE_CHECKING:
    from activities.guards import Guards
    from activities.house_guards import HouseGuards
    from clients.broker import BrokerClient
    from clients.flags import Flags

PLACE_CALL = "place"
"""Name of the account's window for placing, shared by all workers."""
# A turn that is this near is waited for here: the way back through the workflow takes longer than
# the slot should stand empty.
_LINGER_SECONDS = 5.0
# What was checked this short before the turn counts; a longer wait ends a little before, and the
# guards are asked anew.
_BRIEF_SECONDS = 0.5
_TURNED_AWAY_SECONDS = 30.0


class Queueing:
    """One order's way to a slot. window: placements, seconds, gap; most: an owner's, in line."""

    def __init__(
        self,
        guards: Guards | HouseGuards,
        broker: BrokerClient,
        flags: Flags,
        window: tuple[int, float, float],
        most: int,
    ) -> None:
        self._guards = guards
        self._broker = broker
        self._flags = flags
        self._limit, self._seconds, _ = window
        self._most = most

    async def turn(self, message: PlaceOrderInput, remark: str) -> Ready | PlaceOrderResult:
        """Ready: all guards passed and `remark` has a slot. Else why nothing may be sent now.

        Only who passes all guards stands in line: a slot is never kept from who could use it.

        Raises:
            SourceUnavailable: somebody could not be asked; no slot is taken.
        """
        until = time.monotonic() + _LINGER_SECONDS
        while True:
            checked = await self._guards.check(message)
            if isinstance(checked, Wait):
                await self._leave(message)
                return checked.result
            waiter = _waiter(message, remark, checked)
            turn = await self._ask(waiter)
            if turn.mine:
                return checked
            if utc_now() + timedelta(seconds=turn.slot_in) > checked.place_until:
                await self._leave(message)
                return _too_late(turn)
            if turn.turned_away or time.monotonic() + turn.back_in > until:
                return _in_line(turn)
            await asyncio.sleep(turn.back_in - _BRIEF_SECONDS / 2)

    async def _ask(self, waiter: Waiter) -> Turn:
        """Asked again until its turn, where that comes before what was checked is old."""
        line = self._flags.line(self._broker.account, PLACE_CALL)
        old = time.monotonic() + _BRIEF_SECONDS
        turn = await line.ask(waiter, self._limit, self._seconds, self._most)
        while not turn.mine and 0 < turn.back_in < old - time.monotonic():
            await asyncio.sleep(turn.back_in)
            turn = await line.ask(waiter, self._limit, self._seconds, self._most)
        return turn

    async def _leave(self, message: PlaceOrderInput) -> None:
        """A place that cannot be given up is lost by not coming back."""
        with suppress(SourceUnavailable):
            line = self._flags.line(self._broker.account, PLACE_CALL)
            await line.leave(message.request.request_id)


def _waiter(message: PlaceOrderInput, remark: str, ready: Ready) -> Waiter:
    request = message.request
    return Waiter(request.request_id, remark, request.side, ready.terms.owner)


def _in_line(turn: Turn) -> PlaceOrderResult:
    if turn.turned_away:
        words = f"its owner has {turn.turned_away} orders in line already"
        seconds = _TURNED_AWAY_SECONDS
    else:
        words = f"in line: {turn.place} before it, its turn in about {turn.slot_in:.0f} s"
        seconds = turn.back_in
    return PlaceOrderResult(
        outcome=PlaceOutcome.RATE_LIMITED, detail=words, retry_seconds=max(seconds, 0.001)
    )


def _too_late(turn: Turn) -> PlaceOrderResult:
    """What cannot be placed in time is given back now rather than at the deadline."""
    words = f"{turn.place} before it in line: its turn, in {turn.slot_in:.0f} s, is too late"
    return PlaceOrderResult(outcome=PlaceOutcome.REFUND, reason=Reason.QUEUE_FULL, detail=words)
