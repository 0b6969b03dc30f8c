"""What is asked of the broker, for any request at any price."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from activities.pricing import Plan, Prices, Unservable, plan
from models.assets import Asset
from models.money import (
    MARKET_BUY_LIMIT,
    band_edges,
    buy_settlement,
    sell_settlement,
)
from models.order import Reason
from models.requests import Side
from tests.builders import SHARE, TOKEN, USDT, quote, vault_request
from tests.unit.test_money import FEES, vault_accepts_buy, vault_accepts_sell

AAPL = Asset(symbol="US.AAPL", token=TOKEN, feed=TOKEN)
LIMITS = st.integers(1, 2_000 * USDT) | st.just(MARKET_BUY_LIMIT)
REFERENCES = st.decimals("0.5", 1_000, places=4)
BANDS = st.integers(1, 1_000)


def prices(reference: str | Decimal = "199", band_bps: int = 300, decimals: int = 6) -> Prices:
    return Prices(quote(), Decimal(reference), band_bps, decimals)


@given(st.integers(1, 10**13), LIMITS, FEES, REFERENCES, BANDS, st.integers(0, 100))
def test_buy__any_deposit__fits_escrow_limit_and_band(
    amount: int, limit: int, fee: int, reference: Decimal, band: int, better: int
) -> None:
    terms = vault_request(amount=amount, limit_price=limit, fee_bps=fee)
    planned = plan(terms, AAPL, prices(reference, band))
    _, highest = band_edges(reference, band, AAPL.tick)
    if isinstance(planned, Unservable):
        assert planned.reason in (Reason.TOO_SMALL, Reason.LIMIT_UNREACHABLE)
        return
    assert 0 < planned.price <= highest
    assert planned.cash == planned.price * planned.quantity
    average = max(planned.price - better * AAPL.tick, AAPL.tick)
    for shares in {1, planned.quantity}:
        item = buy_settlement(shares, average, fee, 6)
        assert vault_accepts_buy(item, amount, limit, fee)


@given(
    st.integers(SHARE, 10**6 * SHARE),
    st.integers(0, 2_000 * USDT),
    FEES,
    REFERENCES,
    BANDS,
    st.integers(0, 100),
)
def test_sell__any_redeem__fits_tokens_limit_and_band(
    amount: int, limit: int, fee: int, reference: Decimal, band: int, better: int
) -> None:
    terms = vault_request(side=Side.SELL, amount=amount, limit_price=limit, fee_bps=fee)
    planned = plan(terms, AAPL, prices(reference, band))
    lowest, highest = band_edges(reference, band, AAPL.tick)
    assert isinstance(planned, Plan)
    assert planned.price >= lowest
    assert planned.quantity == amount // SHARE
    for average in {planned.price, planned.price + better * AAPL.tick}:
        item = sell_settlement(planned.quantity, average, fee, 6)
        if item.out:
            assert vault_accepts_sell(item, amount, limit, fee)
        if average <= highest:
            assert item.out + item.fee <= planned.payout


def test_buy__at_a_limit__takes_the_fee_off_it() -> None:
    planned = plan(vault_request(limit_price=200 * USDT, fee_bps=50), AAPL, prices())
    assert planned == Plan(quantity=5, price=Decimal("199.00"), cash=Decimal("995.00"))


def test_buy__at_market__goes_up_to_the_band() -> None:
    planned = plan(vault_request(limit_price=MARKET_BUY_LIMIT), AAPL, prices("100", 300))
    assert isinstance(planned, Plan)
    assert planned.price == Decimal(103)


def test_sell__at_market__goes_down_to_the_band() -> None:
    planned = plan(vault_request(side=Side.SELL, limit_price=0), AAPL, prices("100", 300))
    assert isinstance(planned, Plan)
    assert planned.price == Decimal(97)
    assert planned.payout == 5 * 103 * USDT


def test_buy__one_unit_short_of_a_share__is_too_small_and_says_by_what() -> None:
    at_market: dict[str, Any] = {"limit_price": MARKET_BUY_LIMIT, "fee_bps": 50}
    short = plan(vault_request(amount=103_514_999, **at_market), AAPL, prices("100", 300))
    enough = plan(vault_request(amount=103_515_000, **at_market), AAPL, prices("100", 300))
    assert isinstance(short, Unservable)
    assert short.reason is Reason.TOO_SMALL
    assert "103515000" in short.detail
    assert isinstance(enough, Plan)
    assert enough.quantity == 1


def test_buy__a_limit_below_one_tick__cannot_be_reached() -> None:
    planned = plan(vault_request(limit_price=10_000, fee_bps=50), AAPL, prices())
    assert isinstance(planned, Unservable)
    assert planned.reason is Reason.LIMIT_UNREACHABLE


def test_lots__a_part_of_one__is_left() -> None:
    hundreds = AAPL.model_copy(update={"lot": 100})
    sell = vault_request(side=Side.SELL, amount=250 * SHARE, limit_price=0)
    planned = plan(sell, hundreds, prices())
    assert isinstance(planned, Plan)
    assert planned.quantity == 200
    assert isinstance(plan(vault_request(side=Side.SELL), hundreds, prices()), Unservable)


def test_units__of_another_usdt__are_counted_in_its_decimals() -> None:
    terms = vault_request(amount=10**21, limit_price=2 * 10**20)
    planned = plan(terms, AAPL, prices("199", 300, decimals=18))
    assert planned == Plan(quantity=5, price=Decimal("199.00"), cash=Decimal("995.00"))
