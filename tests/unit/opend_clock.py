"""A venue without a loop: time moves only when a test says so."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulators.opend.options import OpenDOptions
from simulators.opend.orders import Order, OrderType, Side, Status, Ticket
from simulators.opend.venue import Venue

ACCOUNT = 1002
# A Monday, 11:00 in New York: trading hours.
MONDAY = 1_763_395_200.0


@dataclass
class Clock:
    now: float = MONDAY
    _queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: Any = field(default_factory=itertools.count)

    def time(self) -> float:
        return self.now

    def schedule(self, delay: float, then: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._number), then))

    def step(self) -> bool:
        if not self._queue:
            return False
        self.now, _, then = heapq.heappop(self._queue)
        then()
        return True

    def run(self) -> None:
        for _ in range(10_000):
            if not self.step():
                return
        raise AssertionError("the venue never came to rest")


@dataclass
class Desk:
    venue: Venue
    clock: Clock
    published: list[tuple[int, Status, int]]

    def place(
        self,
        side: Side = Side.BUY,
        quantity: str = "10",
        price: str = "191",
        order_type: int = OrderType.NORMAL,
        **other: Any,
    ) -> Order:
        ticket = Ticket(
            ACCOUNT, "AAPL", side, order_type, Decimal(quantity), Decimal(price), **other
        )
        return self.venue.place(ticket)

    def status(self, order: Order) -> Status:
        """Read anew: a type checker believes what an earlier assert saw."""
        return self.venue.book.orders[order.id].status

    @property
    def cash(self) -> Decimal:
        return self.venue.book.accounts[ACCOUNT].cash

    def held(self, code: str = "AAPL") -> int:
        return self.venue.book.accounts[ACCOUNT].held(code)


def desk(*, at: float = MONDAY, **options: Any) -> Desk:
    clock = Clock(at)
    published: list[tuple[int, Status, int]] = []
    chosen: dict[str, Any] = {"partial_rate": 0.0, "price_interval_seconds": 0.0, **options}
    venue = Venue(
        OpenDOptions(**chosen),
        publish=lambda order: published.append((order.id, order.status, order.filled)),
        schedule=clock.schedule,
        now=clock.time,
    )
    return Desk(venue, clock, published)
