"""One whole stack for all tests that leave it in one piece, and the proof after each of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.desks import Desks
from tests.e2e.desk import Desk
from tests.e2e.watching import Watched, watching


@pytest.fixture(scope="module", autouse=True)
def _alone(alone: None) -> None:
    """What nobody uses is not up."""


@pytest_asyncio.fixture(scope="module")
async def shared_desk(desks: Desks) -> Desk:
    return await desks.get("shared")


@pytest_asyncio.fixture
async def desk(shared_desk: Desk) -> AsyncIterator[Desk]:
    """Users who hold shares, a broker without faults; the invariants hold in the end."""
    await shared_desk.holding()
    yield shared_desk
    await shared_desk.calm()
    await shared_desk.prove()


@pytest_asyncio.fixture(scope="module")
async def embedded_desk(desks: Desks) -> Desk:
    """The stack as it is where neither MariaDB nor Redis is installed."""
    return await desks.get("embedded", embedded=True)


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
