"""A dev chain of our own (these tests stop its miner and roll it back) and a settler on it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from bronco.devchain import DevChain, deploy
from bronco.services.anvil import Anvil, start_anvil
from clients.rpc import Rpc
from tests.integration.settlement.rig import Rig, migrated_store, new_store_url
from tests.integration.vault.desk import Desk


@pytest.fixture(scope="session")
async def settling_anvil(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Anvil]:
    anvil = await start_anvil(tmp_path_factory.mktemp("settling-anvil"))
    yield anvil
    await anvil.process.stop()


@pytest.fixture(scope="session")
async def settling_rpc(settling_anvil: Anvil) -> AsyncIterator[Rpc]:
    rpc = Rpc(settling_anvil.http_url)
    yield rpc
    await rpc.close()


@pytest.fixture(scope="session")
async def settling_chain(settling_rpc: Rpc) -> DevChain:
    return await deploy(settling_rpc)


@pytest.fixture(scope="session")
async def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return await asyncio.to_thread(migrated_store, tmp_path_factory.mktemp("migrated"))


@pytest.fixture
async def desk(settling_rpc: Rpc, settling_chain: DevChain) -> AsyncIterator[Desk]:
    """The chain as it was deployed, and as it is again afterwards."""
    snapshot = await settling_rpc.call("evm_snapshot")
    yield Desk(settling_rpc, settling_chain)
    await settling_rpc.call("evm_setAutomine", True)
    await settling_rpc.call("anvil_dropAllTransactions")
    await settling_rpc.call("evm_revert", snapshot)


@pytest.fixture
def store_url(tmp_path: Path, migrated: Path) -> str:
    return new_store_url(tmp_path, migrated)


@pytest.fixture
async def rig(desk: Desk, temporal_client: Client, store_url: str) -> AsyncIterator[Rig]:
    made = Rig(desk, temporal_client, store_url)
    async with made.worker():
        yield made
        await made.stop()
    made.store.close()
