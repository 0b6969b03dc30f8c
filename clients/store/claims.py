"""Claim rows: finding one, also one that only the broker remembers, and writing one down."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from clients.store.attempts import held_by_broker
from clients.store.inserts import write_audit
from models.columns import naive_utc
from models.drafts import AuditDraft, ClaimDraft
from models.money import plain_decimal
from models.records import BrokerOrderRow, ClaimState, Placement


def stored_claim(session: Session, request_id: str, attempt: int) -> Placement | None:
    """The row of an attempt."""
    chosen = select(Placement).where(
        col(Placement.request_id) == request_id.lower(), col(Placement.attempt) == attempt
    )
    return session.exec(chosen).first()


def find_claim(
    session: Session, request_id: str, attempt: int, remark: str, now: datetime
) -> Placement | None:
    """The claim of an attempt, written anew when only the broker still knows of it."""
    row = stored_claim(session, request_id, attempt)
    unseen = row is None or row.state is ClaimState.VOID
    order = held_by_broker(session, remark) if unseen else None
    if order is None:
        return row
    if row is not None:
        return _placed_after_all(session, row, order, now)
    lost = Placement(
        request_id=request_id.lower(),
        attempt=attempt,
        remark=remark,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=order.price,
        state=ClaimState.PLACED,
        detail="found at the broker; its claim was lost",
        broker_order_id=order.order_id,
        shares_numerator=0,
        send_by=now,
        created_at=now,
    )
    return insert_claim(session, lost)


def _placed_after_all(
    session: Session, row: Placement, order: BrokerOrderRow, now: datetime
) -> Placement:
    """A burnt attempt whose order the broker holds: the store that burnt it had lost its claim."""
    row.state, row.detail = ClaimState.PLACED, "found at the broker; it was taken for never sent"
    row.quantity, row.price = order.quantity, order.price
    row.shares_numerator = 0
    row.broker_order_id, row.released_at = order.order_id, None
    record_claim(session, row, now)
    return row


def claim_of(draft: ClaimDraft, now: datetime) -> Placement:
    """The row of a draft that is granted."""
    return Placement(
        request_id=draft.request_id.lower(),
        attempt=draft.attempt,
        remark=draft.remark,
        symbol=draft.symbol,
        side=draft.side,
        quantity=draft.quantity,
        price=plain_decimal(draft.price),
        state=ClaimState.CLAIMED,
        reserved_payout=draft.reserved_payout,
        reserved_cash=plain_decimal(draft.reserved_cash),
        reserved_shares=draft.reserved_shares,
        shares_numerator=draft.ratio.numerator,
        shares_denominator=draft.ratio.denominator,
        split_epoch=draft.ratio.epoch,
        send_by=naive_utc(draft.send_by),
        created_at=now,
    )


def insert_claim(
    session: Session, row: Placement, basis: Mapping[str, Any] | None = None
) -> Placement:
    """Write a new row and its audit entry. basis: as in ClaimDraft."""
    session.add(row)
    session.flush()
    record_claim(session, row, row.created_at, basis)
    return row


def record_claim(
    session: Session, row: Placement, now: datetime, basis: Mapping[str, Any] | None = None
) -> None:
    """Write the audit entry of the state a claim has now."""
    data: dict[str, Any] = {
        "attempt": row.attempt,
        "remark": row.remark,
        "symbol": row.symbol,
        "side": row.side,
        "quantity": row.quantity,
        "price": row.price,
        "broker_order_id": row.broker_order_id,
        "shares_per_token": f"{row.shares_numerator}/{row.shares_denominator}",
        "detail": row.detail,
    } | ({"quote": dict(basis)} if basis else {})
    action = f"placement.{row.state.lower()}"
    draft = AuditDraft(f"{action}:{row.remark}", action, row.request_id, data=data)
    write_audit(session, draft, now)
