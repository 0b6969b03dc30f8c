"""Numbers over many orders: volumes by day, and how long a settlement takes. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from models.requests import Side

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Executed:
    """One order that was executed. day: in New York. took: from its row to its end.

    spent, received, fee: USDT or token units, as on its row.
    """

    side: Side
    spent: int
    received: int
    fee: int
    day: date
    took: timedelta


@dataclass(slots=True)
class DayVolume:
    """What was executed on one day, USDT units."""

    day: date
    orders: int = 0
    deposited: int = 0
    redeemed: int = 0
    fees: int = 0

    def add(self, order: Executed) -> None:
        """Count one."""
        self.orders += 1
        self.fees += order.fee
        if order.side is Side.BUY:
            self.deposited += order.spent
        else:
            self.redeemed += order.received


@dataclass(slots=True)
class Volumes:
    """By day, and how long each order took, milliseconds."""

    days: dict[date, DayVolume] = field(default_factory=dict)
    took: list[int] = field(default_factory=list)

    def add(self, order: Executed) -> None:
        """Count one."""
        self.days.setdefault(order.day, DayVolume(order.day)).add(order)
        self.took.append(max(0, divmod(order.took, _MILLISECOND)[0]))


def volumes_of(orders: Iterable[Executed]) -> Volumes:
    """All of them."""
    found = Volumes()
    for order in orders:
        found.add(order)
    return found


def percentile(values: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many of a hundred do not exceed; None where there are none."""
    if not values:
        return None
    rank, more = divmod(len(values) * percent, 100)
    return sorted(values)[rank if more else max(0, rank - 1)]
