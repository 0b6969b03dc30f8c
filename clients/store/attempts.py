"""What claims and the broker's book together say about the attempts of one request.

The book is filled from the broker, so it also knows of orders whose claims a lost or restored
database has forgotten.
"""

from datetime import datetime

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from models.broker import DEAD, BrokerStatus
from models.columns import naive_utc
from models.records import BrokerOrderRow, BrokerSnapshotRow, ClaimState, Placement
from models.requests import remark_of

ENDED = DEAD | {BrokerStatus.FILL_CANCELLED}
"""Statuses after which an order fills no more."""


def remarks_of(request_id: str) -> list[ColumnElement[bool]]:
    """Condition on the book: the order's remark is an attempt of the request."""
    first = remark_of(request_id.lower(), 1)
    prefix = first[: first.rindex(":")]
    # Not LIKE: "_" is a letter of these remarks. ";" is the character after ":".
    return [col(BrokerOrderRow.remark) > f"{prefix}:", col(BrokerOrderRow.remark) < f"{prefix};"]


def may_fill(session: Session, request_id: str, *, besides: str = "") -> str:
    """In words, which attempt may still fill or has filled; empty when none did or can.

    besides: remark of the attempt that is not looked at.
    """
    claimed = select(Placement).where(
        col(Placement.request_id) == request_id, col(Placement.remark) != besides
    )
    held = select(BrokerOrderRow).where(
        *remarks_of(request_id), col(BrokerOrderRow.remark) != besides
    )
    claims = {claim.remark: claim for claim in session.exec(claimed)}
    doubts = [
        _doubt_of_order(order, claims.pop(order.remark, None)) for order in session.exec(held)
    ]
    doubts += [_doubt_of_claim(claim) for claim in claims.values()]
    return next((doubt for doubt in doubts if doubt), "")


def held_by_broker(session: Session, remark: str) -> BrokerOrderRow | None:
    """The order that the book holds under this remark."""
    chosen = select(BrokerOrderRow).where(col(BrokerOrderRow.remark) == remark)
    return session.exec(chosen.order_by(col(BrokerOrderRow.order_id))).first()


def book_read_since(session: Session, moment: datetime) -> bool:
    """Whether a complete read of the broker's book that began after the moment is on record."""
    chosen = select(BrokerSnapshotRow.id).where(
        col(BrokerSnapshotRow.complete).is_(True),
        col(BrokerSnapshotRow.begun_at) > naive_utc(moment),
    )
    return session.exec(chosen.limit(1)).first() is not None


def _doubt_of_order(order: BrokerOrderRow, claim: Placement | None) -> str:
    name = f"attempt {order.remark.rpartition(':')[2]}"
    lost = "" if claim is not None else ", whose claim was lost,"
    if order.filled:
        return f"{name}{lost} has filled {order.filled}"
    return "" if order.status in ENDED else f"{name}{lost} is {order.status} at the broker"


def _doubt_of_claim(claim: Placement) -> str:
    if claim.state is ClaimState.CLAIMED:
        return f"attempt {claim.attempt} was claimed and its outcome is not known"
    if claim.state is ClaimState.PLACED:
        return f"attempt {claim.attempt} is placed but not in the book yet"
    return ""
