"""How orders look from outside: amounts are strings of base units, times are UTC."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.broker import BrokerOrder, BrokerStatus
from models.order import Order
from models.order_view import EXAMPLE as EXAMPLE
from models.order_view import Dollars as Dollars
from models.order_view import OrderView as OrderView
from models.order_view import Units as Units
from models.order_view import Utc as Utc
from models.order_view import View as View
from models.order_view import plain
from models.outlook import UnknownOutlook
from models.records import AuditEntry, ClaimState, ItemKind, ItemState, Placement, SettlementItem


class OrderPage(BaseModel):
    """Orders, newest first. next_cursor is empty on the last page."""

    orders: list[OrderView]
    next_cursor: str = Field("", examples=["AAAAAAAAACrV5dQ0Jv4"])


class ClaimView(View):
    """The right to send one attempt, and what came of it.

    quantity: whole shares, of which a token was shares_numerator / shares_denominator then; a
    numerator of 0: not known.
    """

    attempt: int
    state: ClaimState
    remark: str
    quantity: int
    price: Dollars
    shares_numerator: int
    shares_denominator: int
    broker_order_id: str
    detail: str
    send_by: Utc
    created_at: Utc
    released_at: Utc | None


class ItemView(View):
    """What is to happen in the vault. taken, out and fee as in the vault's `settle`."""

    kind: ItemKind
    state: ItemState
    taken: Units
    out: Units
    fee: Units
    tx_hash: str
    block_number: int
    rejection: str
    tries: int
    created_at: Utc
    updated_at: Utc


class BrokerOrderView(View):
    """An order as the broker last reported it; quantities in whole shares, prices in dollars."""

    order_id: str
    remark: str
    status: BrokerStatus
    vendor_status: str
    quantity: int
    price: Dollars
    filled: int
    average_price: Dollars
    error: str


class TimelineEntry(BaseModel):
    """One thing that happened, and who did it."""

    at: Utc
    what: str = Field(examples=["order_placed"])
    actor: str = Field("", examples=["bronco"])
    data: dict[str, Any] = {}


class OrderDetail(OrderView):
    """An order with everything that happened to it. unknown: only in stage UNKNOWN."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**EXAMPLE, "timeline": []}]})

    claims: list[ClaimView] = Field(default_factory=list)
    item: ItemView | None = None
    broker_orders: list[BrokerOrderView] = Field(default_factory=list)
    timeline: list[TimelineEntry] = Field(default_factory=list)
    unknown: UnknownOutlook | None = None


def detail_of(
    order: Order,
    claims: Iterable[Placement],
    item: SettlementItem | None,
    broker_orders: Iterable[BrokerOrder],
    timeline: Iterable[TimelineEntry],
    unknown: UnknownOutlook | None = None,
) -> OrderDetail:
    """Put one order's parts together."""
    return OrderDetail(
        **OrderView.model_validate(order).model_dump(),
        claims=[ClaimView.model_validate(claim) for claim in claims],
        item=ItemView.model_validate(item) if item else None,
        broker_orders=[BrokerOrderView.model_validate(each) for each in broker_orders],
        timeline=list(timeline),
        unknown=unknown,
    )


def timeline_of(
    entries: Iterable[AuditEntry], claims: Iterable[Placement], item: SettlementItem | None
) -> list[TimelineEntry]:
    """The audit log of a request, with its claims and its settlement, oldest first."""
    found = [_from_audit(entry) for entry in entries]
    found += [_from_claim(claim) for claim in claims]
    if item is not None:
        found.append(_from_item(item))
    return sorted(found, key=lambda entry: entry.at)


def _from_audit(entry: AuditEntry) -> TimelineEntry:
    return TimelineEntry(
        at=entry.at, what=entry.action, actor=entry.actor, data=json.loads(entry.data or "{}")
    )


def _from_claim(claim: Placement) -> TimelineEntry:
    data = {
        "attempt": claim.attempt,
        "state": claim.state.value,
        "quantity": claim.quantity,
        "price": plain(claim.price),
        "broker_order_id": claim.broker_order_id,
        "detail": claim.detail,
    }
    return TimelineEntry(at=claim.created_at, what="claimed", actor="bronco", data=data)


def _from_item(item: SettlementItem) -> TimelineEntry:
    data = {
        "kind": item.kind.value,
        "state": item.state.value,
        "taken": str(item.taken),
        "out": str(item.out),
        "fee": str(item.fee),
        "tx_hash": item.tx_hash,
    }
    return TimelineEntry(at=item.created_at, what="settlement_item", actor="bronco", data=data)
