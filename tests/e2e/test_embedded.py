"""The stack without MariaDB and Redis, and 100 shares through it (hazard 22).

9.3 shares are the most that 64 bits hold in units of 10^-18; SQLite's own numbers are floats.
"""

import httpx

from clients.wallet import ERC20, Requested
from models.money import SHARE_SCALE
from models.order import OrderStatus
from tests.e2e.desk import DOLLAR, Desk

HUNDRED = 100 * SHARE_SCALE
# All-in limit 195: broker limit 194.61, at which 19,500 USDT buy 100 shares and not 101.
LIMIT, AMOUNT = 195 * DOLLAR, 19_500 * DOLLAR


async def test_100_shares__mariadb__exact_from_end_to_end(desk: Desk) -> None:
    assert desk.stack.database_url.startswith("mysql")
    await _there_and_back(desk)


async def test_100_shares__sqlite__exact_from_end_to_end(embedded_desk: Desk) -> None:
    assert embedded_desk.stack.database_url.startswith("sqlite")
    await _there_and_back(embedded_desk)
    await embedded_desk.prove()


async def _there_and_back(desk: Desk) -> None:
    before = await desk.alice.balance(desk.token)
    bought = await desk.deposit(AMOUNT, limit=LIMIT)
    await _exact(desk, bought)
    assert await desk.alice.balance(desk.token) == before + HUNDRED
    sold = await desk.redeem(100)
    await _exact(desk, sold)
    assert await desk.alice.balance(desk.token) == before
    assert await desk.alice.read(ERC20, desk.token, "balanceOf", desk.alice.vault) == 0


async def _exact(desk: Desk, made: Requested) -> None:
    chain = desk.stack.chain
    row = await desk.end(made, OrderStatus.EXECUTED)
    assert (row.quantity, row.filled_quantity) == (HUNDRED, HUNDRED)
    item = await desk.store.items.of_request(chain.chain_id, chain.vault, made.request_id)
    assert item is not None
    assert item.filled == HUNDRED
    assert HUNDRED in (item.taken, item.out)
    headers = {"X-API-Key": desk.stack.api_key}
    async with httpx.AsyncClient(base_url=desk.stack.api_url, headers=headers) as http:
        seen = (await http.get(f"/orders/{made.request_id}")).json()
    assert seen["filled_quantity"] == str(HUNDRED)
