"""The flags on fakeredis' TCP server, which the embedded stack uses."""

from collections.abc import AsyncIterator, Iterator

import pytest

from clients.flags import Flags
from tests.contracts.flags import *  # noqa: F403
from tests.contracts.line import *  # noqa: F403
from tests.services import embedded_redis


@pytest.fixture
def flags_url() -> Iterator[str]:
    with embedded_redis() as url:
        yield url


@pytest.fixture
async def flags(flags_url: str) -> AsyncIterator[Flags]:
    opened = Flags(flags_url)
    yield opened
    await opened.close()
