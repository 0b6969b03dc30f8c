"""Everything that is known about one request, from all sources, and what follows for the house."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from models.broker import BrokerOrder, BrokerStatus
from models.house import FLATTEN, house_round, traded
from models.money import shares_minted, units_burned, units_minted, whole_shares
from models.order import Order
from models.records import ClaimState, HousePosition, ItemKind, Placement, SettlementItem
from models.requests import Side, VaultRequest, VaultStatus, parse_remark
from models.splits import ONE_TO_ONE, SharesPerToken

FOREIGN = "FOREIGN"
"""Cause of a house position from an order that no claim allowed."""


@dataclass(frozen=True)
class Case:
    """One request: the vault's word, our rows, our claims, the broker's orders.

    status NONE: the vault has no such request. terms: None where they were not read. ratio: shares
    per token now, for orders of which nobody knows what it was when they were placed.
    """

    request_id: str
    status: VaultStatus
    terms: VaultRequest | None = None
    row: Order | None = None
    item: SettlementItem | None = None
    claims: tuple[Placement, ...] = ()
    orders: tuple[BrokerOrder, ...] = ()
    asked: bool = True
    ratio: SharesPerToken = ONE_TO_ONE

    def ratio_of(self, order: BrokerOrder) -> SharesPerToken:
        """Shares per token of what an order fills: as its claim froze it."""
        claim = self.claim_of(order)
        return (claim.ratio if claim is not None else None) or self.ratio

    def units_of(self, shares: int, ratio: SharesPerToken) -> int:
        """Token units that shares mint (buy) or burn (redeem)."""
        convert = units_minted if self.side is Side.BUY else units_burned
        return convert(shares, ratio)

    def shares_of(self, units: int, ratio: SharesPerToken) -> int:
        """The shares that `units_of` gives these units for."""
        convert = shares_minted if self.side is Side.BUY else whole_shares
        return convert(units, ratio)

    def claim_of(self, order: BrokerOrder) -> Placement | None:
        """The claim that allowed an order; a burnt one allowed nothing."""
        found = (claim for claim in self.claims if claim.remark == order.remark)
        return next((claim for claim in found if claim.state is not ClaimState.VOID), None)

    @property
    def filled(self) -> int:
        """Whole shares that the broker filled for it, over all attempts."""
        return sum(order.filled for order in self.orders)

    @property
    def item_units(self) -> int:
        """Token units that its item mints (buy) or burns (redeem); 0 without one that settles."""
        if self.item is None or self.item.kind is ItemKind.REFUND:
            return 0
        return self.item.out if self.side is Side.BUY else self.item.taken

    @property
    def side(self) -> Side:
        """BUY or SELL, from whoever knows it."""
        if self.terms is not None:
            return self.terms.side
        if self.row is not None:
            return self.row.order_type
        sides = [claim.side for claim in self.claims] + [order.side for order in self.orders]
        return sides[0] if sides else Side.BUY

    @property
    def symbol(self) -> str:
        """What is traded, "" while nothing was."""
        symbols = [self.row.symbol] if self.row is not None else []
        symbols += [order.symbol for order in self.orders]
        symbols += [claim.symbol for claim in self.claims]
        return next((symbol for symbol in symbols if symbol), "")

    @property
    def claimable(self) -> int:
        """Token units of its fills that it can still be given, or was given.

        An item is for ever: what was filled after it was written is not the request's any more.
        """
        if self.status is VaultStatus.SETTLED:
            return self.item_units
        if self.status is not VaultStatus.OPEN:
            return 0
        if self.item is not None:
            return self.item_units
        claimed = ((order, self.claim_of(order)) for order in self.orders)
        return sum(
            self.units_of(min(order.filled, claim.quantity), self.ratio_of(order))
            for order, claim in claimed
            if claim is not None
        )

    @property
    def unsettled(self) -> int:
        """Token units of what was traded for it, not minted or burned by the vault yet."""
        return self.claimable if self.status is VaultStatus.OPEN else 0

    @property
    def strangely_settled(self) -> bool:
        """The vault settled it, but not with an item of ours."""
        return self.status is VaultStatus.SETTLED and not self.item_units


class HouseDue(NamedTuple):
    """What the house holds of one broker order. quantity and cost are signed: sold = negative.

    ratio: shares per token of the quantity.
    """

    broker_order_id: str
    request_id: str
    symbol: str
    cause: str
    quantity: int
    cost: Decimal
    ratio: SharesPerToken = ONE_TO_ONE


def house_due(case: Case) -> list[HouseDue]:
    """Fills of a request that it may not claim, by broker order; shares it got but lost as well."""
    if case.strangely_settled:
        return []
    left = case.claimable
    due: list[HouseDue] = []
    for order in sorted(case.orders, key=_attempt):
        claim = case.claim_of(order)
        ratio = case.ratio_of(order)
        kept = 0 if claim is None else min(order.filled, case.shares_of(left, ratio))
        left = max(0, left - case.units_of(kept, ratio))
        if order.filled > kept:
            due.append(_due(case, order, _cause(case, order, claim), order.filled - kept))
    busted = [order for order in case.orders if order.status is BrokerStatus.FILL_CANCELLED]
    lost = case.shares_of(left, case.ratio_of(busted[-1])) if busted else 0
    if lost:
        due.append(_due(case, busted[-1], "FILL_CANCELLED", -lost))
    return due


def flattened(
    orders: Iterable[BrokerOrder], ratios: Mapping[str, SharesPerToken]
) -> list[HouseDue]:
    """What the house's own orders filled: it is added to the positions they are for.

    ratios: shares per token now; what has none is left for later.
    """
    due = []
    for order in orders:
        ours, ratio = parse_remark(order.remark), ratios.get(order.symbol)
        if ours is None or house_round(ours[0]) is None or ratio is None or not order.filled:
            continue
        shares = traded(order)
        about = (order.order_id, ours[0], order.symbol, FLATTEN)
        due.append(HouseDue(*about, shares, shares * order.average_price, ratio))
    return due


def _cause(case: Case, order: BrokerOrder, claim: Placement | None) -> str:
    if claim is None:
        return FOREIGN
    if case.status is VaultStatus.RECLAIMED:
        return "RECLAIMED"
    if case.status is VaultStatus.NONE:
        return "ORPHANED"
    return "OVER_FILL" if order.filled > claim.quantity else "LATE_FILL"


def _due(case: Case, order: BrokerOrder, cause: str, shares: int) -> HouseDue:
    signed = shares if order.side is Side.BUY else -shares
    price = order.average_price
    if cause == "FILL_CANCELLED" and case.item is not None:
        price = case.item.average_price
    return HouseDue(
        *(order.order_id, case.request_id, order.symbol, cause, signed, signed * price),
        case.ratio_of(order),
    )


def house_missing(
    due: Sequence[HouseDue], booked: Iterable[HousePosition]
) -> tuple[list[HouseDue], list[HouseDue]]:
    """What is still to be booked, as totals per order and cause, and what is booked but not due.

    Booked counts whatever its cause and whoever resolved it: one share is booked once.
    """
    rows: dict[str, list[HousePosition]] = defaultdict(list)
    for row in booked:
        rows[row.broker_order_id].append(row)
    to_book: list[HouseDue] = []
    stale: list[HouseDue] = []
    for one in due:
        there = sum(row.quantity for row in rows[one.broker_order_id])
        missing = one.quantity - there
        same = sum(r.quantity for r in rows[one.broker_order_id] if r.cause == one.cause)
        if missing * one.quantity > 0:
            share = Decimal(same + missing) / one.quantity
            to_book.append(one._replace(quantity=same + missing, cost=one.cost * share))
        elif missing:
            stale.append(one._replace(quantity=there))
    return to_book, stale


def make_cases(
    statuses: Mapping[str, VaultStatus],
    *,
    terms: Iterable[VaultRequest] = (),
    rows: Iterable[Order] = (),
    items: Iterable[SettlementItem] = (),
    claims: Iterable[Placement] = (),
    orders: Iterable[BrokerOrder] = (),
    ratios: Mapping[str, SharesPerToken] | None = None,
) -> list[Case]:
    """One case per request that any source names; orders without our remark belong to nobody.

    Neither do the house's own, which are for no request.

    ratios: shares per token now, by symbol; one where nothing else is said.
    """
    terms_of = {one.request_id.lower(): one for one in terms}
    row_of = {row.request_id.lower(): row for row in rows}
    item_of = {item.request_id.lower(): item for item in items}
    claims_of: dict[str, list[Placement]] = defaultdict(list)
    for claim in claims:
        claims_of[claim.request_id.lower()].append(claim)
    orders_of: dict[str, list[BrokerOrder]] = defaultdict(list)
    for order in orders:
        ours = parse_remark(order.remark)
        if ours is not None and house_round(ours[0]) is None:
            orders_of[ours[0]].append(order)
    known = {request_id.lower(): status for request_id, status in statuses.items()}
    cases = [
        Case(
            request_id=request_id,
            status=known.get(request_id, VaultStatus.NONE),
            asked=request_id in known,
            terms=terms_of.get(request_id),
            row=row_of.get(request_id),
            item=item_of.get(request_id),
            claims=tuple(sorted(claims_of[request_id], key=lambda claim: claim.attempt)),
            orders=tuple(sorted(orders_of[request_id], key=_attempt)),
        )
        for request_id in sorted({*known, *terms_of, *row_of, *item_of, *claims_of, *orders_of})
    ]
    now = ratios or {}
    return [replace(case, ratio=now.get(case.symbol, ONE_TO_ONE)) for case in cases]


def _attempt(order: BrokerOrder) -> tuple[int, str]:
    ours = parse_remark(order.remark)
    return (ours[1] if ours else 0, order.order_id)
