"""The settler's rig, and an office around it."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.reconcile.office import Office
from tests.integration.settlement.conftest import (
    desk,
    migrated,
    rig,
    settling_anvil,
    settling_chain,
    settling_rpc,
    store_url,
)
from tests.integration.settlement.rig import Rig

__all__ = [
    "desk",
    "migrated",
    "rig",
    "settling_anvil",
    "settling_chain",
    "settling_rpc",
    "store_url",
]


@pytest.fixture
async def office(rig: Rig) -> AsyncIterator[Office]:
    made = Office(rig)
    yield made
    # After the chain is rolled back the next test's requests get the same ids again.
    await made.end_all()
