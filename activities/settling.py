"""What a request comes to, computed once from its claims and the broker's book. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from models.broker import BrokerOrder, BrokerStatus
from models.messages import EnqueueInput
from models.money import settlement_of, units_burned, units_minted
from models.order import REFUND_CODES
from models.records import ClaimState, ItemKind, Placement, SettlementItem
from models.requests import Side, VaultRequest, order_workflow_id
from models.splits import ONE_TO_ONE, SharesPerToken


@dataclass(frozen=True)
class Decline:
    """Why no item can be written yet: something about the request is not proven."""

    why: str


@dataclass(frozen=True)
class _Fill:
    """units: of the token, each attempt at its own shares per token. cost: dollars."""

    quantity: int = 0
    units: int = 0
    cost: Decimal = Decimal(0)
    fill_hash: str = ""

    def plus(self, shares: int, price: Decimal, side: Side, ratio: SharesPerToken) -> _Fill:
        """With so many shares more."""
        convert = units_minted if side is Side.BUY else units_burned
        return _Fill(
            quantity=self.quantity + shares,
            units=self.units + convert(shares, ratio),
            cost=self.cost + price * shares,
        )


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
    amounts = settlement_of(terms.side, fill.cost, fill.units, terms.fee_bps, decimals)
    return _item(
        ItemKind.SETTLE,
        terms,
        now,
        taken=amounts.taken,
        out=amounts.out,
        fee=amounts.fee,
        fill_hash=fill.fill_hash,
        filled=fill.units,
        average_price=fill.cost / fill.quantity,
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
        if claim.ratio is None and order is not None and order.filled > 0:
            return f"how many shares a token was for order {order.order_id} is not known"
    return ""


def _fill(
    claims: Sequence[Placement], orders: Sequence[BrokerOrder], terms: VaultRequest, decimals: int
) -> _Fill:
    """All fills, attempt by attempt, as far as the request goes: more belongs to the house."""
    attempts = {claim.remark: claim for claim in claims}
    filled = _filled(claims, orders)
    total = _Fill()
    for order in filled:
        claim = attempts[order.remark]
        asked = min(order.filled, claim.quantity)
        total = _fitting(asked, order.average_price, total, claim, terms, decimals)
    if not total.quantity:
        return _Fill()
    return replace(total, fill_hash=_hash_of(filled))


def _hash_of(filled: Sequence[BrokerOrder]) -> str:
    """What the vault keeps of the fills: SHA-256 of broker ids, whole shares and average prices."""
    evidence = [[order.order_id, order.filled, str(order.average_price)] for order in filled]
    text = json.dumps(evidence, separators=(",", ":"))
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def fills_of(
    claims: Sequence[Placement], orders: Sequence[BrokerOrder]
) -> list[dict[str, str | int]]:
    """What a settlement is computed from, attempt by attempt, in words for the audit log."""
    attempts = {claim.remark: claim for claim in claims}
    return [
        {
            "attempt": attempts[order.remark].attempt,
            "remark": order.remark,
            "broker_order_id": order.order_id,
            "claimed": attempts[order.remark].quantity,
            "filled": order.filled,
            "average_price": str(order.average_price),
            "shares_per_token": str(attempts[order.remark].ratio or ""),
        }
        for order in _filled(claims, orders)
    ]


def _filled(claims: Sequence[Placement], orders: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    """The orders that filled, by attempt."""
    attempts = {claim.remark: claim.attempt for claim in claims}
    ours = [order for order in orders if order.filled > 0 and order.remark in attempts]
    return sorted(ours, key=lambda order: attempts[order.remark])


def _fitting(
    asked: int,
    price: Decimal,
    before: _Fill,
    claim: Placement,
    terms: VaultRequest,
    decimals: int,
) -> _Fill:
    """With the most shares of one fill that the escrow still covers beside what is counted."""
    ratio = claim.ratio or ONE_TO_ONE

    def fits(part: int) -> bool:
        fill = before.plus(part, price, terms.side, ratio)
        amounts = settlement_of(terms.side, fill.cost, fill.units, terms.fee_bps, decimals)
        return amounts.taken <= terms.amount

    low, high = 0, asked
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return before.plus(low, price, terms.side, ratio) if low else before


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
