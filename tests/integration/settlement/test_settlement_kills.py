"""Whatever dies, and wherever: each item settles exactly once, and none is forgotten."""

import pytest

from models.chain import BroadcastOutcome
from models.records import ItemState
from models.requests import VaultRequest, VaultStatus
from tests.integration.settlement.rig import Rig, filled, settled_once
from tests.waiting import eventually


async def test_run__lost_after_prepare__next_run_settles(rig: Rig) -> None:
    requests = await filled(rig)
    await rig.prepare("lost")
    assert {(await rig.item(r)).state for r in requests} == {ItemState.SENT}
    await rig.start()
    await settled_once(rig, requests)


async def test_run__lost_after_sign__next_run_settles(rig: Rig) -> None:
    requests = await filled(rig)
    await rig.sign(await rig.prepare("lost"))
    await rig.start()
    await settled_once(rig, requests)


async def test_run__lost_after_broadcast__next_run_replaces_what_waits(rig: Rig) -> None:
    requests = await filled(rig)
    await rig.automine(False)
    signed = await rig.sign(await rig.prepare("lost"))
    assert (await rig.desk.sender.broadcast(signed.raw)).outcome is BroadcastOutcome.ACCEPTED
    await rig.start()

    async def replaced() -> bool:
        waiting = await rig.waiting()
        return [tx["hash"] for tx in waiting] != [signed.tx_hash]

    await eventually(replaced)
    await rig.automine(True)
    await rig.mine()
    await settled_once(rig, requests)


async def test_run__lost_after_broadcast_and_its_bytes_are_mined__next_run_sees_it(
    rig: Rig,
) -> None:
    requests = await filled(rig)
    signed = await rig.sign(await rig.prepare("lost"))
    await rig.desk.sender.broadcast(signed.raw)
    await rig.desk.mined(signed.tx_hash)
    nonce = await rig.nonce()
    await rig.start()
    await settled_once(rig, requests)
    assert {(await rig.item(r)).tx_hash for r in requests} == {signed.tx_hash}
    assert await rig.nonce() == nonce


async def test_run__lost_while_two_wait__next_run_needs_no_third(rig: Rig) -> None:
    """Both old transactions are mined after all; the new run finds its items ended."""
    requests = await rig.deposits(4)
    await rig.automine(False)
    used: list[int] = []
    for name, part in (("one", requests[:2]), ("two", requests[2:])):
        for request in part:
            await rig.filled(request)
        prepared = await rig.prepare(name, in_use=used)
        await rig.desk.sender.broadcast((await rig.sign(prepared)).raw)
        used.append(prepared.nonce)
    assert used == [used[0], used[0] + 1]
    await rig.automine(True)
    await rig.mine()
    await rig.start()
    await settled_once(rig, requests)
    assert await rig.nonce() == used[1] + 1


async def test_send__repeated_after_it_was_booked__changes_nothing(rig: Rig) -> None:
    requests = await filled(rig)
    prepared = await rig.prepare("twice")
    signed = await rig.sign(prepared)
    first = await rig.send(prepared, signed)
    again = await rig.send(prepared, signed)
    assert (first.mined, first.settled, first.returned) == (True, 3, 0)
    assert (again.mined, again.settled, again.tx_hash) == (True, 0, first.tx_hash)
    await settled_once(rig, requests)


async def test_send__repeated_after_mined_but_before_booked__books_it(rig: Rig) -> None:
    requests = await filled(rig)
    prepared = await rig.prepare("twice")
    signed = await rig.sign(prepared)
    await rig.desk.sender.broadcast(signed.raw)
    sent = await rig.send(prepared, signed)
    assert (sent.mined, sent.settled) == (True, 3)
    await settled_once(rig, requests)


async def test_transaction__stuck__is_bumped_until_it_is_mined(rig: Rig) -> None:
    requests = await filled(rig)
    nonce = await rig.nonce()
    await rig.automine(False)
    await rig.start()
    first = (await eventually(rig.waiting))[0]

    async def dearer() -> bool:
        waiting = await rig.waiting()
        return int(waiting[0]["maxFeePerGas"], 16) * 100 >= int(first["maxFeePerGas"], 16) * 121

    await eventually(dearer)
    (last,) = await rig.waiting()
    assert (last["nonce"], last["input"]) == (first["nonce"], first["input"])
    await rig.automine(True)
    await rig.mine()
    await settled_once(rig, requests)
    assert await rig.nonce() == nonce + 1


async def test_nonce__used_by_a_stranger__proves_nothing_and_the_next_is_taken(rig: Rig) -> None:
    requests = await filled(rig)
    nonce = await rig.nonce()
    await rig.automine(False)
    await rig.start(wait_seconds=30.0)
    await eventually(rig.waiting)
    await rig.take_nonce(nonce)
    await rig.automine(True)
    await rig.mine()
    await settled_once(rig, requests)
    assert await rig.nonce() == nonce + 2


async def test_gap__nothing_above_it__costs_no_transaction(rig: Rig) -> None:
    nonce = await rig.nonce()
    prepared = await rig.prepare("idle")
    assert prepared.data == ""
    assert await rig.nonce() == nonce


@pytest.mark.parametrize("how", ["revert", "reorg"])
async def test_reorganisation__takes_the_batch_away__settles_again(rig: Rig, how: str) -> None:
    requests = await filled(rig)
    before = await rig.desk.rpc.call("evm_snapshot")
    await rig.start(sweep_seconds=3600.0)
    await rig.until(ItemState.MINED, *requests)
    await rig.stop()
    if how == "revert":
        await rig.desk.rpc.call("evm_revert", before)
    else:
        await rig.desk.rpc.call("anvil_reorg", 1, [])
    assert {await rig.desk.status(r.n) for r in requests} == {VaultStatus.OPEN}
    await rig.desk.rpc.call("anvil_dropAllTransactions")
    await rig.start()
    await eventually(lambda: tries(rig, requests, 1))
    await settled_once(rig, requests)


async def tries(rig: Rig, requests: list[VaultRequest], least: int) -> bool:
    return all([(await rig.item(request)).tries >= least for request in requests])


async def test_worker__dies_with_a_batch_in_flight__another_goes_on(rig: Rig) -> None:
    requests = await filled(rig)
    await rig.automine(False)
    desk = Rig(rig.desk, rig.client, rig.url)
    async with desk.worker():
        await desk.start(wait_seconds=60.0)
        await eventually(desk.waiting)
    nonce = await desk.nonce()
    await rig.automine(True)
    await rig.mine()
    async with desk.worker():
        await settled_once(desk, requests)
        assert await desk.nonce() == nonce + 1
        await desk.stop()
    desk.store.close()
