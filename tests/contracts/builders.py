"""Rows and drafts with everything filled in; tests say only what they are about."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from models.broker import BookSnapshot, BrokerOrder, BrokerStatus
from models.drafts import ClaimDraft, Headroom
from models.records import HousePosition, ItemKind, SettlementItem
from models.requests import Side, VaultRequest, VaultStatus, order_workflow_id, remark_of

CHAIN = 31337
VAULT = "0xAbCdEf0000000000000000000000000000000001"
NOW = datetime(2026, 1, 5, 15, 30, 0, 123456, tzinfo=UTC)
PLENTY = Headroom(payout=10**30, cash=Decimal(10**9), shares=10**6)

_numbers = itertools.count(1)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def request_id(n: int) -> str:
    return f"0x{n:064x}"


def new_request_id() -> str:
    """One that no other test of the run uses."""
    return request_id(next(_numbers) + 10**9)


def vault_request(n: int = 1, **changes: Any) -> VaultRequest:
    terms: dict[str, Any] = {
        "chain_id": CHAIN,
        "vault": VAULT,
        "n": n,
        "request_id": request_id(n),
        "owner": "0xAA00000000000000000000000000000000000001",
        "recipient": "0xBB00000000000000000000000000000000000002",
        "side": Side.BUY,
        "asset": "0xCC00000000000000000000000000000000000003",
        "amount": 1_000_000_000,
        "limit_price": 200_000_000,
        "deadline": 1_800_000_000,
        "reclaim_at": 1_800_700_000,
        "fee_bps": 10,
        "created_block": 7,
        "cancel_requested": False,
        "status": VaultStatus.OPEN,
    }
    return VaultRequest(**terms | changes)


def claim_draft(request: str, attempt: int = 1, **changes: Any) -> ClaimDraft:
    draft: dict[str, Any] = {
        "request_id": request,
        "attempt": attempt,
        "remark": remark_of(request, attempt),
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": 5,
        "price": Decimal("190.01"),
        "send_by": later(15),
    }
    return ClaimDraft(**draft | changes)


def broker_order(order_id: str = "B1", **changes: Any) -> BrokerOrder:
    order: dict[str, Any] = {
        "order_id": order_id,
        "remark": "",
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": 10,
        "price": Decimal("190.01"),
        "status": BrokerStatus.WORKING,
        "vendor_status": "SUBMITTED",
    }
    return BrokerOrder(**order | changes)


def snapshot(*orders: BrokerOrder, begun: datetime = NOW, **changes: Any) -> BookSnapshot:
    read: dict[str, Any] = {
        "orders": orders,
        "begun_at": begun,
        "ended_at": begun + timedelta(seconds=1),
        "connection": 1,
        "connected_at": begun - timedelta(seconds=30),
        "complete": True,
    }
    return BookSnapshot(**read | changes)


def settlement_item(n: int = 1, **changes: Any) -> SettlementItem:
    item: dict[str, Any] = {
        "chain_id": CHAIN,
        "vault": VAULT,
        "request_number": n,
        "request_id": request_id(n),
        "workflow_id": order_workflow_id(CHAIN, VAULT, request_id(n)),
        "kind": ItemKind.SETTLE,
        "taken": 950_000_000,
        "out": 5 * 10**18,
        "fee": 950_000,
        "fill_hash": "0x" + "ab" * 32,
        "filled": 5 * 10**18,
        "average_price": Decimal("190.01"),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return SettlementItem(**item | changes)


def house_position(order_id: str = "B1", **changes: Any) -> HousePosition:
    position: dict[str, Any] = {
        "symbol": "AAPL",
        "quantity": 3,
        "cost": Decimal("570.03"),
        "cause": "LATE_FILL",
        "broker_order_id": order_id,
        "created_at": NOW,
    }
    return HousePosition(**position | changes)
