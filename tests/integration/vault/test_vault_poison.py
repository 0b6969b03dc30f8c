"""Each code of SettlementRejected as one item among 50: 49 settle, and only it does not."""

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from bronco.deployment import DevChainPlan
from clients.wallet import ERC20
from models.chain import RefundItem, Rejection, SettleItem
from models.money import MARKET_BUY_LIMIT
from models.requests import Side, VaultRequest, VaultStatus
from tests.integration.vault.desk import DOLLAR, SHARE, bought, refund, sold
from tests.integration.vault.office import FEED, HOUR, Office

TYPES = Path(__file__).parents[3] / "contracts" / "src" / "VaultTypes.sol"
BUYING, SELLING = 25, 24
NOTHING = b"\x5f\x5f\xfd"
"""PUSH0 PUSH0 REVERT: a token that refuses everything."""
WORTH = 25 * 5 * 190 * DOLLAR
"""Of the shares that the neighbours buy."""

Poison = SettleItem | RefundItem
Poisoning = Callable[[Office], Awaitable[Poison]]
POISONS: dict[str, tuple[Rejection, Poisoning]] = {}


def poison(code: Rejection) -> Callable[[Poisoning], Poisoning]:
    """Register one way to the code; carol's is the poisoned request."""

    def register(poisoning: Poisoning) -> Poisoning:
        POISONS[f"{code.name}-{poisoning.__name__}"] = (code, poisoning)
        return poisoning

    return register


async def carols(office: Office, dollars: int = 1000, limit: int = MARKET_BUY_LIMIT) -> SettleItem:
    """A sound fill of five shares."""
    return bought(await office.deposit(office.carol, dollars * DOLLAR, limit=limit), 5)


async def carols_shares(office: Office, limit: int = 0) -> SettleItem:
    return sold(await office.redeem(office.carol, 5 * SHARE, limit=limit), 5)


async def of_msft(office: Office) -> VaultRequest:
    terms = (1000 * DOLLAR, MARKET_BUY_LIMIT, office.revm.now + HOUR, office.carol)
    (event,) = office.revm.call(office.carol, "deposit", office.dev.shares["MSFT"], *terms)
    return await office.revm.request(event.args["n"])


def bent(fill: SettleItem, **changes: int | str) -> SettleItem:
    return fill.model_copy(update=changes)


@poison(Rejection.UNKNOWN_REQUEST)
async def settled_unknown(office: Office) -> Poison:
    return bent(await carols(office), n=999)


@poison(Rejection.UNKNOWN_REQUEST)
async def refunded_unknown(office: Office) -> Poison:
    request = await office.deposit(office.carol, 1000 * DOLLAR)
    return refund(request).model_copy(update={"n": 999})


@poison(Rejection.ID_MISMATCH)
async def settled_under_another_id(office: Office) -> Poison:
    return bent(await carols(office), request_id="0x" + "11" * 32)


@poison(Rejection.ID_MISMATCH)
async def refunded_under_another_id(office: Office) -> Poison:
    request = await office.deposit(office.carol, 1000 * DOLLAR)
    return RefundItem(n=request.n, request_id="0x" + "11" * 32, reason=1)


@poison(Rejection.ALREADY_ENDED)
async def settled_after_a_refund(office: Office) -> Poison:
    request = await office.deposit(office.carol, 1000 * DOLLAR)
    assert office.settle([], [refund(request)]) == []
    return bought(request, 5)


@poison(Rejection.CONFLICT)
async def settled_otherwise(office: Office) -> Poison:
    fill = await carols(office)
    assert office.settle([fill]) == []
    return bent(fill, out=fill.out - 1)


@poison(Rejection.CONFLICT)
async def refunded_after_settling(office: Office) -> Poison:
    request = await office.deposit(office.carol, 1000 * DOLLAR)
    assert office.settle([bought(request, 5)]) == []
    return refund(request)


@poison(Rejection.AMOUNT)
async def more_than_escrowed(office: Office) -> Poison:
    return bent(await carols(office), taken=1000 * DOLLAR + 1)


@poison(Rejection.AMOUNT)
async def more_shares_than_escrowed(office: Office) -> Poison:
    return bent(await carols_shares(office), taken=5 * SHARE + 1)


@poison(Rejection.FEE)
async def fee_of_a_purchase(office: Office) -> Poison:
    fill = await carols(office)
    return bent(fill, fee=fill.fee + 1, taken=fill.taken + 1)


@poison(Rejection.FEE)
async def fee_of_a_sale(office: Office) -> Poison:
    fill = await carols_shares(office)
    return bent(fill, fee=fill.fee + 1, out=fill.out - 1)


@poison(Rejection.LIMIT)
async def dearer_than_the_limit(office: Office) -> Poison:
    return bent(await carols(office, limit=191 * DOLLAR), taken=5 * 191 * DOLLAR + 1)


@poison(Rejection.LIMIT)
async def cheaper_than_the_limit(office: Office) -> Poison:
    return bent(await carols_shares(office, limit=189 * DOLLAR), out=5 * 189 * DOLLAR - 1, fee=0)


@poison(Rejection.STALE_REFERENCE)
async def its_feed_is_dead(office: Office) -> Poison:
    request = await of_msft(office)
    dead = (400 * 10**8, 1)
    office.revm.call(office.dev.admin, "setRound", *dead, abi=FEED, to=office.dev.feeds["MSFT"])
    return bought(request, 2, Decimal(400))


@poison(Rejection.BAND)
async def far_below_the_market(office: Office) -> Poison:
    return bent(await carols(office), out=7 * SHARE)


@poison(Rejection.BAND)
async def far_above_the_market(office: Office) -> Poison:
    return bent(await carols_shares(office), out=5 * 190 * DOLLAR * 4 // 3)


@poison(Rejection.PAYOUT)
async def its_token_refuses(office: Office) -> Poison:
    request = await of_msft(office)
    office.revm.replace_code(office.dev.shares["MSFT"], NOTHING)
    return bought(request, 2, Decimal(400))


@poison(Rejection.CAP)
async def more_than_may_be_minted(office: Office) -> Poison:
    request = await office.deposit(office.carol, 2 * WORTH)
    office.caps(minted=WORTH)
    return bought(request, 126)


@poison(Rejection.CAP)
async def more_than_may_be_paid(office: Office) -> Poison:
    fill = sold(await office.redeem(office.carol, 25 * SHARE), 25)
    office.caps(paid=fill.out - 1)
    return fill


@poison(Rejection.RETURN_LIMIT)
async def much_is_left_of_it(office: Office) -> Poison:
    fill = await carols(office, dollars=1100)
    office.caps(returned=100 * DOLLAR)
    return fill


@poison(Rejection.RETURN_LIMIT)
async def much_to_refund(office: Office) -> Poison:
    request = await office.deposit(office.carol, 101 * DOLLAR)
    office.caps(returned=100 * DOLLAR)
    return refund(request)


# ---------------------------------------------------------------- the batch


@pytest.fixture(scope="module")
async def opened() -> Office:
    """Two stocks; everybody holds shares of the first."""
    office = Office(DevChainPlan(stocks={"AAPL": 190 * 10**8, "MSFT": 400 * 10**8}))
    for who in (office.alice, office.bob, office.carol):
        await office.holder(who, 30)
    # What that used of the caps has drained.
    office.revm.warp_to(office.revm.now + 1)
    return office


async def neighbours(office: Office) -> list[SettleItem]:
    """49 sound fills, alice's and bob's, of both sides."""
    fills = [
        bought(await office.deposit((office.alice, office.bob)[i % 2], 1000 * DOLLAR), 5)
        for i in range(BUYING)
    ]
    return fills + [
        sold(await office.redeem((office.alice, office.bob)[i % 2], SHARE), 1)
        for i in range(SELLING)
    ]


def carol_has(office: Office) -> list[int]:
    tokens = (office.dev.usdt, office.share)
    return [office.balance(office.carol, token) for token in tokens]


@pytest.mark.parametrize("name", POISONS)
async def test_settle__one_poisoned_among_fifty__only_it_is_refused(
    opened: Office, name: str
) -> None:
    snapshot = opened.revm.snapshot()
    try:
        await one_among_fifty(opened, *POISONS[name])
    finally:
        opened.revm.restore(snapshot)


async def one_among_fifty(office: Office, code: Rejection, poisoning: Poisoning) -> None:
    sound = await neighbours(office)
    poisoned = await poisoning(office)
    mine = await office.revm.request(office.revm.read("count"))
    carol, supply = carol_has(office), total(office)
    refunds = [poisoned] if isinstance(poisoned, RefundItem) else []
    fills = [poisoned] if isinstance(poisoned, SettleItem) else []

    # In the middle, so that what comes before and after it is seen to settle.
    refused = office.settle([*sound[:20], *fills, *sound[20:]], refunds)

    assert refused == [(poisoned.n, code)]
    for fill in sound:
        assert await office.status(fill.n) is VaultStatus.SETTLED
    assert (await office.revm.request(mine.n)) == mine
    assert carol_has(office) == carol
    minted, burnt = sum(f.out for f in sound[:BUYING]), sum(f.taken for f in sound[BUYING:])
    assert total(office) == supply + minted - burnt
    books = office.revm.read("books")
    is_open = mine.status is VaultStatus.OPEN and mine.side is Side.BUY
    assert books["escrow"] == (mine.amount if is_open else 0)
    assert books["owed"] == books["claimable"] == 0
    assert books["balance"] == books["escrow"] + books["free"]
    # And the very same again changes nothing more.
    assert office.settle([*sound[:20], *fills, *sound[20:]], refunds) == [(poisoned.n, code)]
    assert office.revm.read("books") == books


def total(office: Office) -> int:
    return int(office.revm.read("totalSupply", abi=ERC20, to=office.share))


def test_rejections__in_the_contract__are_ours_and_each_has_its_poison() -> None:
    (body,) = re.findall(r"enum Rejection \{(.*?)\}", TYPES.read_text("utf-8"), re.DOTALL)
    names = re.findall(r"^\s*(\w+)", body, re.MULTILINE)
    ours = [code.name.title().replace("_", "") for code in Rejection]

    assert names == ours
    assert {code for code, _ in POISONS.values()} == set(Rejection) - {Rejection.NONE}
