"""Trading a house position away: placed as a user's order is, under an id of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import activity

from activities.clock import utc_now
from activities.observations import ORDERS
from activities.placing import PlacingActivities
from models.cases import flattened
from models.control import HoldCommand, HoldKind
from models.house import (
    FlattenStep,
    HouseInput,
    HouseOutcome,
    HouseStanding,
)
from models.messages import PlaceOrderInput, PlaceOrderResult
from models.records import HousePosition

if TYPE_CHECKING:
    from clients.gateway import WorkflowGateway
    from clients.store.store import Store
    from models.control import Permit, Refusal
    from models.requests import Side


class HousePlacing(PlacingActivities):
    """The same steps, guards of its own, and past the hold that the position itself has set."""

    @activity.defn(name="place_house_order")
    async def place_house_order(self, message: PlaceOrderInput) -> PlaceOrderResult:
        """Place one round, or say why not. Idempotency key: the round's id, of attempt 1."""
        return await self.place_order(message)

    async def _permit(self, remark: str, side: Side, symbol: str) -> Permit | Refusal:
        seconds = self._send_window.total_seconds()
        return await self._flags.begin_house_placement(remark, side, symbol, seconds)


class FlattenActivities:
    """What store and book say of a position's orders, and closing it when nothing is left."""

    def __init__(self, store: Store, gateway: WorkflowGateway) -> None:
        self._store = store
        self._gateway = gateway

    @activity.defn(name="look_at_house_orders")
    async def look_at_house_orders(self, position_id: int) -> FlattenStep:
        """Where flattening stands. What rounds that are over had set aside is given back."""
        standing = await self._store.decisions.standing(position_id)
        step = standing.step
        await self._book(standing)
        for claim, _ in standing.rounds:
            number_is_open = step.open and claim.request_id == step.request.request_id
            if claim.released_at is None and not number_is_open:
                await self._store.placements.release(claim.request_id, utc_now())
        return step

    @activity.defn(name="close_flattened")
    async def close_flattened(self, message: HouseInput) -> HouseOutcome:
        """Close the position and lift what it held, once nothing of it is left. Idempotent."""
        standing = await self._store.decisions.standing(message.position_id)
        if standing.outstanding:
            words = f"{standing.outstanding} {standing.row.symbol} of it are left"
            return HouseOutcome(verb=message.verb, waits=words)
        words = _words(standing, message)
        await self._store.decisions.close(message, words, utc_now())
        await lift_holds(self._store, self._gateway, standing.row.symbol, message)
        return HouseOutcome(verb=message.verb, words=words, done=True)

    async def _book(self, standing: HouseStanding) -> None:
        """What was traded for it, so that tokens and shares add up while a part is left."""
        orders = [order for _, order in standing.rounds if order is not None]
        if standing.row.resolved_at is not None:
            return
        for due in flattened(orders, {standing.row.symbol: standing.row.ratio}):
            row = HousePosition(
                symbol=due.symbol,
                quantity=due.quantity,
                cost=due.cost,
                cause=due.cause,
                broker_order_id=due.broker_order_id,
                request_id=due.request_id,
                shares_numerator=due.ratio.numerator,
                shares_denominator=due.ratio.denominator,
                split_epoch=due.ratio.epoch,
                created_at=utc_now(),
            )
            await self._store.house.book(row)


async def lift_holds(
    store: Store, gateway: WorkflowGateway, symbol: str, message: HouseInput
) -> None:
    """Lift the symbol's holds when nothing of the house's is open in it; reconcile sets them.

    The one for orders that are not ours stays while reconcile still finds any.
    """
    if any(row.symbol == symbol for row in await store.house.unresolved()):
        return
    strange = any(finding.kind == ORDERS for finding in await store.findings.standing())
    keys = [f"house:{symbol}"] if strange else [f"house:{symbol}", f"orders:{symbol}"]
    active = {hold.key for hold in await store.holds.active()}
    for key in keys:
        if key in active:
            await gateway.lift_hold(
                HoldCommand(
                    key=key,
                    kind=HoldKind.HOUSE,
                    reason=message.reason,
                    who=message.who,
                    symbol=symbol,
                )
            )


def _words(standing: HouseStanding, message: HouseInput) -> str:
    """Not from the clock: whoever closes it again says the same."""
    row = standing.row
    if row.resolved_at is not None:
        return row.resolution
    orders = [order for _, order in standing.rounds if order is not None and order.filled]
    dealt = ", ".join(f"{o.side} {o.filled} at {o.average_price}" for o in orders)
    return f"flattened: {dealt} ({message.reason})"
