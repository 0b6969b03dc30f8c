"""What the store is asked with and what it answers, beside the rows themselves.

They live here and not with the store, because activities build them and may not import clients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from models.broker import BrokerOrder
from models.order import Order, OrderStatus, Stage
from models.records import Placement, SettlementItem
from models.requests import Side
from models.splits import ONE_TO_ONE, SharesPerToken

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AuditDraft:
    """An audit row to be: event_key is unique for ever, so writing it twice is harmless."""

    event_key: str
    action: str
    request_id: str = ""
    actor: str = "bronco"
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Admission:
    """What a run of an order workflow begins with.

    version: first version this run may write; greater than every version issued before.
    claims: oldest attempt first.
    """

    order: Order
    version: int
    claims: list[Placement]
    item: SettlementItem | None


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What a list of orders is narrowed to; None or empty = not narrowed. user: an address."""

    status: OrderStatus | None = None
    stage: Stage | None = None
    side: Side | None = None
    user: str = ""
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page, newest first. next_cursor is empty on the last one."""

    items: list[T]
    next_cursor: str = ""


class OrderCounts(NamedTuple):
    """How many orders there are; members that no order has are absent."""

    by_status: dict[OrderStatus, int]
    by_stage: dict[Stage, int]


@dataclass(frozen=True, slots=True)
class ClaimDraft:
    """The right to send that is asked for, and what it sets aside.

    reserved_payout: USDT units (SELL). reserved_cash: dollars (BUY). reserved_shares: whole shares
    (SELL). may_cross: whether an own working order of the other side at a crossing price is let
    pass. book_since: nothing is claimed unless a complete read of the broker's book began after
    this; None = not asked for. A database that was lost or restored learns there what it forgot.
    ratio: shares per token now, kept with the claim for whatever it fills. basis: the prices that
    it was decided on and where they are from, for the audit log.
    """

    request_id: str
    attempt: int
    remark: str
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    send_by: datetime
    reserved_payout: int = 0
    reserved_cash: Decimal = Decimal(0)
    reserved_shares: int = 0
    may_cross: bool = True
    book_since: datetime | None = None
    ratio: SharesPerToken = ONE_TO_ONE
    basis: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Headroom:
    """How much all open claims together may set aside: USDT units, dollars, shares of a symbol.

    as_of: when the sources were asked. A claim released since then still counts: what it had set
    aside may have been spent after they answered.
    """

    payout: int
    cash: Decimal
    shares: int
    as_of: datetime | None = None


class ClaimKind(StrEnum):
    """What came of asking for a claim; only CLAIMED gives the right to send."""

    CLAIMED = "CLAIMED"
    EXISTS = "EXISTS"
    NO_HEADROOM = "NO_HEADROOM"
    CROSSES = "CROSSES"
    STALE_BOOK = "STALE_BOOK"


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """row: the claim (CLAIMED), the one already there (EXISTS), or the one it would cross."""

    kind: ClaimKind
    row: Placement | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuditFault:
    """Where the chain of the audit log first breaks. entry_id 0 = the row itself is missing."""

    seq: int
    entry_id: int
    problem: str

    def __str__(self) -> str:
        """Place, row and problem."""
        row = f" (row {self.entry_id})" if self.entry_id else ""
        return f"entry {self.seq}{row}: {self.problem}"


class AuditHead(NamedTuple):
    """The newest sealed row: what a signature has to cover. seq 0 = nothing is sealed yet."""

    seq: int
    hash: str


class Observation(NamedTuple):
    """One mismatch a reconcile run saw. key names it for ever: kind and the row it is about."""

    key: str
    kind: str
    detail: str


Observations = Sequence[Observation | tuple[str, str, str]]


class RequestRecords(NamedTuple):
    """What the store holds about some requests; orders are those their claims' remarks name."""

    rows: list[Order]
    items: list[SettlementItem]
    claims: list[Placement]
    orders: list[BrokerOrder]
