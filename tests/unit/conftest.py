"""Unit tests reach no network: a socket other than a Unix one raises."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pytest_socket import disable_socket, enable_socket

from clients.store import Store, upgrade


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)  # an event loop wakes itself through one
    yield
    enable_socket()


@pytest.fixture(scope="session")
def empty_tables(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tables") / "bronco.db"
    upgrade(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
async def sqlite_store(empty_tables: bytes, tmp_path: Path) -> AsyncIterator[Store]:
    """A store of the test's own on SQLite, with all tables and no rows."""
    path = tmp_path / "bronco.db"
    path.write_bytes(empty_tables)
    store = Store(f"sqlite:///{path}", pool_size=2)
    yield store
    store.close()
