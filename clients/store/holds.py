"""The `holds` table: every hold that was ever set, for people."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from clients.store.changes import write_control_change
from clients.store.engine import Database, lock_row
from clients.store.inserts import write_audit
from models.columns import naive_utc
from models.control import ControlState, Hold, HoldKind
from models.drafts import AuditDraft
from models.records import HoldRow
from models.requests import Side

_LOCK = "holds"


class Holds:
    """The history of holds; the control workflow decides, this reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, state: ControlState, now: datetime, *, audits: Sequence[AuditDraft] = ()
    ) -> bool:
        """Bring the rows to this state; False when this or a newer one was recorded already.

        audits: who changed what; only the caller knows who lifted a hold. Written in either case.
        """
        moment = naive_utc(now)

        def work(session: Session) -> bool:
            for draft in audits:
                write_audit(session, draft, moment)
            newest = lock_row(session, _LOCK)
            if state.version <= newest.version:
                return False
            newest.version = state.version
            write_control_change(session, state, moment)
            _bring(session, state, moment)
            return True

        return await self._database.write("recording holds", work)

    async def repair(self, state: ControlState, now: datetime) -> bool:
        """Bring the rows to this state though it was recorded already: somebody changed them.

        False, and nothing changes, when another state was recorded meanwhile.
        """
        moment = naive_utc(now)

        def work(session: Session) -> bool:
            if lock_row(session, _LOCK).version != state.version:
                return False
            write_control_change(session, state, moment)
            _bring(session, state, moment)
            return True

        return await self._database.write("repairing holds", work)

    async def state(self) -> ControlState:
        """The holds as they were last recorded, for people."""

        def work(session: Session) -> ControlState:
            version = lock_row(session, _LOCK).version
            holds = tuple(_hold(row) for row in session.exec(_active()))
            paused = any(hold.everything for hold in holds)
            return ControlState(paused=paused, version=version, holds=holds)

        return await self._database.read("reading holds", work)

    async def newest_version(self) -> int:
        """Version of the newest recorded state: where a control workflow begun anew goes on."""
        return await self._database.read(
            "reading the version of the holds", lambda session: lock_row(session, _LOCK).version
        )

    async def active(self) -> list[HoldRow]:
        """Holds that are set, oldest first."""
        return await self._database.read(
            "reading holds", lambda session: list(session.exec(_active()))
        )

    async def history(self, limit: int = 100) -> list[HoldRow]:
        """Holds, newest first."""
        chosen = select(HoldRow).order_by(col(HoldRow.id).desc()).limit(limit)
        return await self._database.read(
            "reading the history of holds", lambda session: list(session.exec(chosen))
        )


def _bring(session: Session, state: ControlState, moment: datetime) -> None:
    standing = {row.key: row for row in session.exec(_active())}
    wanted = {hold.key: hold for hold in state.holds}
    for key, row in standing.items():
        if key not in wanted or not _same(row, wanted[key]):
            _lift(session, row, state.version, moment)
    for key, hold in wanted.items():
        if key not in standing or not _same(standing[key], hold):
            _set(session, hold, state.version, moment)


def _active() -> SelectOfScalar[HoldRow]:
    chosen = select(HoldRow).where(col(HoldRow.lifted_at).is_(None))
    return chosen.order_by(col(HoldRow.id))


def _hold(row: HoldRow) -> Hold:
    return Hold(
        key=row.key,
        kind=HoldKind(row.kind),
        reason=row.reason,
        who=row.who,
        at=row.set_at.replace(tzinfo=UTC).isoformat(),
        side=Side(row.side) if row.side else None,
        symbol=row.symbol,
    )


def _same(row: HoldRow, hold: Hold) -> bool:
    """Whether the row is this very hold, not an earlier one of the same key."""
    scope = (hold.side.value if hold.side else "", hold.symbol)
    return (row.side, row.symbol) == scope and (row.reason, row.who) == (hold.reason, hold.who)


def _set(session: Session, hold: Hold, version: int, now: datetime) -> None:
    side = hold.side.value if hold.side else ""
    session.add(
        HoldRow(
            key=hold.key,
            kind=hold.kind.value,
            side=side,
            symbol=hold.symbol,
            reason=hold.reason,
            who=hold.who,
            set_version=version,
            set_at=now,
        )
    )


def _lift(session: Session, row: HoldRow, version: int, now: datetime) -> None:
    row.lifted_version, row.lifted_at = version, now
