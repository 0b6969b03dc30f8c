"""Two symbols side by side, each by its own token, feed, tick and lot."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from bronco.deployment import Deployment, DevChainPlan
from bronco.stack import stack
from models.order import OrderStatus
from tests.e2e.desk import DOLLAR, SYMBOL, USERS, Desk, opened, options

OTHER = "TSLA"
TICK, LOT = Decimal("0.05"), 2
# Three percent above is 257.5103 dollars: 257.51 on the other's tick, 257.50 on this one's.
PLAN = DevChainPlan(stocks={SYMBOL: 190 * 10**8, OTHER: 25_001_000_000}, users=USERS)


@pytest_asyncio.fixture(scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    chain = Deployment(31337, PLAN, 0).chain
    assets = [
        {"symbol": symbol, "token": token, "feed": chain.references[symbol], "exchange": ""}
        for symbol, token in chain.shares.items()
    ]
    assets[1] |= {"tick": str(TICK), "lot": str(LOT)}
    home = tmp_path_factory.mktemp("symbols")
    chosen = options(home, plan=PLAN, chain_assets=json.dumps(assets))
    async with stack(chosen) as running, opened(running) as desk:
        yield desk


async def test_symbols__two_at_once__each_trades_by_its_own_tick_and_lot(two: Desk) -> None:
    first = await two.deposits(USERS, 1000 * DOLLAR)
    second = await two.deposits(USERS, 1400 * DOLLAR, symbol=OTHER)
    rows = await two.all_end([*first, *second], OrderStatus.EXECUTED)
    assert [row.symbol for row in rows] == [SYMBOL] * USERS + [OTHER] * USERS
    await two.one_order_each([*first, *second])
    orders = await two.orders_of(*first, *second)
    asked = {(order.code, order.quantity, order.price) for order in orders}
    # 1400 dollars buy five at 257.50, and the lot is two.
    assert asked == {(SYMBOL, 5, Decimal("195.70")), (OTHER, 4, Decimal("257.50"))}
    for symbol, shares in ((SYMBOL, 5), (OTHER, 4)):
        token = two.stack.chain.shares[symbol]
        assert [await w.balance(token) for w in two.wallets] == [shares * 10**18] * USERS
    back = [*await two.redeems(USERS, 5), *await two.redeems(USERS, 4, symbol=OTHER)]
    await two.all_end(back, OrderStatus.EXECUTED)
    await two.prove()
