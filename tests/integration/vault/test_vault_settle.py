"""Settling: what is accepted, what is refused, and that one item never harms another."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from clients.sender import gas_limit_for
from clients.vault import settle_calldata, terms_of
from clients.wallet import CallReverted
from models.chain import Rejection, SettleItem
from models.money import MARKET_BUY_LIMIT, Settlement
from models.requests import VaultRequest, VaultStatus
from tests.integration.vault.desk import (
    DOLLAR,
    PRICE,
    SHARE,
    Desk,
    bought,
    item,
    names,
    refund,
    rejections,
    sold,
)

Breaking = Callable[[SettleItem], SettleItem]


async def test_settle__deposit__mints_to_recipient_and_returns_the_rest(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR, recipient=desk.bob.address)
    before = await desk.alice.balance(desk.usdt)
    # 5 shares at 190 = 950, and 20 bps of that in fee.
    fill = bought(request, 5)
    assert (fill.taken, fill.fee) == (951_900_000, 1_900_000)

    receipt = await desk.settle([fill])

    (settled,) = receipt.events
    assert (settled.name, settled.n, settled.args["returned"]) == ("Settled", 1, 48_100_000)
    assert await desk.bob.balance(desk.share) == 5 * SHARE
    assert await desk.alice.balance(desk.share) == 0
    assert await desk.alice.balance(desk.usdt) == before + 48_100_000
    books = await desk.books()
    assert (books.escrow, books.fees) == (0, 1_900_000)
    assert books.free == 1_000_000 * DOLLAR + 951_900_000
    (state,) = await desk.vault.states([1], await desk.head())
    assert (state.status, state.terms) == (VaultStatus.SETTLED, terms_of(fill))


async def test_settle__redeem__burns_pays_recipient_and_returns_the_rest(desk: Desk) -> None:
    await desk.holder(desk.alice, 5)
    request = await desk.redeem(desk.alice, 3 * SHARE + SHARE // 2, recipient=desk.bob.address)
    before = await desk.bob.balance(desk.usdt)
    free = (await desk.books()).free

    receipt = await desk.settle([sold(request, 3)])

    # 3 x 190 = 570 less 20 bps.
    assert await desk.bob.balance(desk.usdt) == before + 568_860_000
    assert await desk.alice.balance(desk.share) == 2 * SHARE
    assert await desk.supply() == 2 * SHARE
    assert (await desk.books()).free == free - 568_860_000
    assert receipt.events[-1].args["returned"] == SHARE // 2


async def test_settle__two_assets_in_one_batch__each_by_its_own_price_and_token(
    desk: Desk,
) -> None:
    msft = desk.chain.shares["MSFT"]
    first = await desk.deposit(desk.alice, 1000 * DOLLAR)
    until = await desk.deadline()
    made = [
        await wallet.deposit(msft, 1000 * DOLLAR, limit=MARKET_BUY_LIMIT, deadline=until)
        for wallet in (desk.alice, desk.bob)
    ]
    other, wrong = [await desk.request(one.n) for one in made]
    last = await desk.deposit(desk.bob, 1000 * DOLLAR)
    items = [bought(first, 5), bought(other, 2, Decimal(400)), bought(wrong, 5), bought(last, 5)]

    receipt = await desk.settle(items)

    assert rejections(receipt) == [(wrong.n, Rejection.BAND)]
    assert await desk.alice.balance(desk.share) == 5 * SHARE
    assert await desk.alice.balance(msft) == 2 * SHARE
    assert await desk.bob.balance(desk.share) == 5 * SHARE
    assert await desk.bob.balance(msft) == 0


async def test_settle__the_same_item_again__does_nothing(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.settle([bought(request, 5)])
    books, shares = await desk.books(), await desk.alice.balance(desk.share)

    again = await desk.settle([bought(request, 5), bought(request, 5)])

    assert again.events == ()
    assert await desk.books() == books
    assert await desk.alice.balance(desk.share) == shares


async def test_settle__other_terms_for_a_settled_one__conflict(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    fill = bought(request, 5)
    await desk.settle([fill])
    books = await desk.books()

    for changed in (
        {"taken": fill.taken - 1},
        {"out": fill.out + 1},
        {"fee": fill.fee - 1},
        {"fill_hash": "0x" + "cd" * 32},
    ):
        receipt = await desk.settle([fill.model_copy(update=changed)])
        assert rejections(receipt) == [(1, Rejection.CONFLICT)]
    receipt = await desk.settle([], [refund(request)])
    assert rejections(receipt) == [(1, Rejection.CONFLICT)]
    assert await desk.books() == books


async def test_refund__open_deposit__gives_all_back_once(desk: Desk) -> None:
    before = await desk.alice.balance(desk.usdt)
    request = await desk.deposit(desk.alice, 1000 * DOLLAR, recipient=desk.bob.address)

    receipt = await desk.settle([], [refund(request, reason=7)])
    again = await desk.settle([], [refund(request, reason=8)])

    (event,) = receipt.events
    assert (event.name, event.args["amount"], event.args["reason"]) == ("Refunded", 10**9, 7)
    assert again.events == ()
    assert await desk.alice.balance(desk.usdt) == before
    assert (await desk.books()).escrow == 0


async def test_refund__open_redeem__gives_the_shares_back(desk: Desk) -> None:
    await desk.holder(desk.alice, 2)
    request = await desk.redeem(desk.alice, 2 * SHARE)

    await desk.settle([], [refund(request)])

    assert await desk.alice.balance(desk.share) == 2 * SHARE
    assert await desk.supply() == 2 * SHARE


BROKEN: dict[str, tuple[Breaking, Rejection]] = {
    "no such number": (lambda i: i.model_copy(update={"n": 99}), Rejection.UNKNOWN_REQUEST),
    "number zero": (lambda i: i.model_copy(update={"n": 0}), Rejection.UNKNOWN_REQUEST),
    "number beyond 64 bits": (
        lambda i: i.model_copy(update={"n": 2**64 + i.n}),
        Rejection.UNKNOWN_REQUEST,
    ),
    "another id": (
        lambda i: i.model_copy(update={"request_id": "0x" + "11" * 32}),
        Rejection.ID_MISMATCH,
    ),
    "nothing taken": (lambda i: i.model_copy(update={"taken": 0}), Rejection.AMOUNT),
    "nothing out": (lambda i: i.model_copy(update={"out": 0}), Rejection.AMOUNT),
    "more than the escrow": (
        lambda i: i.model_copy(update={"taken": 1000 * DOLLAR + 1}),
        Rejection.AMOUNT,
    ),
    "all of it fee": (lambda i: i.model_copy(update={"fee": i.taken}), Rejection.AMOUNT),
    "fee a unit too high": (
        lambda i: i.model_copy(update={"fee": i.fee + 1, "taken": i.taken}),
        Rejection.FEE,
    ),
    "a unit above the limit": (
        lambda i: i.model_copy(update={"taken": 5 * 200 * DOLLAR + 1, "fee": 0}),
        Rejection.LIMIT,
    ),
    "largest numbers": (
        lambda i: i.model_copy(update={"taken": 2**128 - 1, "out": 2**128 - 1, "fee": 2**128 - 1}),
        Rejection.AMOUNT,
    ),
    "shares out of thin air": (
        lambda i: i.model_copy(update={"out": 2**128 - 1}),
        Rejection.BAND,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_settle__a_broken_item__is_refused_and_its_neighbours_settle(
    desk: Desk, name: str
) -> None:
    breaking, code = BROKEN[name]
    amount = 1000 * DOLLAR if name != "a unit above the limit" else 1001 * DOLLAR
    first = await desk.deposit(desk.alice, 1000 * DOLLAR)
    bad = await desk.deposit(desk.bob, amount, limit=200 * DOLLAR)
    last = await desk.deposit(desk.carol, 1000 * DOLLAR)
    broken = breaking(bought(bad, 5))

    receipt = await desk.settle([bought(first, 5), broken, bought(last, 5)])

    assert rejections(receipt) == [(broken.n, code)]
    assert names(receipt) == ["Settled", "SettlementRejected", "Settled"]
    states = await desk.vault.states([first.n, bad.n, last.n], await desk.head())
    settled, untouched = VaultStatus.SETTLED, VaultStatus.OPEN
    assert [state.status for state in states] == [settled, untouched, settled]
    assert await desk.bob.balance(desk.share) == 0
    assert (await desk.books()).escrow == amount
    # And nothing about it is spoilt: put right, it settles.
    assert rejections(await desk.settle([bought(bad, 5)])) == []


@pytest.mark.parametrize("ended", ["refunded", "reclaimed"])
async def test_settle__after_another_end__is_refused(desk: Desk, ended: str) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    if ended == "refunded":
        await desk.settle([], [refund(request)])
    else:
        await desk.warp_to(request.reclaim_at)
        await desk.alice.reclaim(request.n)

    receipt = await desk.settle([bought(request, 5)])

    assert rejections(receipt) == [(request.n, Rejection.ALREADY_ENDED)]
    assert await desk.supply() == 0


async def test_refund__after_a_reclaim_or_of_nothing__is_refused_alone(desk: Desk) -> None:
    gone = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.warp_to(gone.reclaim_at)
    await desk.alice.reclaim(gone.n)
    alive = await desk.deposit(desk.bob, 1000 * DOLLAR)
    absent = refund(alive).model_copy(update={"n": 77})
    swapped = refund(alive).model_copy(update={"request_id": gone.request_id})

    receipt = await desk.settle([], [refund(gone), absent, swapped, refund(alive)])

    assert rejections(receipt) == [
        (gone.n, Rejection.ALREADY_ENDED),
        (77, Rejection.UNKNOWN_REQUEST),
        (alive.n, Rejection.ID_MISMATCH),
    ]
    assert await desk.status(alive.n) is VaultStatus.REFUNDED


async def test_settle__deposit_exactly_at_the_limit__is_taken_and_one_unit_less_out_is_not(
    desk: Desk,
) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR, limit=191 * DOLLAR)
    exact = Settlement(taken=5 * 191 * DOLLAR, out=5 * SHARE, fee=0)

    worse = await desk.settle([item(request, exact._replace(out=5 * SHARE - 1))])
    taken = await desk.settle([item(request, exact)])

    assert rejections(worse) == [(request.n, Rejection.LIMIT)]
    assert rejections(taken) == []


async def test_settle__redeem_exactly_at_the_limit__is_taken_and_one_unit_less_is_not(
    desk: Desk,
) -> None:
    await desk.holder(desk.alice, 3)
    request = await desk.redeem(desk.alice, 3 * SHARE, limit=189 * DOLLAR)
    exact = Settlement(taken=3 * SHARE, out=3 * 189 * DOLLAR, fee=0)

    worse = await desk.settle([item(request, exact._replace(out=exact.out - 1))])
    dearer = await desk.settle([item(request, exact._replace(fee=exact.out))])
    taken = await desk.settle([item(request, exact)])

    assert rejections(worse) == [(request.n, Rejection.LIMIT)]
    assert rejections(dearer) == [(request.n, Rejection.FEE)]
    assert rejections(taken) == []


@pytest.mark.parametrize(
    ("dollars", "beyond"),
    [(Decimal("142.50"), Decimal("142.49")), (Decimal("237.50"), Decimal("237.51"))],
)
async def test_settle__at_the_edge_of_the_band__edge_in_beyond_out(
    desk: Desk, dollars: Decimal, beyond: Decimal
) -> None:
    request = await desk.deposit(desk.alice, 10_000 * DOLLAR)

    outside = await desk.settle([bought(request, 5, beyond)])
    inside = await desk.settle([bought(request, 5, dollars)])

    assert rejections(outside) == [(request.n, Rejection.BAND)]
    assert rejections(inside) == []


async def test_settle__redeem_far_above_the_reference__is_refused(desk: Desk) -> None:
    await desk.holder(desk.alice, 3)
    request = await desk.redeem(desk.alice, 3 * SHARE)

    receipt = await desk.settle([sold(request, 3, Decimal(100_000))])

    assert rejections(receipt) == [(request.n, Rejection.BAND)]


async def test_settle__stock_opens_a_quarter_lower__follows_the_feed(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR, limit=200 * DOLLAR)
    early = await desk.settle([bought(request, 5, Decimal("140.00"))])

    await desk.set_price(Decimal("141.00"))
    receipt = await desk.settle([bought(request, 5, Decimal("140.00"))])

    assert rejections(early) == [(request.n, Rejection.BAND)]
    assert rejections(receipt) == []


async def test_settle__stale_reference__waits_and_settles_when_it_lives(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.make_stale()

    stale = await desk.settle([bought(request, 5)])
    await desk.set_price(PRICE)
    live = await desk.settle([bought(request, 5)])

    assert rejections(stale) == [(request.n, Rejection.STALE_REFERENCE)]
    assert rejections(live) == []


async def test_settle__thief_deposited_while_the_feed_was_dead__gets_no_shares(desk: Desk) -> None:
    await desk.make_stale()
    request = await desk.deposit(desk.alice, 1000 * DOLLAR, limit=10_000)
    steal = item(request, Settlement(taken=1000 * DOLLAR, out=100_000 * SHARE, fee=0))

    dead = await desk.settle([steal])
    await desk.set_price(PRICE)
    live = await desk.settle([steal])

    assert rejections(dead) == [(request.n, Rejection.STALE_REFERENCE)]
    assert rejections(live) == [(request.n, Rejection.BAND)]
    assert await desk.supply() == 0


async def test_settle__after_the_deadline__is_still_legal(desk: Desk) -> None:
    request: VaultRequest = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.warp_to(request.reclaim_at + 1)
    await desk.set_price(PRICE)

    assert rejections(await desk.settle([bought(request, 5)])) == []


async def test_settle__not_the_settler__reverts(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    data = settle_calldata([], [refund(request)])

    for wallet in (desk.alice, desk.admin, desk.guardian, desk.treasurer):
        with pytest.raises(CallReverted) as refused:
            await wallet.transact("settle", desk.address, data)
        assert refused.value.error == "AccessControlUnauthorizedAccount"


async def test_settle__too_little_gas_for_the_next_item__reverts_whole(desk: Desk) -> None:
    first = await desk.deposit(desk.alice, 1000 * DOLLAR)
    last = await desk.deposit(desk.bob, 1000 * DOLLAR)
    items = [bought(first, 5), bought(last, 5)]
    data = settle_calldata(items, [])
    settler, enough = desk.settler.address, gas_limit_for(items, [])

    starved = await desk.send_as(settler, desk.address, data, 500_000)
    assert not starved.ok
    assert await desk.status(first.n) is VaultStatus.OPEN
    fed = await desk.send_as(settler, desk.address, data, enough)
    assert names(fed) == ["Settled", "Settled"]
