from decimal import Decimal

import pytest

from simulators.opend.errors import Rejected
from simulators.opend.market import BAND, MarketData
from simulators.opend.options import OpenDOptions


def path(seed: int, code: str = "AAPL", steps: int = 500) -> list[Decimal]:
    market = MarketData(OpenDOptions(seed=seed))
    return [market.step(code) for _ in range(steps)]


def test_price_path__same_seed__same_path() -> None:
    assert path(seed=3) == path(seed=3)


def test_price_path__other_seed_or_symbol__other_path() -> None:
    assert path(seed=3) != path(seed=4)
    market = MarketData(OpenDOptions(prices={"A": Decimal(100), "B": Decimal(100)}))
    assert [market.step("A") for _ in range(50)] != [market.step("B") for _ in range(50)]


def test_price_path__other_symbols_step_too__own_path_unchanged() -> None:
    alone, among = MarketData(OpenDOptions()), MarketData(OpenDOptions())
    expected = [alone.step("AAPL") for _ in range(50)]
    found = []
    for _ in range(50):
        among.step("MSFT")
        found.append(among.step("AAPL"))
    assert found == expected


@pytest.mark.parametrize("code", ["AAPL", "SIRI"])
def test_price_path__many_steps__moves_on_tick_within_band(code: str) -> None:
    market = MarketData(OpenDOptions(price_move_ticks=40))
    start = market.stock(code).last
    prices = [market.step(code) for _ in range(3000)]
    assert len(set(prices)) > 20
    assert all(price % market.tick(price) == 0 for price in prices)
    assert all(abs(price - start) <= start * BAND for price in prices)


def test_quote__spread_of_three_ticks__surrounds_last() -> None:
    market = MarketData(OpenDOptions(spread_ticks=3, prices={"AAPL": Decimal("190.00")}))
    quote = market.quote("AAPL")
    assert (quote.bid, quote.ask) == (Decimal("189.99"), Decimal("190.02"))
    assert market.quote("AAPL") == quote


def test_set_price__pinned__path_stands_still() -> None:
    market = MarketData(OpenDOptions())
    market.set_price("AAPL", Decimal("200.01"), pin=True)
    assert {market.step("AAPL") for _ in range(20)} == {Decimal("200.01")}
    assert market.stock("AAPL").high == Decimal("200.01")


@pytest.mark.parametrize("price", ["0", "-1", "190.001", "NaN"])
def test_set_price__off_tick_or_not_positive__refused(price: str) -> None:
    with pytest.raises(Rejected, match="multiple of its tick"):
        MarketData(OpenDOptions()).set_price("AAPL", Decimal(price), pin=False)


def test_stock__not_listed__named_in_the_answer() -> None:
    with pytest.raises(Rejected, match="Unknown stock XYZ"):
        MarketData(OpenDOptions()).stock("XYZ")
