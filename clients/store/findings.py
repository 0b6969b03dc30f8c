"""The `findings` table: mismatches that reconcile saw."""

from sqlalchemy import update
from sqlmodel import Session, col, select

from clients.store.engine import Database, lock_row
from models.drafts import Observation, Observations
from models.records import Finding

_LOCK = "findings"


class Findings:
    """Mismatches; one counts when two consecutive runs saw it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next_run(self) -> int:
        """Number for the run that begins now: one above the newest observed."""
        return await self._database.read(
            "numbering a reconcile run", lambda session: lock_row(session, _LOCK).version + 1
        )

    async def observe(self, run: int, seen: Observations) -> list[Finding]:
        """Record all that a run saw (nothing too); returns what the run before it saw as well.

        The run before is the newest one that was observed, whatever its number. A run is recorded
        once: the same run again returns the same, an older one returns nothing.
        """
        observations = {key: Observation(key, kind, detail) for key, kind, detail in seen}

        def work(session: Session) -> list[Finding]:
            newest = lock_row(session, _LOCK)
            if run < newest.version:
                return []
            if run > newest.version:
                _merge(session, observations, run, previous=newest.version)
                newest.version = run
                session.flush()
            return _standing(session, run)

        return await self._database.write("recording findings", work)

    async def mark_handled(self, key: str, handled: str) -> bool:
        """Note what was done about a finding; forgotten when it goes away and comes back."""
        noted = update(Finding).where(col(Finding.key) == key).values(handled=handled)

        def work(session: Session) -> bool:
            return session.execute(noted).rowcount > 0  # type: ignore[attr-defined, no-any-return]

        return await self._database.write("marking a finding", work)

    async def standing(self) -> list[Finding]:
        """What the newest run and the one before it both saw."""
        return await self._database.read(
            "reading findings",
            lambda session: _standing(session, lock_row(session, _LOCK).version),
        )


def _merge(session: Session, observations: dict[str, Observation], run: int, previous: int) -> None:
    known = select(Finding).where(col(Finding.key).in_(observations))
    rows = {row.key: row for row in session.exec(known)}
    for key, seen in observations.items():
        row = rows.get(key)
        if row is None:
            session.add(_finding(seen, run))
        elif row.last_run == previous:
            row.detail, row.last_run, row.times = seen.detail, run, row.times + 1
        else:
            # It went away in between: it has to prove itself again.
            row.sqlmodel_update(_finding(seen, run).model_dump())


def _finding(seen: Observation, run: int) -> Finding:
    return Finding(
        key=seen.key, kind=seen.kind, detail=seen.detail, first_run=run, last_run=run, times=1
    )


def _standing(session: Session, run: int) -> list[Finding]:
    chosen = select(Finding).where(col(Finding.last_run) == run, col(Finding.times) >= 2)
    return list(session.exec(chosen.order_by(col(Finding.first_run), col(Finding.key))))
