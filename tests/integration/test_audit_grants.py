"""The rights that the runbook gives to Bronco's user: for all its work, not to remove entries."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import text
from sqlmodel import Session

from bronco.services import Mariadb
from clients.store import Store, upgrade
from models.drafts import AuditDraft
from models.errors import SourceUnavailable
from tests.contracts.builders import (
    NOW,
    PLENTY,
    claim_draft,
    request_id,
    settlement_item,
    vault_request,
)
from tests.contracts.records import write_entries

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
DATABASE = "bronco_grants"
PASSWORD = "only-for-this-test"


def grants() -> list[str]:
    """The statements of the runbook, for our database."""
    (block,) = re.findall(r"```sql\n(.*?)```", RUNBOOK.read_text(), re.S)
    statements = (line.strip() for line in block.replace("bronco.", f"{DATABASE}.").split(";"))
    return [statement for statement in statements if statement]


def as_root(mariadb: Mariadb, statements: list[str]) -> list[str]:
    """Run them, then every statement that they select."""
    home = mariadb.process.program.log.parent
    with (
        pymysql.connect(unix_socket=str(home / "data" / "server.sock"), user="root") as root,
        root.cursor() as cursor,
    ):
        found: list[str] = []
        for statement in statements:
            cursor.execute(statement)
            found += [row[0] for row in cursor.fetchall()] if cursor.description else []
        for statement in found:
            cursor.execute(statement)
    return found


@pytest.fixture
async def store(mariadb: Mariadb) -> AsyncIterator[Store]:
    await mariadb.create_database(DATABASE)
    url = mariadb.url(DATABASE)
    await asyncio.to_thread(upgrade, url)
    user = f"CREATE OR REPLACE USER 'app'@'%' IDENTIFIED BY '{PASSWORD}'"
    await asyncio.to_thread(as_root, mariadb, [user, *grants()])
    as_app = url.replace(f"{mariadb.user}:{mariadb.password}", f"app:{PASSWORD}")
    opened = Store(as_app, pool_size=2)
    yield opened
    opened.close()
    await mariadb.drop_database(DATABASE)


async def test_grants__of_the_runbook__let_bronco_work_and_remove_nothing(
    store: Store,
) -> None:
    await store.orders.admit(
        vault_request(), workflow_id="w", symbol="AAPL", tx_hash="0x1", now=NOW
    )
    await store.placements.claim(claim_draft(request_id(2)), PLENTY, NOW)
    assert (await store.items.enqueue(settlement_item(1))).id
    await write_entries(store, 1, 3)
    assert not await store.audit.append(AuditDraft("k1", "again"), NOW)
    assert await store.audit.seal() == 6
    assert await store.audit.verify() is None

    for statement in (
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DROP TABLE audit_log",
        "DELETE FROM audit_heads",
    ):

        def work(session: Session, statement: str = statement) -> None:
            session.execute(text(statement))

        with pytest.raises(SourceUnavailable, match="denied"):
            await store._database.write("tampering", work)
    assert await store.audit.verify() is None
