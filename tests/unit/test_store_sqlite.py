"""The store's contract on SQLite."""

from pathlib import Path

import pytest

from clients.store import upgrade
from tests.contracts.book import *  # noqa: F403
from tests.contracts.fixtures import *  # noqa: F403
from tests.contracts.items import *  # noqa: F403
from tests.contracts.orders import *  # noqa: F403
from tests.contracts.placements import *  # noqa: F403
from tests.contracts.records import *  # noqa: F403
from tests.contracts.review import *  # noqa: F403
from tests.contracts.transactions import *  # noqa: F403


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bronco.db"


@pytest.fixture
def migrated_url(database_url: str) -> str:
    upgrade(database_url)
    return database_url
