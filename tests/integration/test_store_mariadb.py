"""The store's contract on MariaDB, and what only a server can do to a connection."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlmodel import Session, SQLModel

from bronco.services import Mariadb
from clients.store import Store, upgrade
from clients.store.engine import create_database_engine, lock_row
from models.changes import Change, ChangeKind
from models.control import ControlState
from models.errors import SourceUnavailable
from tests.contracts.api_keys import *  # noqa: F403
from tests.contracts.auditing import *  # noqa: F403
from tests.contracts.book import *  # noqa: F403
from tests.contracts.builders import NOW
from tests.contracts.changes import *  # noqa: F403
from tests.contracts.decisions import *  # noqa: F403
from tests.contracts.fixtures import *  # noqa: F403
from tests.contracts.items import *  # noqa: F403
from tests.contracts.levels import *  # noqa: F403
from tests.contracts.once import *  # noqa: F403
from tests.contracts.orders import *  # noqa: F403
from tests.contracts.pages import *  # noqa: F403
from tests.contracts.placements import *  # noqa: F403
from tests.contracts.prices import *  # noqa: F403
from tests.contracts.records import *  # noqa: F403
from tests.contracts.reserves import *  # noqa: F403
from tests.contracts.review import *  # noqa: F403
from tests.contracts.sessions import *  # noqa: F403
from tests.contracts.statements import *  # noqa: F403
from tests.contracts.transactions import *  # noqa: F403
from tests.contracts.webhooks import *  # noqa: F403


@pytest_asyncio.fixture(scope="module")
async def shared_url(mariadb: Mariadb) -> AsyncIterator[str]:
    name = f"bronco_{uuid.uuid4().hex}"
    await mariadb.create_database(name)
    await asyncio.to_thread(upgrade, mariadb.url(name))
    yield mariadb.url(name)
    await mariadb.drop_database(name)


@pytest.fixture
def migrated_url(shared_url: str) -> str:
    """The module's database, emptied: migrating one per test would take most of the time."""
    engine = create_database_engine(shared_url)
    with engine.begin() as connection:
        for table in SQLModel.metadata.tables.values():
            emptied = table.update().values(version=0, note="")
            connection.execute(emptied if table.name == "locks" else table.delete())
    engine.dispose()
    return shared_url


async def kill_connections(mariadb: Mariadb, url: str) -> int:
    """Cut every connection to the database of this URL."""
    name = url.rsplit("/", 1)[1].split("?")[0]

    def work(session: Session) -> int:
        listed = text("SELECT id FROM information_schema.processlist WHERE db = :name")
        ids = list(session.execute(listed, {"name": name}).scalars())
        for number in ids:
            session.execute(text(f"KILL CONNECTION {int(number)}"))
        return len(ids)

    outsider = Store(mariadb.url("bronco"), pool_size=1)
    try:
        return await outsider._database.read("killing connections", work)
    finally:
        outsider.close()


async def test_connections__killed_while_idle__nobody_notices(
    store: Store, migrated_url: str, mariadb: Mariadb
) -> None:
    await store.ping()

    assert await kill_connections(mariadb, migrated_url) >= 1
    await store.ping()


async def test_connection__killed_in_a_transaction__it_is_carried_out_again(
    store: Store,
) -> None:
    runs = 0

    def work(session: Session) -> None:
        nonlocal runs
        runs += 1
        lock_row(session, "holds").version += 1
        session.flush()
        if runs == 1:
            own = session.execute(text("SELECT CONNECTION_ID()")).scalar_one()
            session.execute(text(f"KILL CONNECTION {own}"))

    await store._database.write("being killed", work)

    assert runs == 2
    assert await store.holds.newest_version() == 1


async def test_lock__held_too_long_by_another__is_waited_for(
    store: Store, other_store: Store
) -> None:
    loop = asyncio.get_running_loop()
    locked, release = asyncio.Event(), asyncio.Event()

    def holding(session: Session) -> None:
        lock_row(session, "holds").version = 7
        session.flush()
        loop.call_soon_threadsafe(locked.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)

    holder = asyncio.create_task(other_store._database.write("holding", holding))
    await locked.wait()
    waiting = asyncio.create_task(
        store._database.write("waiting", lambda s: lock_row(s, "holds").version)
    )
    # The reader of committed rows is not kept waiting by the lock.
    assert await store.holds.newest_version() == 0
    assert not waiting.done()
    release.set()
    await holder

    assert await waiting == 7


async def test_changes__committed_out_of_order__none_is_skipped(
    store: Store, other_store: Store
) -> None:
    """A reader that goes by ids would miss the first: it commits after the second was read."""
    paused = ControlState(paused=False, version=7)
    loop = asyncio.get_running_loop()
    inserted, release = asyncio.Event(), asyncio.Event()

    def slow(session: Session) -> None:
        session.add(Change(kind=ChangeKind.ORDER, request_id="slow", content="{}", at=NOW))
        session.flush()
        loop.call_soon_threadsafe(inserted.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)

    writing = asyncio.create_task(other_store._database.write("being slow", slow))
    await inserted.wait()
    await store.holds.record(paused, NOW)
    first = await store.changes.after(0)
    release.set()
    await writing
    second = await store.changes.after(first[-1].seq or 0)

    assert [(each.seq, each.kind) for each in first] == [(1, ChangeKind.CONTROL)]
    assert [(each.seq, each.request_id) for each in second] == [(2, "slow")]
    assert (second[0].id or 0) < (first[0].id or 0)


async def test_text__longer_than_its_column__is_refused_not_cut(store: Store) -> None:
    def work(session: Session) -> None:
        lock_row(session, "holds").note = "x" * 200

    with pytest.raises(Exception, match="Data too long"):
        await store._database.write("writing too much", work)


async def test_store__wrong_password__is_unavailable_without_saying_it(
    mariadb: Mariadb,
) -> None:
    url = mariadb.url("bronco").replace(mariadb.password, "wrong-password-0")
    store = Store(url, pool_size=1)

    with pytest.raises(SourceUnavailable, match="Access denied") as caught:
        await store.ping()

    assert "wrong-password-0" not in str(caught.value)
    with pytest.raises(SourceUnavailable, match="Access denied"):
        upgrade(url)
    store.close()


async def test_store__nobody_listens__is_unavailable(mariadb: Mariadb) -> None:
    url = mariadb.url("bronco").replace(f":{mariadb.port}/", ":1/")
    store = Store(url, pool_size=1)

    with pytest.raises(SourceUnavailable, match="Can't connect"):
        await store.ping()
    store.close()
