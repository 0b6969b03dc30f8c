"""What takes long begins first, and passes while the other tests of this tier are run."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.outage import Outage, opend_dies


@pytest.fixture(scope="module", autouse=True)
def _alone(alone: None) -> None:
    """What nobody uses is not up."""


@pytest_asyncio.fixture(scope="session")
async def outage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outage]:
    """OpenD dead for a minute with orders waiting, since the first test that asked for this."""
    async with opend_dies(tmp_path_factory.mktemp("outage")) as begun:
        yield begun
