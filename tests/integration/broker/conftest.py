from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.broker.desk import Desk, open_desk


@pytest.fixture(scope="session")
def log_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for the process: the vendor opens its log once."""
    return tmp_path_factory.mktemp("futu")


@pytest.fixture
async def desk(log_home: Path) -> AsyncIterator[Desk]:
    async with open_desk(log_home) as opened:
        yield opened
