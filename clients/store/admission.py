"""Admitting an order: its row, its version range, and what was already done for it."""

from datetime import datetime

from sqlmodel import Session, col, select

from clients.store.attempts import remarks_of
from clients.store.changes import write_order_change
from clients.store.claims import find_claim
from clients.store.inserts import insert_absent, write_audit
from models.drafts import Admission, AuditDraft
from models.order import Order, OrderStatus, Reason, Stage
from models.records import BrokerOrderRow, ChainEvent, Placement, SettlementItem
from models.requests import Side, VaultRequest, VaultStatus, parse_remark

_EPOCH_BITS = 20


def admit(
    session: Session,
    terms: VaultRequest,
    *,
    workflow_id: str,
    symbol: str,
    tx_hash: str,
    now: datetime,
    quote: str = "",
    waiting_for: str = "",
) -> Admission:
    """Insert or find the row and begin its next epoch of versions."""
    row = _locked(session, terms)
    before = row.model_dump() if row is not None else None
    if row is None:
        row = _new_row(terms, workflow_id, symbol, tx_hash, now)
        session.add(row)
        insert_absent(session, _event(terms, tx_hash, now), "request_id")
        write_audit(session, _admitted(terms, symbol, quote, tx_hash), now)
    else:
        row.version = next_epoch(row.version)
        row.tx_hash = row.tx_hash or tx_hash.lower()
        row.symbol = row.symbol or symbol
        row.updated_at = now
        if _undone(row, terms):
            _reopen(session, row, now)
    if row.stage is Stage.CONFIRMING:
        row.waiting_for = waiting_for
    session.flush()
    write_order_change(session, before, row.model_dump(), now)
    _adopt(session, row.request_id, now)
    return Admission(row, row.version + 1, _claims(session, row), _item(session, row))


def next_epoch(version: int) -> int:
    """The first version of the next epoch: beyond all that earlier runs can still write."""
    return ((version >> _EPOCH_BITS) + 1) << _EPOCH_BITS


def _undone(row: Order, terms: VaultRequest) -> bool:
    """Whether the row tells an end without an item that a reorganisation has taken back."""
    reclaimed = row.stage is Stage.RECLAIMED and terms.status is VaultStatus.OPEN
    return reclaimed or row.stage is Stage.ORPHANED


def _adopt(session: Session, request_id: str, now: datetime) -> None:
    """Write the claims that a lost database forgot and the broker's book still tells of."""
    held = select(BrokerOrderRow.remark).where(*remarks_of(request_id))
    for remark in session.exec(held).all():
        ours = parse_remark(remark)
        if ours is not None:
            find_claim(session, *ours, remark, now)


def _locked(session: Session, terms: VaultRequest) -> Order | None:
    chosen = select(Order).where(
        col(Order.chain_id) == terms.chain_id,
        col(Order.vault) == terms.vault.lower(),
        col(Order.request_id) == terms.request_id.lower(),
    )
    return session.exec(chosen.with_for_update()).first()


def _new_row(
    terms: VaultRequest, workflow_id: str, symbol: str, tx_hash: str, now: datetime
) -> Order:
    buying = terms.side is Side.BUY
    return Order(
        chain_id=terms.chain_id,
        vault=terms.vault.lower(),
        request_number=terms.n,
        request_id=terms.request_id.lower(),
        workflow_id=workflow_id,
        version=next_epoch(0),
        tx_hash=tx_hash.lower(),
        user_addr=terms.owner.lower(),
        recipient=terms.recipient.lower(),
        asset=terms.asset.lower(),
        symbol=symbol,
        order_type=terms.side,
        usdt_amount=terms.amount if buying else 0,
        quantity=0 if buying else terms.amount,
        price_limit=terms.limit_price,
        deadline=terms.deadline,
        reclaim_at=terms.reclaim_at,
        created_block=terms.created_block,
        created_at=now,
        updated_at=now,
    )


def _reopen(session: Session, row: Order, now: datetime) -> None:
    row.status, row.stage = OrderStatus.PENDING, Stage.CONFIRMING
    row.reason, row.error_msg, row.waiting_for = Reason.NONE, "", ""
    draft = AuditDraft(f"reopen:{row.request_id}:{row.version}", "order.reopened", row.request_id)
    write_audit(session, draft, now)


def _event(terms: VaultRequest, tx_hash: str, now: datetime) -> ChainEvent:
    return ChainEvent(
        chain_id=terms.chain_id,
        vault=terms.vault.lower(),
        request_number=terms.n,
        request_id=terms.request_id.lower(),
        tx_hash=tx_hash.lower(),
        block_number=terms.created_block,
        seen_at=now,
    )


def _admitted(terms: VaultRequest, symbol: str, quote: str, tx_hash: str) -> AuditDraft:
    return AuditDraft(
        event_key=f"admit:{terms.chain_id}:{terms.vault.lower()}:{terms.request_id.lower()}",
        action="order.admitted",
        request_id=terms.request_id,
        data={
            "n": terms.n,
            "tx_hash": tx_hash.lower(),
            "side": terms.side,
            "symbol": symbol,
            "owner": terms.owner.lower(),
            "recipient": terms.recipient.lower(),
            "asset": terms.asset.lower(),
            "fee_bps": terms.fee_bps,
            "reclaim_at": terms.reclaim_at,
            "amount": str(terms.amount),
            "limit_price": str(terms.limit_price),
            "deadline": terms.deadline,
            "indicative": quote,
        },
    )


def _claims(session: Session, row: Order) -> list[Placement]:
    chosen = select(Placement).where(col(Placement.request_id) == row.request_id)
    return list(session.exec(chosen.order_by(col(Placement.attempt))))


def _item(session: Session, row: Order) -> SettlementItem | None:
    chosen = select(SettlementItem).where(
        col(SettlementItem.chain_id) == row.chain_id,
        col(SettlementItem.vault) == row.vault,
        col(SettlementItem.request_id) == row.request_id,
    )
    return session.exec(chosen).first()
