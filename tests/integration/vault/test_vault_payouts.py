"""Money a token refuses to deliver, money the vault has not got, the way out without us."""

import pytest

from clients.vault import VAULT
from clients.wallet import USDT, CallReverted, Wallet
from models.requests import VaultRequest, VaultStatus
from tests.integration.vault.desk import (
    DOLLAR,
    SHARE,
    Desk,
    bought,
    names,
    refund,
    rejections,
    sold,
)

ZERO = "0x" + "00" * 20


# --- claims ----------------------------------------------------------------------------------


async def test_settle__owner_is_blocked__rest_waits_for_a_claim_to_another_address(
    desk: Desk,
) -> None:
    first = await desk.deposit(desk.alice, 1000 * DOLLAR)
    other = await desk.deposit(desk.carol, 1000 * DOLLAR)
    await desk.block(desk.alice.address)

    receipt = await desk.settle([bought(first, 5), bought(other, 5)])

    assert names(receipt) == ["ClaimCredited", "Settled", "Settled"]
    assert await desk.alice.balance(desk.share) == 5 * SHARE
    rest = 48_100_000
    assert await desk.alice.claimable(desk.usdt) == rest
    assert (await desk.books()).claimable == rest
    with pytest.raises(CallReverted):
        await desk.alice.claim(desk.usdt, desk.alice.address)
    before = await desk.bob.balance(desk.usdt)

    await desk.alice.claim(desk.usdt, desk.bob.address)

    assert await desk.bob.balance(desk.usdt) == before + rest
    assert (await desk.books()).claimable == 0
    with pytest.raises(CallReverted) as twice:
        await desk.alice.claim(desk.usdt, desk.bob.address)
    assert twice.value.error == "NothingToClaim"


async def test_deliver__by_anybody__reaches_the_account_itself_and_once(desk: Desk) -> None:
    """For recipients that cannot call `claim`: an exchange's address, a contract."""
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.block(desk.alice.address)
    await desk.settle([], [refund(request)])
    before = await desk.alice.balance(desk.usdt)
    with pytest.raises(CallReverted):
        await desk.call(desk.carol, "deliver", desk.usdt, desk.alice.address)
    await desk.block(desk.alice.address, blocked=False)

    await desk.call(desk.carol, "deliver", desk.usdt, desk.alice.address)

    assert await desk.alice.balance(desk.usdt) == before + 1000 * DOLLAR
    with pytest.raises(CallReverted) as again:
        await desk.call(desk.carol, "deliver", desk.usdt, desk.alice.address)
    assert again.value.error == "NothingToClaim"
    assert (await desk.books()).claimable == 0


async def test_settle__recipient_of_a_redeem_is_blocked__payout_waits_for_a_claim(
    desk: Desk,
) -> None:
    await desk.holder(desk.alice, 3)
    request = await desk.redeem(desk.alice, 3 * SHARE, recipient=desk.bob.address)
    await desk.block(desk.bob.address)
    free = (await desk.books()).free

    await desk.settle([sold(request, 3)])

    books = await desk.books()
    assert books.claimable == 568_860_000
    assert books.free == free - 568_860_000
    assert await desk.bob.claimable(desk.usdt) == 568_860_000
    assert await desk.alice.claimable(desk.usdt) == 0
    with pytest.raises(CallReverted):
        await desk.alice.claim(desk.usdt, desk.carol.address)
    await desk.bob.claim(desk.usdt, desk.carol.address)
    assert (await desk.books()).claimable == 0


@pytest.mark.parametrize("ending", ["refund", "reclaim"])
async def test_escrow__owner_is_blocked__goes_to_claims_and_the_request_ends(
    desk: Desk, ending: str
) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.block(desk.alice.address)
    if ending == "refund":
        await desk.settle([], [refund(request)])
    else:
        await desk.warp_to(request.reclaim_at)
        await desk.alice.reclaim(request.n)

    books = await desk.books()
    assert (books.escrow, books.claimable) == (0, 1000 * DOLLAR)
    assert await desk.status(request.n) is not VaultStatus.OPEN


async def test_settle__whole_token_stands_still__users_keep_their_claims(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.block(desk.address)

    await desk.settle([], [refund(request)])

    assert await desk.alice.claimable(desk.usdt) == 1000 * DOLLAR
    await desk.block(desk.address, blocked=False)
    await desk.alice.claim(desk.usdt, desk.alice.address)
    assert await desk.alice.claimable(desk.usdt) == 0


@pytest.mark.parametrize("target", ["zero", "vault"])
async def test_claim__to_nobody__reverts(desk: Desk, target: str) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.block(desk.alice.address)
    await desk.settle([], [refund(request)])

    with pytest.raises(CallReverted) as refused:
        await desk.alice.claim(desk.usdt, ZERO if target == "zero" else desk.address)

    assert refused.value.error == "InvalidRecipient"


# --- owed ------------------------------------------------------------------------------------


async def holders(desk: Desk, *wallets: Wallet) -> list[VaultRequest]:
    """A redeem of one share by each, and a vault with no free money."""
    requests = []
    for wallet in wallets:
        await desk.holder(wallet, 1)
        requests.append(await desk.redeem(wallet, SHARE))
    await desk.empty_the_vault()
    return requests


PAYOUT = 189_620_000
"""One share at 190 less 20 bps."""


async def test_settle__redeem_without_money__is_settled_and_owed(desk: Desk) -> None:
    (request,) = await holders(desk, desk.alice)
    before = await desk.alice.balance(desk.usdt)

    receipt = await desk.settle([sold(request, 1)])

    assert names(receipt) == ["Owed", "Settled"]
    assert rejections(receipt) == []
    assert await desk.supply() == 0
    assert await desk.alice.balance(desk.usdt) == before
    books = await desk.books()
    assert (books.owed, books.free, books.payable) == (PAYOUT, 0, 0)
    (state,) = await desk.vault.states([request.n], await desk.head())
    assert (state.status, state.owed) == (VaultStatus.SETTLED, PAYOUT)


async def test_pay_owed__money_returns__first_in_is_first_out(desk: Desk) -> None:
    first, second, third = await holders(desk, desk.alice, desk.bob, desk.carol)
    await desk.settle([sold(first, 1), sold(second, 1), sold(third, 1)])
    before = [await w.balance(desk.usdt) for w in (desk.alice, desk.bob, desk.carol)]
    await fund(desk, PAYOUT + PAYOUT // 2)

    receipt = await desk.call(desk.carol, "payOwed", 10)

    paid = [(event.n, event.args["amount"], event.args["remaining"]) for event in receipt.events]
    assert paid == [(first.n, PAYOUT, 0), (second.n, PAYOUT // 2, PAYOUT // 2)]
    after = [await w.balance(desk.usdt) for w in (desk.alice, desk.bob, desk.carol)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [PAYOUT, PAYOUT // 2, 0]
    assert (await desk.books()).owed == PAYOUT // 2 + PAYOUT
    await fund(desk, 10 * PAYOUT)
    await desk.call(desk.carol, "payOwed", 1)
    assert (await desk.books()).owed == PAYOUT
    await desk.call(desk.carol, "payOwed", 1)
    assert (await desk.books()).owed == 0
    assert (await desk.call(desk.carol, "payOwed", 5)).events == ()


async def test_settle__queue_is_not_empty__newcomer_does_not_overtake(desk: Desk) -> None:
    first, second = await holders(desk, desk.alice, desk.bob)
    await desk.settle([sold(first, 1)])
    await fund(desk, PAYOUT + 50 * DOLLAR)
    before = await desk.bob.balance(desk.usdt)

    await desk.settle([sold(second, 1)])

    # What is free beyond the queue pays part of the newcomer; the first's money is untouched.
    assert await desk.bob.balance(desk.usdt) == before + 50 * DOLLAR
    # The end of the batch paid the first, who waited longest.
    books = await desk.books()
    assert (books.free, books.owed) == (0, PAYOUT - 50 * DOLLAR)
    states = await desk.vault.states([first.n, second.n], await desk.head())
    assert [state.owed for state in states] == [0, PAYOUT - 50 * DOLLAR]


async def test_queue__emptied_and_filled_again__works_as_before(desk: Desk) -> None:
    first, second = await holders(desk, desk.alice, desk.bob)
    await desk.settle([sold(first, 1)])
    await fund(desk, PAYOUT)
    await desk.call(desk.bob, "payOwed", 1)

    await desk.settle([sold(second, 1)])
    await fund(desk, PAYOUT)
    receipt = await desk.call(desk.alice, "payOwed", 1)

    assert [(event.name, event.n) for event in receipt.events] == [("OwedPaid", second.n)]
    assert (await desk.books()).owed == 0


async def test_settle__nothing_but_debts__pays_three_of_them(desk: Desk) -> None:
    """What deposits free, or the treasurer brings, reaches who waits without anybody's call."""
    waiting = await holders(desk, desk.alice, desk.bob, desk.carol, desk.alice)
    await desk.settle([sold(request, 1) for request in waiting])
    await fund(desk, 10 * PAYOUT)

    receipt = await desk.settle([])

    assert [(e.name, e.n) for e in receipt.events] == [("OwedPaid", r.n) for r in waiting[:3]]
    assert (await desk.books()).owed == PAYOUT


async def test_settle__owed_and_a_deposit_settled__its_money_goes_to_who_waits(desk: Desk) -> None:
    (first,) = await holders(desk, desk.alice)
    await desk.settle([sold(first, 1)])
    request = await desk.deposit(desk.bob, 1000 * DOLLAR)

    receipt = await desk.settle([bought(request, 1)])

    assert names(receipt)[-1] == "OwedPaid"
    assert (await desk.books()).owed == 0


async def test_pay_owed__recipient_is_blocked__becomes_a_claim_and_the_next_is_paid(
    desk: Desk,
) -> None:
    first, second = await holders(desk, desk.alice, desk.bob)
    await desk.settle([sold(first, 1), sold(second, 1)])
    await desk.block(desk.alice.address)
    await fund(desk, 2 * PAYOUT)
    before = await desk.bob.balance(desk.usdt)

    await desk.call(desk.carol, "payOwed", 2)

    assert await desk.bob.balance(desk.usdt) == before + PAYOUT
    assert await desk.alice.claimable(desk.usdt) == PAYOUT
    books = await desk.books()
    assert (books.owed, books.claimable, books.free) == (0, PAYOUT, 0)


async def test_withdraw__something_is_owed__leaves_owed_and_floor(desk: Desk) -> None:
    (request,) = await holders(desk, desk.alice)
    await desk.settle([sold(request, 1)])
    await desk.configure(floor=100 * DOLLAR)
    await fund(desk, PAYOUT + 100 * DOLLAR + 7)
    await desk.deposit(desk.bob, 5000 * DOLLAR)
    to = desk.treasurer.address

    with pytest.raises(CallReverted) as refused:
        await desk.call(desk.treasurer, "withdraw", to, 8)
    await desk.call(desk.treasurer, "withdraw", to, 7)

    assert refused.value.error == "WithdrawalTooLarge"
    assert await desk.treasurer.balance(desk.usdt) >= 7
    assert await desk.alice.read(VAULT, desk.address, "withdrawableUsdt") == 0


async def test_withdraw__to_nobody_or_by_another__reverts(desk: Desk) -> None:
    with pytest.raises(CallReverted) as nobody:
        await desk.call(desk.treasurer, "withdraw", ZERO, 1)
    with pytest.raises(CallReverted) as itself:
        await desk.call(desk.treasurer, "withdraw", desk.address, 1)
    with pytest.raises(CallReverted) as other:
        await desk.call(desk.settler, "withdraw", desk.settler.address, 1)

    found = [refused.value.error for refused in (nobody, itself, other)]
    assert found == ["InvalidRecipient", "InvalidRecipient", "AccessControlUnauthorizedAccount"]


# --- reclaim ---------------------------------------------------------------------------------


async def test_reclaim__a_second_early__reverts_then_returns_everything(desk: Desk) -> None:
    await desk.holder(desk.alice, 2)
    before = await desk.alice.balance(desk.usdt)
    deposit = await desk.deposit(desk.alice, 1000 * DOLLAR, recipient=desk.bob.address)
    redeem = await desk.redeem(desk.alice, 2 * SHARE, recipient=desk.bob.address)
    await desk.warp_to(deposit.reclaim_at - 1)

    with pytest.raises(CallReverted) as early:
        # eth_estimateGas runs at the time of the newest block.
        await desk.alice.reclaim(deposit.n)
    await desk.warp_to(redeem.reclaim_at)
    with pytest.raises(CallReverted) as stranger:
        await desk.bob.reclaim(deposit.n)
    await desk.alice.reclaim(deposit.n)
    await desk.alice.reclaim(redeem.n)
    with pytest.raises(CallReverted) as twice:
        await desk.alice.reclaim(deposit.n)

    found = [refused.value.error for refused in (early, stranger, twice)]
    assert found == ["TooEarly", "NotRequestOwner", "RequestNotOpen"]
    assert await desk.alice.balance(desk.usdt) == before
    assert await desk.alice.balance(desk.share) == 2 * SHARE
    assert (await desk.books()).escrow == 0


async def test_pause__every_way_out__stays_open(desk: Desk) -> None:
    settled = await desk.deposit(desk.alice, 1000 * DOLLAR)
    refunded = await desk.deposit(desk.alice, 1000 * DOLLAR)
    reclaimed = await desk.deposit(desk.alice, 1000 * DOLLAR)
    cancelled = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.call(desk.guardian, "pause")

    for wallet in (desk.alice, desk.bob):
        with pytest.raises(CallReverted) as refused:
            await desk.deposit(wallet, 1000 * DOLLAR)
        assert refused.value.error == "EnforcedPause"
    await desk.alice.request_cancel(cancelled.n)
    await desk.block(desk.alice.address)
    receipt = await desk.settle([bought(settled, 5)], [refund(refunded)])
    assert rejections(receipt) == []
    await desk.warp_to(reclaimed.reclaim_at)
    await desk.alice.reclaim(reclaimed.n)
    await desk.alice.claim(desk.usdt, desk.bob.address)
    assert (await desk.books()).claimable == 0
    assert (await desk.books()).escrow == 1000 * DOLLAR


async def fund(desk: Desk, amount: int) -> None:
    """Top the vault up with what the treasurer withdrew before."""
    await desk.treasurer.send(USDT, desk.usdt, "approve", desk.address, 0)
    await desk.treasurer.send(USDT, desk.usdt, "approve", desk.address, amount)
    receipt = await desk.call(desk.treasurer, "fund", amount)
    assert names(receipt) == ["Funded"]
