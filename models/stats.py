"""Numbers over many orders: volumes by day, and how long a settlement takes. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from models.requests import Side

_EXCHANGE = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Executed:
    """One order that was executed. spent, received, fee: USDT or token units, as on its row."""

    symbol: str
    side: Side
    spent: int
    received: int
    fee: int
    created_at: datetime
    ended_at: datetime

    @property
    def seconds(self) -> float:
        """From its row to its end."""
        return max(0.0, (self.ended_at - self.created_at).total_seconds())


@dataclass(slots=True)
class DayVolume:
    """What was executed on one day in New York, USDT units."""

    day: date
    orders: int = 0
    deposited: int = 0
    redeemed: int = 0
    fees: int = 0


@dataclass(slots=True)
class Volumes:
    """By day, newest first, and how long each order took."""

    days: dict[date, DayVolume] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def add(self, order: Executed) -> None:
        """Count one."""
        day = order.ended_at.replace(tzinfo=UTC).astimezone(_EXCHANGE).date()
        volume = self.days.setdefault(day, DayVolume(day))
        volume.orders += 1
        volume.fees += order.fee
        if order.side is Side.BUY:
            volume.deposited += order.spent
        else:
            volume.redeemed += order.received
        self.seconds.append(order.seconds)


def volumes_of(orders: Iterable[Executed]) -> Volumes:
    """All of them."""
    found = Volumes()
    for order in orders:
        found.add(order)
    return found


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that this share of them does not exceed; None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    at = max(0, -(-len(ordered) * share // 1) - 1)
    return ordered[min(len(ordered) - 1, int(at))]
