"""A store on empty tables. `database_url` (no tables yet) and `migrated_url` are the tier's own."""

from collections.abc import AsyncIterator

import pytest

from clients.store import Store


@pytest.fixture
async def store(migrated_url: str) -> AsyncIterator[Store]:
    opened = Store(migrated_url, pool_size=4)
    yield opened
    opened.close()


@pytest.fixture
async def other_store(migrated_url: str) -> AsyncIterator[Store]:
    """Another worker's: its own threads and connections on the same database."""
    opened = Store(migrated_url, pool_size=4)
    yield opened
    opened.close()
