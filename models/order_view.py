"""How an order looks from outside, at the API, in its streams and in webhooks.

Amounts are strings of base units, times are UTC.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer

from models.order import OrderStatus, Reason, Stage
from models.requests import Side


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def plain(value: Decimal) -> str:
    """Digits without an exponent."""
    return format(value, "f")


Units = Annotated[int, PlainSerializer(str, return_type=str)]
"""Base units (of USDT or of a share token): exact at any size, so a string in JSON."""
Dollars = Annotated[Decimal, PlainSerializer(plain, return_type=str)]
Utc = Annotated[datetime, AfterValidator(_utc)]

EXAMPLE: Mapping[str, Any] = {
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

    model_config = ConfigDict(json_schema_extra={"examples": [dict(EXAMPLE)]})

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
