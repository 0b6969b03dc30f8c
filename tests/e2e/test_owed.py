"""A payout that the vault cannot make is owed, and made as soon as there is money; nobody asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bronco.devchain import TREASURER
from clients.sender import vault_events
from clients.vault import VAULT
from clients.wallet import USDT
from models.chain import VaultBooks
from models.order import OrderStatus, Stage
from tests.e2e.desk import Desk


@asynccontextmanager
async def emptied(desk: Desk) -> AsyncIterator[None]:
    """The treasurer takes all that may be taken, and funds the vault with it in the end."""
    treasurer = desk.staff(TREASURER)
    usdt, vault = treasurer.usdt, treasurer.vault
    taken = await treasurer.read(VAULT, vault, "withdrawableUsdt")
    await treasurer.send(VAULT, vault, "withdraw", treasurer.address, taken)
    try:
        yield
    finally:
        await treasurer.send(USDT, usdt, "approve", vault, taken)
        await treasurer.send(VAULT, vault, "fund", taken)


async def test_redeem__vault_emptied_before_its_fill__owed_then_paid(desk: Desk) -> None:
    before = await desk.play.balances(0)
    await desk.control.fault("hold_fills", on=True)
    made = await desk.redeem()
    await desk.at(made, Stage.PLACED)
    async with emptied(desk):
        await desk.control.fault("release_fills")
        row = await desk.at(made, Stage.OWED)
        owed = (await _books(desk)).owed
        assert owed > 0
        assert (row.status, row.received) == (OrderStatus.EXECUTED, 0)
        assert str(owed) in row.waiting_for
        assert (await desk.play.balances(0)).usdt == before.usdt
        await desk.prove()  # owed is accounted for, too

    paid = await desk.at(made, Stage.SETTLED, seconds=90)
    assert (paid.status, paid.received, paid.waiting_for) == (OrderStatus.EXECUTED, owed, "")
    assert (await desk.play.balances(0)).usdt == before.usdt + owed
    assert (await _books(desk)).owed == 0
    assert await _who_paid(desk, made.n) == [(desk.stack.chain.settler.lower(), "settle")]
    await desk.one_order_each([made])


async def _books(desk: Desk) -> VaultBooks:
    return await desk.vault.books(await desk.vault.head())


async def _who_paid(desk: Desk, n: int) -> list[tuple[str, str]]:
    """Sender and function of each transaction that paid what the vault owed for request n."""
    wanted = {
        "address": desk.stack.chain.vault,
        "fromBlock": "0x0",
        "topics": [VAULT.topic("OwedPaid")],
    }
    logs = await desk.rpc.call("eth_getLogs", wanted)
    paid = [event for event in vault_events(logs, desk.stack.chain.vault) if event.n == n]
    sent = [await desk.rpc.call("eth_getTransactionByHash", event.tx_hash) for event in paid]
    return [(tx["from"].lower(), VAULT.decode_call(tx["input"])[0]) for tx in sent]
