"""The market: one seeded price path a symbol, an order book around it, halts.

The n-th step of a symbol's path depends on seed and symbol only, never on when it is taken or on
what other symbols do.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from simulators.opend.depth import Depth
from simulators.opend.errors import Rejected
from simulators.opend.options import OpenDOptions
from simulators.opend.orders import Side

# A path stays this near to its start, so that a demo's limits stay sensible all day.
BAND = Decimal("0.02")


@dataclass(slots=True)
class Stock:
    """One symbol's numbers of the day."""

    code: str
    last: Decimal
    base: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    previous_close: Decimal
    volume: int = 0
    turnover: Decimal = Decimal(0)
    halted: bool = False
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """Best prices and how many shares stand there."""

    bid: Decimal
    ask: Decimal
    bid_size: int
    ask_size: int

    def against(self, side: Side) -> Decimal:
        """What a taker of that side pays or gets."""
        return self.ask if side is Side.BUY else self.bid


class MarketData:
    """All symbols."""

    def __init__(self, options: OpenDOptions) -> None:
        self.tick, self._options = options.tick_at, options
        self._move = options.price_move_ticks
        self._stocks = {code: _listed(code, price) for code, price in options.prices.items()}
        self._random = {code: random.Random(f"{options.seed}:{code}") for code in self._stocks}
        self._depths: dict[str, Depth] = {}

    @property
    def codes(self) -> Iterable[str]:
        """Every listed symbol."""
        return self._stocks.keys()

    @property
    def last_prices(self) -> Mapping[str, Decimal]:
        """Last price of every symbol."""
        return {code: stock.last for code, stock in self._stocks.items()}

    def stock(self, code: str) -> Stock:
        """One symbol.

        Raises:
            Rejected: it is not listed here.
        """
        if code not in self._stocks:
            raise Rejected(f"Unknown stock {code}: this simulator lists {', '.join(self.codes)}.")
        return self._stocks[code]

    def quote(self, code: str) -> Quote:
        """Best bid and ask; a side of which all was taken has size 0."""
        depth = self.depth(code)
        bid, ask = depth.best(Side.SELL), depth.best(Side.BUY)
        return Quote(bid.price, ask.price, bid.size, ask.size)

    def depth(self, code: str) -> Depth:
        """The order book of one symbol, less what was taken since the last price step."""
        if code not in self._depths:
            self._depths[code] = Depth(self._options, code, self.stock(code).last)
        return self._depths[code]

    def step(self, code: str) -> Decimal:
        """Moves one symbol one step along its path."""
        stock = self.stock(code)
        self._depths.pop(code, None)
        move = self._random[code].randint(-self._move, self._move)
        if stock.pinned:
            return stock.last
        price = stock.last + move * self.tick(stock.last)
        if abs(price - stock.base) > stock.base * BAND or price <= 0:
            price = stock.last - move * self.tick(stock.last)
        self._trade(stock, price)
        return price

    def set_price(self, code: str, price: Decimal, pin: bool) -> None:
        """Jumps to a price; its path goes on from there unless pinned."""
        stock = self.stock(code)
        if not price.is_finite() or price <= 0 or price % self.tick(price):
            raise Rejected(f"Price {price} of {code} is not a positive multiple of its tick.")
        stock.base, stock.pinned = price, pin
        self._depths.pop(code, None)
        self._trade(stock, price)

    def split(self, code: str, numerator: int, denominator: int) -> None:
        """Prices of one symbol in new shares, each to the nearest tick."""
        stock = self.stock(code)
        self._depths.pop(code, None)
        for name in ("last", "base", "open", "high", "low", "previous_close"):
            price: Decimal = getattr(stock, name) * denominator / numerator
            tick = self.tick(price)
            setattr(stock, name, max(tick, (price / tick).quantize(Decimal(1)) * tick))

    def record(self, code: str, shares: int, price: Decimal) -> None:
        """Adds an execution to the day's volume."""
        stock = self.stock(code)
        stock.volume += shares
        stock.turnover += shares * price

    def new_day(self) -> None:
        """The last price becomes yesterday's close."""
        self._depths.clear()
        for stock in self._stocks.values():
            stock.previous_close = stock.open = stock.high = stock.low = stock.last
            stock.volume, stock.turnover = 0, Decimal(0)

    @staticmethod
    def _trade(stock: Stock, price: Decimal) -> None:
        stock.last = price
        stock.high, stock.low = max(stock.high, price), min(stock.low, price)


def _listed(code: str, price: Decimal) -> Stock:
    return Stock(code, price, price, price, price, price, price)
