"""The broker in our words: no vendor type, tuple or float comes past here."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from models.requests import Side


class BrokerStatus(StrEnum):
    """Where an order is in its life at the broker.

    SUBMITTING ▶ WORKING ▶ PART_FILLED ▶ FILLED
    CANCELLING ▶ CANCELLED (perhaps part filled)   REJECTED   UNKNOWN (the broker itself timed out)
    """

    SUBMITTING = "SUBMITTING"
    WORKING = "WORKING"
    PART_FILLED = "PART_FILLED"
    FILLED = "FILLED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    FILL_CANCELLED = "FILL_CANCELLED"
    UNKNOWN = "UNKNOWN"


DEAD = frozenset({BrokerStatus.FILLED, BrokerStatus.CANCELLED, BrokerStatus.REJECTED})
"""Nothing more happens to the order by itself (late fills are a fault, and go to the house)."""


class BrokerOrder(BaseModel):
    """One order as the broker reports it. Quantities in whole shares, prices in dollars."""

    model_config = ConfigDict(frozen=True)

    order_id: str
    remark: str
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    status: BrokerStatus
    vendor_status: str
    filled: int = 0
    average_price: Decimal = Decimal(0)
    error: str = ""

    @property
    def dead(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in DEAD

    @property
    def alive(self) -> bool:
        """Whether it may still fill."""
        return not self.dead and self.status is not BrokerStatus.FILL_CANCELLED


class OrderTicket(BaseModel):
    """What to place: a DAY limit order. price is on the tick."""

    model_config = ConfigDict(frozen=True)

    remark: str
    symbol: str
    side: Side
    quantity: int
    price: Decimal


class MarketState(StrEnum):
    """Whether an order placed now would work now."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    HALTED = "HALTED"


class Quote(BaseModel):
    """A snapshot of one symbol, dollars."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal
    tick: Decimal
    state: MarketState
    at: datetime


class Funds(BaseModel):
    """Settled dollars that may be spent without borrowing: cash less working buys."""

    model_config = ConfigDict(frozen=True)

    cash: Decimal
    working_buys: Decimal


class Position(BaseModel):
    """A holding in whole shares; negative = short."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    quantity: int
    sellable: int


LOOK_BACK = timedelta(days=1)
"""How far every bulk read looks into history: the order list alone may have lost yesterday."""

# What the vendor looks back itself where it is not told a beginning.
# https://openapi.futunn.com/futu-api-doc/en/trade/get-history-order-list.html
LONGEST_LOOK_BACK = timedelta(days=90)
"""How far a bulk read looks at most."""


class BookSnapshot(BaseModel):
    """Every order of the account, asked in one go.

    begun_at/ended_at: UTC. connection: number of the logged-in connection that answered; a new one
    after each reconnect. connected_at: nothing sent before it can still be on its way: when that
    connection was begun, or earlier where another OpenD may hold something from before it.
    complete: order list with refreshed cache and history both answered.
    since: where the history began; LOOK_BACK before begun_at unless told.
    """

    model_config = ConfigDict(frozen=True)

    orders: tuple[BrokerOrder, ...]
    begun_at: datetime
    ended_at: datetime
    connection: int
    connected_at: datetime
    complete: bool
    since: datetime | None = None

    @property
    def reaches(self) -> datetime:
        """No order that was made after this is left out, ended or not."""
        return self.since or self.begun_at - LOOK_BACK
