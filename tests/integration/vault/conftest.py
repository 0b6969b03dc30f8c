"""One dev chain for all vault tests; each test starts from the freshly deployed state."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bronco.devchain import DevChain, DevChainPlan, deploy
from bronco.services.anvil import Anvil, start_anvil
from clients.rpc import Rpc
from tests.integration.vault.desk import Desk


@pytest.fixture(scope="session")
async def vault_anvil(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Anvil]:
    directory: Path = tmp_path_factory.mktemp("vault-anvil")
    anvil = await start_anvil(directory)
    yield anvil
    await anvil.process.stop()


@pytest.fixture(scope="session")
async def vault_rpc(vault_anvil: Anvil) -> AsyncIterator[Rpc]:
    rpc = Rpc(vault_anvil.http_url)
    yield rpc
    await rpc.close()


@pytest.fixture(scope="session")
async def vault_chain(vault_rpc: Rpc) -> DevChain:
    stocks = {"AAPL": 190 * 10**8, "MSFT": 400 * 10**8}
    return await deploy(vault_rpc, DevChainPlan(stocks=stocks))


@pytest.fixture
async def desk(vault_rpc: Rpc, vault_chain: DevChain) -> AsyncIterator[Desk]:
    snapshot = await vault_rpc.call("evm_snapshot")
    yield Desk(vault_rpc, vault_chain)
    await vault_rpc.call("evm_revert", snapshot)
