"""An order as the venue knows it: whole shares and exact decimals, no floats.

SUBMITTING -> SUBMITTED -> FILLED_PART -> FILLED_ALL
off-hours: WAITING_SUBMIT -> SUBMITTING; cancel: CANCELLING_* -> CANCELLED_*; refused later: FAILED
FILL_CANCELLED reverses a fill that had happened. The others come by fault only.
"""

from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any


# Numbers of Trd_Common.proto; tests compare them with the installed futu-api.
# https://openapi.futunn.com/futu-api-doc/en/trade/trade.html
class Env(IntEnum):
    """Trading environment."""

    SIMULATE = 0
    REAL = 1


class Market(IntEnum):
    """Market an account may trade; also an order's market."""

    HK = 1
    US = 2


class Side(IntEnum):
    """Direction. SELL_SHORT and BUY_BACK are only ever answered by the real venue."""

    BUY = 1
    SELL = 2

    @property
    def sign(self) -> int:
        """+1 adds shares, -1 takes them away."""
        return 1 if self is Side.BUY else -1


class OrderType(IntEnum):
    """The two kinds paper trading takes; NORMAL is a limit order."""

    NORMAL = 1
    MARKET = 2


class Status(IntEnum):
    """Order status as futu-api names it."""

    WAITING_SUBMIT = 1
    SUBMITTING = 2
    SUBMIT_FAILED = 3
    TIMEOUT = 4
    SUBMITTED = 5
    FILLED_PART = 10
    FILLED_ALL = 11
    CANCELLING_PART = 12
    CANCELLING_ALL = 13
    CANCELLED_PART = 14
    CANCELLED_ALL = 15
    FAILED = 21
    DISABLED = 22
    DELETED = 23
    FILL_CANCELLED = 24


FINAL = frozenset(
    {
        Status.FILLED_ALL,
        Status.CANCELLED_PART,
        Status.CANCELLED_ALL,
        Status.SUBMIT_FAILED,
        Status.FAILED,
        Status.DISABLED,
        Status.DELETED,
        Status.FILL_CANCELLED,
    }
)
CANCELLED = frozenset({Status.CANCELLED_PART, Status.CANCELLED_ALL})
CANCELLING = frozenset({Status.CANCELLING_PART, Status.CANCELLING_ALL})
FORCEABLE = frozenset(
    {
        Status.TIMEOUT,
        Status.SUBMITTED,
        Status.SUBMIT_FAILED,
        Status.FAILED,
        Status.DISABLED,
        Status.DELETED,
    }
)
"""What the fault force_status may set."""
MATCHABLE = frozenset({Status.SUBMITTED, Status.FILLED_PART}) | CANCELLING


@dataclass(frozen=True, slots=True)
class Ticket:
    """A placement as asked for, numbers already exact but nothing checked yet."""

    account: int
    code: str
    side: int
    order_type: int
    quantity: Decimal
    price: Decimal
    time_in_force: int = 0
    outside_rth: bool = False
    session: int = 0
    remark: str = ""


_MONEY = ("price", "value", "shown_average")


@dataclass(slots=True)
class Order:
    """One order. `value` is the exact sum of shares times price over all fills."""

    id: int
    account: int
    code: str
    side: Side
    order_type: OrderType
    quantity: int
    price: Decimal
    remark: str
    status: Status
    day: int
    received_at: float
    updated_at: float
    filled: int = 0
    value: Decimal = Decimal(0)
    error: str = ""
    # Set by the faults partial_fill and reject_after_accept; kept so that a restart obeys them.
    fill_cap: int | None = None
    doomed: str = ""
    # What the order is listed with though it was taken back (fault fill_cancelled, keep_dealt).
    shown_filled: int = 0
    shown_average: Decimal = Decimal(0)

    @property
    def left(self) -> int:
        """Shares still to fill, never negative even after an over-fill."""
        return max(0, self.quantity - self.filled)

    @property
    def final(self) -> bool:
        """Whether the venue itself will not change it any more."""
        return self.status in FINAL

    @property
    def average(self) -> Decimal:
        """Average fill price; 0 while nothing is filled, as OpenD reports it."""
        return self.value / self.filled if self.filled else Decimal(0)

    def to_json(self) -> dict[str, Any]:
        """Everything, decimals as text."""
        money = {name: str(getattr(self, name)) for name in _MONEY}
        return {**asdict(self), **money}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Order":
        """The inverse of `to_json`."""
        return cls(
            **{
                **data,
                "side": Side(data["side"]),
                "order_type": OrderType(data["order_type"]),
                "status": Status(data["status"]),
                # A state file of before shown_average has none.
                **{name: Decimal(data[name]) for name in _MONEY if name in data},
            }
        )


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution, or its reversal when the quantity is negative."""

    id: int
    order_id: int
    account: int
    code: str
    side: Side
    quantity: int
    price: Decimal
    at: float

    def to_json(self) -> dict[str, Any]:
        """Everything, the price as text."""
        return {**asdict(self), "price": str(self.price)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Fill":
        """The inverse of `to_json`."""
        return cls(**{**data, "side": Side(data["side"]), "price": Decimal(data["price"])})
