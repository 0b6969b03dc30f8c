"""Hazard 1: everything of ours is down for eight hours after a fill, and both sides settle."""

import time
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from bronco.devchain import DevChainPlan
from bronco.stack import stack
from clients.wallet import Requested
from models.order import OrderStatus, Stage
from models.requests import VaultStatus
from tests.e2e.desk import PRICE, SYMBOL, USERS, Desk, opened, options
from tests.waiting import eventually

_EIGHT_HOURS = 8 * 3600
_LIFETIME = 9


@pytest_asyncio.fixture
async def lasting_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    # Deadlines seconds away, because our clock cannot be moved; the chain's can, and is.
    plan = DevChainPlan(users=USERS, min_lifetime_seconds=1)
    home = tmp_path_factory.mktemp("lost-day")
    chosen = options(home, plan=plan, orders_deadline_margin_seconds="2")
    async with stack(chosen) as running, opened(running) as desk:
        await desk.holding()
        yield desk


async def test_outage__8_hours_after_a_fill__both_sides_are_settled(lasting_desk: Desk) -> None:
    desk = lasting_desk
    await desk.control.fault("hold_fills", on=True)
    made = [await desk.redeem(lifetime=_LIFETIME, limit=191_000_000)]
    made.append(await desk.deposit(lifetime=_LIFETIME, limit=190_400_000))
    await desk.all_at(made, Stage.PLACED)  # the sell above the market, the buy at it
    ours = [desk.stack.processes[name] for name in ("worker", "watcher", "api", "signer")]
    for process in ours:
        await process.kill()
    await desk.control.fault("release_fills")
    for one, price in zip(made, (PRICE + 2, PRICE), strict=True):
        await desk.control.set_price(SYMBOL, price)
        await eventually(partial(_filled, desk, one))
    await desk.rpc.call("evm_increaseTime", _EIGHT_HOURS)
    await desk.rpc.call("evm_mine")
    deadlines = [(await desk.terms(one)).deadline for one in made]
    await eventually(lambda: time.time() > max(deadlines), timeout=_LIFETIME + 30)
    now = (await desk.vault.head()).timestamp
    assert now > max(deadlines) + _EIGHT_HOURS - 60
    for process in ours:
        await process.start()
    await desk.all_end(made, OrderStatus.EXECUTED, seconds=180)
    for one in made:
        terms = await desk.terms(one)
        assert terms.status is VaultStatus.SETTLED
        assert now < terms.reclaim_at
    await desk.one_order_each(made)
    await desk.prove()


async def _filled(desk: Desk, made: Requested) -> bool:
    return [order.filled for order in await desk.orders_of(made) if order.filled] != []
