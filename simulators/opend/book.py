"""The broker's books: accounts, orders and fills, written down before anybody hears of them."""

import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from simulators.opend.accounts import Account
from simulators.opend.errors import OpenDError
from simulators.opend.market import MarketData
from simulators.opend.options import OpenDOptions
from simulators.opend.orders import Env, Fill, Market, Order, OrderType, Side, Status, Ticket
from simulators.opend.storage import Row, StateFile


class Book:
    """All state that outlives connections and, with a state file, the process."""

    def __init__(
        self, options: OpenDOptions, market: MarketData, now: Callable[[], float] = time.time
    ) -> None:
        self.accounts = {
            a.id: Account(a.id, a.env, a.markets, options.cash) for a in options.accounts
        }
        self.orders: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self.day = 0
        # The exchange's date of `day`, YYYY-MM-DD; empty where no calendar ends days.
        self.date = ""
        # Ids of another life must not come back: they start from the clock.
        self.base = int(now()) * 1000
        self._now, self._market, self._leverage = now, market, options.leverage
        self._working: dict[int, Order] = {}
        self._dirty: dict[tuple[str, str], Row] = {}
        self._file = StateFile(options.state) if options.state else None
        self._give(options)
        self._restore()
        self._dirty_meta()
        for account in self.accounts.values():
            self._note_account(account)
        self.commit()

    def default_account(self) -> Account:
        """The first simulated US account, else the first of all."""
        paper = (a for a in self.accounts.values() if a.env is Env.SIMULATE)
        us = next((a for a in paper if Market.US in a.markets), None)
        return us or next(iter(self.accounts.values()))

    def add(self, ticket: Ticket, shares: int, price: Decimal, status: Status) -> Order:
        """A new order under the next id, not yet committed."""
        now = self._now()
        order = Order(
            id=self.base + len(self.orders) + 1,
            account=ticket.account,
            code=ticket.code,
            side=Side(ticket.side),
            order_type=OrderType(ticket.order_type),
            quantity=shares,
            price=price,
            remark=ticket.remark,
            status=status,
            day=self.day,
            received_at=now,
            updated_at=now,
        )
        self.orders[order.id] = order
        self._note(order)
        return order

    def change(self, order: Order, status: Status, error: str = "") -> None:
        """A new status, not yet committed."""
        order.status, order.updated_at = status, self._now()
        order.error = error or order.error
        self._note(order)

    def execute(self, order: Order, shares: int, price: Decimal) -> Fill:
        """Books one execution: order, money, position, fill. Negative shares reverse one."""
        fill = Fill(
            id=len(self.fills) + 1,
            order_id=order.id,
            account=order.account,
            code=order.code,
            side=order.side,
            quantity=shares,
            price=price,
            at=self._now(),
        )
        order.filled += shares
        order.value += shares * price
        account = self.accounts[order.account]
        account.apply_fill(order.code, order.side.sign * shares, price)
        self._market.record(order.code, abs(shares), price)
        self.fills.append(fill)
        self._dirty["fill", str(fill.id)] = ("fill", str(fill.id), fill.to_json())
        self._note_account(account)
        self._note(order)
        return fill

    def commit(self) -> None:
        """Writes what changed in one transaction; nothing leaves the process before it."""
        if self._file and self._dirty:
            self._file.write(self._dirty.values())
        self._dirty.clear()

    def number(self, order: Order) -> str:
        """`#1` for the first order of these books: the same in every run, unlike its id."""
        return f"#{order.id - self.base}"

    def set_account(self, account: Account) -> None:
        """Keeps an account changed from outside."""
        self._note_account(account)
        self.commit()

    def next_day(self, date: str = "") -> None:
        """Orders so far become those of earlier days; queued ones move along."""
        self.day += 1
        self.date = date
        for order in self.working():
            order.day = self.day
            self._note(order)
        self._dirty_meta()

    def note_date(self, date: str) -> None:
        """The day that has begun is of that date."""
        self.date = date
        self._dirty_meta()
        self.commit()

    def working(self, account: int | None = None, code: str | None = None) -> list[Order]:
        """Orders that can still change, oldest first."""
        return [
            order
            for order in self._working.values()
            if account in (None, order.account) and code in (None, order.code)
        ]

    def working_shares(self, account: int, code: str, side: Side, besides: int = 0) -> int:
        """Shares that open orders of one side still claim."""
        orders = self.working(account, code)
        return sum(o.left for o in orders if o.side is side and o.id != besides)

    def hold(self, account: int, besides: int = 0) -> Decimal:
        """Cash that open buy orders may still need: the limit, or the ask of market orders."""
        orders = (o for o in self.working(account) if o.side is Side.BUY and o.id != besides)
        return sum((o.left * self._price(o) for o in orders), Decimal(0))

    def power(self, account: Account, besides: int = 0) -> Decimal:
        """What new positions may cost: leveraged equity less what is held or on order."""
        prices = self._market.last_prices
        equity = account.cash + account.market_value(prices)
        used = account.exposure(prices) + self.hold(account.id, besides)
        return max(Decimal(0), equity * self._leverage - used)

    def of_account(self, account: int) -> Iterator[Order]:
        """All its orders, oldest first."""
        return (order for order in self.orders.values() if order.account == account)

    def fills_of(self, orders: Iterable[int]) -> list[Fill]:
        """Executions of those orders."""
        wanted = set(orders)
        return [fill for fill in self.fills if fill.order_id in wanted]

    def close(self) -> None:
        """Releases the state file."""
        if self._file:
            self._file.close()

    def _price(self, order: Order) -> Decimal:
        limit = order.order_type is OrderType.NORMAL
        return order.price if limit else self._market.quote(order.code).ask

    def _give(self, options: OpenDOptions) -> None:
        account = self.default_account()
        for code, shares in options.positions.items():
            # Start holdings are a gift: their cost is not taken from the start cash.
            account.apply_fill(code, shares, options.prices[code])
            account.cash += shares * options.prices[code]

    def _note(self, order: Order) -> None:
        self._dirty["order", str(order.id)] = ("order", str(order.id), order.to_json())
        if order.final:
            self._working.pop(order.id, None)
        else:
            self._working[order.id] = order

    def _note_account(self, account: Account) -> None:
        key = str(account.id)
        self._dirty["account", key] = ("account", key, account.to_json())

    def _dirty_meta(self) -> None:
        document = {"day": self.day, "base": self.base, "date": self.date}
        self._dirty["meta", "book"] = ("meta", "book", document)

    def _check_listed(self) -> None:
        held = {code for account in self.accounts.values() for code in account.positions}
        known = held | {order.code for order in self.orders.values()}
        if unlisted := sorted(known - set(self._market.codes)):
            raise OpenDError(
                f"The state file knows {', '.join(unlisted)}: start with a --price for each."
            )

    def _restore(self) -> None:
        if self._file is None:
            return
        for _, document in self._file.read("meta"):
            self.day, self.base = document["day"], document["base"]
            self.date = document.get("date", "")  # a state file of before has none
        for key, document in self._file.read("account"):
            if int(key) in self.accounts:
                self.accounts[int(key)].restore(document)
        for _, document in sorted(self._file.read("order"), key=lambda row: int(row[0])):
            order = Order.from_json(document)
            self.orders[order.id] = order
            if not order.final:
                self._working[order.id] = order
        self._check_listed()
        fills = (Fill.from_json(document) for _, document in self._file.read("fill"))
        self.fills = sorted(fills, key=lambda fill: fill.id)
