"""What happens to an order after it was accepted: acknowledged, filled, cancelled, expired."""

import random
from collections.abc import Callable
from decimal import Decimal

from simulators.opend.book import Book
from simulators.opend.errors import Rejected
from simulators.opend.faults import Faults
from simulators.opend.market import MarketData
from simulators.opend.options import OpenDOptions
from simulators.opend.orders import (
    CANCELLED,
    CANCELLING,
    FORCEABLE,
    MATCHABLE,
    Order,
    OrderType,
    Side,
    Status,
)
from simulators.opend.session import Session

Schedule = Callable[[float, Callable[[], None]], object]  # delay in seconds, what then
EXPIRED = "The DAY order expired at the end of its day."
SPLIT = "The order was of shares from before a split."


class Matcher:
    """Moves orders along; every change is committed, then published."""

    def __init__(
        self,
        options: OpenDOptions,
        book: Book,
        market: MarketData,
        session: Session,
        faults: Faults,
        schedule: Schedule,
        publish: Callable[[Order], None],
    ) -> None:
        self.ack_seconds, self.fill_seconds = options.ack_seconds, options.fill_seconds
        self._partial_rate, self._seed = options.partial_rate, options.seed
        self._speed = options.speed
        self._book, self._market, self._session, self._faults = book, market, session, faults
        self._schedule, self._publish = schedule, publish
        self._pending: set[int] = set()
        self._stopped = False

    def stop(self) -> None:
        """What is still planned will change nothing: the books are about to close."""
        self._stopped = True

    def submit(self, order: Order) -> None:
        """Sends a SUBMITTING order on its way."""
        self._later(self.ack_seconds, lambda: self._acknowledge(order))

    def resume(self) -> None:
        """Picks up what a restart interrupted."""
        for order in self._book.working():
            if order.status is Status.SUBMITTING:
                self.submit(order)
            elif order.status in CANCELLING:
                self._end_later(order)
            else:
                self.consider(order)

    def wake(self, code: str | None = None) -> None:
        """Prices, session or switches changed: looks at every working order again."""
        for order in self._book.working(code=code):
            if order.status is Status.WAITING_SUBMIT and self._session.is_open:
                self._change(order, Status.SUBMITTING)
                self.submit(order)
            else:
                self.consider(order)

    def consider(self, order: Order) -> None:
        """Plans a fill if the order could fill now."""
        if order.id not in self._pending and self._fillable(order):
            self._pending.add(order.id)
            self._later(self.fill_seconds, lambda: self._fill(order))

    def cancel(self, order: Order) -> None:
        """Accepts a cancel; it takes effect later, and fills may still overtake it."""
        partly = order.filled > 0
        self._change(order, Status.CANCELLING_PART if partly else Status.CANCELLING_ALL)
        self._end_later(order)

    def expire(self) -> int:
        """The day is over: DAY orders that were live end; queued ones wait for the next open."""
        live = [o for o in self._book.working() if o.status is not Status.WAITING_SUBMIT]
        for order in live:
            self._cancelled(order, EXPIRED)
        return len(live)

    def drop(self, code: str) -> int:
        """Ends every order of one symbol that could still fill; how many there were."""
        live = self._book.working(code=code)
        for order in live:
            self._cancelled(order, SPLIT)
        return len(live)

    def release(self) -> None:
        """Lets orders held by `partial_fill` go on."""
        for order in self._book.working():
            order.fill_cap = None
        self.wake()

    def overtake(self, order: Order, shares: int | None) -> None:
        """Fills that many shares (None: the rest) while the order is being cancelled."""
        shares = order.left if shares is None else min(shares, order.left)
        self._book.execute(order, shares, self._price(order))
        self._change(order, Status.CANCELLING_PART if order.left else Status.FILLED_ALL)

    def force(self, order: Order, status: Status) -> None:
        """A status that came from outside.

        Raises:
            Rejected: the order has ended, or nobody can force that status.
        """
        if order.final:
            raise Rejected(f"Order {order.id} is {order.status.name} and ended.")
        if status not in FORCEABLE:
            names = ", ".join(sorted(each.name for each in FORCEABLE))
            raise Rejected(f"Status {status.name} cannot be forced; these can: {names}.")
        self._change(order, status)
        self.consider(order)

    def late_fill(self, order: Order, shares: int | None) -> None:
        """An order that was reported cancelled fills after all.

        Raises:
            Rejected: it is not cancelled, or has fewer shares left.
        """
        if order.status not in CANCELLED:
            raise Rejected(f"Order {order.id} is {order.status.name}, not cancelled.")
        shares = order.left if shares is None else shares
        if not 0 < shares <= order.left:
            raise Rejected(f"Order {order.id} has {order.left} shares left, not {shares}.")
        self._book.execute(order, shares, self._price(order))
        self._change(order, Status.CANCELLED_PART if order.left else Status.FILLED_ALL)

    def over_fill(self, order: Order, extra: int) -> None:
        """Fills everything and `extra` shares that nobody asked for.

        Raises:
            Rejected: the order ended without being filled.
        """
        if order.final and order.status is not Status.FILLED_ALL:
            raise Rejected(f"Order {order.id} is {order.status.name}, cannot be over-filled.")
        self._book.execute(order, order.left + extra, self._price(order))
        self._change(order, Status.FILLED_ALL)

    def reverse_fills(self, order: Order, keep_dealt: bool = False) -> None:
        """Takes every fill back at its own price; keep_dealt: the order goes on showing them.

        Raises:
            Rejected: there is none.
        """
        if not order.filled:
            raise Rejected(f"Order {order.id} has no fill to cancel.")
        if keep_dealt:
            order.shown_filled, order.shown_average = order.filled, order.average
        for fill in self._book.fills_of([order.id]):
            self._book.execute(order, -fill.quantity, fill.price)
        self._change(order, Status.FILL_CANCELLED)

    def _later(self, delay: float, then: Callable[[], None]) -> None:
        self._schedule(delay / self._speed, lambda: None if self._stopped else then())

    def _acknowledge(self, order: Order) -> None:
        if order.status is not Status.SUBMITTING:
            return
        if order.doomed:
            self._change(order, Status.FAILED, order.doomed)
            return
        self._change(order, Status.SUBMITTED)
        self.consider(order)

    def _fill(self, order: Order) -> None:
        self._pending.discard(order.id)
        if not self._fillable(order):
            return
        depth, wanted = self._market.depth(order.code), self._slice(order)
        for level in depth.against(order.side):
            shares = min(wanted, level.size)
            if not shares or not self._pays(order, level.price):
                break
            depth.take(order.side, level.price, shares)
            self._execute(order, shares, level.price)
            wanted -= shares
        self.consider(order)

    def _execute(self, order: Order, shares: int, price: Decimal) -> None:
        self._book.execute(order, shares, price)
        if not order.left:
            self._change(order, Status.FILLED_ALL)
            return
        cancelling = order.status in CANCELLING
        self._change(order, Status.CANCELLING_PART if cancelling else Status.FILLED_PART)

    def _end_later(self, order: Order) -> None:
        self._later(self.ack_seconds, lambda: self._cancelled(order))

    def _cancelled(self, order: Order, reason: str = "") -> None:
        if order.final:
            return
        partly = order.filled > 0
        self._change(order, Status.CANCELLED_PART if partly else Status.CANCELLED_ALL, reason)

    def _change(self, order: Order, status: Status, error: str = "") -> None:
        self._book.change(order, status, error)
        self._book.commit()
        self._publish(order)

    def _fillable(self, order: Order) -> bool:
        if order.status not in MATCHABLE or self._faults.is_on("hold_fills"):
            return False
        if not self._session.is_open or self._market.stock(order.code).halted:
            return False
        if order.fill_cap is not None and order.filled >= order.fill_cap:
            return False
        return bool(order.left) and self._crosses(order)

    def _crosses(self, order: Order) -> bool:
        best = self._market.depth(order.code).best(order.side)
        return best.size > 0 and self._pays(order, best.price)

    @staticmethod
    def _pays(order: Order, price: Decimal) -> bool:
        if order.order_type is OrderType.MARKET:
            return True
        return order.price >= price if order.side is Side.BUY else order.price <= price

    def _price(self, order: Order) -> Decimal:
        """The quote, never worse than the limit (a fault may fill what the market would not)."""
        price = self._market.quote(order.code).against(order.side)
        if order.order_type is OrderType.MARKET:
            return price
        return min(price, order.price) if order.side is Side.BUY else max(price, order.price)

    def _slice(self, order: Order) -> int:
        cap = order.quantity if order.fill_cap is None else order.fill_cap
        left = min(order.left, cap - order.filled)
        # Seeded by the order's number and progress: the same after a restart.
        chance = random.Random(f"{self._seed}:{order.id - self._book.base}:{order.filled}")
        if left > 1 and chance.random() < self._partial_rate:
            return chance.randint(1, left - 1)
        return left
