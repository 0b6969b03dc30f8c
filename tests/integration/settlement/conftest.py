"""A dev chain of our own (these tests stop its miner and roll it back) and a settler on it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from bronco.devchain import DevChain, deploy
from bronco.services.anvil import Anvil, start_anvil
from clients.rpc import Rpc
from tests.integration.settlement.rig import Rig, new_store_url
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


@pytest.fixture
async def rig(
    settling_rpc: Rpc, settling_chain: DevChain, temporal_client: Client, tmp_path: Path
) -> AsyncIterator[Rig]:
    snapshot = await settling_rpc.call("evm_snapshot")
    url = await asyncio.to_thread(new_store_url, tmp_path)
    made = Rig(Desk(settling_rpc, settling_chain), temporal_client, url)
    async with made.worker():
        yield made
        await made.stop()
    made.store.close()
    await settling_rpc.call("evm_setAutomine", True)
    await settling_rpc.call("anvil_dropAllTransactions")
    await settling_rpc.call("evm_revert", snapshot)
