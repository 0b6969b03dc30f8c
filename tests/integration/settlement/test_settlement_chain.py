"""Items become transactions, and the vault's word becomes their state, on a real chain."""

from decimal import Decimal

from models.records import ItemState
from models.requests import VaultStatus
from tests.integration.settlement.rig import SIGNER, PlayedOrder, Rig
from tests.integration.vault.desk import DOLLAR, SHARE, bought
from tests.waiting import eventually


async def test_batch__twenty_fills_pending__settle_in_one_transaction(rig: Rig) -> None:
    requests = await rig.deposits(20)
    for request in requests:
        await rig.filled(request)
    nonce = await rig.nonce()
    await rig.start()
    items = await rig.until(ItemState.MINED, *requests)
    assert len({item.tx_hash for item in items}) == 1
    assert await rig.nonce() == nonce + 1
    assert await rig.desk.supply() == 20 * SHARE
    assert {await rig.desk.status(request.n) for request in requests} == {VaultStatus.SETTLED}
    receipt = await rig.desk.sender.receipt(items[0].tx_hash)
    assert receipt is not None
    assert receipt.block_number == items[0].block_number


async def test_batch__fills_redeems_and_refunds_mixed__end_each_as_said(rig: Rig) -> None:
    await rig.desk.holder(rig.desk.bob, 3)
    bob_before = await rig.desk.bob.balance(rig.desk.usdt)
    redeem = await rig.desk.redeem(rig.desk.bob, 2 * SHARE)
    first, second = await rig.deposits(2)
    alice_before = await rig.desk.alice.balance(rig.desk.usdt)
    await rig.filled(redeem, 2)
    await rig.filled(first)
    await rig.refunded(second)
    await rig.start()
    items = await rig.until(ItemState.MINED, redeem, first, second)
    assert len({item.tx_hash for item in items}) == 1
    assert await rig.desk.status(second.n) is VaultStatus.REFUNDED
    assert await rig.desk.supply() == (3 - 2 + 1) * SHARE
    paid = await rig.desk.bob.balance(rig.desk.usdt) - bob_before
    assert paid == items[0].out
    back = await rig.desk.alice.balance(rig.desk.usdt) - alice_before
    assert back == 200 * DOLLAR + (200 * DOLLAR - items[1].taken)


async def test_order__its_item_is_mined__is_told_after_the_row_says_so(rig: Rig) -> None:
    (request,) = await rig.deposits(1)
    item = await rig.filled(request)
    order = await rig.client.start_workflow(
        PlayedOrder.run, id=item.workflow_id, task_queue=rig.queue
    )
    await rig.start()
    await order.result()
    assert (await rig.item(request)).state is ItemState.MINED


async def test_item__outside_the_band__leaves_its_neighbours_and_settles_later(rig: Rig) -> None:
    good, wild = await rig.deposits(2, 400 * DOLLAR)
    await rig.filled(good)
    await rig.filled(wild, price=Decimal(300))
    await rig.start()
    await rig.until(ItemState.MINED, good)

    async def refused() -> bool:
        return wild.n in await rig.events("SettlementRejected")

    await eventually(refused)
    assert await rig.desk.status(wild.n) is VaultStatus.OPEN
    await rig.desk.set_price(Decimal(300))
    await rig.until(ItemState.MINED, wild)
    assert sorted(await rig.events("Settled")) == [good.n, wild.n]


async def test_item__settled_with_other_terms__is_left_to_an_operator(rig: Rig) -> None:
    (request,) = await rig.deposits(1, 400 * DOLLAR)
    await rig.filled(request, 1)
    await rig.desk.settle([bought(request, 2)])
    nonce = await rig.nonce()
    await rig.start()
    (item,) = await rig.until(ItemState.REJECTED, request)
    assert item.rejection == "CONFLICT"
    assert await rig.nonce() == nonce


async def test_item__settled_already_exactly_so__costs_no_transaction(rig: Rig) -> None:
    (request,) = await rig.deposits(1)
    await rig.filled(request)
    receipt = await rig.desk.settle([bought(request, 1)])
    nonce = await rig.nonce()
    await rig.start()
    (item,) = await rig.until(ItemState.MINED, request)
    assert (item.tx_hash, item.block_number) == (receipt.tx_hash, receipt.block_number)
    assert await rig.nonce() == nonce


async def test_item__reclaimed_first__is_lost_once_that_is_final(rig: Rig) -> None:
    (request,) = await rig.deposits(1)
    await rig.filled(request)
    await rig.desk.warp_to(request.reclaim_at + 1)
    await rig.desk.alice.reclaim(request.n)
    await rig.start()
    (item,) = await rig.until(ItemState.REJECTED, request)
    assert item.rejection == "ALREADY_ENDED"
    await rig.mine(70)
    await rig.until(ItemState.LOST, request)
    assert await rig.events("Settled") == []


async def test_item__mined_and_deep__is_final(rig: Rig) -> None:
    (request,) = await rig.deposits(1)
    await rig.filled(request)
    await rig.start()
    await rig.until(ItemState.MINED, request)
    await rig.mine(70)
    await rig.until(ItemState.FINAL, request)


async def test_role__suspended__takes_nothing_until_it_is_back(rig: Rig) -> None:
    (request,) = await rig.deposits(1)
    await rig.filled(request)
    await rig.desk.call(rig.desk.guardian, "suspendSettler", SIGNER)
    await rig.start()
    prepared = await rig.prepare("by-hand")
    assert "settler role" in prepared.waiting_for
    assert prepared.data == ""
    assert (await rig.item(request)).state is ItemState.PENDING
    role = await rig.desk.rpc.call(
        "eth_call", {"to": rig.desk.address, "data": _selector("SETTLER_ROLE()")}, "latest"
    )
    await rig.desk.call(rig.desk.admin, "grantRole", bytes.fromhex(role[2:]), SIGNER)
    await rig.until(ItemState.MINED, request)


async def test_gas_money__gone__takes_nothing_until_it_is_back(rig: Rig) -> None:
    (request,) = await rig.deposits(1)
    await rig.filled(request)
    balance = await rig.desk.rpc.call("eth_getBalance", SIGNER, "latest")
    await rig.desk.rpc.call("anvil_setBalance", SIGNER, "0x1")
    await rig.start()
    assert "gas money" in (await rig.prepare("by-hand")).waiting_for
    assert (await rig.item(request)).state is ItemState.PENDING
    await rig.desk.rpc.call("anvil_setBalance", SIGNER, balance)
    await rig.until(ItemState.MINED, request)


async def test_gas_money__for_a_few_only__makes_a_smaller_batch(rig: Rig) -> None:
    requests = await rig.deposits(5)
    for request in requests:
        await rig.filled(request)
    fees = await rig.desk.sender.fee_suggestion()
    await rig.desk.rpc.call("anvil_setBalance", SIGNER, hex(fees.max_fee * 2 * 810_000))
    prepared = await rig.prepare("poor")
    assert prepared.count == 2
    # Money for twice the first offer, so that a bump does not end at the purse.
    assert prepared.gas * prepared.max_fee <= fees.max_fee * 810_000


def _selector(signature: str) -> str:
    from eth_utils.crypto import keccak

    return "0x" + keccak(text=signature)[:4].hex()
