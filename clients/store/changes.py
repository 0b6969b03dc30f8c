"""The `changes` table: what happened to orders and control, in an order that readers can go by."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, func, or_, update
from sqlmodel import Session, col, select

from clients.store.engine import Database, lock_row
from models.canonical import canonical_json
from models.changes import Change, ChangeKind
from models.columns import naive_utc
from models.control import ControlState

_LOCK = "changes"
_PAGE = 500
_NOT_SHOWN = frozenset({"version", "updated_at", "hold_version"})
_MOVES = ("stage", "status", "filled_quantity")


class Span(NamedTuple):
    """What is kept: the places of the oldest and of the newest change; (n + 1, n) = nothing is."""

    oldest: int
    newest: int


class Changes:
    """Changes are inserted without a place; whoever reads gives places to those that have none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, seq: int, limit: int = _PAGE) -> list[Change]:
        """Changes with a later place than `seq`, in order. Later calls only ever add later ones."""
        later = col(Change.seq) > seq
        rows = await self._read(or_(later, col(Change.seq).is_(None)), limit)
        if all(row.seq is not None for row in rows):
            return rows
        await self.place()
        return await self._read(later, limit)

    async def place(self, limit: int = _PAGE) -> int:
        """Give a place to the oldest changes without one; returns how many. One does it at a time.

        An order's own changes are committed one after the other, so their ids, and with them their
        places, are in the order in which they happened.
        """

        def work(session: Session) -> int:
            head = lock_row(session, _LOCK)
            waiting = select(Change.id).where(col(Change.seq).is_(None))
            ids = session.exec(waiting.order_by(col(Change.id)).limit(limit)).all()
            for number in ids:
                head.version += 1
                session.execute(
                    update(Change)
                    .where(col(Change.id) == number)
                    .values(seq=head.version)
                    .execution_options(synchronize_session=False)
                )
            return len(ids)

        return await self._database.write("numbering changes", work)

    async def span(self) -> Span:
        """Which places are kept, after everything that is committed has one."""
        while await self.place() == _PAGE:
            pass

        def work(session: Session) -> Span:
            newest = lock_row(session, _LOCK).version
            oldest = session.exec(select(func.min(Change.seq))).one()
            return Span(oldest or newest + 1, newest)

        return await self._database.read("reading the newest change", work)

    async def first_since(self, moment: datetime) -> int:
        """The place before the first change that happened at or after a moment."""
        chosen = select(func.min(Change.seq)).where(col(Change.at) >= naive_utc(moment))
        newest = (await self.span()).newest
        found = await self._database.read(
            "looking for a change", lambda session: session.exec(chosen).one()
        )
        return newest if found is None else found - 1

    async def prune(self, before: datetime, limit: int = _PAGE) -> int:
        """Forget changes that happened before a moment and have a place; returns how many."""
        old = select(Change.id).where(
            col(Change.at) < naive_utc(before), col(Change.seq).is_not(None)
        )

        def work(session: Session) -> int:
            ids = session.exec(old.order_by(col(Change.id)).limit(limit)).all()
            session.execute(
                delete(Change)
                .where(col(Change.id).in_(ids))
                .execution_options(synchronize_session=False)
            )
            return len(ids)

        return await self._database.write("forgetting old changes", work)

    async def _read(self, which: ColumnElement[bool], limit: int) -> list[Change]:
        chosen = select(Change).where(which).order_by(col(Change.seq)).limit(limit)
        return await self._database.read(
            "reading changes", lambda session: list(session.exec(chosen))
        )


def write_order_change(
    session: Session, before: Mapping[str, Any] | None, after: Mapping[str, Any], now: datetime
) -> None:
    """Insert what became of an order's row, in the transaction of it; nothing if nothing shows.

    before: None = the row is new.
    """
    old = before or {}
    if all(old.get(name) == value for name, value in _shown(after).items()):
        return
    session.add(
        Change(
            kind=ChangeKind.ORDER,
            request_id=after["request_id"],
            moved=any(old.get(name) != after[name] for name in _MOVES),
            content=canonical_json(after),
            at=naive_utc(now),
        )
    )


def write_control_change(session: Session, state: ControlState, now: datetime) -> None:
    """Insert the holds as they are now, in the transaction that records them."""
    content = canonical_json(state.model_dump(mode="json"))
    session.add(Change(kind=ChangeKind.CONTROL, content=content, at=naive_utc(now)))


def newest_of(changes: Sequence[Change], otherwise: int) -> int:
    """The place of the last of these."""
    return (changes[-1].seq if changes else None) or otherwise


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _NOT_SHOWN}
