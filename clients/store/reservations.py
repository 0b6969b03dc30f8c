"""What open claims set aside, and whether one more fits: rule six, inside the claim's lock."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, or_
from sqlmodel import Session, col, select

from clients.store.attempts import ENDED
from models.columns import naive_utc
from models.drafts import ClaimDraft, Headroom
from models.records import OPEN_CLAIMS, BrokerOrderRow, Placement
from models.requests import Side

_CLOCK_SKEW = timedelta(seconds=2)
"""How far the clocks of two workers may be apart."""


def reserved(session: Session, symbol: str, as_of: datetime | None = None) -> Headroom:
    """Sums over the claims open now or at as_of: payout and cash of all, shares of one symbol.

    Added up here and not in SQL: SQLite would add its text as floats.
    """
    chosen = select(
        col(Placement.symbol),
        col(Placement.reserved_payout),
        col(Placement.reserved_cash),
        col(Placement.reserved_shares),
    ).where(*holding_reservations(as_of), ~_unfilled_for_ever())
    payout, cash, shares = 0, Decimal(0), 0
    for row_symbol, row_payout, row_cash, row_shares in session.exec(chosen):
        payout, cash = payout + row_payout, cash + row_cash
        shares += row_shares if row_symbol == symbol else 0
    return Headroom(payout, cash, shares)


def holding_reservations(as_of: datetime | None = None) -> list[ColumnElement[bool]]:
    """Condition: the claim still sets something aside, or did so after as_of."""
    holding: list[ColumnElement[bool]] = [col(Placement.released_at).is_(None)]
    if as_of is not None:
        holding.append(col(Placement.released_at) > naive_utc(as_of) - _CLOCK_SKEW)
    return [or_(*holding), col(Placement.state).in_(OPEN_CLAIMS)]


def _unfilled_for_ever() -> ColumnElement[bool]:
    """Condition: the broker ended the claim's order without a fill, so it needs nothing any more.

    Otherwise the next attempt of the same request would wait for what the one before set aside.
    """
    dead = select(BrokerOrderRow.order_id).where(
        col(BrokerOrderRow.remark) == col(Placement.remark),
        col(BrokerOrderRow.status).in_(ENDED),
        col(BrokerOrderRow.filled) == 0,
    )
    return dead.exists()


def lacking(draft: ClaimDraft, headroom: Headroom, taken: Headroom) -> str:
    """In words, what does not fit beside what is taken; empty when everything does."""
    wanted = (
        ("payout", draft.reserved_payout, taken.payout, headroom.payout),
        ("cash", draft.reserved_cash, taken.cash, headroom.cash),
        ("shares", draft.reserved_shares, taken.shares, headroom.shares),
    )
    # What needs nothing fits, even where earlier claims hold more than there is by now.
    short = [
        f"{name}: {new} wanted, {held} of {most} taken"
        for name, new, held, most in wanted
        if new and new + held > most
    ]
    return "; ".join(short)


def crossed(session: Session, draft: ClaimDraft) -> Placement | None:
    """An own order of the other side that may be working at a price this one would meet."""
    other = Side.SELL if draft.side is Side.BUY else Side.BUY
    chosen = select(Placement).where(
        col(Placement.symbol) == draft.symbol,
        col(Placement.side) == other,
        col(Placement.state).in_(OPEN_CLAIMS),
        col(Placement.released_at).is_(None),
    )
    facing = [row for row in session.exec(chosen) if _meets(draft, row)]
    ended = _ended_remarks(session, [row.remark for row in facing])
    return next((row for row in facing if row.remark not in ended), None)


def _meets(draft: ClaimDraft, row: Placement) -> bool:
    if draft.side is Side.BUY:
        return draft.price >= row.price
    return draft.price <= row.price


def _ended_remarks(session: Session, remarks: list[str]) -> set[str]:
    if not remarks:
        return set()
    chosen = select(BrokerOrderRow.remark).where(
        col(BrokerOrderRow.remark).in_(remarks), col(BrokerOrderRow.status).in_(ENDED)
    )
    return set(session.exec(chosen))
