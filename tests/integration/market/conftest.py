"""A dev chain and a simulator for all cases; each case begins from the freshly deployed state."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.broker.conftest import log_home
from tests.integration.broker.office import Office, open_office
from tests.integration.market.rig import Rig, build_rig
from tests.integration.vault.conftest import desk, vault_anvil, vault_chain, vault_rpc
from tests.integration.vault.desk import Desk

__all__ = ["desk", "log_home", "vault_anvil", "vault_chain", "vault_rpc"]


@pytest.fixture(scope="session")
async def market_office(
    log_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    async with open_office(tmp_path_factory.mktemp("market"), log_home) as opened:
        yield opened


@pytest.fixture
async def rig(
    market_office: Office, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    made = await build_rig(market_office, desk, monkeypatch)
    yield made
    await market_office.desk.control.set_market("auto")
    await market_office.desk.control.set_halt("AAPL", False)
    await market_office.desk.control.set_price("AAPL", made.price)
