"""The store's contract on SQLite."""

import sqlite3
import threading
from pathlib import Path

import pytest

from clients.store import upgrade
from clients.store.engine import create_database_engine
from tests.contracts.api_keys import *  # noqa: F403
from tests.contracts.auditing import *  # noqa: F403
from tests.contracts.book import *  # noqa: F403
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


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bronco.db"


@pytest.fixture
def migrated_url(database_url: str) -> str:
    upgrade(database_url)
    return database_url


def test_open__somebody_writes_a_file_without_a_log_yet__waits_for_it(tmp_path: Path) -> None:
    """Several processes begin with the same new file at once."""
    file = tmp_path / "bronco.db"
    writer = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    writer.execute("CREATE TABLE seen (n INT)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO seen VALUES (1)")
    ends = threading.Timer(0.3, writer.execute, ["COMMIT"])
    ends.start()

    engine = create_database_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()
    ends.join()
    writer.close()
