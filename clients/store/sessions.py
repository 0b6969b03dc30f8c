"""The `dashboard_sessions` table: who is signed in at the dashboard, and until when."""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import Session, col

from clients.store.engine import Database
from clients.store.inserts import write_audit
from models.access import DashboardSession
from models.columns import naive_utc
from models.drafts import AuditDraft

_FORGOTTEN_AFTER = timedelta(days=1)
_DIGITS = 16
"""Of a digest, which name a session in the audit log."""


class Sessions:
    """Sign-ins by the SHA-256 of their cookie; beginning and end are in the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, digest: str, identity: str, who: str, lifetime: timedelta, now: datetime
    ) -> None:
        """Keep a session, and forget those that ended long ago. Idempotency key: its digest."""
        row = DashboardSession(
            digest=digest,
            identity=identity,
            created_at=naive_utc(now),
            expires_at=naive_utc(now + lifetime),
        )
        long_ago = naive_utc(now - _FORGOTTEN_AFTER)

        def work(session: Session) -> None:
            session.execute(
                delete(DashboardSession).where(col(DashboardSession.expires_at) < long_ago)
            )
            if session.get(DashboardSession, digest) is None:
                session.add(DashboardSession(**row.model_dump()))
                write_audit(session, _told("dashboard.signed_in", digest, identity, who), now)

        await self._database.write("beginning a session", work)

    async def find(self, digest: str) -> DashboardSession | None:
        """The session with this digest, also one that opens nothing any more."""
        return await self._database.read(
            "reading a session", lambda session: session.get(DashboardSession, digest)
        )

    async def end(self, digest: str, who: str, now: datetime) -> None:
        """End a session for good; one that is unknown or has ended is left as it is."""

        def work(session: Session) -> None:
            row = session.get(DashboardSession, digest)
            if row is None or row.ended_at is not None:
                return
            row.ended_at = naive_utc(now)
            session.add(row)
            write_audit(session, _told("dashboard.signed_out", digest, row.identity, who), now)

        await self._database.write("ending a session", work)


def _told(action: str, digest: str, identity: str, who: str) -> AuditDraft:
    data = {"session": digest[:_DIGITS], "key": identity}
    return AuditDraft(f"{action}:{digest[:_DIGITS]}", action, actor=who, data=data)
