"""The `request_keys` table: what a caller asked to be done once, and the answer it had."""

from datetime import datetime, timedelta

from sqlalchemy import Delete, Update, delete, update
from sqlmodel import Session, col, select

from clients.store.engine import Database
from clients.store.inserts import insert_absent
from models.columns import naive_utc
from models.once import Admitted, RequestKey, Turn


class RequestKeys:
    """Who carries a request out, decided by one insert; what it came to, for whoever asks again.

    Nothing is locked for good: whoever died in between is followed by the next one once
    `runs_until` has passed, and what it does has an id of its own and happens once all the same.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, scope: str, digest: str, token: str, *, runs: timedelta, now: datetime
    ) -> Admitted:
        """Say what a request with this key is to do. The same token again: it goes, again."""
        moment = naive_utc(now)
        mine = RequestKey(
            scope=scope,
            digest=digest,
            token=token,
            runs_until=moment + runs,
            created_at=moment,
        )

        def work(session: Session) -> Admitted:
            insert_absent(session, mine, "scope")
            chosen = select(RequestKey).where(col(RequestKey.scope) == scope)
            row = session.exec(chosen.with_for_update()).one()
            turn = _turn(row, digest, token, moment)
            if turn is Turn.GO:
                row.token, row.runs_until = token, moment + runs
                session.add(row)
            return Admitted(turn, row)

        return await self._database.write("admitting a request", work)

    async def finish(
        self, scope: str, token: str, status: int, media_type: str, answer: str | None
    ) -> bool:
        """Keep the answer; None: only that it was given. False: another one has taken over."""
        values = {
            "status": status,
            "media_type": media_type[:80],
            "answer": answer or "",
            "kept": answer is not None,
        }
        kept = (
            update(RequestKey)
            .where(col(RequestKey.scope) == scope, col(RequestKey.token) == token)
            .values(values)
            .execution_options(synchronize_session=False)
        )
        return await self._change("keeping an answer", kept)

    async def release(self, scope: str, token: str) -> bool:
        """Nothing was decided: the next one with this key goes at once."""
        gone = (
            delete(RequestKey)
            .where(col(RequestKey.scope) == scope, col(RequestKey.token) == token)
            .where(col(RequestKey.status) == 0)
            .execution_options(synchronize_session=False)
        )
        return await self._change("releasing a request", gone)

    async def forget(self, before: datetime) -> None:
        """Drop keys that were first used before this."""
        old = delete(RequestKey).where(col(RequestKey.created_at) < naive_utc(before))
        await self._change("dropping old keys", old.execution_options(synchronize_session=False))

    async def _change(self, doing: str, statement: Update | Delete) -> bool:
        def work(session: Session) -> bool:
            done = session.execute(statement)
            return bool(done.rowcount)  # type: ignore[attr-defined]

        return await self._database.write(doing, work)


def _turn(row: RequestKey, digest: str, token: str, now: datetime) -> Turn:
    if row.digest != digest:
        return Turn.OTHER_BODY
    if row.status:
        return Turn.ANSWERED
    return Turn.GO if row.token == token or row.runs_until <= now else Turn.RUNNING
