"""One whole stack for all tests that leave it in one piece, and the proof after each of them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bronco.stack import stack
from tests.e2e.desk import Desk, opened, options
from tests.e2e.watching import Watched, watching


@pytest_asyncio.fixture(scope="session")
async def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    home: Path = tmp_path_factory.mktemp("stack")
    async with stack(options(home)) as running, opened(running) as desk:
        yield desk


@pytest_asyncio.fixture
async def desk(shared_desk: Desk) -> AsyncIterator[Desk]:
    """Users who hold shares, a broker without faults; the invariants hold in the end."""
    await shared_desk.holding()
    yield shared_desk
    await shared_desk.calm()
    await shared_desk.prove()


@pytest_asyncio.fixture(scope="session")
async def embedded_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """The stack as it is where neither MariaDB nor Redis is installed."""
    chosen = options(tmp_path_factory.mktemp("embedded"))
    chosen = replace(chosen, server_database=False, real_redis=False)
    async with stack(chosen) as running, opened(running) as desk:
        yield desk


@pytest_asyncio.fixture(scope="module")
async def shared_watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    async with watching(tmp_path_factory.mktemp("watched")) as watched:
        yield watched


@pytest_asyncio.fixture
async def watched(shared_watched: Watched) -> AsyncIterator[Watched]:
    """Nothing is wrong before, nothing after."""
    yield shared_watched
    await shared_watched.desk.calm()
    await shared_watched.desk.prove()
