"""The morning after: a stock that opens a quarter lower, and fees exactly at their limit."""

from decimal import Decimal

import pytest

from clients.approvals import approved_settlement, settlement_data
from models.chain import Rejection, SettleItem
from models.money import Settlement
from models.requests import VaultStatus
from tests.integration.vault.desk import DOLLAR, SHARE, bought, item, sold
from tests.integration.vault.office import APPROVERS, HOUR, Office, signed

NIGHT = 18 * HOUR
YESTERDAY, OPENING = Decimal(190), Decimal("142.50")
ONE, TWO, _ = APPROVERS


async def overnight(side: str) -> tuple[Office, SettleItem, int]:
    """Asked at yesterday's price, filled at the open; and the money that alice has before it."""
    office = Office()
    await office.holder(office.alice, 6)
    asked = office.revm.now + NIGHT + HOUR
    terms = (office.alice, "deposit", office.share, 1000 * DOLLAR, 200 * DOLLAR)
    if side == "redeem":
        terms = (office.alice, "redeem", office.share, 6 * SHARE, 100 * DOLLAR)
    (event,) = office.revm.call(*terms, asked, office.alice)
    request = await office.revm.request(event.args["n"])
    office.revm.warp_to(office.revm.now + NIGHT)
    filled = bought if side == "deposit" else sold
    return office, filled(request, 6, OPENING), office.balance(office.alice)


@pytest.mark.parametrize("side", ["deposit", "redeem"])
async def test_gap__feed_opens_a_quarter_lower__fill_at_the_new_price_settles(side: str) -> None:
    office, fill, before = await overnight(side)
    office.price(OPENING)

    assert office.settle([fill]) == []

    # 6 x 142.50 = 855 and 20 bps of it.
    paid_or_left = 1000 * DOLLAR - 856_710_000 if side == "deposit" else 853_290_000
    assert office.balance(office.alice) == before + paid_or_left
    assert office.balance(office.alice, office.share) == (12 if side == "deposit" else 0) * SHARE


@pytest.mark.parametrize("side", ["deposit", "redeem"])
async def test_gap__deeper_than_the_band_and_feed_of_yesterday__waits_for_the_feed(
    side: str,
) -> None:
    office, fill, _ = await overnight(side)
    filled = bought if side == "deposit" else sold
    deeper = filled(await office.revm.request(fill.n), 6, OPENING - Decimal("0.01"))

    assert office.settle([deeper]) == [(fill.n, Rejection.BAND)]
    office.price(OPENING)
    assert office.settle([deeper]) == []


@pytest.mark.parametrize("side", ["deposit", "redeem"])
async def test_gap__feed_dead_since_yesterday__refused_as_stale_and_settles_by_approvals(
    side: str,
) -> None:
    office, fill, _ = await overnight(side)
    office.revm.warp_to(office.revm.now + 24 * HOUR - NIGHT)
    assert office.revm.read("referencePrice", office.share) == YESTERDAY * DOLLAR
    office.revm.warp_to(office.revm.now + 1)
    assert office.settle([fill]) == [(fill.n, Rejection.STALE_REFERENCE)]
    office.approvers()
    signing = office.signing()
    approvals = [signed(settlement_data(fill, signing), index) for index in (ONE, TWO)]

    office.transact(approved_settlement(fill, signing.deadline, approvals))

    assert await office.status(fill.n) is VaultStatus.SETTLED


@pytest.mark.parametrize("fee_bps", [0, 1, 20, 500])
@pytest.mark.parametrize("side", ["deposit", "redeem"])
async def test_fee__exactly_at_the_limit__settles_and_a_unit_above_is_refused(
    side: str, fee_bps: int
) -> None:
    """The market's part is the same in both; only the fee is a unit more."""
    office = Office()
    await office.holder(office.alice, 5)
    terms = (10 * DOLLAR, fee_bps, 0)
    office.revm.call(office.dev.admin, "configureTerms", *terms)
    gross = 950 * DOLLAR
    most = gross * fee_bps // 10_000
    assert most * 10_000 == gross * fee_bps
    if side == "deposit":
        request = await office.deposit(office.alice, 1000 * DOLLAR)
        exact = Settlement(taken=gross + most, out=5 * SHARE, fee=most)
        above = exact._replace(taken=exact.taken + 1, fee=most + 1)
    else:
        request = await office.redeem(office.alice, 5 * SHARE)
        exact = Settlement(taken=5 * SHARE, out=gross - most, fee=most)
        above = exact._replace(out=exact.out - 1, fee=most + 1)
    fees = office.revm.read("books")["fees"]

    assert office.settle([item(request, above)]) == [(request.n, Rejection.FEE)]
    assert office.settle([item(request, exact)]) == []
    assert office.revm.read("books")["fees"] == fees + most
