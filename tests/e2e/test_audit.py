"""Invariant 6: the audit log tells of every change, and who changes the log is found out."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, text

from bronco.proof import NAMES, prove
from models.order import OrderStatus
from models.records import AuditEntry
from tests.e2e.desk import Desk
from tests.waiting import eventually

_CHANGE = text("UPDATE audit_log SET data = :data WHERE id = :id")
_COLUMNS = ", ".join(AuditEntry.model_fields)
_VALUES = ", ".join(f":{name}" for name in AuditEntry.model_fields)


@contextmanager
def database(desk: Desk) -> Iterator[Connection]:
    """The database as somebody with its password has it, past all our code."""
    engine = create_engine(desk.stack.database_url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


async def broken(desk: Desk) -> dict[str, str]:
    verdicts = await prove(desk.stack, desk.play.pauses)
    return {name: verdict.detail for name, verdict in verdicts.items() if not verdict.ok}


async def settled_entry(desk: Desk) -> AuditEntry:
    """The entry that tells of a deposit's settlement item, once it is sealed."""
    made = await desk.deposit()
    await desk.end(made, OrderStatus.EXECUTED)

    async def sealed() -> AuditEntry | None:
        entries = await desk.store.audit.of_request(made.request_id)
        found = [entry for entry in entries if entry.action == "settlement.settle"]
        return next((entry for entry in found if entry.seq is not None), None)

    entry = await eventually(sealed)
    assert entry is not None
    return entry


async def test_audit__amount_in_a_sealed_entry_changed__is_seen(embedded_desk: Desk) -> None:
    desk = embedded_desk
    entry = await settled_entry(desk)
    await desk.prove()
    changed = entry.data.replace('"taken":"', '"taken":"1')
    assert changed != entry.data
    with database(desk) as connection:
        connection.execute(_CHANGE, {"data": changed, "id": entry.id})
    try:
        found = await broken(desk)
    finally:
        with database(desk) as connection:
            connection.execute(_CHANGE, {"data": entry.data, "id": entry.id})
    assert set(found) == {NAMES[6]}
    assert f"breaks at {entry.seq} (entry {entry.id}): was changed" in found[NAMES[6]]
    await desk.prove()


async def test_audit__sealed_entry_removed__chain_and_request_miss_it(embedded_desk: Desk) -> None:
    desk = embedded_desk
    entry = await settled_entry(desk)
    with database(desk) as connection:
        connection.execute(text("DELETE FROM audit_log WHERE id = :id"), {"id": entry.id})
    try:
        found = await broken(desk)
    finally:
        with database(desk) as connection:
            again = text(f"INSERT INTO audit_log ({_COLUMNS}) VALUES ({_VALUES})")
            connection.execute(again, entry.model_dump())
    assert set(found) == {NAMES[6]}
    assert f"breaks at {entry.seq}" in found[NAMES[6]]
    assert "no entry tells of settlement.settle" in found[NAMES[6]]
    await desk.prove()
