"""Weighing a verb on a house position against all sources, and doing what needs no order."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from temporalio import activity

from activities.beating import beating
from activities.clock import utc_now
from activities.flattening import lift_holds
from activities.house_due import quiet_cases
from activities.reconcile_view import ReconcileReader, View
from models.cases import FOREIGN, house_due
from models.errors import Conflict, NotFound
from models.house import (
    HouseDecision,
    HouseInput,
    HouseOutcome,
    HouseStanding,
    HouseVerb,
    house_round,
)
from models.invariants import left_over, position_gap
from models.records import HousePosition
from models.requests import VaultStatus

if TYPE_CHECKING:
    from clients.gateway import WorkflowGateway
    from clients.store.store import Store

_SERVED = frozenset({VaultStatus.OPEN, VaultStatus.SETTLED})


class HouseActivities:
    """two_persons_above: dollars that a position cost; above it a second person must agree."""

    def __init__(
        self,
        reader: ReconcileReader,
        store: Store,
        gateway: WorkflowGateway,
        *,
        two_persons_above: Decimal,
    ) -> None:
        self._reader = reader
        self._store = store
        self._gateway = gateway
        self._limit = two_persons_above

    @activity.defn(name="weigh_house")
    async def weigh_house(self, message: HouseInput) -> HouseOutcome:
        """Say what the verb would do or why it may not; with `act` decide it, and close the books.

        Idempotent: a position is closed once, and a name counts once. FLATTEN is only decided here.
        """
        async with beating():
            try:
                return await self._weigh(message)
            except (NotFound, Conflict) as no:
                return HouseOutcome(verb=message.verb, refused=str(no))

    async def _weigh(self, message: HouseInput) -> HouseOutcome:
        standing = await self._store.decisions.standing(message.position_id)
        row = standing.row
        if house_round(row.request_id) is not None:
            return _no(message, f"it is what position {_parent(row)} was flattened by")
        if row.resolved_at is not None:
            await lift_holds(self._store, self._gateway, row.symbol, message)
            return HouseOutcome(verb=message.verb, words=row.resolution, done=True)
        weighed = weigh(message, standing, await self._reader.read())
        if weighed.refused or not message.act:
            return weighed
        decision = await self._store.decisions.decide(message, self._limit, utc_now())
        if not decision.approved:
            return weighed.model_copy(update={"waits": _second(standing, self._limit, decision)})
        if message.verb is HouseVerb.FLATTEN:
            return weighed
        await self._store.decisions.close(message, f"{weighed.words}: {message.reason}", utc_now())
        await lift_holds(self._store, self._gateway, row.symbol, message)
        return weighed.model_copy(update={"done": True})


def weigh(message: HouseInput, standing: HouseStanding, view: View) -> HouseOutcome:
    """What the verb does to a position that is open, or why it may not. Pure."""
    if message.verb is HouseVerb.FLATTEN:
        return _flatten(message, standing, view)
    if standing.step.open:
        return _no(message, "an order of its own is at the broker: let it end first")
    if message.verb is HouseVerb.ADOPT:
        return _adopt(message, standing, view)
    return _write_off(message, standing, view)


def _flatten(message: HouseInput, standing: HouseStanding, view: View) -> HouseOutcome:
    row, left = standing.row, standing.outstanding
    if _served(row, view):
        return _no(message, f"its own request {row.request_id} is served with it: adopt it")
    if not left:
        return HouseOutcome(verb=message.verb, words="nothing of it is left: close it")
    doing = f"sell {left}" if left > 0 else f"buy {-left}"
    words = f"{doing} {row.symbol} at the broker, at the market inside the feed's band"
    return HouseOutcome(verb=message.verb, words=words)


def _adopt(message: HouseInput, standing: HouseStanding, view: View) -> HouseOutcome:
    """Only what its own request may claim by now: after a reorganisation was undone, say."""
    row = standing.row
    if standing.rounds and standing.outstanding != row.quantity:
        return _no(message, "a part of it was traded away")
    if not _served(row, view):
        case = quiet_cases(view).get(row.request_id)
        status = case.status.name if case is not None else "in flight, or not known"
        words = f"its request {row.request_id} is {status} in the vault and is owed nothing of it"
        return _no(message, words)
    words = f"request {row.request_id} is served with {row.quantity} {row.symbol} of it"
    return HouseOutcome(verb=message.verb, words=words)


def _write_off(message: HouseInput, standing: HouseStanding, view: View) -> HouseOutcome:
    """Only what is not there any more: tokens and shares must add up without it."""
    row = standing.row
    ratio = view.ratios.get(row.symbol)
    if view.positions is None or ratio is None:
        return _no(message, "the broker's position, or shares per token, could not be read")
    if view.unsure.get(row.symbol):
        return _no(message, f"orders in {row.symbol} are on their way: again when they have ended")
    gap = position_gap(
        row.symbol,
        view.cases,
        view.supply.get(row.symbol, 0),
        view.positions.get(row.symbol, 0),
        [one for one in view.house if not _belongs(one, row)],
        ratio,
    )
    if not 0 <= gap <= left_over(ratio):
        words = f"without it the broker holds {gap} token units more than tokens explain"
        return _no(message, f"{words}: it is still there, flatten it")
    lost = "loss" if row.cost > 0 else "gain"
    words = f"written off, {lost} {abs(row.cost)} USD"
    return HouseOutcome(verb=message.verb, words=words)


def _served(row: HousePosition, view: View) -> bool:
    """Whether its own request may claim it now, so that it is booked although it is not due."""
    case = quiet_cases(view).get(row.request_id)
    if case is None or row.cause == FOREIGN or case.status not in _SERVED:
        return False
    return row.broker_order_id not in {due.broker_order_id for due in house_due(case)}


def _belongs(one: HousePosition, row: HousePosition) -> bool:
    return one.id == row.id or _parent(one) == row.id


def _parent(row: HousePosition) -> int | None:
    ours = house_round(row.request_id)
    return ours[0] if ours is not None else None


def _second(standing: HouseStanding, limit: Decimal, decision: HouseDecision) -> str:
    return (
        f"worth {standing.value} USD, above {limit}: {decision.proposed_by} has decided it, "
        f"a second person has to give the same command"
    )


def _no(message: HouseInput, why: str) -> HouseOutcome:
    return HouseOutcome(verb=message.verb, refused=why)
