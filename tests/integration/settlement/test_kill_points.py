"""21 deaths: at each point of sending a mint, a payout and a refund; each happens exactly once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from temporalio.client import Client

from bronco.devchain import deploy
from bronco.services import start_anvil
from clients.rpc import Rpc
from clients.sender import vault_events
from models.records import ItemState
from models.requests import VaultRequest
from tests.integration.settlement.dying import DyingRig, Point
from tests.integration.settlement.rig import SIGNER, Rig, new_store_url
from tests.integration.vault.desk import DOLLAR, SHARE, Desk


class Money(NamedTuple):
    """What a request may move. Units of USDT, units of shares, requests still in escrow."""

    alice: int
    bob: int
    shares: int
    escrow: int
    owed: int


async def money(desk: Desk) -> Money:
    books = await desk.books()
    return Money(
        alice=await desk.alice.balance(desk.usdt),
        bob=await desk.bob.balance(desk.usdt),
        shares=await desk.supply(),
        escrow=books.escrow,
        owed=books.owed,
    )


async def mint(rig: Rig) -> tuple[VaultRequest, str, Money]:
    """A deposit whose two shares were bought: shares out, the rest of the money back."""
    before = await money(rig.desk)
    request = await rig.desk.deposit(rig.desk.alice, 500 * DOLLAR)
    item = await rig.filled(request, 2)
    after = before._replace(alice=before.alice - item.taken, shares=before.shares + 2 * SHARE)
    return request, "Settled", after


async def payout(rig: Rig) -> tuple[VaultRequest, str, Money]:
    """A redeem whose two shares were sold: burned, and paid out."""
    await rig.desk.holder(rig.desk.bob, 3)
    before = await money(rig.desk)
    request = await rig.desk.redeem(rig.desk.bob, 2 * SHARE)
    item = await rig.filled(request, 2)
    after = before._replace(bob=before.bob + item.out, shares=before.shares - 2 * SHARE)
    return request, "Settled", after


async def refund(rig: Rig) -> tuple[VaultRequest, str, Money]:
    """A deposit that came to nothing: all of it back."""
    before = await money(rig.desk)
    request = await rig.desk.deposit(rig.desk.alice, 500 * DOLLAR)
    await rig.refunded(request)
    return request, "Refunded", before


Case = Callable[[Rig], Awaitable[tuple[VaultRequest, str, Money]]]


CASES = (mint, payout, refund)


@pytest.fixture(scope="session")
async def chains(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Desk]]:
    """One for each case: they wait at the same time, mostly for Temporal to try again."""
    async with AsyncExitStack() as stack:
        desks = []
        for case in CASES:
            anvil = await start_anvil(tmp_path_factory.mktemp(f"anvil-{case.__name__}"))
            stack.push_async_callback(anvil.process.stop)
            rpc = Rpc(anvil.http_url)
            stack.push_async_callback(rpc.close)
            desks.append(Desk(rpc, await deploy(rpc)))
        yield desks


@pytest.mark.parametrize("point", list(Point), ids=lambda point: point.value)
async def test_worker__dies_at_any_point_of_sending__it_has_happened_once(
    chains: list[Desk], temporal_client: Client, migrated: Path, tmp_path: Path, point: Point
) -> None:
    async with asyncio.TaskGroup() as group:
        for desk, case in zip(chains, CASES, strict=True):
            home = tmp_path / case.__name__
            home.mkdir()
            url = new_store_url(home, migrated)
            dying = DyingRig(desk, temporal_client, url, point)
            group.create_task(dies_once(dying, case), name=f"{point} {case.__name__}")


async def dies_once(dying: DyingRig, case: Case) -> None:
    """One worker dies with the request under way, another goes on."""
    desk = dying.desk
    other = Rig(desk, dying.client, dying.url)
    other.queue, other.workflow_id = dying.queue, dying.workflow_id
    request, event, expected = await case(other)
    purse = await desk.rpc.call("eth_getBalance", SIGNER, "latest")
    async with dying.worker():
        await dying.start(sweep_seconds=1.0)
        async with asyncio.timeout(30):
            await dying.death.came.wait()
    if dying.death.point is Point.REFUSED:
        await desk.rpc.call("anvil_setBalance", SIGNER, purse)
    async with other.worker():
        (item,) = await other.until(ItemState.MINED, request)
        await dying.stop()

    assert await ends_of(other, request) == [(event, item.tx_hash)]
    assert await money(desk) == expected
    assert (await other.store.items.counts()) == {ItemState.MINED: 1}
    assert dying.alarms + other.alarms == []
    dying.store.close()
    other.store.close()


async def ends_of(rig: Rig, request: VaultRequest) -> list[tuple[str, str]]:
    """Every end of the request that is in the chain, with its transaction."""
    wanted = {"address": rig.desk.address, "fromBlock": "0x0", "toBlock": "latest"}
    logs = await rig.desk.rpc.call("eth_getLogs", wanted)
    ends = ("Settled", "Refunded", "Reclaimed")
    return [
        (event.name, event.tx_hash)
        for event in vault_events(logs, rig.desk.address)
        if event.name in ends and event.n == request.n
    ]
