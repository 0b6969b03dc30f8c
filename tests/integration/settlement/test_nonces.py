"""Nonces in trouble on a real chain: dropped, replaced, stolen, unaffordable, with gaps."""

from typing import Any

import pytest

from activities.alarms import SettlementAlarm
from activities.fees import FeeLimits
from models.batches import BatchInFlight, SendBatchInput
from models.chain import BroadcastOutcome
from models.records import ItemState
from tests.integration.settlement.rig import SIGNER, Rig, filled, settled_once
from tests.waiting import eventually

GWEI = 10**9


async def first_waiting(rig: Rig) -> str:
    return str((await eventually(rig.waiting))[0]["hash"])


async def test_transaction__dropped_from_the_mempool__is_sent_again_as_it_was(rig: Rig) -> None:
    requests = await filled(rig)
    await rig.automine(False)
    await rig.start(wait_seconds=60.0)
    tx_hash = await first_waiting(rig)
    await rig.desk.rpc.call("anvil_dropTransaction", tx_hash)
    assert await rig.waiting() == []
    assert await first_waiting(rig) == tx_hash
    await rig.mine()
    await settled_once(rig, requests)


async def test_base_fee__twenty_times_higher_in_ten_blocks__is_followed(rig: Rig) -> None:
    requests = await filled(rig)
    nonce = await rig.nonce()
    await rig.automine(False)
    await rig.start(wait_seconds=0.2)
    await eventually(rig.waiting)
    first = int((await rig.waiting())[0]["maxFeePerGas"], 16)
    base = (await rig.desk.sender.fee_suggestion()).base_fee
    for step in range(1, 11):
        height = max(first + 1, base * 20 * step // 10)
        await rig.desk.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(height))
        await rig.mine()

    async def mined() -> bool:
        await rig.mine()
        return await rig.nonce() > nonce

    await eventually(mined, interval=0.2)
    await settled_once(rig, requests)
    assert await rig.nonce() == nonce + 1
    receipt = await rig.desk.sender.receipt((await rig.item(requests[0])).tx_hash)
    assert receipt is not None
    assert receipt.gas_price > first


@pytest.mark.parametrize("missing", [1, 5])
async def test_gap__below_a_batch_in_flight__takes_as_many_fillers(rig: Rig, missing: int) -> None:
    """Nonces that a lost run never sent: what is above them cannot be mined before they are."""
    requests = await filled(rig)
    nonce = await rig.nonce()
    above = list(range(nonce, nonce + missing))
    prepared = await rig.prepare("above", in_use=above)
    signed = await rig.sign(prepared)
    assert prepared.nonce == nonce + missing
    await rig.start(in_flight=(BatchInFlight(prepared=prepared, signed=(signed,)),))
    await settled_once(rig, requests)
    assert await rig.nonce() == nonce + missing + 1
    assert rig.alarms == []


async def test_nonce__held_by_a_dearer_foreign_transaction__alarms_and_the_next_is_taken(
    rig: Rig,
) -> None:
    requests = await filled(rig)
    nonce = await rig.nonce()
    await rig.automine(False)
    await rig.take_nonce(nonce, 400 * GWEI)
    await rig.start()
    await eventually(lambda: SettlementAlarm.FEE_CEILING in rig.alarmed())
    assert len(await rig.waiting()) == 1
    await rig.automine(True)
    await rig.mine()
    await settled_once(rig, requests)
    assert SettlementAlarm.KEY_USED in rig.alarmed()
    assert await rig.nonce() == nonce + 2


async def test_original__mined_although_it_was_replaced__is_booked_as_such(rig: Rig) -> None:
    requests = await filled(rig)
    await rig.automine(False)
    prepared = await rig.prepare("both")
    original = await rig.sign(prepared)
    dearer = prepared.model_copy(
        update={"max_fee": prepared.max_fee * 2, "max_priority_fee": prepared.max_priority_fee * 2}
    )
    replacement = await rig.sign(dearer)
    for signed in (original, replacement):
        sent = await rig.desk.sender.broadcast(signed.raw)
        assert sent.outcome is BroadcastOutcome.ACCEPTED
    # One miner had not heard of the replacement yet.
    await rig.desk.rpc.call("anvil_dropTransaction", replacement.tx_hash)
    await rig.desk.sender.broadcast(original.raw)
    await rig.mine()
    hashes = (original.model_copy(update={"raw": ""}), replacement)
    message = SendBatchInput(batch=prepared.batch, nonce=prepared.nonce, signed=hashes, count=3)
    sent = await rig.sent(message)
    assert (sent.mined, sent.settled, sent.tx_hash) == (True, 3, original.tx_hash)
    await settled_once(rig, requests)


async def test_receipt__of_a_block_that_is_orphaned_by_now__is_not_booked(rig: Rig) -> None:
    requests = await filled(rig)
    prepared = await rig.prepare("stale")
    signed = await rig.sign(prepared)
    stale = Stale(rig.desk.sender)
    rig.sender = stale  # type: ignore[assignment]
    sent = await rig.send(prepared, signed)
    assert (sent.mined, sent.settled) == (True, 3)
    assert stale.left == 0
    await settled_once(rig, requests)


async def test_receipt__told_later_than_its_nonce_is_counted__is_ours_all_the_same(
    rig: Rig,
) -> None:
    requests = await filled(rig)
    prepared = await rig.prepare("late")
    signed = await rig.sign(prepared)
    late = Late(rig.desk.sender, prepared.nonce)
    rig.sender = late  # type: ignore[assignment]
    sent = await rig.send(prepared, signed)
    assert (sent.mined, sent.settled, sent.tx_hash) == (True, 3, signed.tx_hash)
    assert late.left == 0
    assert rig.alarms == []
    await settled_once(rig, requests)


class Late:
    """A sender whose nodes count a transaction before they tell its receipt."""

    def __init__(self, real: Any, nonce: int) -> None:
        self._real = real
        self._nonce = nonce
        self._counted = False
        self.left = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def latest_nonce(self, address: str) -> int:
        found: int = await self._real.latest_nonce(address)
        self._counted = self._counted or found > self._nonce
        return found

    async def receipts(self, hashes: Any) -> Any:
        found = await self._real.receipts(hashes)
        if self._counted and not self.left:
            return found
        self.left -= self._counted
        return [None for _ in found]


class Stale:
    """A sender one of whose endpoints is on another fork for a while."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.left = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def receipts(self, hashes: Any) -> Any:
        found = await self._real.receipts(hashes)
        if not any(found) or not self.left:
            return found
        self.left -= 1
        return [r and r.model_copy(update={"block_hash": "0x" + "ee" * 32}) for r in found]


async def test_fees__at_the_ceiling__are_published_on_with_an_alarm_until_mined(rig: Rig) -> None:
    requests = await filled(rig)
    offer = await rig.desk.sender.fee_suggestion()
    rig.limits = FeeLimits(max_fee=offer.max_fee * 105 // 100)
    async with rig.another_worker():
        await rig.automine(False)
        await rig.start()
        tx_hash = await first_waiting(rig)
        await eventually(lambda: len(rig.alarms) >= 2)
        assert rig.alarmed() == {SettlementAlarm.FEE_CEILING}
        await rig.desk.rpc.call("anvil_dropTransaction", tx_hash)
        assert await first_waiting(rig) == tx_hash
        assert "at the ceiling" in await rig.details()
        await rig.automine(True)
        await rig.mine()
        await settled_once(rig, requests)


async def test_purse__pays_only_what_was_offered_before__goes_back_and_on_when_refilled(
    rig: Rig,
) -> None:
    requests = await filled(rig)
    await rig.automine(False)
    await rig.start()
    first = (await eventually(rig.waiting))[0]

    async def bumped_twice() -> bool:
        (waiting,) = await rig.waiting()
        return int(waiting["maxFeePerGas"], 16) * 100 >= int(first["maxFeePerGas"], 16) * 121

    await eventually(bumped_twice)
    affordable = int(first["maxFeePerGas"], 16) * int(first["gas"], 16)
    await rig.desk.rpc.call("anvil_setBalance", SIGNER, hex(affordable * 105 // 100))
    await rig.desk.rpc.call("anvil_dropAllTransactions")
    assert await first_waiting(rig) == first["hash"]
    assert SettlementAlarm.GAS_MONEY in rig.alarmed()
    await rig.desk.rpc.call("anvil_setBalance", SIGNER, hex(affordable * 1000))

    async def dearer() -> bool:
        return [tx["hash"] for tx in await rig.waiting()] != [first["hash"]]

    await eventually(dearer)
    await rig.automine(True)
    await rig.mine()
    await settled_once(rig, requests)


async def test_purse__pays_none_of_it__the_nonce_serves_a_smaller_batch(rig: Rig) -> None:
    requests = await filled(rig)
    nonce = await rig.nonce()
    await rig.automine(False)
    await rig.start()
    first = (await eventually(rig.waiting))[0]
    await rig.desk.rpc.call("anvil_setBalance", SIGNER, "0x1")
    await rig.desk.rpc.call("anvil_dropAllTransactions")
    await rig.until(ItemState.PENDING, *requests)

    async def says() -> bool:
        return "gas money" in await rig.details()

    await eventually(says)
    assert SettlementAlarm.GAS_MONEY in rig.alarmed()
    # For one item of the three, and a bump.
    money = int(first["maxFeePerGas"], 16) * 2 * 660_000
    await rig.desk.rpc.call("anvil_setBalance", SIGNER, hex(money))
    (small,) = await eventually(rig.waiting)
    assert (int(small["nonce"], 16), len(small["input"])) < (nonce + 1, len(first["input"]))
    await rig.desk.rpc.call("anvil_setBalance", SIGNER, hex(10**20))
    await rig.automine(True)
    await rig.mine()
    await settled_once(rig, requests)
