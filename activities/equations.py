"""What must be equal, as far as what is in flight leaves it decidable: seen, or seen to be well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from activities.backing import seen_backing
from activities.clock import utc_now
from activities.observations import (
    BOOK_STALE,
    MONEY,
    OWED,
    POSITION,
    RATIO_UNREAD,
    SUPPLY_UNCOVERED,
    observed,
)
from models.columns import naive_utc
from models.drafts import Observation
from models.invariants import left_over, money_holds, position_gap
from models.money import units_burned

if TYPE_CHECKING:
    from activities.reconcile_view import View

_BOOK_AGE = timedelta(minutes=1)


class Gap(NamedTuple):
    """Token units that the broker holds beyond what tokens and fills explain.

    unsure: units that may be on either side just now. most: what roundings may leave over.
    """

    units: int
    unsure: int
    most: int

    @property
    def wrong(self) -> bool:
        """No order in flight explains it."""
        return not -self.unsure <= self.units <= self.unsure + self.most

    @property
    def well(self) -> bool:
        """It is right, whatever is in flight."""
        return 0 <= self.units <= self.most and not self.unsure


def seen_equations(view: View) -> Iterator[Observation]:
    """Invariants 2 and 3, and what keeps them from being looked at."""
    for violation in money_holds(view.books, view.open):
        yield observed(MONEY, violation)
    if view.books.owed:
        detail = f"{view.books.owed} USDT units are owed, {view.books.free} are free"
        yield Observation("owed:vault", OWED, detail)
    if stale(view):
        detail = f"the broker's book was last read at {view.book_read_at}"
        yield Observation("book:stale", BOOK_STALE, detail)
    for symbol, problem in view.unread.items():
        yield Observation(f"ratio:{symbol}", RATIO_UNREAD, problem)
    yield from seen_backing(view.backing, book_stale=stale(view))
    for symbol in view.supply:
        gap = gap_of(view, symbol)
        if gap is not None and gap.wrong:
            detail = f"the broker holds {gap.units} token units more than tokens and fills explain"
            yield Observation(f"position:{symbol}", POSITION, detail)


def seen_well(view: View) -> frozenset[tuple[str, str]]:
    """(kind, symbol) of what was measured and is as it must be; what could not be is not in it."""
    well = {(MONEY, "")} if not list(money_holds(view.books, view.open)) else set()
    for symbol in view.supply:
        gap = gap_of(view, symbol)
        if gap is not None and gap.well:
            well.add((POSITION, symbol))
    for symbol, backing in view.backing.items():
        measured = backing.minted is not None and not backing.problem and not stale(view)
        if measured and not backing.uncovered:
            well.add((SUPPLY_UNCOVERED, symbol))
    return frozenset(well)


def gap_of(view: View, symbol: str) -> Gap | None:
    """None: it cannot be said."""
    ratio = view.ratios.get(symbol)
    if view.positions is None or ratio is None:
        return None
    held = view.positions.get(symbol, 0)
    units = position_gap(symbol, view.cases, view.supply[symbol], held, view.house, ratio)
    return Gap(units, units_burned(view.unsure.get(symbol, 0), ratio), left_over(ratio))


def stale(view: View) -> bool:
    """Whether the broker's orders were read too long ago to say that one is not there."""
    return view.book_read_at is None or naive_utc(utc_now()) - view.book_read_at > _BOOK_AGE
