"""The key changes with transactions in flight, or a run ends: nothing is doubled or left behind."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from temporalio.client import Client, WorkflowExecutionStatus

from bronco.devchain import FIRST_USER
from clients.vault import SETTLER_ROLE
from models.chain import Broadcast, BroadcastOutcome
from models.records import ItemState
from tests.integration.settlement.rig import Rig, filled, settled_once
from tests.integration.vault.desk import Desk
from tests.waiting import eventually

NEW_KEY = FIRST_USER + 7
DRAINING = {"retire_seconds": 0.2, "sweep_seconds": 0.3, "wait_seconds": 0.3}


class Forgetful:
    """A sender whose endpoints take what one key sends and never pass it on."""

    def __init__(self, real: Any, address: str) -> None:
        self._real = real
        self._address = address
        self.lost: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def broadcast(self, raw: str) -> Broadcast:
        if Account.recover_transaction(raw) != self._address:
            return Broadcast.model_validate(await self._real.broadcast(raw))
        self.lost.append(raw)
        tx_hash = "0x" + keccak(HexBytes(raw)).hex()
        return Broadcast(tx_hash=tx_hash, outcome=BroadcastOutcome.ACCEPTED)


async def new_key(desk: Desk, client: Client, url: str, queue: str) -> Rig:
    """The same deployment with another settler's key."""
    rig = Rig(desk, client, url, key=NEW_KEY)
    rig.queue = queue
    await desk.rpc.call("anvil_setBalance", rig.address, hex(10**20))
    await desk.call(desk.admin, "grantRole", bytes.fromhex(SETTLER_ROLE[2:]), rig.address)
    return rig


@pytest.mark.parametrize("mined", [True, False], ids=["mined", "never mined"])
async def test_key__rotated_with_a_batch_in_flight__old_one_ends_and_new_one_goes_on(
    desk: Desk, temporal_client: Client, store_url: str, mined: bool
) -> None:
    async with AsyncExitStack() as stack:
        old = Rig(desk, temporal_client, store_url)
        stack.callback(old.store.close)
        requests = await filled(old)
        nonce = await old.nonce()
        forgetful = Forgetful(desk.sender, old.address)
        await desk.rpc.call("evm_setAutomine", False)
        async with old.worker(sender=desk.sender if mined else forgetful):
            await old.start(**DRAINING, drain_seconds=60.0 if mined else 0.6)
            await eventually(old.waiting if mined else lambda: forgetful.lost)
        await desk.rpc.call("evm_setAutomine", True)
        await old.mine()
        new = await new_key(desk, temporal_client, store_url, old.queue)
        stack.callback(new.store.close)
        await stack.enter_async_context(new.worker(sender=forgetful))
        await new.start()
        stack.push_async_callback(new.stop)
        assert old.handle is not None
        async with asyncio.timeout(20):
            await old.handle.result()
        await settled_once(new, requests)
        assert await old.nonce() == nonce + mined
        assert await new.nonce() == (0 if mined else 1)
        if not mined:
            # What the old key had sent turns up after all: the vault has settled it, once.
            late = await desk.sender.broadcast(forgetful.lost[0])
            assert (await desk.mined(late.tx_hash)).ok
            await settled_once(new, requests)


async def test_key__missing_for_a_moment__ends_no_settlement(
    desk: Desk, temporal_client: Client, store_url: str
) -> None:
    """A rolling deployment: workers of both keys take turns on one queue."""
    async with AsyncExitStack() as stack:
        old = Rig(desk, temporal_client, store_url)
        stack.callback(old.store.close)
        new = await new_key(desk, temporal_client, store_url, old.queue)
        stack.callback(new.store.close)
        async with new.worker():
            await old.start(sweep_seconds=0.2, retire_seconds=60.0)

            async def says() -> bool:
                return "the key is retired" in await old.details()

            await eventually(says)
        await stack.enter_async_context(old.worker())
        stack.push_async_callback(old.stop)
        requests = await filled(old, 1)
        await old.until(ItemState.MINED, *requests)
        assert "retired" not in await old.details()


async def test_run__continues_as_new_again_and_again__settles_each_once(rig: Rig) -> None:
    """Signals keep coming while runs end with batches in flight; no item is lost or doubled."""
    await rig.start(run_events=40, limit=1, sweep_seconds=0.3, gather_seconds=0.05)
    assert rig.handle is not None
    first = (await rig.handle.describe()).run_id
    current = rig.client.get_workflow_handle(rig.workflow_id)
    requests = []
    for _ in range(5):
        requests += await filled(rig, 1)
        await current.signal("work")
        await current.signal("work")
    await settled_once(rig, requests)
    described = await current.describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert described.run_id != first
    await rig.mine(70)
    await rig.until(ItemState.FINAL, *requests)
    assert rig.alarms == []
