"""What settling costs, and that the gas limit given to a batch always suffices."""

import pytest

from bronco.devchain import SETTLER, dev_key
from clients.keys import UnsignedTx, account_of, sign_with
from clients.sender import gas_limit_for
from clients.vault import VAULT, settle_calldata
from clients.wallet import USDT
from models.chain import SettleItem, TxReceipt
from models.money import MARKET_BUY_LIMIT
from models.requests import VaultRequest
from tests.integration.vault.desk import DOLLAR, SHARE, Desk, bought, names, sold

AMOUNT = 1000 * DOLLAR


async def send(desk: Desk, items: list[SettleItem]) -> TxReceipt:
    """One batch, signed and sent as the desk does, with the gas limit the desk gives."""
    fees = await desk.sender.fee_suggestion()
    signed = sign_with(
        account_of(dev_key(SETTLER)),
        UnsignedTx(
            chain_id=31337,
            to=desk.address,
            nonce=await desk.sender.latest_nonce(desk.settler.address),
            gas=gas_limit_for(items, []),
            max_fee=fees.max_fee,
            max_priority_fee=fees.max_priority_fee,
            data=settle_calldata(items, []),
        ),
    )
    await desk.sender.broadcast(signed.raw)
    receipt = await desk.mined(signed.tx_hash)
    assert receipt.ok
    return receipt


async def deposits(desk: Desk, count: int, *, holders: bool) -> list[VaultRequest]:
    """One deposit each by `count` accounts; holders already own shares and keep some USDT."""
    owners = [f"0x{'c0ffee':0<30}{i + 1:010x}" for i in range(count)]
    await desk.rpc.batch(
        [("anvil_setBalance", (owner, hex(10**18))) for owner in owners]
        + [("anvil_impersonateAccount", (owner,)) for owner in owners]
    )
    money = AMOUNT * (3 if holders else 1)
    for owner in owners:
        await _as(desk, desk.admin.address, desk.usdt, "mint", owner, money)
        await _as(desk, owner, desk.usdt, "approve", desk.address, money)
    if holders:
        first = [await _deposit(desk, owner) for owner in owners]
        for i in range(0, count, 50):
            await send(desk, [bought(request, 1) for request in first[i : i + 50]])
    return [await _deposit(desk, owner) for owner in owners]


@pytest.mark.parametrize(
    ("count", "holders", "most"),
    [
        (1, True, 130_000),
        (20, True, 43_000),
        (50, True, 40_000),
        (1, False, 210_000),
        (20, False, 80_000),
        (50, False, 76_000),
    ],
)
async def test_settle__batch_of_deposits__gas_per_item_stays_within_its_target(
    desk: Desk, count: int, holders: bool, most: int
) -> None:
    requests = await deposits(desk, count, holders=holders)

    receipt = await send(desk, [bought(request, 5) for request in requests])

    assert names(receipt).count("Settled") == count
    assert receipt.gas_used / count <= most


async def test_settle__dearest_items__stay_within_the_limit_given(desk: Desk) -> None:
    """Redeems that are owed, to recipients that hold nothing: every word of storage is new."""
    requests: list[VaultRequest] = []
    for wallet in (desk.alice, desk.bob, desk.carol):
        await desk.holder(wallet, 1)
        recipient = f"0x{'f' * 38}{len(requests):02x}"
        requests.append(await desk.redeem(wallet, SHARE, recipient=recipient))
    await desk.empty_the_vault()
    items = [sold(request, 1) for request in requests]

    receipt = await send(desk, items)

    assert names(receipt).count("Owed") == 3
    assert receipt.gas_used + 400_000 < gas_limit_for(items, [])


async def _deposit(desk: Desk, owner: str) -> VaultRequest:
    deadline = await desk.deadline()
    await _as(
        desk, owner, desk.address, "deposit", desk.share, AMOUNT, MARKET_BUY_LIMIT, deadline, owner
    )
    head = await desk.head()
    return await desk.request(await desk.vault.count(head))


async def _as(desk: Desk, sender: str, to: str, function: str, *args: object) -> None:
    abi = VAULT if to == desk.address else USDT
    receipt = await desk.send_as(sender, to, abi.calldata(function, *args), 500_000)
    assert receipt.ok
