"""The resting orders of the rest of the world: a few price levels on each side of one symbol."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from simulators.opend.options import OpenDOptions
from simulators.opend.orders import Side

# Sizes are in round lots where a level is large enough to show them.
LOT = 100


@dataclass(slots=True)
class Level:
    """A price and how many shares still rest there."""

    price: Decimal
    size: int


class Depth:
    """What takers of each side meet, best price first, from one price step to the next.

    Sizes depend on seed, symbol, price, side and level only. What is taken stays taken until
    another Depth replaces this one.
    """

    def __init__(self, options: OpenDOptions, code: str, last: Decimal) -> None:
        tick, spread = options.tick_at(last), options.spread_ticks
        bid = max(tick, last - tick * (spread // 2))
        ask = last + tick * (spread - spread // 2)
        self._levels = {
            side: list(_ladder(options, f"{options.seed}:{code}:{last}:{side.name}", side, best))
            for side, best in ((Side.BUY, ask), (Side.SELL, bid))
        }

    def against(self, side: Side) -> list[Level]:
        """Levels with shares that a taker of that side meets, best first."""
        return [level for level in self._levels[side] if level.size]

    def best(self, side: Side) -> Level:
        """The first of them; with all taken, the last price there was and no shares."""
        return next((level for level in self._levels[side] if level.size), self._levels[side][-1])

    def take(self, side: Side, price: Decimal, shares: int) -> None:
        """Removes shares that a taker of that side got at that price."""
        level = next(level for level in self._levels[side] if level.price == price)
        level.size -= shares

    def reach(self, side: Side, shares: int) -> Decimal:
        """The worst price at which so many shares are had; the last level if not so many rest."""
        price = self.best(side).price
        for level in self.against(side):
            price = level.price
            shares -= level.size
            if shares <= 0:
                break
        return price


def _ladder(options: OpenDOptions, seed: str, side: Side, best: Decimal) -> Iterator[Level]:
    sizes = random.Random(seed)
    price, mean = best, options.depth_shares
    lot = LOT if mean >= 2 * LOT else 1
    for _ in range(options.depth_levels):
        size = sizes.randint(mean // 2, mean + mean // 2) // lot * lot
        yield Level(price, max(1, size))
        for _ in range(options.depth_gap_ticks):
            price += side.sign * options.tick_at(price)
        if price <= 0:
            return
