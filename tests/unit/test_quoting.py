"""What a request would come to: the numbers of the guards, and what is in its way."""

from decimal import Decimal
from typing import Any

import pytest

from activities.clock import unix_now
from activities.guards import Guards
from activities.quoting import QuoteSources, QuotingActivities
from models.broker import MarketState
from models.chain import Lifetimes, VaultBooks
from models.errors import InvalidInput, SourceUnavailable
from models.money import SHARE_SCALE
from models.quoting import QuoteInput, QuoteResult
from models.requests import BlockRef, Side
from models.sessions import Sessions
from models.splits import SharesPerToken
from tests.builders import CHAIN_ID, SYMBOL, TOKEN, VAULT, block, quote
from tests.unit.test_guards import Market
from tests.unit.trading import ASSETS

DAY = 86_400
GRACE = 7 * DAY
FEE_BPS = 10
THOUSAND = 1_000 * 10**6


class Desk(Market):
    """The guards' market, and what a quote asks beside it."""

    def __init__(self) -> None:
        super().__init__()
        now = int(unix_now())
        self.opens = (now - 2 * DAY, now - 3600, now + DAY)
        self.closes = (now - DAY, now + 3600, now + 2 * DAY)
        self.vault_paused = False
        self.least = 0
        self.chain_id, self.address = CHAIN_ID, VAULT

    async def lifetimes(self, at: BlockRef) -> Lifetimes:
        return Lifetimes(grace=GRACE, shortest=600, longest=30 * DAY)

    async def block(self, number: int) -> BlockRef:
        before = self.at.timestamp - 2 * (self.at.number - number)
        return BlockRef(number=number, hash=block(number).hash, timestamp=before)

    async def ratio(self, feed: str, at: BlockRef) -> SharesPerToken:
        self._ask("splits")
        return self.splits.ratio

    async def books(self, at: BlockRef) -> VaultBooks:
        found = await super().books(at)
        changes = {"fee_bps": FEE_BPS, "paused": self.vault_paused, "min_deposit": self.least}
        return found.model_copy(update=changes)

    async def sessions(self, exchange: str) -> Sessions:
        return Sessions(exchange, "America/New_York", self.opens, self.closes)

    @property
    def guards(self) -> Guards:
        outside: Any = self
        return Guards(
            *(outside,) * 4,
            ASSETS,
            self.limits,
            outside,
            self.confirming,
            outside,
            calendar=outside,
        )

    async def quoted_for(self, **changes: Any) -> QuoteResult:
        fields: dict[str, Any] = {"side": Side.BUY, "symbol": SYMBOL, "amount": THOUSAND}
        outside: Any = self
        sources = QuoteSources(
            outside, outside, outside, outside, outside, self.guards, self.confirming, outside
        )
        asked = QuotingActivities(sources, ASSETS, band_bps=300, deadline_margin=120)
        return await asked.quote_request(QuoteInput(**(fields | changes)))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def kinds(result: QuoteResult) -> list[str]:
    return [each.kind for each in result.obstacles]


async def test_buy__all_well__whole_shares_with_fee_and_rest(desk: Desk) -> None:
    result = await desk.quoted_for()
    assert (result.shares, result.token, result.fee_bps) == (4, TOKEN, FEE_BPS)
    worst, expected = result.worst, result.expected
    assert worst is not None
    assert expected is not None
    # 204.97 is the band's upper edge over 199; 199.01 what is asked for in the book.
    assert (worst.price, expected.price) == (Decimal("204.97"), Decimal("199.01"))
    notional = 4 * 199_010_000
    fee = notional * FEE_BPS // 10_000
    assert (expected.spent, expected.fee) == (notional + fee, fee)
    assert expected.received == 4 * SHARE_SCALE
    assert expected.spent + expected.returned == THOUSAND
    assert expected.all_in_price == -(-expected.spent // 4)
    assert worst.spent > expected.spent
    assert kinds(result) == []


async def test_sell__all_well__net_of_the_fee(desk: Desk) -> None:
    result = await desk.quoted_for(side=Side.SELL, amount=5 * SHARE_SCALE // 2)
    assert result.shares == 2
    assert result.expected is not None
    gross = 2 * 198_990_000
    assert result.expected.received == gross - gross * FEE_BPS // 10_000
    assert result.expected.returned == SHARE_SCALE // 2


async def test_times__market_open__after_confirmations_and_within_the_deadline(
    desk: Desk,
) -> None:
    now = int(unix_now())
    result = await desk.quoted_for(deadline=now + DAY)
    assert (result.market_open, result.next_open) == (True, None)
    assert result.confirmations == 3
    assert result.earliest_placement is not None
    assert 6 <= result.earliest_placement - now <= 8
    assert (result.refund_by, result.reclaim_at) == (now + DAY, now + DAY + GRACE)


async def test_times__market_closed__at_the_next_open(desk: Desk) -> None:
    now = int(unix_now())
    desk.closes = (now - DAY, now - 60, now + 2 * DAY)
    result = await desk.quoted_for(deadline=now + 3 * DAY)
    assert (result.market_open, result.next_open) == (False, desk.opens[-1])
    assert result.earliest_placement == desk.opens[-1]
    assert kinds(result) == ["session"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"vault_paused": True}, "VAULT_PAUSED"),
        ({"least": THOUSAND + 1}, "MIN_DEPOSIT"),
        ({"cash": Decimal(100)}, "NO_HEADROOM"),
        ({"quoted": quote(state=MarketState.HALTED)}, "halt"),
        ({"role": False}, "NO_HEADROOM"),
    ],
)
async def test_obstacle__in_the_way__is_named(
    desk: Desk, change: dict[str, Any], kind: str
) -> None:
    for name, value in change.items():
        setattr(desk, name, value)
    assert kind in kinds(await desk.quoted_for())


async def test_too_small__is_told_with_no_numbers(desk: Desk) -> None:
    result = await desk.quoted_for(amount=10**6)
    assert (result.shares, result.worst, result.expected) == (0, None, None)
    assert kinds(result) == ["TOO_SMALL"]


async def test_lifetime__too_short_or_too_long__is_told(desk: Desk) -> None:
    for seconds in (60, 31 * DAY):
        result = await desk.quoted_for(deadline=int(unix_now()) + seconds)
        assert "LIFETIME" in kinds(result)


@pytest.mark.parametrize("source", ["head", "asset", "quote", "feed", "splits", "books", "funds"])
async def test_source_down__no_number_is_told(desk: Desk, source: str) -> None:
    desk.broken[source] = SourceUnavailable(source, "a test")
    with pytest.raises(SourceUnavailable):
        await desk.quoted_for()


async def test_symbol__not_configured__is_named(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="use one of"):
        await desk.quoted_for(symbol="NOPE")
