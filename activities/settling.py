"""What a request comes to, computed once from its claims and the broker's book. Pure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from models.broker import BrokerOrder, BrokerStatus
from models.messages import EnqueueInput
from models.money import buy_settlement, sell_settlement, shares_to_units, whole_shares
from models.order import REFUND_CODES
from models.records import ClaimState, ItemKind, Placement, SettlementItem
from models.requests import Side, VaultRequest, order_workflow_id


@dataclass(frozen=True)
class Decline:
    """Why no item can be written yet: something about the request is not proven."""

    why: str


@dataclass(frozen=True)
class _Fill:
    quantity: int
    average_price: Decimal
    fill_hash: str


def settlement_item(
    message: EnqueueInput,
    terms: VaultRequest,
    claims: Sequence[Placement],
    orders: Sequence[BrokerOrder],
    decimals: int,
    now: datetime,
) -> SettlementItem | Decline:
    """The item for a request, or why there is none yet.

    Nothing is settled while any attempt could still fill. What was bought or sold is settled and
    never refunded, also when the fill came too late for the one who asks for the refund to see it.
    """
    doubt = _doubt(claims, orders)
    if doubt:
        return Decline(doubt)
    fill = _fill(claims, orders, terms, decimals)
    if not fill.quantity:
        if message.kind is ItemKind.SETTLE:
            return Decline("the book shows no fill yet")
        reason_code = REFUND_CODES[message.reason]
        return _item(ItemKind.REFUND, terms, now, reason_code=reason_code)
    compute = buy_settlement if terms.side is Side.BUY else sell_settlement
    amounts = compute(fill.quantity, fill.average_price, terms.fee_bps, decimals)
    return _item(
        ItemKind.SETTLE,
        terms,
        now,
        taken=amounts.taken,
        out=amounts.out,
        fee=amounts.fee,
        fill_hash=fill.fill_hash,
        filled=shares_to_units(fill.quantity),
        average_price=fill.average_price,
    )


def _doubt(claims: Sequence[Placement], orders: Sequence[BrokerOrder]) -> str:
    """What is not proven about the attempts; empty when everything is."""
    by_remark = {order.remark: order for order in orders}
    for claim in claims:
        order = by_remark.get(claim.remark)
        taken_back = order is not None and order.status is BrokerStatus.FILL_CANCELLED
        if order is not None and not order.dead and not taken_back:
            return f"order {order.order_id} can still fill"
        if order is not None and order.filled > 0 and order.average_price <= 0:
            return f"the price of order {order.order_id} is not known yet"
        if claim.state is ClaimState.CLAIMED and order is None:
            return f"attempt {claim.attempt} was claimed and its outcome is not known"
        if claim.state is ClaimState.PLACED and order is None:
            return f"attempt {claim.attempt} is placed but not in the book yet"
    return ""


def _fill(
    claims: Sequence[Placement], orders: Sequence[BrokerOrder], terms: VaultRequest, decimals: int
) -> _Fill:
    """All fills, attempt by attempt, as far as the request goes: more belongs to the house."""
    attempts = {claim.remark: claim for claim in claims}
    filled = sorted(
        (order for order in orders if order.filled > 0 and order.remark in attempts),
        key=lambda order: attempts[order.remark].attempt,
    )
    quantity, cost = 0, Decimal(0)
    for order in filled:
        asked = min(order.filled, attempts[order.remark].quantity)
        part = _fitting(asked, order.average_price, quantity, cost, terms, decimals)
        quantity, cost = quantity + part, cost + part * order.average_price
    if not quantity:
        return _Fill(0, Decimal(0), "")
    evidence = [[order.order_id, order.filled, str(order.average_price)] for order in filled]
    digest = hashlib.sha256(json.dumps(evidence, separators=(",", ":")).encode()).hexdigest()
    return _Fill(quantity, cost / quantity, f"0x{digest}")


def _fitting(
    asked: int,
    price: Decimal,
    quantity: int,
    cost: Decimal,
    terms: VaultRequest,
    decimals: int,
) -> int:
    """Most shares of one fill that the escrow still covers beside what is counted already."""

    def fits(part: int) -> bool:
        total = quantity + part
        if terms.side is Side.SELL:
            return total <= whole_shares(terms.amount)
        average = (cost + part * price) / total
        return buy_settlement(total, average, terms.fee_bps, decimals).taken <= terms.amount

    low, high = 0, asked
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _item(kind: ItemKind, terms: VaultRequest, now: datetime, **amounts: Any) -> SettlementItem:
    row: dict[str, Any] = {
        "chain_id": terms.chain_id,
        "vault": terms.vault,
        "request_number": terms.n,
        "request_id": terms.request_id,
        "workflow_id": order_workflow_id(terms.chain_id, terms.vault, terms.request_id),
        "kind": kind,
        "created_at": now,
        "updated_at": now,
    }
    return SettlementItem(**(row | amounts))
