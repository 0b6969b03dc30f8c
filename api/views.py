"""How orders look from outside: amounts are strings of base units, times are UTC."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from models.broker import BrokerOrder, BrokerStatus
from models.order import Order, OrderStatus, Reason, Stage
from models.outlook import UnknownOutlook
from models.records import AuditEntry, ClaimState, ItemKind, ItemState, Placement, SettlementItem
from models.requests import Side


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _plain(value: Decimal) -> str:
    return format(value, "f")


Units = Annotated[int, PlainSerializer(str, return_type=str)]
"""Base units (of USDT or of a share token): exact at any size, so a string in JSON."""
Dollars = Annotated[Decimal, PlainSerializer(_plain, return_type=str)]
Utc = Annotated[datetime, AfterValidator(_utc)]

EXAMPLE: dict[str, Any] = {
    "internal_id": 42,
    "chain_id": 1,
    "vault": "0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0",
    "request_number": 17,
    "request_id": "0x" + "5f" * 32,
    "workflow_id": "order-1-0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0-0x" + "5f" * 32,
    "tx_hash": "0x" + "ab" * 32,
    "user_addr": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "recipient": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "symbol": "AAPL",
    "order_type": "BUY",
    "usdt_amount": "1000000000",
    "quantity": "5000000000000000000",
    "price_limit": "200000000",
    "deadline": 1767625200,
    "reclaim_at": 1768230000,
    "status": "EXECUTED",
    "stage": "SETTLED",
    "waiting_for": "",
    "reason": "NONE",
    "error_msg": "",
    "retry_count": 0,
    "attempt": 1,
    "futu_order_id": "7001234",
    "futu_order_status": "FILLED_ALL",
    "filled_quantity": "5000000000000000000",
    "average_price": "190.12",
    "spent": "951550600",
    "received": "5000000000000000000",
    "fee": "950600",
    "settle_tx_hash": "0x" + "cd" * 32,
    "refund_tx_hash": "",
    "created_at": "2026-01-05T14:30:00Z",
    "updated_at": "2026-01-05T14:30:09Z",
}


class View(BaseModel):
    """Base: built from rows."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class OrderView(View):
    """One request's row.

    usdt_amount, spent, price_limit, fee: USDT base units, the limit per token; quantity,
    filled_quantity: token units of 10^-18, one share each until a split; received: token units
    (BUY) or USDT base units (SELL). average_price: dollars per share. deadline, reclaim_at: Unix
    seconds.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    internal_id: int
    chain_id: int
    vault: str
    request_number: int
    request_id: str
    workflow_id: str
    tx_hash: str
    user_addr: str
    recipient: str
    symbol: str
    order_type: Side
    usdt_amount: Units
    quantity: Units
    price_limit: Units
    deadline: int
    reclaim_at: int
    status: OrderStatus
    stage: Stage
    waiting_for: str
    reason: Reason
    error_msg: str
    retry_count: int
    attempt: int
    futu_order_id: str
    futu_order_status: str
    filled_quantity: Units
    average_price: Dollars
    spent: Units
    received: Units
    fee: Units
    settle_tx_hash: str
    refund_tx_hash: str
    created_at: Utc
    updated_at: Utc


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

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE | {"timeline": []}]})

    claims: list[ClaimView] = []
    item: ItemView | None = None
    broker_orders: list[BrokerOrderView] = []
    timeline: list[TimelineEntry] = []
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
        "price": _plain(claim.price),
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
