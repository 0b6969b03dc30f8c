"""The `api_keys` table: who may use the API, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlmodel import Session, col, select

from clients.store.engine import Database, lock_row
from clients.store.inserts import write_audit
from models.access import ApiKey, Role
from models.columns import naive_utc
from models.drafts import AuditDraft, Page
from models.errors import Conflict, NotFound

_AT_A_TIME = 2
_USED_EVERY = timedelta(minutes=1)
_REVOKED = "api_key.revoked"
_LOCK = "api_keys"
"""Two that are made for one name at once would each see that the other is not there."""


@dataclass(frozen=True, slots=True)
class KeyDraft:
    """A key to be. key_id, digest: of its text, which never comes here. lifetime: until it expires.

    who: makes it, for the audit log.
    """

    key_id: str
    digest: str
    lifetime: timedelta
    who: str


class ApiKeys:
    """Keys by the SHA-256 of their text; each change is in the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, role: Role, draft: KeyDraft, now: datetime) -> ApiKey:
        """Keep a key under a name that has no valid one. Idempotency key: its key_id.

        Raises:
            Conflict: the name has a valid key; rotate that one.
        """

        def work(session: Session) -> ApiKey:
            lock_row(session, _LOCK)
            if (known := _by_key_id(session, draft.key_id)) is not None:
                return known
            if _valid(session, name, now):
                raise Conflict("key", name, "it has one that is valid: rotate it, or revoke it")
            made = _insert(session, name, role, draft, now)
            write_audit(session, _told("api_key.created", made, draft.who), now)
            return made

        return await self._database.write("keeping an API key", work)

    async def rotate(
        self, name: str, draft: KeyDraft, overlap: timedelta, now: datetime
    ) -> tuple[ApiKey, ApiKey]:
        """Keep a second key of the same name and role; the first expires after `overlap`.

        Answers the new one and the old one. Idempotency key: the new one's key_id.

        Raises:
            NotFound: the name has no valid key.
            Conflict: two are valid already.
        """

        def work(session: Session) -> tuple[ApiKey, ApiKey]:
            lock_row(session, _LOCK)
            valid = _valid(session, name, now)
            others = [row for row in valid if row.key_id != draft.key_id]
            if not others:
                raise NotFound("valid key named", name)
            if (known := _by_key_id(session, draft.key_id)) is not None:
                return known, others[0]
            if len(others) >= _AT_A_TIME:
                raise Conflict("key", name, "two are valid: revoke one, or wait until it expires")
            old = others[0]
            made = _insert(session, name, old.role, draft, now)
            old.expires_at = min(old.expires_at, naive_utc(now + overlap))
            session.add(old)
            more = {"old_key_id": old.key_id, "old_expires_at": old.expires_at}
            write_audit(session, _told("api_key.rotated", made, draft.who, more), now)
            return made, old

        return await self._database.write("rotating an API key", work)

    async def revoke(self, which: str, who: str, reason: str, now: datetime) -> Sequence[ApiKey]:
        """End a key by its key_id, or all valid ones of a name, for good; answers which.

        Revoked already: the answer is the same, and nothing changes.

        Raises:
            NotFound: there is no such key.
        """

        def work(session: Session) -> Sequence[ApiKey]:
            one = _by_key_id(session, which)
            rows = [one] if one is not None else _of_name(session, which)
            if not rows:
                raise NotFound("key", which)
            for row in rows:
                if row.revoked_at is None:
                    row.revoked_at = naive_utc(now)
                    session.add(row)
                    write_audit(session, _told(_REVOKED, row, who, {"reason": reason}), now)
            return rows

        return await self._database.write("revoking an API key", work)

    async def find(self, key_id: str) -> ApiKey | None:
        """The key with this public part."""
        return await self._database.read(
            "reading an API key", lambda session: _by_key_id(session, key_id)
        )

    async def page(self, after: int = 0, limit: int = 100) -> Page[ApiKey]:
        """Keys, also those that are valid no more, newest first. after: id of the last one seen."""
        chosen = select(ApiKey).order_by(col(ApiKey.id).desc()).limit(limit + 1)
        if after:
            chosen = chosen.where(col(ApiKey.id) < after)
        rows = await self._database.read(
            "listing API keys", lambda session: list(session.exec(chosen))
        )
        more = len(rows) > limit
        return Page(rows[:limit], str(rows[limit - 1].id) if more else "")

    async def used(self, key_id: str, now: datetime) -> None:
        """Note that the key was used; to the minute, so that reading does not write each time."""
        moment = naive_utc(now)
        at = col(ApiKey.last_used_at)
        noted = (
            update(ApiKey)
            .where(col(ApiKey.key_id) == key_id, or_(at.is_(None), at < moment - _USED_EVERY))
            .values(last_used_at=moment)
            .execution_options(synchronize_session=False)
        )

        def work(session: Session) -> None:
            session.execute(noted)

        await self._database.write("noting that an API key was used", work)


def _by_key_id(session: Session, key_id: str) -> ApiKey | None:
    return session.exec(select(ApiKey).where(col(ApiKey.key_id) == key_id)).first()


def _of_name(session: Session, name: str) -> list[ApiKey]:
    return list(
        session.exec(select(ApiKey).where(col(ApiKey.name) == name).order_by(col(ApiKey.id)))
    )


def _valid(session: Session, name: str, now: datetime) -> list[ApiKey]:
    return [row for row in _of_name(session, name) if row.valid(now)]


def _insert(session: Session, name: str, role: Role, draft: KeyDraft, now: datetime) -> ApiKey:
    row = ApiKey(
        key_id=draft.key_id,
        name=name,
        role=role,
        digest=draft.digest,
        created_by=draft.who,
        created_at=naive_utc(now),
        expires_at=naive_utc(now + draft.lifetime),
    )
    session.add(row)
    session.flush()
    return row


def _told(action: str, row: ApiKey, who: str, more: dict[str, object] | None = None) -> AuditDraft:
    data = {"name": row.name, "role": row.role.value, "key_id": row.key_id}
    expires = {"expires_at": row.expires_at}
    return AuditDraft(
        event_key=f"{action}:{row.key_id}",
        action=action,
        actor=who,
        data=data | expires | (more or {}),
    )
