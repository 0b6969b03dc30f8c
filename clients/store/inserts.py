"""Inserting what may be there already, and audit entries, which always may be."""

from datetime import datetime

from sqlalchemy import Table
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import Session, SQLModel

from models.canonical import canonical_json
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.records import AuditEntry


def insert_absent(session: Session, row: SQLModel, key: str) -> None:
    """Insert a row unless one with its unique key exists; `key` is a column of that key."""
    table: Table = type(row).__table__  # type: ignore[attr-defined]
    values = row.model_dump(exclude={"id", "internal_id"})
    if session.get_bind().dialect.name == "sqlite":
        session.execute(sqlite_insert(table).values(values).on_conflict_do_nothing())
        return
    # Not INSERT IGNORE, which also ignores values that do not fit.
    absent = mysql_insert(table).values(values)
    session.execute(absent.on_duplicate_key_update({key: table.c[key]}))


def write_audit(session: Session, draft: AuditDraft, now: datetime) -> None:
    """Insert an entry, in the transaction of what it records; a second one changes nothing."""
    insert_absent(session, audit_entry(draft, now), "event_key")


def audit_entry(draft: AuditDraft, now: datetime) -> AuditEntry:
    """The row of a draft."""
    return AuditEntry(
        event_key=draft.event_key,
        request_id=draft.request_id.lower(),
        actor=draft.actor,
        action=draft.action,
        data=canonical_json(draft.data),
        at=naive_utc(now),
    )
