"""The broker behind OpenD: takes orders, changes and cancels, and answers what it has."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal

from simulators.opend import rules
from simulators.opend.accounts import Account
from simulators.opend.book import Book
from simulators.opend.errors import Rejected
from simulators.opend.faults import Faults
from simulators.opend.market import MarketData
from simulators.opend.matching import Matcher, Schedule
from simulators.opend.options import OpenDOptions
from simulators.opend.orders import Order, OrderType, Side, Status, Ticket
from simulators.opend.session import Session


def loop_schedule(delay: float, then: Callable[[], None]) -> object:
    """Runs `then` later on the running loop."""
    return asyncio.get_running_loop().call_later(delay, then)


class Venue:
    """Market, books and matching of one simulator; knows nothing of sockets."""

    def __init__(
        self,
        options: OpenDOptions,
        publish: Callable[[Order], None] = lambda order: None,
        schedule: Schedule = loop_schedule,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.options = options
        self.faults = Faults()
        self.market = MarketData(options)
        self.session = Session(options.session, now)
        self.book = Book(options, self.market, now)
        self.matcher = Matcher(
            options, self.book, self.market, self.session, self.faults, schedule, publish
        )
        self._publish = publish
        self._was_open, self._date = self.session.is_open, self.session.date
        self.now = now

    def resume(self) -> None:
        """Picks up what a restart interrupted; before it is called nothing moves by itself."""
        self._catch_up()
        self.matcher.resume()

    def place(self, ticket: Ticket) -> Order:
        """Accepts an order; it is in the state file when this returns.

        Raises:
            Rejected: paper rules, money, position or price forbid it.
        """
        rules.check_kind(ticket)
        self.market.stock(ticket.code)
        shares = rules.whole_shares(ticket.quantity)
        price = rules.limit_price(ticket, self.market)
        self._check_funds(ticket, shares, price)
        open_now = self.session.is_open
        status = Status.SUBMITTING if open_now else Status.WAITING_SUBMIT
        order = self.book.add(ticket, shares, price, status)
        self._meet_order_faults(order)
        self.book.commit()
        if open_now:
            self.matcher.submit(order)
        return order

    def modify(self, order: Order, quantity: Decimal, price: Decimal) -> None:
        """Changes total quantity and limit of a working order.

        Raises:
            Rejected: the order ended, or the new terms would not be accepted.
        """
        self._check_working(order)
        ticket = Ticket(order.account, order.code, order.side, order.order_type, quantity, price)
        shares = rules.whole_shares(quantity)
        new_price = rules.limit_price(ticket, self.market)
        if shares <= order.filled:
            raise Rejected(f"Order {order.id} has already filled {order.filled} shares.")
        self._check_funds(ticket, shares - order.filled, new_price, besides=order.id)
        order.quantity, order.price = shares, new_price
        self.book.change(order, order.status)
        self.book.commit()
        self._publish(order)
        self.matcher.consider(order)

    def cancel(self, order: Order) -> None:
        """Starts cancelling a working order; a second cancel of the same is accepted.

        Raises:
            Rejected: the order ended.
        """
        self._check_working(order)
        if self.faults.strike_order("cancel_lost"):
            return
        self.matcher.cancel(order)
        if race := self.faults.strike_order("fill_overtakes_cancel"):
            self.matcher.overtake(order, race.quantity)

    def find(self, account: int, order_id: str) -> Order:
        """One order of one account by the id clients use.

        Raises:
            Rejected: no such order.
        """
        order = self.book.orders.get(int(order_id)) if order_id.isdecimal() else None
        if order is None or order.account != account:
            raise Rejected(f"Order {order_id} was not found in account {account}.")
        return order

    def day_list(self, account: int) -> list[Order]:
        """What GetOrderList shows: today's orders, or with list scope `open` those still open.

        The vendor's pages describe both; start the simulator with either.
        """
        if self.options.list_scope == "open":
            return self.book.working(account)
        return [o for o in self.book.of_account(account) if o.day == self.book.day]

    def history(self, account: int) -> list[Order]:
        """Orders that ended, and all of earlier days."""
        return [o for o in self.book.of_account(account) if o.final or o.day < self.book.day]

    def set_session(self, override: str | None) -> None:
        """Opens or closes the market by hand, or gives it back to its mode."""
        self.session.override = override
        self._was_open = self.session.is_open
        self.matcher.wake()

    def set_price(self, code: str, price: Decimal, pin: bool = False) -> None:
        """Jumps to a price and matches at it."""
        self.market.set_price(code, price, pin)
        self.matcher.wake(code)

    def set_halt(self, code: str, halted: bool) -> None:
        """Stops or resumes trading of one symbol; orders stay."""
        self.market.stock(code).halted = halted
        self.matcher.wake(code)

    def split(self, code: str, numerator: int, denominator: int) -> int:
        """Each `denominator` shares of a symbol become `numerator`; how many orders it ended.

        What is working ends as at the end of the day. Holdings and prices move, fills stay as they
        were: they tell of shares of their time.

        Raises:
            Rejected: the symbol is not listed, or a number is not positive.
        """
        if min(numerator, denominator) < 1:
            raise Rejected(f"A split of {numerator} for {denominator} shares is none.")
        self.market.stock(code)
        ended = self.matcher.drop(code)
        for account in self.book.accounts.values():
            account.split(code, numerator, denominator)
            self.book.set_account(account)
        self.market.split(code, numerator, denominator)
        self.matcher.wake(code)
        return ended

    def step_prices(self) -> None:
        """One step of every path."""
        for code in self.market.codes:
            self.market.step(code)
            self.matcher.wake(code)

    def watch_clock(self) -> None:
        """With the calendar: ends and starts days, opens the queue. Called about each second."""
        if not self.session.follows_calendar:
            return
        is_open, today = self.session.is_open, self.session.date
        # A clock that jumped (a machine that slept) may show another day without a close between.
        if self._was_open and (not is_open or today != self._date):
            self.matcher.expire()
        if today != self._date:
            self._next_day()
        if is_open and not self._was_open:
            self.matcher.wake()
        self._was_open, self._date = is_open, today

    def roll_day(self) -> int:
        """Ends the trading day now; how many DAY orders expired."""
        expired = self.matcher.expire()
        self._next_day()
        self.matcher.wake()
        return expired

    def sellable(self, account: Account, code: str) -> int:
        """Long shares that no open sell order claims."""
        return max(0, account.held(code) - self.book.working_shares(account.id, code, Side.SELL))

    def close(self) -> None:
        """Releases the state file; what is still planned changes nothing any more."""
        self.matcher.stop()
        self.book.close()

    def _next_day(self) -> None:
        self.market.new_day()
        self.book.next_day(self._today())
        self.book.commit()

    def _today(self) -> str:
        return self.session.date.isoformat() if self.session.follows_calendar else ""

    def _catch_up(self) -> None:
        """Ends what the calendar ended while no simulator ran on these books."""
        today, known = self._today(), self.book.date
        if not today:
            return
        if known and known != today:
            self.matcher.expire()
            self._next_day()
        elif not self._was_open:
            self.matcher.expire()
        self.book.note_date(today)

    def _check_funds(self, ticket: Ticket, shares: int, price: Decimal, besides: int = 0) -> None:
        account, side = self.book.accounts[ticket.account], Side(ticket.side)
        working = self.book.working_shares(account.id, ticket.code, side, besides)
        if side is Side.SELL:
            rules.check_sell(account, ticket.code, shares, working, self.options.shorting)
        else:
            rules.check_buy(account, ticket.code, shares, working)
        if ticket.order_type == OrderType.MARKET:
            price = self.market.depth(ticket.code).reach(side, shares)
        power = self.book.power(account, besides)
        rules.check_power(account, ticket.code, side, shares * price, power)

    def _meet_order_faults(self, order: Order) -> None:
        if doom := self.faults.strike_order("reject_after_accept"):
            order.doomed = doom.message or "The order was rejected by the exchange."
        if part := self.faults.strike_order("partial_fill"):
            half = order.quantity // 2
            order.fill_cap = half if part.quantity is None else part.quantity

    @staticmethod
    def _check_working(order: Order) -> None:
        if order.final:
            raise Rejected(f"Order {order.id} is {order.status.name} and cannot be changed.")
