"""What happens when the database is slow, gone, or takes its answer with it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pymysql
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, SQLModel

from clients.store import Store, upgrade
from clients.store.engine import create_database_engine, lock_row
from models.broker import BrokerStatus
from models.drafts import AuditDraft, ClaimKind, OrderFilter
from models.errors import SourceUnavailable
from models.order import Stage
from models.records import ClaimState
from tests.contracts.builders import (
    CHAIN,
    NOW,
    PLENTY,
    VAULT,
    broker_order,
    claim_draft,
    house_position,
    later,
    new_request_id,
    request_id,
    settlement_item,
    snapshot,
    vault_request,
)


def lose_commits(store: Store, times: int, *, applied: bool) -> Callable[[], int]:
    """Break the connection in the next commits, after or before they took effect."""
    done = 0

    def commit(connection: Connection) -> None:
        nonlocal done
        if done >= times:
            return
        done += 1
        if applied:
            _commit_now(connection)
        raise OperationalError("COMMIT", None, pymysql.err.OperationalError(2013, "Lost"))

    event.listen(store._database._engine, "commit", commit)
    return lambda: done


def _commit_now(connection: Connection) -> None:
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        raw.execute("COMMIT")
    else:
        raw.commit()


@pytest.mark.parametrize("applied", [True, False])
async def test_lost_commit__claim__is_never_granted_twice(store: Store, applied: bool) -> None:
    draft = claim_draft(new_request_id())
    lost = lose_commits(store, 1, applied=applied)

    first = await store.placements.claim(draft, PLENTY, NOW)

    assert lost() == 1
    # Unknown to us means: find out before anything is sent.
    assert first.kind is (ClaimKind.EXISTS if applied else ClaimKind.CLAIMED)
    assert len(await store.placements.of_request(draft.request_id)) == 1


@pytest.mark.parametrize("applied", [True, False])
async def test_lost_commit__every_write__happens_once(store: Store, applied: bool) -> None:
    request = request_id(1)
    version = 0

    async def admit() -> None:
        nonlocal version
        admission = await store.orders.admit(
            vault_request(1), workflow_id="w", symbol="AAPL", tx_hash="", now=NOW
        )
        version = admission.version

    async def hold() -> None:
        draft = AuditDraft("held:1", "order.held", request)
        await store.orders.update(
            CHAIN, VAULT, request, version, {"stage": Stage.HELD}, audit=draft, now=NOW
        )

    async def claim() -> None:
        await store.placements.claim(claim_draft(request), PLENTY, NOW)

    async def reject() -> None:
        await store.placements.mark(request, 1, ClaimState.REJECTED, now=NOW)

    async def settle() -> None:
        await store.items.enqueue(settlement_item(1))

    async def send() -> None:
        assert len(await store.items.take_batch(CHAIN, VAULT, "batch-1", 5, NOW)) == 1

    for write in (admit, hold, claim, reject, settle, send):
        lost = lose_commits(store, 1, applied=applied)
        await write()
        assert lost() == 1

    row = await store.orders.get(CHAIN, VAULT, request)
    assert (row.stage, row.version) == (Stage.HELD, version)
    assert len((await store.orders.page(OrderFilter())).items) == 1
    assert [entry.action for entry in await store.audit.of_request(request)] == [
        "order.admitted",
        "order.held",
        "placement.claimed",
        "placement.rejected",
        "settlement.settle",
        "settlement.sent",
    ]


@pytest.mark.parametrize("applied", [True, False])
async def test_lost_commit__changed_orders__are_reported_all_the_same(
    store: Store, applied: bool
) -> None:
    order = broker_order(status=BrokerStatus.FILLED, filled=10)
    lose_commits(store, 1, applied=applied)

    assert await store.book.apply([order], NOW) == [order]


async def test_lost_commit__snapshot__counts_as_one_read(store: Store) -> None:
    lose_commits(store, 1, applied=True)

    await store.book.record_snapshot(snapshot(begun=later(10)))

    assert len(await store.book.complete_snapshots_after(NOW, later(-99))) == 1


async def test_lost_commit__findings_and_house__are_counted_once(store: Store) -> None:
    seen = [("k", "kind", "detail")]
    for run in (1, 2):
        lose_commits(store, 1, applied=True)
        found = await store.findings.observe(run, seen)
    lose_commits(store, 1, applied=True)
    await store.house.book(house_position())

    assert [each.times for each in found] == [2]
    assert await store.house.net("AAPL") == 3


async def test_write__database_keeps_failing__gives_up_as_unavailable(store: Store) -> None:
    lost = lose_commits(store, 99, applied=False)

    with pytest.raises(SourceUnavailable, match=r"database .* while appending .*Lost"):
        await store.audit.append(AuditDraft("k", "a"), NOW)

    assert 1 < lost() < 10


async def test_write__work_raises__nothing_is_kept(store: Store) -> None:
    def work(session: Session) -> None:
        lock_row(session, "audit").note = "half done"
        session.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store._database.write("failing", work)

    assert (await store.audit.head()).hash == "0" * 64


async def test_locked_rows__taken_in_opposite_order__both_transactions_finish(
    store: Store, other_store: Store
) -> None:
    def touching(first: str, second: str) -> Callable[[Session], None]:
        def work(session: Session) -> None:
            lock_row(session, first).version += 1
            session.flush()
            lock_row(session, second).version += 1

        return work

    await asyncio.gather(
        *(
            each._database.write("crossing", touching(*names))
            for each, names in [
                (store, ("holds", "findings")),
                (other_store, ("findings", "holds")),
            ]
            * 6
        )
    )

    assert await store.holds.newest_version() == 12
    assert await store.findings.next_run() == 13


async def test_statements__are_counted_without_begin_and_commit(store: Store) -> None:
    before = store.statements

    await store.ping()

    assert store.statements - before == 1


async def test_ping__database_without_tables__says_so(database_url: str) -> None:
    empty = Store(database_url)

    with pytest.raises(SourceUnavailable, match="database could not be asked"):
        await empty.ping()
    empty.close()


async def test_upgrade__by_many_at_once__is_done_once(database_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(upgrade, database_url) for _ in range(3)))

    store = Store(database_url)
    await store.ping()
    store.close()


def test_migrations__and_models__agree(migrated_url: str) -> None:
    engine = create_database_engine(migrated_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, SQLModel.metadata)
    engine.dispose()

    assert differences == []
