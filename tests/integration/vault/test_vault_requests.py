"""What users may ask for, and what the vault writes down."""

import pytest

from clients.vault import VAULT, VaultClient, request_id
from clients.wallet import ERC20, USDT, CallReverted
from models.money import MARKET_BUY_LIMIT
from models.requests import Side, VaultStatus
from tests.integration.vault.desk import DOLLAR, SHARE, Desk, bought, names, refund

ZERO = "0x" + "00" * 20


async def test_deposit__within_bounds__stores_every_term_and_escrows(desk: Desk) -> None:
    before = await desk.alice.balance(desk.usdt)
    deadline = await desk.deadline()

    made = await desk.alice.deposit(
        desk.share,
        1000 * DOLLAR,
        limit=200 * DOLLAR,
        deadline=deadline,
        recipient=desk.bob.address,
    )

    stored = await desk.request(made.n)
    assert (stored.n, stored.side, stored.status) == (1, Side.BUY, VaultStatus.OPEN)
    assert (stored.owner, stored.recipient) == (desk.alice.address, desk.bob.address)
    assert (stored.asset, stored.amount, stored.limit_price) == (
        desk.share,
        1000 * DOLLAR,
        200 * DOLLAR,
    )
    assert (stored.deadline, stored.reclaim_at) == (deadline, deadline + 7 * 86_400)
    assert (stored.fee_bps, stored.created_block) == (20, made.block_number)
    assert not stored.cancel_requested
    books = await desk.books()
    assert (books.count, books.escrow, books.free) == (1, 1000 * DOLLAR, 1_000_000 * DOLLAR)
    assert await desk.alice.balance(desk.usdt) == before - 1000 * DOLLAR


async def test_deposit__announced__event_carries_number_id_and_terms(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 500 * DOLLAR, limit=180 * DOLLAR)

    tx_hash = await desk.sender.request_tx_hash(request)

    receipt = await desk.sender.receipt(tx_hash)
    assert receipt is not None
    (event,) = receipt.events
    assert (event.name, event.n, event.request_id) == (
        "DepositRequested",
        request.n,
        request.request_id,
    )
    assert event.args["amount"] == 500 * DOLLAR
    assert event.args["limitPrice"] == 180 * DOLLAR
    assert event.args["feeBps"] == 20


async def test_id__recomputed_from_terms__is_the_vaults(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 500 * DOLLAR, limit=180 * DOLLAR)

    on_chain = await desk.alice.read(VAULT, desk.address, "count")
    terms = {
        "n": on_chain,
        "owner": request.owner,
        "recipient": request.recipient,
        "side": 0,
        "asset": request.asset,
        "amount": request.amount,
        "limitPrice": request.limit_price,
        "deadline": request.deadline,
        "feeBps": request.fee_bps,
    }
    assert request_id(31337, desk.address, terms) == request.request_id
    for field in ("n", "side", "amount", "limitPrice", "deadline", "feeBps"):
        changed = {**terms, field: int(str(terms[field])) + 1}
        assert request_id(31337, desk.address, changed) != request.request_id


async def test_redeem__whole_share__escrows_the_tokens(desk: Desk) -> None:
    await desk.holder(desk.alice, 3)

    request = await desk.redeem(desk.alice, 2 * SHARE, limit=150 * DOLLAR)

    assert (request.side, request.amount) == (Side.SELL, 2 * SHARE)
    assert await desk.alice.balance(desk.share) == 1 * SHARE
    assert await desk.alice.read(ERC20, desk.share, "balanceOf", desk.address) == 2 * SHARE
    assert await desk.supply() == 3 * SHARE


async def test_redeem__one_unit_below_a_share__reverts(desk: Desk) -> None:
    await desk.holder(desk.alice, 2)

    with pytest.raises(CallReverted) as refused:
        await desk.redeem(desk.alice, SHARE - 1)

    assert refused.value.error == "AmountTooSmall"
    assert (await desk.redeem(desk.alice, SHARE)).amount == SHARE


async def test_deposit__below_the_minimum__reverts(desk: Desk) -> None:
    with pytest.raises(CallReverted) as refused:
        await desk.deposit(desk.alice, 10 * DOLLAR - 1)

    assert refused.value.error == "AmountTooSmall"
    assert (await desk.deposit(desk.alice, 10 * DOLLAR)).amount == 10 * DOLLAR


async def test_deposit__token_keeps_a_fee__amount_is_what_arrived(desk: Desk) -> None:
    await desk.admin.send(USDT, desk.usdt, "setFee", 100, 1000 * DOLLAR)

    request = await desk.deposit(desk.alice, 1000 * DOLLAR)

    assert request.amount == 990 * DOLLAR
    assert (await desk.books()).escrow == 990 * DOLLAR


async def test_deposit__unknown_asset__reverts_naming_it(desk: Desk) -> None:
    deadline = await desk.deadline()

    with pytest.raises(CallReverted, match=desk.usdt) as refused:
        await desk.alice.deposit(desk.usdt, 100 * DOLLAR, limit=MARKET_BUY_LIMIT, deadline=deadline)

    assert refused.value.error == "UnknownAsset"


async def test_deposit__closed_asset__reverts_and_open_requests_still_settle(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.configure_asset(is_open=False)

    with pytest.raises(CallReverted) as refused:
        await desk.deposit(desk.alice, 1000 * DOLLAR)

    assert refused.value.error == "AssetClosed"
    await desk.settle([bought(request, 5)])
    assert await desk.status(request.n) is VaultStatus.SETTLED


@pytest.mark.parametrize("seconds", [500, 30 * 86_400 + 600])
async def test_deposit__deadline_out_of_bounds__reverts(desk: Desk, seconds: int) -> None:
    deadline = await desk.deadline(seconds)

    with pytest.raises(CallReverted) as refused:
        await desk.alice.deposit(
            desk.share, 100 * DOLLAR, limit=MARKET_BUY_LIMIT, deadline=deadline
        )

    assert refused.value.error == "DeadlineOutOfBounds"


@pytest.mark.parametrize("offset", [599, 600, 30 * 86_400, 30 * 86_400 + 1])
async def test_deposit__deadline_at_the_edge__bounds_are_inclusive(desk: Desk, offset: int) -> None:
    now = (await desk.head()).timestamp + 100
    args = (desk.share, 100 * DOLLAR, MARKET_BUY_LIMIT, now + offset, desk.alice.address)
    await desk.alice.send(USDT, desk.usdt, "approve", desk.address, 100 * DOLLAR)
    # An anvil block's time is set from outside, so the edge can be hit to the second.
    await desk.rpc.call("evm_setNextBlockTimestamp", now)

    receipt = await desk.send_as(
        desk.alice.address, desk.address, VAULT.calldata("deposit", *args), 500_000
    )

    assert receipt.ok is (600 <= offset <= 30 * 86_400)


@pytest.mark.parametrize("dollars", [95, 190, 285])
async def test_deposit__limit_within_half_of_the_reference__is_taken(
    desk: Desk, dollars: int
) -> None:
    assert (await desk.deposit(desk.alice, 1000 * DOLLAR, limit=dollars * DOLLAR)).n == 1


@pytest.mark.parametrize("limit", [95 * DOLLAR - 1, 285 * DOLLAR + 1, 10_000])
async def test_deposit__limit_absurdly_off__reverts_while_the_feed_lives(
    desk: Desk, limit: int
) -> None:
    with pytest.raises(CallReverted) as refused:
        await desk.deposit(desk.alice, 1000 * DOLLAR, limit=limit)

    assert refused.value.error == "LimitOutOfReach"
    await desk.make_stale()
    assert (await desk.deposit(desk.alice, 1000 * DOLLAR, limit=limit)).n == 1


async def test_redeem__limit_absurdly_off__reverts(desk: Desk) -> None:
    await desk.holder(desk.alice, 2)

    with pytest.raises(CallReverted) as refused:
        await desk.redeem(desk.alice, SHARE, limit=10**9 * DOLLAR)

    assert refused.value.error == "LimitOutOfReach"


@pytest.mark.parametrize("who", ["zero", "vault"])
async def test_deposit__recipient_that_cannot_own__reverts(desk: Desk, who: str) -> None:
    recipient = ZERO if who == "zero" else desk.address

    with pytest.raises(CallReverted) as refused:
        await desk.deposit(desk.alice, 1000 * DOLLAR, recipient=recipient)

    assert refused.value.error == "InvalidRecipient"


async def test_fee__raised_later__open_request_keeps_its_own(desk: Desk) -> None:
    old = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.configure(fee_bps=100)
    new = await desk.deposit(desk.alice, 1000 * DOLLAR)

    assert ((await desk.request(old.n)).fee_bps, new.fee_bps) == (20, 100)


async def test_cancel__asked_by_the_owner__once(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)

    receipt = await desk.alice.request_cancel(request.n)

    assert names(receipt) == ["CancelRequested"]
    assert (await desk.request(request.n)).cancel_requested
    with pytest.raises(CallReverted) as refused:
        await desk.alice.request_cancel(request.n)
    assert refused.value.error == "CancelAlreadyRequested"


async def test_cancel__by_another_or_after_the_end__reverts(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)

    with pytest.raises(CallReverted) as stranger:
        await desk.bob.request_cancel(request.n)
    await desk.settle([], [refund(request)])
    with pytest.raises(CallReverted) as late:
        await desk.alice.request_cancel(request.n)
    with pytest.raises(CallReverted) as nothing:
        await desk.alice.request_cancel(99)

    found = [refused.value.error for refused in (stranger, late, nothing)]
    assert found == ["NotRequestOwner", "RequestNotOpen", "UnknownRequest"]


async def test_requests__more_than_a_page__come_complete_and_in_order(desk: Desk) -> None:
    for i in range(5):
        await desk.deposit(desk.alice, (100 + i) * DOLLAR)
    paged = VaultClient(desk.rpc, chain_id=31337, address=desk.address, page=2)
    head = await desk.head()

    found = await paged.requests(1, 100, head)

    assert [(r.n, r.amount) for r in found] == [(i + 1, (100 + i) * DOLLAR) for i in range(5)]
    assert [r.n for r in await paged.requests(2, 4, head)] == [2, 3, 4]
    assert await paged.requests(6, 9, head) == []


async def test_request__asked_at_an_older_block__is_as_it_was_there(desk: Desk) -> None:
    before = await desk.head()
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    opened = await desk.head()
    await desk.settle([], [refund(request)])

    assert await desk.vault.count(before) == 0
    assert await desk.vault.request(1, before) is None
    was = await desk.vault.request(1, opened)
    assert was is not None
    assert was.status is VaultStatus.OPEN
    assert await desk.status(1) is VaultStatus.REFUNDED
