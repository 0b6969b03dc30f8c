"""Shares behind a token: nobody gains by a conversion, and a claim's own ratio counts for ever."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from activities.pricing import Plan, Prices, indicative, plan
from activities.settling import Decline, settlement_item
from activities.splitting import Splitting
from models.cases import make_cases
from models.errors import SourceUnavailable
from models.invariants import LEFT_OVER, left_over, position_gap
from models.messages import EnqueueInput
from models.money import (
    SHARE_SCALE,
    broker_buy_limit,
    broker_sell_limit,
    buy_settlement,
    sell_settlement,
    shares_minted,
    units_burned,
    units_exact,
    units_minted,
    whole_shares,
)
from models.records import HousePosition, ItemKind, Placement, SettlementItem
from models.requests import Side, VaultStatus, remark_of
from models.splits import ONE_TO_ONE, NextSplit, SharesPerToken, SplitState
from tests.builders import (
    SHARE,
    SYMBOL,
    TOKEN,
    USDT,
    block,
    broker_order,
    ended,
    filled,
    order_request,
    placement,
    quote,
    request_id_of,
    vault_request,
)
from tests.unit.test_money import CENTS, DECIMALS, FEES, vault_accepts_buy, vault_accepts_sell
from tests.unit.trading import ASSETS, FakeSplits, FakeVault

NOW = datetime(2026, 1, 5, 15, 1, tzinfo=UTC)
TICK = Decimal("0.01")
FOUR = SharesPerToken(numerator=4, epoch=1)
THREE = SharesPerToken(numerator=3, epoch=1)
"""A share is no whole number of units: a limit that a price meets exactly is met by no item."""
# A step is at most 100 either way; several may follow each other.
RATIOS = st.builds(
    SharesPerToken,
    numerator=st.integers(1, 10_000),
    denominator=st.integers(1, 10_000),
    epoch=st.integers(1, 5),
)
SHARES = st.integers(1, 100_000)


def four(claim: Placement) -> Placement:
    claim.shares_numerator, claim.split_epoch = 4, 1
    return claim


@given(SHARES, RATIOS)
def test_units__of_shares__are_less_than_one_off_and_never_against_the_backing(
    shares: int, ratio: SharesPerToken
) -> None:
    exact = units_exact(shares, ratio)
    assert exact == Fraction(shares * SHARE_SCALE) / ratio.exact
    assert 0 <= exact - units_minted(shares, ratio) < 1
    assert 0 <= units_burned(shares, ratio) - exact < 1


@given(SHARES, RATIOS)
def test_shares__back_from_their_units__are_the_same_shares(
    shares: int, ratio: SharesPerToken
) -> None:
    assert shares_minted(units_minted(shares, ratio), ratio) == shares
    assert whole_shares(units_burned(shares, ratio), ratio) == shares


@given(st.integers(0, 10**26), RATIOS)
def test_whole_shares__of_any_amount__burn_no_more_than_it(
    units: int, ratio: SharesPerToken
) -> None:
    shares = whole_shares(units, ratio)
    assert units_burned(shares, ratio) <= units < units_exact(shares + 1, ratio)


@given(CENTS, FEES, DECIMALS, SHARES, RATIOS, st.integers(0, 50))
@example(300_00, 0, 6, 1, THREE, 0)
def test_buy__any_fill_within_the_broker_limit__passes_the_vault(
    cents: int, fee: int, decimals: int, shares: int, ratio: SharesPerToken, better: int
) -> None:
    limit = cents * 10 ** (decimals - 2)
    price = broker_buy_limit(limit, fee, TICK, decimals, ratio)
    assume(price > 0)
    item = buy_settlement(shares, max(price - better * TICK, TICK), fee, decimals, ratio)
    assert vault_accepts_buy(item, item.taken, limit, fee)


@given(CENTS, FEES, DECIMALS, SHARES, RATIOS, st.integers(0, 50))
@example(300_00, 0, 6, 1, THREE, 0)
def test_sell__any_fill_within_the_broker_limit__passes_the_vault(
    cents: int, fee: int, decimals: int, shares: int, ratio: SharesPerToken, better: int
) -> None:
    limit = cents * 10 ** (decimals - 2)
    price = broker_sell_limit(limit, fee, TICK, decimals, ratio) + better * TICK
    item = sell_settlement(shares, price, fee, decimals, ratio)
    assert vault_accepts_sell(item, item.taken, limit, fee)


@pytest.mark.parametrize(
    ("ratio", "limit"),
    [
        (SharesPerToken(), "200"),
        (FOUR, "50"),
        (SharesPerToken(numerator=3, denominator=2, epoch=1), "133.33"),
        (SharesPerToken(denominator=10, epoch=1), "2000"),
        # A third of a token is no whole unit, so a limit that it meets exactly is one tick away.
        (THREE, "66.66"),
    ],
)
def test_limit__per_token__is_one_per_share(ratio: SharesPerToken, limit: str) -> None:
    assert broker_buy_limit(200 * USDT, 0, TICK, 6, ratio) == Decimal(limit)


def planned(side: Side, ratio: SharesPerToken, share: Decimal, **terms: int) -> Plan:
    prices = Prices(quote(), share, 300, 6, ratio)
    made = plan(vault_request(side=side, fee_bps=0, **terms), ASSETS.of_token(TOKEN), prices)
    assert isinstance(made, Plan)
    return made


def test_plan__ten_tokens_after_a_split__sells_forty_shares_at_a_quarter_of_the_limit() -> None:
    before = planned(Side.SELL, SharesPerToken(), Decimal(200), amount=10 * SHARE)
    after = planned(Side.SELL, FOUR, Decimal(50), amount=10 * SHARE)
    assert (before.quantity, before.price) == (10, Decimal(200))
    assert (after.quantity, after.price) == (40, Decimal(50))


def test_plan__a_deposit_after_a_split__buys_the_same_worth() -> None:
    before = planned(Side.BUY, SharesPerToken(), Decimal(199))
    after = planned(Side.BUY, FOUR, Decimal("49.75"))
    assert (before.quantity, before.price) == (5, Decimal(200))
    assert (after.quantity, after.price) == (20, Decimal(50))


def test_indicative__after_a_split__counts_shares() -> None:
    terms = vault_request(side=Side.SELL, amount=10 * SHARE)
    assert indicative(terms, 200 * USDT, 6, FOUR) == "about 40 shares at 50 USDT"


def item(side: Side, claims: list[Placement], *orders: object) -> SettlementItem | Decline:
    message = EnqueueInput(request=order_request(side=side), version=1, kind=ItemKind.SETTLE)
    terms = vault_request(side=side)
    return settlement_item(message, terms, claims, list(orders), 6, NOW)  # type: ignore[arg-type]


def test_settle__attempts_from_both_sides_of_a_split__add_up_in_token_units() -> None:
    old = ended(filled(broker_order(price=Decimal(196)), 1))
    new = filled(broker_order(attempt=2, price=Decimal(49), quantity=8))
    made = item(Side.BUY, [placement(), four(placement(attempt=2, quantity=8))], old, new)
    assert isinstance(made, SettlementItem)
    assert (made.out, made.filled) == (3 * SHARE, 3 * SHARE)
    assert made.taken - made.fee == (196 + 8 * 49) * USDT


def test_settle__filled_before_a_split__counts_by_its_claim() -> None:
    sold = filled(broker_order(side=Side.SELL))
    made = item(Side.SELL, [placement(side=Side.SELL)], sold)
    assert isinstance(made, SettlementItem)
    assert made.taken == 4 * SHARE


def test_settle__more_shares_than_the_escrow_has_tokens_for__the_rest_is_the_houses() -> None:
    sold = filled(broker_order(side=Side.SELL, quantity=30))
    made = item(Side.SELL, [four(placement(side=Side.SELL, quantity=30))], sold)
    assert isinstance(made, SettlementItem)
    assert made.taken == 5 * SHARE


def test_settle__claim_lost_with_its_ratio__waits_until_that_is_known() -> None:
    made = item(Side.BUY, [placement(shares_numerator=0)], filled(broker_order()))
    assert isinstance(made, Decline)
    assert "how many shares" in made.why


@pytest.mark.parametrize(
    ("upcoming", "priced", "words"),
    [
        (None, 1, ""),
        (NextSplit(8, 1, 1_061), 1, ""),
        (NextSplit(8, 1, 1_060), 1, "takes effect in 60 s"),
        (None, 0, "the feed has given no price since"),
    ],
)
def test_unsettled__around_a_split__says_what_is_waited_for(
    upcoming: NextSplit | None, priced: int, words: str
) -> None:
    state = SplitState(FOUR, upcoming, priced_epoch=priced, settled_epoch=1)
    found = state.unsettled(1_000, 60)
    assert words in found
    assert bool(found) == bool(words)


def case_of(claim: Placement, *orders: object, status: VaultStatus = VaultStatus.OPEN) -> object:
    terms = vault_request(status=status)
    (case,) = make_cases(
        {terms.request_id: status},
        terms=[terms],
        claims=[claim],
        orders=orders,  # type: ignore[arg-type]
    )
    return case


def test_position__fills_of_both_sides_of_a_split__leave_no_gap() -> None:
    """Four old shares are sixteen now, beside eight new ones: six tokens, all backed."""
    old = case_of(placement(), filled(broker_order()))
    new = case_of(
        four(placement(request_id_of(1), attempt=2, quantity=8)),
        filled(broker_order(attempt=2, quantity=8)),
    )
    house = HousePosition(
        symbol=SYMBOL,
        quantity=1,
        cost=Decimal(0),
        cause="LATE_FILL",
        broker_order_id="X",
        created_at=NOW,
    )
    cases = [old, new]
    assert position_gap(SYMBOL, cases, 0, 16 + 8 + 4, [house], FOUR) == 0  # type: ignore[arg-type]
    assert position_gap(SYMBOL, cases, 0, 16 + 8 + 3, [house], FOUR) == -SHARE // 4  # type: ignore[arg-type]


@given(st.lists(SHARES, min_size=1, max_size=20), RATIOS)
def test_position__of_many_fills__is_never_short_and_over_by_less_than_a_unit_each(
    fills: list[int], ratio: SharesPerToken
) -> None:
    minted = sum(units_minted(shares, ratio) for shares in fills)
    gap = position_gap(SYMBOL, [], minted, sum(fills), [], ratio)
    assert 0 <= gap < len(fills)
    assert gap <= left_over(ratio) == LEFT_OVER
    assert left_over(SharesPerToken()) == 0


class Desk:
    def __init__(self) -> None:
        self.vault = FakeVault(created_at=1)
        self.splits = FakeSplits()

    @property
    def splitting(self) -> Splitting:
        return Splitting(self.vault, self.splits, margin=60)  # type: ignore[arg-type]

    async def outdated(self, claim: Placement) -> bool:
        return await self.splitting.outdated(claim, TOKEN, block())


async def test_outdated__order_of_an_older_epoch__is() -> None:
    desk = Desk()
    assert not await desk.outdated(placement())
    desk.splits.ratio_now = FOUR
    assert await desk.outdated(placement())
    assert not await desk.outdated(four(placement()))


async def test_outdated__a_split_within_the_margin__is() -> None:
    desk, now = Desk(), block().timestamp
    desk.splits.upcoming = NextSplit(4, 1, now + 61)
    assert not await desk.outdated(placement())
    desk.splits.upcoming = NextSplit(4, 1, now + 60)
    assert await desk.outdated(placement())


async def test_outdated__nobody_can_say__is_not_cancelled() -> None:
    desk = Desk()
    desk.splits.ratio_now, desk.splits.down = FOUR, True
    assert not await desk.outdated(placement())


@pytest.mark.parametrize(("born", "known"), [(FOUR, FOUR), (SharesPerToken(), None)])
async def test_lost_claim__its_ratio__is_the_only_one_there_was(
    born: SharesPerToken, known: SharesPerToken | None
) -> None:
    desk = Desk()
    desk.splits.ratio_now, desk.splits.born = FOUR, born
    claims = [placement(shares_numerator=0)]
    (found,) = await desk.splitting.known(claims, vault_request(), block(), {})
    assert found.ratio == known
    assert claims[0].ratio is None


async def test_lost_claim__nobody_can_say__waits() -> None:
    desk = Desk()
    desk.splits.down = True
    with pytest.raises(SourceUnavailable):
        await desk.splitting.known([placement(shares_numerator=0)], vault_request(), block(), {})


ELEVEN_TO_TEN = SharesPerToken(numerator=11, denominator=10, epoch=1)


@pytest.mark.parametrize("after", [FOUR, ELEVEN_TO_TEN])
@pytest.mark.parametrize(
    ("seen", "certain"), [(-1, True), (0, False), (3600, False), (None, False)]
)
async def test_fill__of_an_order_from_before_a_split__counts_only_when_it_was_seen_before(
    after: SharesPerToken, seen: int | None, *, certain: bool
) -> None:
    """An old order that fills after it fills in new shares, or in old ones: nobody can say."""
    desk = Desk()
    split_at = block().timestamp - 7200
    desk.splits.ratio_now, desk.splits.split_at = after, split_at
    at = None if seen is None else datetime.fromtimestamp(split_at + seen, UTC).replace(tzinfo=None)
    claim = placement()
    (found,) = await desk.splitting.known([claim], vault_request(), block(), {claim.remark: at})
    assert found.ratio == (ONE_TO_ONE if certain else None)
    assert claim.ratio == ONE_TO_ONE, "the row itself keeps what it was claimed at"


async def test_fill__of_an_order_placed_after_the_split__counts_whenever_it_was_seen() -> None:
    desk = Desk()
    desk.splits.ratio_now, desk.splits.split_at = FOUR, block().timestamp - 7200
    claims = [four(placement()), placement(attempt=2, remark=remark_of(request_id_of(1), 2))]
    times = {claims[0].remark: None}
    found = await desk.splitting.known(claims, vault_request(), block(), times)
    assert [claim.ratio for claim in found] == [FOUR, ONE_TO_ONE], "the unfilled one fills nothing"


async def test_fill__seen_by_a_clock_that_is_behind_the_chains__counts() -> None:
    """It was seen, by that clock, before its own order was placed."""
    desk, split_at = Desk(), block().timestamp - 7200
    desk.splits.ratio_now = SharesPerToken(numerator=16, epoch=2)
    claim = four(placement())
    early = datetime.fromtimestamp(split_at - 60, UTC).replace(tzinfo=None)
    (found,) = await desk.splitting.known([claim], vault_request(), block(), {claim.remark: early})
    assert found.ratio == FOUR


async def test_fill__a_person_told_its_shares__counts_in_these() -> None:
    desk = Desk()
    desk.splits.ratio_now, desk.splits.split_at = FOUR, block().timestamp - 7200
    claim = placement(ratio_by="ada")
    desk.splits.down = True
    (found,) = await desk.splitting.known([claim], vault_request(), block(), {claim.remark: None})
    assert found.ratio == ONE_TO_ONE
