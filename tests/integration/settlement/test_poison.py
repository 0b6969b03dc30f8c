"""An item that makes its whole batch revert is found and set aside; its neighbours settle."""

from typing import Any

from activities.alarms import SettlementAlarm
from bronco.devchain import SETTLER, dev_key
from clients.keys import SettlePolicy, SignedTx, UnsignedTx, plain_signer
from models.chain import BroadcastOutcome
from models.records import ItemState
from models.requests import VaultRequest
from models.verdict import POISON, UNSIGNED
from tests.integration.settlement.hostile import make_hostile
from tests.integration.settlement.rig import Rig, filled, settled_once
from tests.integration.vault.desk import DOLLAR, SHARE


async def one_hostile(rig: Rig, position: int, count: int) -> tuple[VaultRequest, list[Any]]:
    """Refunds, one of which goes to an account that uses up the gas of any batch."""
    requests = []
    for n in range(count):
        who = rig.desk.bob if n == position else rig.desk.alice
        requests.append(await rig.desk.deposit(who, 200 * DOLLAR))
        await rig.refunded(requests[-1])
    await make_hostile(rig.desk, rig.desk.bob.address)
    return requests.pop(position), requests


async def test_hostile_token__asked_about_first__costs_no_transaction(rig: Rig) -> None:
    hostile, others = await one_hostile(rig, 2, 6)
    nonce = await rig.nonce()
    await rig.start()
    items = await rig.until(ItemState.MINED, *others)
    (refused,) = await rig.until(ItemState.REJECTED, hostile)
    assert len({item.tx_hash for item in items}) == 1
    assert refused.rejection == POISON
    assert [key for kind, key, _ in rig.alarms if kind is SettlementAlarm.POISON] == [
        hostile.request_id.lower()
    ]
    assert await rig.nonce() == nonce + 1


async def test_hostile_token__that_hides_until_it_is_mined__is_found_by_smaller_batches(
    rig: Rig,
) -> None:
    hostile, others = await one_hostile(rig, 2, 6)
    rig.sender = Says(rig.desk.sender, None)  # type: ignore[assignment]
    nonce = await rig.nonce()
    async with rig.another_worker():
        await rig.start()
        await rig.until(ItemState.MINED, *others)
        (refused,) = await rig.until(ItemState.REJECTED, hostile)
        assert refused.rejection == POISON
        assert {SettlementAlarm.REVERTED, SettlementAlarm.POISON} <= rig.alarmed()
        assert sorted(await rig.events("Refunded")) == sorted(r.n for r in others)
        # Six, three, one, one, then two or more at a time.
        assert await rig.nonce() - nonce <= 9


async def test_vault__reverts_any_batch__blames_no_item_and_waits(rig: Rig) -> None:
    requests = await filled(rig)
    nonce = await rig.nonce()
    rig.sender = Says(rig.desk.sender, BroadcastOutcome.REVERTS)  # type: ignore[assignment]
    prepared = await rig.prepare("blocked")
    assert prepared.data == ""
    assert "reverts any batch" in prepared.waiting_for
    assert rig.alarmed() == {SettlementAlarm.VAULT_REFUSES}
    assert {(await rig.item(request)).state for request in requests} == {ItemState.PENDING}
    await rig.start()
    await settled_once(rig, requests)
    assert await rig.nonce() == nonce + 1


async def test_item__above_a_limit_of_the_signer__waits_alone_until_it_is_raised(
    rig: Rig,
) -> None:
    large = await rig.desk.deposit(rig.desk.bob, 2_000 * DOLLAR)
    await rig.filled(large, shares=5)
    small = await filled(rig, 3)
    bound = Replaceable(rig, max_shares=4 * SHARE)
    unbound, rig.signer = rig.signer, bound  # type: ignore[assignment]
    async with rig.another_worker():
        await rig.start()
        await rig.until(ItemState.MINED, *small)
        (refused,) = await rig.until(ItemState.REJECTED, large)
        assert refused.rejection == UNSIGNED
        assert SettlementAlarm.UNSIGNED in rig.alarmed()
        bound.signer = unbound
        await rig.until(ItemState.MINED, large)


class Replaceable:
    """A signer with limits of its own, until another one takes its place."""

    def __init__(self, rig: Rig, **limits: int) -> None:
        policy = SettlePolicy(chain_id=rig.desk.chain.chain_id, vault=rig.desk.address, **limits)
        self.signer = plain_signer(dev_key(SETTLER), policy)
        self.address = rig.address

    async def sign(self, tx: UnsignedTx) -> SignedTx:
        return await self.signer.sign(tx)


class Says:
    """A sender whose endpoint says the same to whatever is asked about beforehand."""

    def __init__(self, real: Any, outcome: BroadcastOutcome | None) -> None:
        self._real = real
        self._outcome = outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def refusal(self, *_: Any) -> BroadcastOutcome | None:
        return self._outcome
