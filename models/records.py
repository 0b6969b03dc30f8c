"""The tables beside `orders`: who may send, what is to be settled, what the broker holds, why."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from models.broker import BrokerStatus
from models.columns import (
    TABLE_OPTIONS,
    amount_column,
    enum_column,
    price_column,
    text_column,
    time_column,
)
from models.requests import Side
from models.splits import SharesPerToken


class ClaimState(StrEnum):
    """Life of a claim: CLAIMED ▶ PLACED | REJECTED | ABSENT; VOID = burnt before any send."""

    CLAIMED = "CLAIMED"
    PLACED = "PLACED"
    REJECTED = "REJECTED"
    ABSENT = "ABSENT"
    VOID = "VOID"


OPEN_CLAIMS = frozenset({ClaimState.CLAIMED, ClaimState.PLACED})


class Placement(SQLModel, table=True):
    """The right to send one attempt of one request; inserted before the send, once.

    reserved_*: what rule six set aside (USDT units of the vault's free money, dollars of broker
    cash, whole shares of the position) until `released_at`. send_by: nothing is sent after it.
    shares_*, split_epoch: shares per token when it was claimed, for whatever it fills; a numerator
    of 0 where the claim was lost and only the broker's order is left. ratio_by: who said so, where
    only a person could.
    """

    __tablename__ = "placements"
    __table_args__ = (
        UniqueConstraint("request_id", "attempt", name="uq_placements_attempt"),
        Index("ix_placements_open", "released_at", "symbol"),
        TABLE_OPTIONS,
    )

    id: int | None = Field(default=None, primary_key=True)
    request_id: str = Field(max_length=66)
    attempt: int
    remark: str = Field(max_length=64, unique=True)
    symbol: str = Field(max_length=24)
    side: Side = Field(sa_column=enum_column(Side))
    quantity: int = Field(default=0, sa_type=BigInteger)
    price: Decimal = Field(default=Decimal(0), sa_column=price_column())
    state: ClaimState = Field(sa_column=enum_column(ClaimState))
    detail: str = Field(default="", sa_column=text_column())
    broker_order_id: str = Field(default="", max_length=64, index=True)
    reserved_payout: int = Field(default=0, sa_column=amount_column())
    reserved_cash: Decimal = Field(default=Decimal(0), sa_column=price_column())
    reserved_shares: int = Field(default=0, sa_type=BigInteger)
    shares_numerator: int = Field(default=1, sa_type=BigInteger)
    shares_denominator: int = Field(default=1, sa_type=BigInteger)
    split_epoch: int = 0
    ratio_by: str = Field(default="", max_length=64)
    send_by: datetime = Field(sa_column=time_column())
    created_at: datetime = Field(sa_column=time_column())
    released_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))

    @property
    def granted(self) -> bool:
        """Whether it ever was a right to send: one burnt before anybody claimed it never was."""
        return self.quantity > 0

    @property
    def ratio(self) -> SharesPerToken | None:
        """Shares per token of what it fills; None where that was lost."""
        return _ratio_of(self)


class BrokerOrderRow(SQLModel, table=True):
    """The broker's own book as the one poller last saw it. filled never shrinks by itself.

    filled_at: when `filled` was last seen to change; not before the fill itself.
    """

    __tablename__ = "broker_orders"
    __table_args__ = (
        Index("ix_broker_orders_status", "status"),
        Index("ix_broker_orders_filled_at", "filled_at"),
        TABLE_OPTIONS,
    )

    order_id: str = Field(max_length=64, primary_key=True)
    remark: str = Field(default="", max_length=64, index=True)
    symbol: str = Field(max_length=24)
    side: Side = Field(sa_column=enum_column(Side))
    quantity: int = Field(sa_type=BigInteger)
    price: Decimal = Field(sa_column=price_column())
    status: BrokerStatus = Field(sa_column=enum_column(BrokerStatus))
    vendor_status: str = Field(default="", max_length=32)
    filled: int = Field(default=0, sa_type=BigInteger)
    average_price: Decimal = Field(default=Decimal(0), sa_column=price_column())
    error: str = Field(default="", sa_column=text_column())
    seen_at: datetime = Field(sa_column=time_column(index=True))
    changed_at: datetime = Field(sa_column=time_column(index=True))
    filled_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))


class BrokerSnapshotRow(SQLModel, table=True):
    """One bulk read of the broker's book: what absence is proven with (two of them).

    The same read written twice must not count as two, hence the unique key.
    """

    __tablename__ = "broker_snapshots"
    __table_args__ = (
        UniqueConstraint("begun_at", "connection", name="uq_snapshots_read"),
        TABLE_OPTIONS,
    )

    id: int | None = Field(default=None, primary_key=True)
    begun_at: datetime = Field(sa_column=time_column())
    ended_at: datetime = Field(sa_column=time_column())
    connection: int = Field(sa_type=BigInteger)
    connected_at: datetime = Field(sa_column=time_column())
    complete: bool
    order_count: int


class ItemKind(StrEnum):
    """What a settlement item does in the vault."""

    SETTLE = "SETTLE"
    REFUND = "REFUND"


class ItemState(StrEnum):
    """PENDING ▶ SENT ▶ MINED ▶ FINAL; vanished ▶ PENDING again; REJECTED waits for a human."""

    PENDING = "PENDING"
    SENT = "SENT"
    MINED = "MINED"
    FINAL = "FINAL"
    REJECTED = "REJECTED"
    LOST = "LOST"


class SettlementItem(SQLModel, table=True):
    """The one thing that is to happen in the vault for one request. Frozen once written.

    taken/out/fee as in models.money.Settlement; filled: share units; fill_hash ties it to the
    broker's fill. approval: digest that enough approvers signed, so that it is sent alone with
    their signatures; "" = a settler sends it. LOST: the request was reclaimed before it was mined.
    """

    __tablename__ = "settlement_items"
    __table_args__ = (
        UniqueConstraint("chain_id", "vault", "request_id", name="uq_items_request"),
        Index("ix_items_state", "chain_id", "vault", "state", "id"),
        Index("ix_items_updated_at", "updated_at"),
        TABLE_OPTIONS,
    )

    id: int | None = Field(default=None, primary_key=True)
    chain_id: int = Field(sa_type=BigInteger)
    vault: str = Field(max_length=42)
    request_number: int = Field(sa_type=BigInteger)
    request_id: str = Field(max_length=66, index=True)
    workflow_id: str = Field(max_length=160)
    kind: ItemKind = Field(sa_column=enum_column(ItemKind))
    taken: int = Field(default=0, sa_column=amount_column())
    out: int = Field(default=0, sa_column=amount_column())
    fee: int = Field(default=0, sa_column=amount_column())
    fill_hash: str = Field(default="0x" + "0" * 64, max_length=66)
    reason_code: int = 0
    filled: int = Field(default=0, sa_column=amount_column())
    average_price: Decimal = Field(default=Decimal(0), sa_column=price_column())
    state: ItemState = Field(default=ItemState.PENDING, sa_column=enum_column(ItemState))
    batch: str = Field(default="", max_length=64, index=True)
    tx_hash: str = Field(default="", max_length=66, index=True)
    block_number: int = Field(default=0, sa_type=BigInteger)
    rejection: str = Field(default="", max_length=64)
    approval: str = Field(default="", max_length=66)
    tries: int = 0
    created_at: datetime = Field(sa_column=time_column())
    updated_at: datetime = Field(sa_column=time_column())


class ApprovalRow(SQLModel, table=True):
    """One approver's signature of one settlement or refund, as the vault verifies it.

    digest: what was signed; epoch, deadline (Unix seconds) and the item's terms are hashed in it.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        UniqueConstraint("digest", "signer", name="uq_approvals_signer"),
        Index("ix_approvals_request", "chain_id", "vault", "request_id"),
        TABLE_OPTIONS,
    )

    id: int | None = Field(default=None, primary_key=True)
    chain_id: int = Field(sa_type=BigInteger)
    vault: str = Field(max_length=42)
    request_id: str = Field(max_length=66)
    digest: str = Field(max_length=66)
    epoch: int = Field(sa_type=BigInteger)
    deadline: int = Field(sa_type=BigInteger)
    signer: str = Field(max_length=42)
    signature: str = Field(max_length=4098)
    created_at: datetime = Field(sa_column=time_column())


class ChainEvent(SQLModel, table=True):
    """A request as the watcher first saw it: a record of what arrived, also while paused."""

    __tablename__ = "chain_events"
    __table_args__ = (
        UniqueConstraint("chain_id", "vault", "request_id", name="uq_events_request"),
        TABLE_OPTIONS,
    )

    id: int | None = Field(default=None, primary_key=True)
    chain_id: int = Field(sa_type=BigInteger)
    vault: str = Field(max_length=42)
    request_number: int = Field(sa_type=BigInteger)
    request_id: str = Field(max_length=66, index=True)
    tx_hash: str = Field(default="", max_length=66)
    block_number: int = Field(default=0, sa_type=BigInteger)
    block_hash: str = Field(default="", max_length=66)
    seen_at: datetime = Field(sa_column=time_column())


class HousePosition(SQLModel, table=True):
    """Shares that no open request may claim. quantity is signed (sold = negative).

    cause: LATE_FILL, OVER_FILL, FILL_CANCELLED, RECLAIMED, ORPHANED, FOREIGN. One row per
    (broker order, cause); open until an operator resolves it. shares_*, split_epoch: shares per
    token when they were filled; after a split the same row is worth more or fewer shares.
    """

    __tablename__ = "house_positions"
    __table_args__ = (
        UniqueConstraint("broker_order_id", "cause", name="uq_house_order_cause"),
        TABLE_OPTIONS,
    )

    id: int | None = Field(default=None, primary_key=True)
    symbol: str = Field(max_length=24, index=True)
    quantity: int = Field(sa_type=BigInteger)
    cost: Decimal = Field(sa_column=price_column())
    cause: str = Field(max_length=32)
    broker_order_id: str = Field(max_length=64)
    request_id: str = Field(default="", max_length=66)
    shares_numerator: int = Field(default=1, sa_type=BigInteger)
    shares_denominator: int = Field(default=1, sa_type=BigInteger)
    split_epoch: int = 0
    resolution: str = Field(default="", max_length=255)
    created_at: datetime = Field(sa_column=time_column())
    resolved_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))

    @property
    def ratio(self) -> SharesPerToken:
        """Shares per token of its quantity."""
        return _ratio_of(self) or SharesPerToken()


def _ratio_of(row: Placement | HousePosition) -> SharesPerToken | None:
    if not row.shares_numerator:
        return None
    return SharesPerToken(
        numerator=row.shares_numerator,
        denominator=row.shares_denominator,
        epoch=row.split_epoch,
    )


class HoldRow(SQLModel, table=True):
    """Every hold that was ever set, for people; the control workflow decides."""

    __tablename__ = "holds"
    __table_args__ = TABLE_OPTIONS

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(max_length=64, index=True)
    kind: str = Field(max_length=16)
    side: str = Field(default="", max_length=8)
    symbol: str = Field(default="", max_length=24)
    reason: str = Field(default="", sa_column=text_column())
    who: str = Field(default="", max_length=64)
    set_version: int = Field(sa_type=BigInteger)
    lifted_version: int = Field(default=0, sa_type=BigInteger)
    set_at: datetime = Field(sa_column=time_column())
    lifted_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))
    lifted_by: str = Field(default="", max_length=64)


class AuditEntry(SQLModel, table=True):
    """One change of money or control, inserted in the transaction of the row it records.

    event_key makes a retry harmless. seq, previous_hash and hash are the sealer's.
    """

    __tablename__ = "audit_log"
    __table_args__ = TABLE_OPTIONS

    id: int | None = Field(default=None, primary_key=True)
    event_key: str = Field(max_length=191, unique=True)
    request_id: str = Field(default="", max_length=66, index=True)
    actor: str = Field(default="", max_length=64)
    action: str = Field(max_length=64)
    data: str = Field(default="{}", sa_column=text_column())
    at: datetime = Field(sa_column=time_column(index=True))
    seq: int | None = Field(default=None, unique=True, sa_type=BigInteger)
    previous_hash: str = Field(default="", max_length=64)
    hash: str = Field(default="", max_length=64)


class Finding(SQLModel, table=True):
    """A mismatch reconcile saw; it counts when two consecutive runs saw it."""

    __tablename__ = "findings"
    __table_args__ = TABLE_OPTIONS

    key: str = Field(max_length=191, primary_key=True)
    kind: str = Field(max_length=48, index=True)
    detail: str = Field(default="", sa_column=text_column())
    first_run: int = Field(sa_type=BigInteger)
    last_run: int = Field(sa_type=BigInteger)
    times: int = 1
    handled: str = Field(default="", max_length=191)


class ReserveRow(SQLModel, table=True):
    """One statement of the reserves (models.reserves), as a run of reconcile made it."""

    __tablename__ = "reserves"
    __table_args__ = TABLE_OPTIONS

    id: int | None = Field(default=None, primary_key=True)
    taken_at: datetime = Field(sa_column=time_column(index=True))
    document: str = Field(sa_column=text_column())


class LockRow(SQLModel, table=True):
    """One row per thing that is done one at a time; locked, not deleted.

    version: newest hold state (holds), newest run (findings), head of the chain (audit).
    """

    __tablename__ = "locks"
    __table_args__ = TABLE_OPTIONS

    name: str = Field(max_length=32, primary_key=True)
    version: int = Field(default=0, sa_type=BigInteger)
    note: str = Field(default="", max_length=191)


LOCKS = ("placements", "holds", "findings", "audit")
"""Rows that the first migration inserts; a later one adds `api_keys`."""
