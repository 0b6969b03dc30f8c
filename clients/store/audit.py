"""The `audit_log` table: every change of money or control, chained by hashes."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import func, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from clients.store.audit_check import AuditVerdict, ChainCheck, Progress
from clients.store.engine import Database, lock_row
from clients.store.inserts import audit_entry, insert_absent
from models.audit import GENESIS, START, AuditHeadRow, Sealed, SignedHead, digest
from models.columns import naive_utc
from models.drafts import AuditDraft, AuditFault, AuditHead
from models.records import AuditEntry, LockRow

_LOCK = "audit"
_PAGE = 1000
_COLUMNS = tuple(getattr(AuditEntry, name) for name in Sealed._fields)


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

    async def latest(self, limit: int = 100, before: int = 0) -> list[AuditEntry]:
        """Entries, newest first. before: only those older than the one with this id."""
        chosen = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit)
        if before:
            chosen = chosen.where(col(AuditEntry.id) < before)
        return await self._database.read(
            "reading the audit log", lambda session: list(session.exec(chosen))
        )

    async def seal(self, limit: int = 500) -> int:
        """Give the oldest unsealed entries their place in the chain; returns how many.

        models/audit.py says how hashes are made. One sealer at a time; others wait for it.
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
            return AuditHead(row.version, row.note or GENESIS)

        return await self._database.read("reading the head of the audit log", work)

    async def verify(
        self,
        heads: Iterable[AuditHead] = (),
        since: AuditHead = START,
        report: Progress | None = None,
    ) -> AuditFault | None:
        """As `examine`, the first place alone where it breaks."""
        return (await self.examine(heads, since, report)).fault

    async def examine(
        self,
        heads: Iterable[AuditHead] = (),
        since: AuditHead = START,
        report: Progress | None = None,
    ) -> AuditVerdict:
        """Recompute the chain, from a head that is believed; the first place where it breaks.

        heads: those signed earlier and kept elsewhere, which the log must still have. Entries that
        are not sealed yet are not part of it.
        """
        check = ChainCheck(since, heads)
        early, late = await self._stray()
        fault = early or check.start()
        head = await self.head()
        fault = fault or await self._walk(check, since, head.seq, report)
        fault = fault or check.end(head) or late
        if fault is None and since == START:
            fault = await self._doubled(head)
        checked, unsealed = check.at.seq - since.seq, await self._unsealed()
        return AuditVerdict(fault, check.at, head, checked, unsealed, check.heads)

    async def look_back(
        self, since: AuditHead, heads: Iterable[AuditHead], limit: int
    ) -> tuple[AuditFault | None, AuditHead]:
        """Recompute a stretch of the past, of at most `limit` entries, up to the last of `heads`.

        Returns what is wrong, and where it came to: the next stretch begins there.
        """
        signed = list(heads)
        check = ChainCheck(since, signed)
        until = min(since.seq + limit, signed[-1].seq)
        fault = check.start() or await self._walk(check, since, until)
        if fault is None and check.at.seq < until:
            words = f"missing: a head was signed for {signed[-1].seq}"
            fault = AuditFault(check.at.seq + 1, 0, words)
        return fault, check.at

    async def _walk(
        self, check: ChainCheck, since: AuditHead, until: int, report: Progress | None = None
    ) -> AuditFault | None:
        """Take what there is up to a place; ends at the first that is wrong."""
        while check.at.seq < until:
            page = await self.sealed(check.at.seq, until)
            fault = _first(map(check.take, page))
            if fault is not None or not page:
                return fault
            if report is not None:
                report(check.at.seq - since.seq, until - since.seq)
        return None

    async def sealed(self, after: int, until: int, limit: int = _PAGE) -> list[Sealed]:
        """Sealed entries in a range of the chain, `after` not included, in its order."""
        chosen = sql_select(*_COLUMNS).where(
            col(AuditEntry.seq) > after, col(AuditEntry.seq) <= until
        )
        page = chosen.order_by(col(AuditEntry.seq)).limit(limit)
        return await self._database.read(
            "verifying the audit log",
            lambda session: [Sealed(*row) for row in session.execute(page)],
        )

    async def sealed_of(self, request_id: str) -> list[Sealed]:
        """Sealed entries of a request, in the chain's order."""
        chosen = sql_select(*_COLUMNS).where(
            col(AuditEntry.request_id) == request_id.lower(), col(AuditEntry.seq) > 0
        )
        ordered = chosen.order_by(col(AuditEntry.seq))
        return await self._database.read(
            "reading sealed entries",
            lambda session: [Sealed(*row) for row in session.execute(ordered)],
        )

    async def keep_head(self, signed: SignedHead) -> None:
        """Keep a signed head for receipts. Idempotency key: its place."""
        row = AuditHeadRow(
            seq=signed.seq,
            content=signed.model_dump_json(),
            signed_at=naive_utc(datetime.fromtimestamp(signed.time, UTC)),
        )

        def work(session: Session) -> None:
            insert_absent(session, row, "seq")

        await self._database.write("keeping a signed head", work)

    async def heads_from(self, seq: int) -> list[SignedHead]:
        """Signed heads of this place and later ones, in the chain's order, and nothing else."""
        chosen = select(AuditHeadRow.content).where(col(AuditHeadRow.seq) >= seq)
        ordered = chosen.order_by(col(AuditHeadRow.seq))
        return await self._database.read(
            "reading signed heads",
            lambda session: [head for row in session.exec(ordered) for head in _read(row)],
        )

    async def _stray(self) -> tuple[AuditFault | None, AuditFault | None]:
        """Rows with places that no sealer gave: before the first, and beyond the head."""
        placed = select(AuditEntry.id, AuditEntry.seq).where(col(AuditEntry.seq).is_not(None))
        lowest = placed.order_by(col(AuditEntry.seq)).limit(1)
        newest = placed.order_by(col(AuditEntry.seq).desc()).limit(1)

        def work(session: Session) -> tuple[AuditFault | None, AuditFault | None]:
            # The head is read last: a sealer may be at work, and never takes anything back.
            low, high = session.exec(lowest).first(), session.exec(newest).first()
            head = lock_row(session, _LOCK).version
            return _stranger(low, 1, 2**63), _stranger(high, 1, head)

        return await self._database.read("looking for stray entries", work)

    async def _doubled(self, head: AuditHead) -> AuditFault | None:
        """Whether places up to the head are taken twice; the unique index may have been dropped."""
        twice = (
            select(AuditEntry.seq, func.max(AuditEntry.id))
            .where(col(AuditEntry.seq) > 0, col(AuditEntry.seq) <= head.seq)
            .group_by(col(AuditEntry.seq))
            .having(func.count() > 1)
            .order_by(col(AuditEntry.seq))
            .limit(1)
        )

        def work(session: Session) -> AuditFault | None:
            found = session.exec(twice).first()
            return AuditFault(found[0] or 0, found[1] or 0, "its place is taken") if found else None

        return await self._database.read("looking for places taken twice", work)

    async def _unsealed(self) -> int:
        counted = select(func.count()).where(col(AuditEntry.seq).is_(None))
        return await self._database.read(
            "counting unsealed entries", lambda session: int(session.exec(counted).one())
        )


def _read(row: str) -> Iterator[SignedHead]:
    """The head in a row, if it is one: whoever writes there must not stop who reads."""
    with suppress(ValidationError):
        yield SignedHead.model_validate_json(row)


def _stranger(
    row: tuple[int | None, int | None] | None, least: int, most: int
) -> AuditFault | None:
    if row is None or least <= (row[1] or 0) <= most:
        return None
    return AuditFault(row[1] or 0, row[0] or 0, "has a place that nobody gave it")


def _first(faults: Iterator[AuditFault | None]) -> AuditFault | None:
    return next((fault for fault in faults if fault is not None), None)


def _chain(session: Session, head: LockRow, entries: list[AuditEntry]) -> None:
    seq, previous = head.version, head.note or GENESIS
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
