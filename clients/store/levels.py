"""How much of everything there is, and how old the oldest is: read together, for metrics."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from clients.store.engine import Database
from models.order import TERMINAL_STATUSES, Order, OrderStatus, Reason, Stage
from models.records import (
    AuditEntry,
    BrokerSnapshotRow,
    ClaimState,
    HousePosition,
    ItemKind,
    ItemState,
    Placement,
    SettlementItem,
)

_CLOCK = {
    "sqlite": "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "mysql": "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%d %H:%i:%s.%f')",
}


class ItemLevel(NamedTuple):
    """How many items, and when the oldest was written (naive UTC)."""

    number: int
    oldest: datetime


class Levels(NamedTuple):
    """Members that nothing is in are absent. Times: naive UTC; None: there is none.

    oldest: when the oldest order that has not ended was admitted, by stage. unknown: when the
    oldest placement without an outcome was claimed. book_read: end of the last complete read.
    unsealed_since: when the oldest entry of the audit log without a place was written.
    """

    failed: Mapping[Reason, int]
    oldest: Mapping[Stage, datetime]
    items: Mapping[tuple[ItemKind, ItemState], ItemLevel]
    unknown: datetime | None
    book_read: datetime | None
    house: int
    unsealed: int
    unsealed_since: datetime | None


class LevelReader:
    """A constant number of statements, whatever there is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Levels:
        """Everything, at one moment."""
        return await self._database.read("measuring", _levels)

    async def clock(self) -> datetime:
        """What time the database has, UTC; SQLite's is this machine's."""

        def work(session: Session) -> datetime:
            dialect = session.get_bind().dialect.name
            told = session.connection().execute(text(_CLOCK[dialect])).scalar_one()
            return datetime.fromisoformat(str(told)).replace(tzinfo=UTC)

        return await self._database.read("reading the clock", work)


def _levels(session: Session) -> Levels:
    waiting = select(func.count(), func.min(AuditEntry.at)).where(col(AuditEntry.seq).is_(None))
    unsealed, unsealed_since = session.exec(waiting).one()
    return Levels(
        failed=_failed(session),
        oldest=_oldest(session),
        items=_items(session),
        unknown=session.exec(
            select(func.min(Placement.created_at)).where(col(Placement.state) == ClaimState.CLAIMED)
        ).one(),
        book_read=session.exec(
            select(func.max(BrokerSnapshotRow.ended_at)).where(
                col(BrokerSnapshotRow.complete).is_(True)
            )
        ).one(),
        house=session.exec(
            select(func.count()).where(col(HousePosition.resolved_at).is_(None))
        ).one(),
        unsealed=unsealed,
        unsealed_since=unsealed_since,
    )


def _failed(session: Session) -> dict[Reason, int]:
    grouped = select(Order.reason, func.count()).where(col(Order.status) == OrderStatus.FAILED)
    return {
        Reason(reason): count for reason, count in session.exec(grouped.group_by(col(Order.reason)))
    }


def _oldest(session: Session) -> dict[Stage, datetime]:
    open_ones = frozenset(OrderStatus) - TERMINAL_STATUSES
    chosen = select(Order.stage, func.min(Order.created_at)).where(col(Order.status).in_(open_ones))
    return {Stage(stage): at for stage, at in session.exec(chosen.group_by(col(Order.stage)))}


def _items(session: Session) -> dict[tuple[ItemKind, ItemState], ItemLevel]:
    kind, state = col(SettlementItem.kind), col(SettlementItem.state)
    grouped = select(
        SettlementItem.kind, SettlementItem.state, func.count(), func.min(SettlementItem.created_at)
    ).group_by(kind, state)
    return {
        (ItemKind(what), ItemState(where)): ItemLevel(count, at)
        for what, where, count, at in session.exec(grouped)
    }
