"""The order row, its status and stage, and which may follow which.

status   PENDING ──▶ EXECUTING ──▶ EXECUTED | FAILED
             └─────────────────────▶ FAILED
stage    CONFIRMING ▶ HELD | WAITING_SESSION | QUEUED ▶ PLACED ▶ PART_FILLED ▶ SETTLING ▶ SETTLED
         PLACED ▶ UNKNOWN | CANCELLING ▶ ...    refund: SETTLING ▶ REFUNDED | CANCELLED | EXPIRED
         any open ▶ RECLAIMED    any ▶ ORPHANED (▶ CONFIRMING when the request reappears)
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from models.columns import (
    TABLE_OPTIONS,
    amount_column,
    enum_column,
    price_column,
    text_column,
    time_column,
)
from models.requests import Side


class OrderStatus(StrEnum):
    """The four coarse states."""

    PENDING = "PENDING"
    EXECUTING = "EXECUTING"
    EXECUTED = "EXECUTED"
    FAILED = "FAILED"


class Stage(StrEnum):
    """What the user sees."""

    CONFIRMING = "CONFIRMING"
    HELD = "HELD"
    WAITING_SESSION = "WAITING_SESSION"
    QUEUED = "QUEUED"
    PLACED = "PLACED"
    PART_FILLED = "PART_FILLED"
    UNKNOWN = "UNKNOWN"
    CANCELLING = "CANCELLING"
    SETTLING = "SETTLING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    SETTLED = "SETTLED"
    REFUNDED = "REFUNDED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    OWED = "OWED"
    RECLAIMED = "RECLAIMED"
    ORPHANED = "ORPHANED"


AT_BROKER = (Stage.PLACED, Stage.PART_FILLED, Stage.UNKNOWN, Stage.CANCELLING)
"""An order of the request is at the broker, or may be."""
TERMINAL_STATUSES = frozenset({OrderStatus.EXECUTED, OrderStatus.FAILED})

STATUS_TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset(OrderStatus),
    OrderStatus.EXECUTING: frozenset(OrderStatus),
    OrderStatus.EXECUTED: frozenset({OrderStatus.EXECUTED}),
    OrderStatus.FAILED: frozenset({OrderStatus.FAILED, OrderStatus.PENDING}),
}
"""PENDING ▶ EXECUTED only when the vault says so and the store is younger than the chain; FAILED ▶
PENDING only for an orphaned request that reappeared; EXECUTING ▶ PENDING only when our own cancel
sent an unfilled order back to the gate."""


def statuses_before(status: OrderStatus, stage: Stage | None) -> frozenset[OrderStatus]:
    """Statuses that may be followed by this one; any, when the chain has lost the request itself.

    A reorganisation that takes a request also takes what it was settled with.
    """
    if stage is Stage.ORPHANED:
        return frozenset(OrderStatus)
    return frozenset(old for old, after in STATUS_TRANSITIONS.items() if status in after)


class Reason(StrEnum):
    """Why an order ended or waits; the code is stable, `error_msg` says it in words.

    `code_of` gives the uint8 that a refund carries on chain.
    """

    NONE = "NONE"
    TOO_SMALL = "TOO_SMALL"
    BROKER_REJECTED = "BROKER_REJECTED"
    USER_CANCELLED = "USER_CANCELLED"
    DEADLINE = "DEADLINE"
    NOT_FILLED = "NOT_FILLED"
    QUEUE_FULL = "QUEUE_FULL"
    LIMIT_UNREACHABLE = "LIMIT_UNREACHABLE"
    UNKNOWN_ASSET = "UNKNOWN_ASSET"
    PROVEN_ABSENT = "PROVEN_ABSENT"
    RECLAIMED = "RECLAIMED"
    ORPHANED = "ORPHANED"
    OPERATOR = "OPERATOR"
    SPLIT = "SPLIT"
    NO_SESSION = "NO_SESSION"
    PAUSED = "PAUSED"


REFUND_CODES: Mapping[Reason, int] = {reason: code for code, reason in enumerate(Reason)}


class Order(SQLModel, table=True):
    """One request's row: what users and operators see. The vault decides; this reports.

    Money columns are integers in base units (usdt_amount: USDT; quantity, filled_quantity: share
    units of 10^-18); average_price is dollars. Times are naive UTC.
    """

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("chain_id", "vault", "request_id", name="uq_orders_request"),
        Index("ix_orders_status_updated", "status", "updated_at"),
        Index("ix_orders_stage", "stage", "internal_id"),
        Index("ix_orders_user", "user_addr", "internal_id"),
        Index("ix_orders_symbol", "symbol", "internal_id"),
        Index("ix_orders_status_id", "status", "internal_id"),
        Index("ix_orders_side", "order_type", "internal_id"),
        Index("ix_orders_counts", "status", "stage"),
        TABLE_OPTIONS,
    )

    internal_id: int | None = Field(default=None, primary_key=True)
    chain_id: int = Field(sa_type=BigInteger)
    vault: str = Field(max_length=42)
    request_number: int = Field(sa_type=BigInteger, index=True)
    request_id: str = Field(max_length=66, index=True)
    workflow_id: str = Field(max_length=160, index=True)
    version: int = Field(default=0, sa_type=BigInteger)
    tx_hash: str = Field(default="", max_length=66, index=True)
    user_addr: str = Field(max_length=42)
    recipient: str = Field(default="", max_length=42)
    asset: str = Field(default="", max_length=42)
    symbol: str = Field(default="", max_length=24)
    order_type: Side = Field(sa_column=enum_column(Side))
    usdt_amount: int = Field(default=0, sa_column=amount_column())
    quantity: int = Field(default=0, sa_column=amount_column())
    price_limit: int = Field(default=0, sa_column=amount_column())
    deadline: int = Field(default=0, sa_type=BigInteger)
    reclaim_at: int = Field(default=0, sa_type=BigInteger)
    created_block: int = Field(default=0, sa_type=BigInteger)
    status: OrderStatus = Field(default=OrderStatus.PENDING, sa_column=enum_column(OrderStatus))
    stage: Stage = Field(default=Stage.CONFIRMING, sa_column=enum_column(Stage))
    waiting_for: str = Field(default="", max_length=255)
    hold_version: int = Field(default=0, sa_type=BigInteger)
    reason: Reason = Field(default=Reason.NONE, sa_column=enum_column(Reason))
    error_msg: str = Field(default="", sa_column=text_column())
    retry_count: int = 0
    attempt: int = 0
    futu_order_id: str = Field(default="", max_length=64, index=True)
    futu_order_status: str = Field(default="", max_length=32)
    filled_quantity: int = Field(default=0, sa_column=amount_column())
    average_price: Decimal = Field(default=Decimal(0), sa_column=price_column())
    spent: int = Field(default=0, sa_column=amount_column())
    received: int = Field(default=0, sa_column=amount_column())
    fee: int = Field(default=0, sa_column=amount_column())
    settle_tx_hash: str = Field(default="", max_length=66)
    refund_tx_hash: str = Field(default="", max_length=66)
    created_at: datetime = Field(sa_column=time_column())
    updated_at: datetime = Field(sa_column=time_column())
