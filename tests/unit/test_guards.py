"""What must be true before an order may be sent; whoever cannot be asked lets nothing pass."""

import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities.clock import utc_now
from activities.confirming import Confirming
from activities.fees import FeeLimits
from activities.finality import Finality
from activities.guards import GuardLimits, Guards, Ready, Wait
from clients.oracle import FeedPrice, PriceStale
from models.broker import Funds, MarketState, Position, Quote
from models.chain import AssetTerms, Fees, SettlerState, VaultBooks
from models.confirmations import ConfirmationPolicy
from models.drafts import Headroom
from models.errors import RateLimited, SourceUnavailable
from models.messages import PlaceOrderInput, PlaceOutcome
from models.money import Usd
from models.order import Reason
from models.requests import BlockRef, Side, VaultRequest, VaultStatus
from models.splits import ONE_TO_ONE, NextSplit, SharesPerToken, SplitState
from tests.builders import (
    OWNER,
    SYMBOL,
    TOKEN,
    USDT,
    VAULT,
    block,
    order_request,
    quote,
    request_id_of,
    vault_request,
)
from tests.unit.trading import ASSETS, FakeVault

FOUR = SharesPerToken(numerator=4, epoch=1)
PEG = "0x00000000000000000000000000000000000000Fe"
GAS = 10**16
GWEI = 10**9
LIMITS = GuardLimits(
    deadline_margin=120,
    band_bps=300,
    usdt_band_bps=50,
    min_gas_wei=GAS,
    settler=OWNER,
    batch_gas=640_000,
    fees=FeeLimits(max_fee=100 * GWEI),
    usdt_feed=PEG,
)


class Market(FakeVault):
    """Everything the guards read, all well."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = LIMITS
        self.depth = ConfirmationPolicy.of_blocks(3)
        self.listed: AssetTerms | None = AssetTerms(
            token=TOKEN,
            feed=TOKEN,
            heartbeat=3600,
            band_bps=500,
            gap_bps=0,
            feed_decimals=8,
            open=True,
        )
        self.quoted = quote()
        self.prices = {TOKEN: Decimal(199), PEG: Decimal("1.001")}
        self.role, self.gas, self.free, self.owed = True, GAS, 10**12, 0
        self.base_fee = GWEI
        self.cash, self.working_buys = Decimal(100_000), Decimal(0)
        self.held = [Position(symbol=SYMBOL, quantity=100, sellable=100)]
        self.taken = Headroom(payout=0, cash=Decimal(0), shares=0)
        self.splits = SplitState(SharesPerToken(), None, priced_epoch=0, settled_epoch=0)
        self.broken: dict[str, Exception] = {}
        self.asked: list[str] = []

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.broken:
            raise self.broken[what]

    async def head(self) -> BlockRef:
        self._ask("head")
        return self.at

    async def asset(self, token: str, at: BlockRef) -> AssetTerms | None:
        self._ask("asset")
        return self.listed

    async def quote(self, symbol: str) -> Quote:
        self._ask("quote")
        return self.quoted

    async def price(self, feed: str, *, heartbeat_seconds: int, at: BlockRef) -> FeedPrice:
        self._ask("peg" if feed == PEG else "feed")
        return FeedPrice(usd=Usd(self.prices[feed]), round_id=1, updated_at=0, block=at)

    async def state(self, feed: str, at: BlockRef, *, margin_seconds: float) -> SplitState:
        self._ask("splits")
        return self.splits

    async def settler(self, address: str, at: BlockRef) -> SettlerState:
        self._ask("settler")
        return SettlerState(
            address=address,
            has_role=self.role,
            balance=self.gas,
            latest_nonce=0,
            pending_nonce=0,
        )

    async def fee_suggestion(self) -> Fees:
        self._ask("fees")
        return Fees(base_fee=self.base_fee, max_priority_fee=1, max_fee=2 * self.base_fee + 1)

    async def books(self, at: BlockRef) -> VaultBooks:
        self._ask("books")
        counts = dict.fromkeys(
            ("count", "balance", "escrow", "claimable", "floor", "fees", "min_deposit", "fee_bps"),
            0,
        )
        return VaultBooks(**counts, free=self.free, owed=self.owed, paused=False)

    async def funds(self) -> Funds:
        self._ask("funds")
        return Funds(cash=self.cash, working_buys=self.working_buys)

    async def positions(self) -> list[Position]:
        self._ask("positions")
        return self.held

    async def reserved(self, symbol: str) -> Headroom:
        self._ask("reserved")
        return self.taken

    @property
    def placements(self) -> "Market":
        return self

    async def check(self, side: Side = Side.BUY) -> Ready | Wait:
        return await self.guards.check(
            PlaceOrderInput(request=order_request(side=side), attempt=1, version=1)
        )

    async def again(self) -> Wait | None:
        return await self.guards.again(
            PlaceOrderInput(request=order_request(), attempt=1, version=1)
        )

    @property
    def guards(self) -> Guards:
        outside: Any = self
        return Guards(
            outside,
            outside,
            outside,
            outside,
            ASSETS,
            self.limits,
            outside,
            self.confirming,
            outside,
        )

    @property
    def confirming(self) -> Confirming:
        outside: Any = self
        return Confirming(outside, self.depth, Finality(outside))


@pytest.fixture
def market() -> Market:
    return Market()


async def ready(market: Market, side: Side = Side.BUY) -> Ready:
    checked = await market.check(side)
    assert isinstance(checked, Ready), checked
    return checked


async def stopped(market: Market, side: Side = Side.BUY) -> tuple[PlaceOutcome, Reason, str]:
    checked = await market.check(side)
    assert isinstance(checked, Wait), checked
    result = checked.result
    if result.outcome not in (PlaceOutcome.REFUND, PlaceOutcome.ENDED, PlaceOutcome.GONE):
        assert result.retry_seconds > 0
    return result.outcome, result.reason, result.detail


async def test_guards__all_well__say_what_to_send(market: Market) -> None:
    before = utc_now()
    passed = await ready(market)
    asked = passed.headroom.as_of
    assert asked is not None
    assert before <= asked <= utc_now()
    assert (passed.plan.quantity, passed.plan.price) == (5, Decimal("199.00"))
    assert passed.headroom == Headroom(payout=10**12, cash=Decimal(100_000), shares=0, as_of=asked)


@pytest.mark.parametrize(
    ("terms", "outcome", "reason"),
    [
        ({"status": VaultStatus.SETTLED}, PlaceOutcome.ENDED, Reason.NONE),
        ({"side": Side.SELL}, PlaceOutcome.HELD, Reason.NONE),
        ({"status": VaultStatus.RECLAIMED}, PlaceOutcome.ENDED, Reason.NONE),
        ({"request_id": request_id_of(1, 5)}, PlaceOutcome.GONE, Reason.NONE),
        ({"cancel_requested": True}, PlaceOutcome.REFUND, Reason.USER_CANCELLED),
        ({"deadline": 1_000}, PlaceOutcome.REFUND, Reason.DEADLINE),
        ({"created_block": 18}, PlaceOutcome.NOT_CONFIRMED, Reason.NONE),
        ({"asset": VAULT}, PlaceOutcome.REFUND, Reason.UNKNOWN_ASSET),
        ({"amount": USDT}, PlaceOutcome.REFUND, Reason.TOO_SMALL),
    ],
)
async def test_request__that_must_not_be_placed__says_why(
    market: Market, terms: dict[str, Any], outcome: PlaceOutcome, reason: Reason
) -> None:
    market.terms = vault_request(**terms)
    assert (await stopped(market))[:2] == (outcome, reason)


async def test_request__not_in_the_vault__is_gone(market: Market) -> None:
    market.terms = None
    assert (await stopped(market))[0] is PlaceOutcome.GONE
    assert "quote" not in market.asked


async def test_market__closed__waits_without_asking_the_feed(market: Market) -> None:
    market.quoted = quote(state=MarketState.CLOSED)
    assert (await stopped(market))[0] is PlaceOutcome.WAITING_SESSION
    assert "feed" not in market.asked


async def test_market__halted__is_held(market: Market) -> None:
    market.quoted = quote(state=MarketState.HALTED)
    outcome, _, why = await stopped(market)
    assert (outcome, "halted" in why) == (PlaceOutcome.HELD, True)


@pytest.mark.parametrize("listed", [None, "closed"])
async def test_asset__not_open_in_the_vault__is_held(market: Market, listed: object) -> None:
    assert market.listed is not None
    market.listed = market.listed.model_copy(update={"open": False}) if listed else None
    assert (await stopped(market))[0] is PlaceOutcome.HELD


@pytest.mark.parametrize(
    ("ours", "vaults", "middle", "passes"),
    [
        (300, 500, "204.97", True),
        (300, 500, "204.98", False),
        (300, 100, "200.99", True),
        (300, 100, "201.00", False),
        (50, 500, "198.00", False),
    ],
)
async def test_quote__away_from_the_feed__is_held_by_the_narrower_band(
    market: Market, ours: int, vaults: int, middle: str, passes: bool
) -> None:
    assert market.listed is not None
    market.listed = market.listed.model_copy(update={"band_bps": vaults})
    market.limits = replace(LIMITS, band_bps=ours)
    market.quoted = quote(bid=Decimal(middle), ask=Decimal(middle))
    checked = await market.check()
    assert isinstance(checked, Ready) is passes


@pytest.mark.parametrize(
    ("usdt", "passes"), [("0.995", True), ("0.9949", False), ("1.005", True), ("1.0051", False)]
)
async def test_peg__outside_its_band__is_held(market: Market, usdt: str, passes: bool) -> None:
    market.prices[PEG] = Decimal(usdt)
    assert isinstance(await market.check(), Ready) is passes


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SplitState(ONE_TO_ONE, NextSplit(4, 1, block().timestamp + 3600), 0, 0), "takes effect"),
        (SplitState(FOUR, None, priced_epoch=0, settled_epoch=1), "no price since"),
    ],
)
async def test_split__near__is_held_and_never_refunded(
    market: Market, state: SplitState, words: str
) -> None:
    market.splits = state
    outcome, _, why = await stopped(market)
    assert (outcome, words in why) == (PlaceOutcome.HELD, True)


async def test_split__not_readable__places_nothing(market: Market) -> None:
    market.broken["splits"] = SourceUnavailable("oracle", "reading", "a plain feed")
    with pytest.raises(SourceUnavailable):
        await market.check()


async def test_split__past__shares_are_planned_and_only_the_broker_may_have_switched(
    market: Market,
) -> None:
    """199 dollars per token are 49.75 per share: a broker that still says 199 is held."""
    market.splits = SplitState(FOUR, None, priced_epoch=1, settled_epoch=1)
    outcome, _, why = await stopped(market)
    assert (outcome, "apart" in why) == (PlaceOutcome.HELD, True)
    market.quoted = quote(bid=Decimal("49.74"), ask=Decimal("49.76"), last=Decimal("49.75"))
    found = await ready(market)
    assert (found.plan.quantity, found.ratio) == (20, FOUR)
    market.limits = replace(LIMITS, signed_shares=5)
    assert (await ready(market)).plan.quantity == 20
    market.limits = replace(LIMITS, signed_shares=4)
    outcome, _, why = await stopped(market)
    assert (outcome, "the signer signs" in why) == (PlaceOutcome.NO_HEADROOM, True)


async def test_feed__jumps_together_with_the_broker__is_held_all_the_same(market: Market) -> None:
    message = PlaceOrderInput(request=order_request(), attempt=1, version=1)
    guards = market.guards
    assert isinstance(await guards.check(message), Ready)
    market.prices[TOKEN] = Decimal(240)
    market.quoted = quote(bid=Decimal("239.99"), ask=Decimal("240.01"), last=Decimal(240))
    stop = await guards.check(message)
    assert isinstance(stop, Wait)
    assert (stop.result.outcome, stop.result.guard) == (PlaceOutcome.HELD, "feed jump")
    assert "from 199 to 240 USD" in stop.result.detail


async def test_peg__no_feed_configured__is_not_asked(market: Market) -> None:
    market.limits = replace(LIMITS, usdt_feed="")
    await ready(market)
    assert "peg" not in market.asked


@pytest.mark.parametrize("what", ["role", "gas"])
async def test_settler__could_not_settle__places_nothing(market: Market, what: str) -> None:
    setattr(market, what, False if what == "role" else GAS - 1)
    assert (await stopped(market))[0] is PlaceOutcome.NO_HEADROOM


async def test_settler__gas_became_dear__needs_more_than_the_least(market: Market) -> None:
    """What the settlement itself asks before it sends: an order that fills must not wait for it."""
    market.base_fee = 20 * GWEI
    market.gas = 2 * 640_000 * (2 * market.base_fee + 1) - 1
    assert (await stopped(market))[0] is PlaceOutcome.NO_HEADROOM
    market.gas += 1
    await ready(market)


async def test_settler__gas_above_what_we_ever_offer__places_nothing(market: Market) -> None:
    market.base_fee, market.gas = 101 * GWEI, 10**24
    assert (await stopped(market))[0] is PlaceOutcome.NO_HEADROOM


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    "source",
    ["head", "asset", "quote", "peg", "feed", "settler", "fees", "books", "reserved", "funds"],
)
async def test_source__cannot_be_asked__nothing_passes(
    market: Market, source: str, side: Side
) -> None:
    if (source, side) == ("funds", Side.SELL):
        source = "positions"
    market.terms = vault_request(side=side)
    market.broken = {source: SourceUnavailable(source, "reading", "no answer")}
    with pytest.raises(SourceUnavailable):
        await market.check(side)


@pytest.mark.parametrize("error", [PriceStale(TOKEN, 7200, 3600), RateLimited("quote", 2.0)])
async def test_source__says_come_later__is_passed_on_as_it_is(
    market: Market, error: Exception
) -> None:
    market.broken = {"feed" if isinstance(error, PriceStale) else "quote": error}
    with pytest.raises(type(error)):
        await market.check()


@pytest.mark.parametrize(
    ("cash", "working", "ours", "left"),
    [
        (1_000, 0, 0, 1_000),
        (1_000, 400, 400, 1_000),
        (1_000, 400, 0, 600),
        (1_000, 400, 900, 1_000),
        (0, 0, 0, 0),
    ],
)
async def test_cash__of_the_account__leaves_out_what_others_work_with(
    market: Market, cash: int, working: int, ours: int, left: int
) -> None:
    market.cash, market.working_buys = Decimal(cash), Decimal(working)
    market.taken = Headroom(payout=0, cash=Decimal(ours), shares=0)
    assert (await ready(market)).headroom.cash == left


@pytest.mark.parametrize(
    ("quantity", "sellable", "ours", "left"),
    [
        (100, 100, 0, 100),
        (100, 60, 40, 100),
        (100, 60, 0, 60),
        (-5, 0, 0, 0),
        (0, 0, 0, 0),
    ],
)
async def test_shares__of_the_account__are_never_sold_short(
    market: Market, quantity: int, sellable: int, ours: int, left: int
) -> None:
    market.terms = vault_request(side=Side.SELL)
    market.held = [
        Position(symbol="US.MSFT", quantity=999, sellable=999),
        Position(symbol=SYMBOL, quantity=quantity, sellable=sellable),
    ]
    market.taken = Headroom(payout=0, cash=Decimal(0), shares=ours)
    assert (await ready(market, Side.SELL)).headroom.shares == left


async def test_shares__none_of_the_symbol__is_nothing_to_sell(market: Market) -> None:
    market.terms, market.held = vault_request(side=Side.SELL), []
    assert (await ready(market, Side.SELL)).headroom.shares == 0


async def test_deadline__less_its_margin__is_the_last_moment_to_send(market: Market) -> None:
    margin = timedelta(seconds=LIMITS.deadline_margin)
    assert market.terms is not None
    left = (await ready(market)).place_until - utc_now() + margin
    assert abs(left.total_seconds() - (market.terms.deadline - time.time())) < 1


async def test_payout__what_is_owed__is_not_free(market: Market) -> None:
    market.free, market.owed = 1_000, 400
    assert (await ready(market)).headroom.payout == 600


async def test_head__seen_deeper__counts_confirmations_from_the_agreed_one(
    market: Market,
) -> None:
    market.at = block(12)
    assert (await stopped(market))[0] is PlaceOutcome.NOT_CONFIRMED
    market.at = block(13)
    await ready(market)


@pytest.mark.parametrize("side", list(Side))
async def test_order__more_than_the_signer_signs_for_one_request__is_not_placed(
    market: Market, side: Side
) -> None:
    market.terms = vault_request(side=side, amount=5 * 10**18 if side is Side.SELL else 1000 * USDT)
    planned = (await ready(market, side)).plan
    shares, usdt = planned.quantity, planned.payout
    market.limits = replace(LIMITS, signed_shares=shares, signed_usdt=usdt)
    await ready(market, side)
    market.limits = replace(LIMITS, signed_shares=shares - 1, signed_usdt=usdt - 1)
    outcome, _, why = await stopped(market, side)
    assert (outcome, "the signer signs" in why) == (PlaceOutcome.NO_HEADROOM, True)


@pytest.mark.parametrize(
    ("terms", "outcome"),
    [
        (None, PlaceOutcome.GONE),
        (vault_request(request_id=request_id_of(1, 5)), PlaceOutcome.GONE),
        (vault_request(created_block=18), PlaceOutcome.NOT_CONFIRMED),
        (vault_request(status=VaultStatus.RECLAIMED), PlaceOutcome.ENDED),
        (vault_request(cancel_requested=True), PlaceOutcome.REFUND),
    ],
)
async def test_again__after_a_wait__only_the_request_is_asked_about(
    market: Market, terms: VaultRequest | None, outcome: PlaceOutcome
) -> None:
    assert await market.again() is None
    market.terms = terms
    stop = await market.again()
    assert stop is not None
    assert stop.result.outcome is outcome
    assert set(market.asked) == {"head"}


async def test_depth__of_much_money__is_what_its_tier_says(market: Market) -> None:
    market.depth = ConfirmationPolicy.parse("500:3,*:12")
    market.terms = vault_request(amount=500 * USDT)
    await ready(market)
    market.terms = vault_request(amount=501 * USDT)
    outcome, _, words = await stopped(market)
    assert outcome is PlaceOutcome.NOT_CONFIRMED
    assert words == "10 of 12 blocks on top of block 10"
