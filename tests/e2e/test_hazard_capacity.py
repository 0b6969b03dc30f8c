"""Hazard 7: what could not be settled is not placed; it waits, and goes on once it can be."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from eth_utils.crypto import keccak

from bronco.devchain import ADMIN, SETTLER, TREASURER
from clients.vault import VAULT
from clients.wallet import USDT
from models.order import OrderStatus, Stage
from tests.e2e.desk import DOLLAR, Desk

Lack = Callable[[Desk], AbstractAsyncContextManager[None]]
_SETTLER_ROLE = keccak(text="SETTLER_ROLE")


@asynccontextmanager
async def no_gas(desk: Desk) -> AsyncIterator[None]:
    settler = desk.stack.chain.settler
    before = await desk.rpc.call("eth_getBalance", settler, "latest")
    await desk.rpc.call("anvil_setBalance", settler, hex(10**12))
    try:
        yield
    finally:
        await desk.rpc.call("anvil_setBalance", settler, before)


@asynccontextmanager
async def no_role(desk: Desk) -> AsyncIterator[None]:
    admin, settler = desk.staff(ADMIN), desk.staff(SETTLER).address
    await admin.send(VAULT, admin.vault, "revokeRole", _SETTLER_ROLE, settler)
    try:
        yield
    finally:
        await admin.send(VAULT, admin.vault, "grantRole", _SETTLER_ROLE, settler)


@asynccontextmanager
async def no_payout_money(desk: Desk) -> AsyncIterator[None]:
    treasurer = desk.staff(TREASURER)
    left = 100 * DOLLAR  # less than a share brings
    taken = await treasurer.read(VAULT, treasurer.vault, "withdrawableUsdt") - left
    await treasurer.send(VAULT, treasurer.vault, "withdraw", treasurer.address, taken)
    try:
        yield
    finally:
        await treasurer.send(USDT, treasurer.usdt, "transfer", treasurer.vault, taken)


@pytest.mark.parametrize(
    ("lack", "words"),
    [(no_gas, "for gas, too little"), (no_role, "may not settle"), (no_payout_money, "payout")],
)
async def test_redeem__cannot_be_settled__held_until_it_can(
    desk: Desk, lack: Lack, words: str
) -> None:
    sent = await desk.placed()
    async with lack(desk):
        made = await desk.redeem()
        row = await desk.at(made, Stage.HELD)
        assert words in row.waiting_for
        assert row.status is OrderStatus.PENDING
        await desk.wake([made])  # looking again changes nothing
        await desk.looked_again(made, times=2)
        assert await desk.placed() == sent
    await desk.wake([made])
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])


async def test_deposit__broker_cash_short__held_until_it_is_there(desk: Desk) -> None:
    sent, cash = await desk.placed(), (await desk.control.account()).cash
    await desk.control.set_cash(cash * 0)
    made = await desk.deposit()
    row = await desk.at(made, Stage.HELD)
    assert "cash" in row.waiting_for
    assert await desk.placed() == sent
    await desk.control.set_cash(cash)
    await desk.end(made, OrderStatus.EXECUTED)  # by itself: nobody tells us that cash came
