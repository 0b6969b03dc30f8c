"""A chain that stands still holds all trading by itself, and opens it again by itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from activities.head_stall import STALL_HOLD
from bronco.stack import stack
from models.order import OrderStatus, Stage
from tests.e2e.desk import ONE_SHARE, Desk, opened, options
from tests.waiting import eventually

# Three minutes in production.
_STALL_SECONDS = 3


@pytest.fixture
async def mining_desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A chain with a block each second, as chains are, where the silence of one counts."""
    chosen = options(tmp_path, chain_head_stall_seconds=str(_STALL_SECONDS))
    async with stack(chosen) as running, opened(running) as desk:
        await desk.rpc.call("evm_setIntervalMining", 1)
        await eventually(lambda: _open(desk))
        await desk.holding()
        yield desk


async def _held(desk: Desk) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{desk.stack.api_url}/status/pause") as answer,
    ):
        assert answer.status == 200
        return STALL_HOLD in await answer.text()


async def _open(desk: Desk) -> bool:
    return not await _held(desk)


async def test_chain__silent_for_too_long__nothing_is_placed_until_it_goes_on(
    mining_desk: Desk,
) -> None:
    desk = mining_desk
    await desk.control.set_market("closed")
    made = [*await desk.deposits(2, ONE_SHARE), *await desk.redeems(1)]
    await desk.all_at(made, Stage.WAITING_SESSION)
    sent = await desk.placed()

    await desk.rpc.call("evm_setIntervalMining", 0)
    await desk.rpc.call("evm_setAutomine", False)
    await eventually(lambda: _held(desk), timeout=30)
    await desk.control.set_market("open")
    await desk.wake(made)
    rows = await desk.all_at(made, Stage.HELD)
    assert all(f"no new block of the chain for {_STALL_SECONDS} s" in r.waiting_for for r in rows)
    assert await desk.placed() == sent
    assert await desk.orders_of(*made) == []

    await desk.rpc.call("evm_setIntervalMining", 1)
    await desk.all_end(made, OrderStatus.EXECUTED)
    await desk.one_order_each(made)
    assert await _open(desk)
    await desk.prove()
