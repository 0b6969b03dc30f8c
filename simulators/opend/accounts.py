"""Cash and positions of one account, exact to the cent and the share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulators.opend.orders import Env, Market

USD, HKD = 2, 1  # Trd_Common.Currency
STOCK, STOCK_AND_OPTION = 1, 4  # Trd_Common.SimAccType


@dataclass(slots=True)
class Position:
    """Shares held, negative when short, and what they cost in total."""

    quantity: int = 0
    cost: Decimal = Decimal(0)

    @property
    def average(self) -> Decimal:
        """Average cost of one share; 0 when flat."""
        return self.cost / self.quantity if self.quantity else Decimal(0)

    def apply(self, shares: int, price: Decimal) -> None:
        """Adds signed shares; a trade against the position releases cost at the average."""
        before = self.quantity
        after = before + shares
        if before * shares >= 0:
            self.cost += shares * price
        elif before * after > 0:
            self.cost = self.cost * after / before
        else:  # flat, or through zero into the other direction at the new price
            self.cost = after * price
        self.quantity = after


@dataclass(slots=True)
class Account:
    """One account as OpenD lists it, with its money."""

    id: int
    env: Env
    markets: tuple[Market, ...]
    cash: Decimal
    positions: dict[str, Position] = field(default_factory=dict)

    @property
    def currency(self) -> int:
        """The one currency its money is kept in."""
        return USD if Market.US in self.markets else HKD

    @property
    def sim_type(self) -> int | None:
        """What kind of paper account; None for a real one."""
        if self.env is Env.REAL:
            return None
        return STOCK_AND_OPTION if Market.US in self.markets else STOCK

    def held(self, code: str) -> int:
        """Signed shares of a symbol."""
        position = self.positions.get(code)
        return position.quantity if position else 0

    def apply_fill(self, code: str, shares: int, price: Decimal) -> None:
        """Moves signed shares in and their exact price out."""
        self.cash -= shares * price
        position = self.positions.setdefault(code, Position())
        position.apply(shares, price)
        if not position.quantity:
            del self.positions[code]

    def split(self, code: str, numerator: int, denominator: int) -> int:
        """Turns each `denominator` shares into `numerator`; how many are left over.

        What is left over is gone: a broker pays it out in cash, later.
        """
        position = self.positions.get(code)
        if position is None:
            return 0
        whole, rest = divmod(abs(position.quantity) * numerator, denominator)
        position.quantity = whole if position.quantity > 0 else -whole
        if not position.quantity:
            del self.positions[code]
        return rest

    def market_value(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Positions at last prices; shorts count negative."""
        return sum((p.quantity * prices[c] for c, p in self.positions.items()), Decimal(0))

    def exposure(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Gross value of all positions, longs and shorts alike."""
        return sum((abs(p.quantity) * prices[c] for c, p in self.positions.items()), Decimal(0))

    def to_json(self) -> dict[str, Any]:
        """Money and positions; identity comes from the options."""
        positions = {c: [p.quantity, str(p.cost)] for c, p in sorted(self.positions.items())}
        return {"cash": str(self.cash), "positions": positions}

    def restore(self, data: dict[str, Any]) -> None:
        """Takes money and positions from a state file."""
        self.cash = Decimal(data["cash"])
        self.positions = {
            code: Position(int(quantity), Decimal(cost))
            for code, (quantity, cost) in data["positions"].items()
        }
