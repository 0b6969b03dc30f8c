"""The `settlement_items` table: the one thing that is to happen in the vault per request."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from clients.store.attempts import may_fill
from clients.store.engine import Database, lock_row
from clients.store.inserts import write_audit
from clients.store.placements import LOCK
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.errors import Conflict
from models.money import plain_decimal
from models.records import ItemKind, ItemState, SettlementItem

_NOT_FINAL = frozenset(ItemState) - {ItemState.FINAL}
_APPROVABLE = frozenset({ItemState.PENDING, ItemState.REJECTED})
_BEFORE_MINED = frozenset({ItemState.PENDING, ItemState.SENT})
_CHANGING = ("batch", "tx_hash", "rejection", "approval", "tries")
_RETURNABLE = frozenset({ItemState.SENT, ItemState.MINED, ItemState.REJECTED})


class Items:
    """Settlement items; kind, amounts and fill hash never change once written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enqueue(
        self, item: SettlementItem, fills: Sequence[Mapping[str, Any]] = ()
    ) -> SettlementItem:
        """Write the item of a request, or return the one that is already there.

        fills: what it was computed from, for the audit log. Serialised with claims: after it no
        attempt of the request can be claimed any more.

        Raises:
            Conflict: a REFUND while an attempt may still fill or has filled.
        """

        def work(session: Session) -> SettlementItem:
            lock_row(session, LOCK)
            there = _of_request(session, item.chain_id, item.vault, item.request_id)
            if there is not None:
                return there
            row = _row(item)
            doubt = may_fill(session, row.request_id) if row.kind is ItemKind.REFUND else ""
            if doubt:
                raise Conflict("refund", row.request_id, doubt)
            session.add(row)
            session.flush()
            write_audit(session, _enqueued(row, fills), row.created_at)
            return row

        return await self._database.write("enqueueing a settlement item", work)

    async def take_batch(
        self, chain_id: int, vault: str, batch: str, limit: int, now: datetime
    ) -> list[SettlementItem]:
        """PENDING ▶ SENT for the oldest items, under this batch id.

        An item with approvals is a batch of its own. Asked again with the same batch id it returns
        what that batch still holds, and takes no others.
        """

        def work(session: Session) -> list[SettlementItem]:
            held = session.exec(_in_batch(batch)).all()
            if held:
                return [row for row in held if row.state is ItemState.SENT]
            pending = select(SettlementItem).where(
                col(SettlementItem.chain_id) == chain_id,
                col(SettlementItem.vault) == vault.lower(),
                col(SettlementItem.state) == ItemState.PENDING,
            )
            oldest = pending.order_by(col(SettlementItem.id)).limit(limit)
            rows = _together(list(session.exec(oldest.with_for_update())))
            for row in rows:
                row.batch = batch
                _advance(session, row, ItemState.SENT, naive_utc(now))
            return rows

        return await self._database.write("taking a batch", work)

    async def of_batch(self, batch: str) -> list[SettlementItem]:
        """Items of a batch, in the order they were taken."""
        return await self._database.read(
            "reading a batch", lambda session: list(session.exec(_in_batch(batch)))
        )

    async def of_request(self, chain_id: int, vault: str, request_id: str) -> SettlementItem | None:
        """The item of a request; None when none was written."""
        return await self._database.read(
            "reading a settlement item",
            lambda session: _of_request(session, chain_id, vault, request_id),
        )

    async def mark_mined(
        self, ids: Collection[int], tx_hash: str, block: int, now: datetime
    ) -> int:
        """Any state but FINAL ▶ MINED, in this block; returns how many rows changed."""
        place = {"tx_hash": tx_hash.lower(), "block_number": block, "rejection": ""}
        return await self._mark(ids, ItemState.MINED, _NOT_FINAL, now, place)

    async def mark_final(self, ids: Collection[int], now: datetime | None = None) -> int:
        """MINED ▶ FINAL; returns how many rows changed."""
        return await self._mark(ids, ItemState.FINAL, frozenset({ItemState.MINED}), now)

    async def mark_rejected(self, item_id: int, code: str, now: datetime | None = None) -> bool:
        """PENDING or SENT ▶ REJECTED with the vault's code."""
        why = {"rejection": code}
        return await self._mark([item_id], ItemState.REJECTED, _BEFORE_MINED, now, why) > 0

    async def approve(self, item_id: int, digest: str, now: datetime | None = None) -> bool:
        """PENDING or REJECTED ▶ PENDING, to be sent with the approvals of this digest.

        False where it is in a batch just now, or already was approved so.
        """
        changes = {"batch": "", "tx_hash": "", "block_number": 0, "rejection": ""}
        changes |= {"approval": digest.lower()}
        return await self._mark([item_id], ItemState.PENDING, _APPROVABLE, now, changes) > 0

    async def mark_lost(self, item_id: int, now: datetime | None = None) -> bool:
        """Any state but FINAL ▶ LOST: the request was reclaimed before it."""
        return await self._mark([item_id], ItemState.LOST, _NOT_FINAL, now) > 0

    async def to_pending(self, ids: Collection[int], now: datetime | None = None) -> int:
        """SENT, MINED (vanished) or REJECTED ▶ PENDING, out of its batch, one try more."""
        blank = {"batch": "", "tx_hash": "", "block_number": 0, "rejection": ""}
        return await self._mark(ids, ItemState.PENDING, _RETURNABLE, now, blank)

    async def unfinal(self, chain_id: int, vault: str, limit: int) -> list[SettlementItem]:
        """Items that are SENT or MINED, oldest first."""
        return await self._in(chain_id, vault, (ItemState.SENT, ItemState.MINED), limit)

    async def rejected(self, chain_id: int, vault: str, limit: int) -> list[SettlementItem]:
        """Items that the vault refused, oldest first."""
        return await self._in(chain_id, vault, (ItemState.REJECTED,), limit)

    async def waiting(self, chain_id: int, vault: str, limit: int) -> list[SettlementItem]:
        """Items that are PENDING, oldest first."""
        return await self._in(chain_id, vault, (ItemState.PENDING,), limit)

    async def _in(
        self, chain_id: int, vault: str, states: Collection[ItemState], limit: int
    ) -> list[SettlementItem]:
        chosen = select(SettlementItem).where(
            col(SettlementItem.chain_id) == chain_id,
            col(SettlementItem.vault) == vault.lower(),
            col(SettlementItem.state).in_(states),
        )
        oldest = chosen.order_by(col(SettlementItem.id)).limit(limit)
        return await self._database.read(
            "reading items by state", lambda session: list(session.exec(oldest))
        )

    async def counts(self) -> dict[ItemState, int]:
        """How many items are in each state; states without any are absent."""
        grouped = select(SettlementItem.state, func.count()).group_by(col(SettlementItem.state))
        return await self._database.read(
            "counting items",
            lambda session: {ItemState(state): count for state, count in session.exec(grouped)},
        )

    async def _mark(
        self,
        ids: Collection[int],
        state: ItemState,
        before: frozenset[ItemState],
        now: datetime | None,
        changes: dict[str, Any] | None = None,
    ) -> int:
        if not ids:
            return 0
        chosen = select(SettlementItem).where(
            col(SettlementItem.id).in_(ids), col(SettlementItem.state).in_(before)
        )
        ordered = chosen.order_by(col(SettlementItem.id)).with_for_update()
        moment = naive_utc(now or datetime.now(UTC))

        def work(session: Session) -> int:
            rows = [row for row in session.exec(ordered) if not _is(row, state, changes)]
            for row in rows:
                _advance(session, row, state, moment, changes)
            return len(rows)

        return await self._database.write(f"marking items {state}", work)


def _of_request(
    session: Session, chain_id: int, vault: str, request_id: str
) -> SettlementItem | None:
    chosen = select(SettlementItem).where(
        col(SettlementItem.chain_id) == chain_id,
        col(SettlementItem.vault) == vault.lower(),
        col(SettlementItem.request_id) == request_id.lower(),
    )
    return session.exec(chosen).first()


def _in_batch(batch: str) -> Any:
    chosen = select(SettlementItem).where(col(SettlementItem.batch) == batch)
    return chosen.order_by(col(SettlementItem.id))


def _together(rows: list[SettlementItem]) -> list[SettlementItem]:
    """Those that one transaction can carry: the oldest alone with its approvals, or all without."""
    if rows and rows[0].approval:
        return rows[:1]
    return [row for row in rows if not row.approval]


def _row(item: SettlementItem) -> SettlementItem:
    """A new PENDING row with the item's frozen part, as it will read from the database."""
    values = item.model_dump(exclude={"id", "state", *_CHANGING})
    return SettlementItem(
        **values
        | {
            "vault": item.vault.lower(),
            "request_id": item.request_id.lower(),
            "average_price": plain_decimal(item.average_price),
            "block_number": 0,
            "created_at": naive_utc(item.created_at),
            "updated_at": naive_utc(item.updated_at),
        }
    )


def _is(row: SettlementItem, state: ItemState, changes: dict[str, Any] | None) -> bool:
    same = all(getattr(row, name) == value for name, value in (changes or {}).items())
    return row.state is state and same


def _advance(
    session: Session,
    row: SettlementItem,
    state: ItemState,
    now: datetime,
    changes: dict[str, Any] | None = None,
) -> None:
    before = {"from": row.state.value, "batch": row.batch, "tx_hash": row.tx_hash}
    row.tries += state is ItemState.PENDING
    row.state, row.updated_at = state, now
    for name, value in (changes or {}).items():
        setattr(row, name, value)
    data = before | (changes or {}) | {"tries": row.tries}
    # The key carries all that the entry tells, so that only the very same step is written once.
    key = f"item.{state.lower()}:{row.id}:{row.tries}:{row.batch}:{row.tx_hash}:{row.block_number}"
    action = f"settlement.{state.lower()}"
    write_audit(session, AuditDraft(key[:191], action, row.request_id, data=data), now)


def _enqueued(row: SettlementItem, fills: Sequence[Mapping[str, Any]]) -> AuditDraft:
    return AuditDraft(
        event_key=f"item:{row.chain_id}:{row.vault}:{row.request_id}",
        action=f"settlement.{row.kind.lower()}",
        request_id=row.request_id,
        data={
            "taken": str(row.taken),
            "out": str(row.out),
            "fee": str(row.fee),
            "filled": str(row.filled),
            "average_price": row.average_price,
            "fill_hash": row.fill_hash,
            "reason_code": row.reason_code,
            "fills": [dict(fill) for fill in fills],
        },
    )
