"""The `audit_log` table: every change of money or control, chained by hashes."""

import hashlib
from datetime import UTC, datetime

from sqlalchemy import update
from sqlmodel import Session, col, select

from clients.store.engine import Database, lock_row
from clients.store.inserts import audit_entry, canonical_json
from models.drafts import AuditDraft, AuditFault, AuditHead
from models.records import AuditEntry, LockRow

_LOCK = "audit"
_GENESIS = "0" * 64
_PAGE = 1000


class AuditLog:
    """Entries are inserted unchained with the change they record; one sealer chains them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, draft: AuditDraft, now: datetime | None = None) -> bool:
        """Write an entry; False when its event key is there already."""
        entry = audit_entry(draft, now or datetime.now(UTC))

        def work(session: Session) -> bool:
            same = select(AuditEntry.id).where(col(AuditEntry.event_key) == entry.event_key)
            if session.exec(same).first() is not None:
                return False
            session.add(AuditEntry(**entry.model_dump(exclude={"id"})))
            return True

        return await self._database.write("appending to the audit log", work)

    async def of_request(self, request_id: str) -> list[AuditEntry]:
        """Entries of a request, oldest first."""
        chosen = select(AuditEntry).where(col(AuditEntry.request_id) == request_id.lower())
        ordered = chosen.order_by(col(AuditEntry.id))
        return await self._database.read(
            "reading the audit log", lambda session: list(session.exec(ordered))
        )

    async def latest(self, limit: int = 100) -> list[AuditEntry]:
        """Entries, newest first."""
        chosen = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit)
        return await self._database.read(
            "reading the audit log", lambda session: list(session.exec(chosen))
        )

    async def seal(self, limit: int = 500) -> int:
        """Give the oldest unsealed entries their place in the chain; returns how many.

        hash = SHA-256 of the previous hash and the entry's canonical JSON. One sealer at a time;
        others wait for it.
        """

        def work(session: Session) -> int:
            head = lock_row(session, _LOCK)
            unsealed = select(AuditEntry).where(col(AuditEntry.seq).is_(None))
            entries = session.exec(unsealed.order_by(col(AuditEntry.id)).limit(limit)).all()
            _chain(session, head, list(entries))
            return len(entries)

        return await self._database.write("sealing the audit log", work)

    async def head(self) -> AuditHead:
        """The newest sealed place: what a signature has to cover."""

        def work(session: Session) -> AuditHead:
            row = lock_row(session, _LOCK)
            return AuditHead(row.version, row.note or _GENESIS)

        return await self._database.read("reading the head of the audit log", work)

    async def verify(self) -> AuditFault | None:
        """Recompute the chain; the first place where it breaks, None when it holds.

        Entries that are not sealed yet are not part of it.
        """
        head = await self.head()
        seq, previous = 0, _GENESIS
        while seq < head.seq:
            page = await self._sealed(seq, head.seq)
            for entry in page:
                fault = _fault(entry, seq + 1, previous)
                if fault is not None:
                    return fault
                seq, previous = seq + 1, entry.hash
            if not page:
                return AuditFault(seq + 1, 0, f"missing: the head is {head.seq}")
        return None if previous == head.hash else AuditFault(seq, 0, "the head has another hash")

    async def _sealed(self, after: int, until: int) -> list[AuditEntry]:
        chosen = select(AuditEntry).where(col(AuditEntry.seq) > after, col(AuditEntry.seq) <= until)
        page = chosen.order_by(col(AuditEntry.seq)).limit(_PAGE)
        return await self._database.read(
            "verifying the audit log", lambda session: list(session.exec(page))
        )


def _chain(session: Session, head: LockRow, entries: list[AuditEntry]) -> None:
    seq, previous = head.version, head.note or _GENESIS
    for entry in entries:
        seq += 1
        sealed_hash = digest(entry, seq, previous)
        sealed = {"seq": seq, "previous_hash": previous, "hash": sealed_hash}
        session.execute(
            update(AuditEntry)
            .where(col(AuditEntry.id) == entry.id, col(AuditEntry.seq).is_(None))
            .values(sealed)
            .execution_options(synchronize_session=False)
        )
        previous = sealed_hash
    head.version, head.note = seq, previous


def _fault(entry: AuditEntry, seq: int, previous: str) -> AuditFault | None:
    """What is wrong with the entry that should be number `seq`; None when nothing is."""
    entry_id = entry.id or 0
    if entry.seq != seq:
        return AuditFault(seq, 0, f"missing: the next entry is number {entry.seq}")
    if entry.previous_hash != previous:
        return AuditFault(seq, entry_id, "does not follow the entry before it")
    if entry.hash != digest(entry, seq, previous):
        return AuditFault(seq, entry_id, "was changed after it was sealed")
    return None


def digest(entry: AuditEntry, seq: int, previous: str) -> str:
    """The hash of an entry at this place: of all it says, and of the whole chain before it."""
    sealed = {
        "seq": seq,
        "id": entry.id,
        "event_key": entry.event_key,
        "request_id": entry.request_id,
        "actor": entry.actor,
        "action": entry.action,
        "data": entry.data,
        "at": entry.at,
    }
    return hashlib.sha256((previous + canonical_json(sealed)).encode()).hexdigest()
