"""The order book: levels, and orders that walk through them."""

from decimal import Decimal
from typing import Any

import pytest

from simulators.opend.depth import Depth, Level
from simulators.opend.errors import Rejected
from simulators.opend.options import OpenDOptions
from simulators.opend.orders import OrderType, Side, Status
from tests.unit.opend_clock import Desk, desk

THIN: dict[str, Any] = {"depth_shares": 100, "depth_levels": 4}


def sizes(d: Desk, side: Side = Side.BUY) -> list[int]:
    return [level.size for level in d.venue.market.depth("AAPL").against(side)]


def prices_paid(d: Desk) -> list[tuple[int, str]]:
    return [(fill.quantity, str(fill.price)) for fill in d.venue.book.fills]


def test_depth__same_seed__same_levels_and_other_seed_others() -> None:
    def levels(seed: int, side: Side) -> list[Level]:
        return Depth(OpenDOptions(seed=seed), "AAPL", Decimal(190)).against(side)

    assert levels(1, Side.BUY) == levels(1, Side.BUY)
    assert [x.size for x in levels(1, Side.BUY)] != [x.size for x in levels(2, Side.BUY)]
    assert [x.size for x in levels(1, Side.BUY)] != [x.size for x in levels(1, Side.SELL)]


def test_depth__default__best_price_alone_fills_the_largest_order() -> None:
    for seed in range(50):
        depth = Depth(OpenDOptions(seed=seed), "AAPL", Decimal(190))
        assert min(depth.best(side).size for side in Side) >= 500_000


@pytest.mark.parametrize(
    ("last", "asks", "bids"),
    [
        ("190", ["190.01", "190.03", "190.05"], ["189.99", "189.97", "189.95"]),
        ("0.9997", ["0.9998", "1.0000", "1.02"], ["0.9996", "0.9994", "0.9992"]),
        ("0.0002", ["0.0003", "0.0005", "0.0007"], ["0.0001"]),
    ],
)
def test_depth__gap_of_two_ticks__every_level_on_its_tick(
    last: str, asks: list[str], bids: list[str]
) -> None:
    options = OpenDOptions(depth_levels=3, depth_gap_ticks=2)
    depth = Depth(options, "X", Decimal(last))
    assert [level.price for level in depth.against(Side.BUY)] == [Decimal(p) for p in asks]
    assert [level.price for level in depth.against(Side.SELL)] == [Decimal(p) for p in bids]
    for side in Side:
        for level in depth.against(side):
            assert level.price % options.tick_at(level.price) == 0
            assert 500_000 <= level.size <= 1_500_000


def test_order__larger_than_the_best_level__pays_each_level_its_price() -> None:
    d = desk(**THIN)
    first, second, *_ = sizes(d)
    order = d.place(quantity=str(first + second + 5), price="191")
    d.clock.run()
    expected = [(first, "190.01"), (second, "190.02"), (5, "190.03")]
    assert prices_paid(d) == expected
    value = sum((n * Decimal(price) for n, price in expected), Decimal(0))
    assert (order.status, order.value) == (Status.FILLED_ALL, value)
    assert order.average == value / (first + second + 5)
    assert d.cash == 1_000_000 - value
    statuses = [(status.name, filled) for _, status, filled in d.published]
    assert statuses == [
        ("SUBMITTED", 0),
        ("FILLED_PART", first),
        ("FILLED_PART", first + second),
        ("FILLED_ALL", first + second + 5),
    ]


def test_order__limit_inside_the_book__rest_works_until_depth_is_back() -> None:
    d = desk(**THIN)
    first, second, *_ = sizes(d)
    order = d.place(quantity=str(first + second + 5), price="190.02")
    d.clock.run()
    assert (d.status(order), order.left) == (Status.FILLED_PART, 5)
    assert d.venue.market.quote("AAPL").ask == Decimal("190.03")
    d.venue.market.stock("AAPL").pinned = True
    d.venue.step_prices()
    d.clock.run()
    assert (d.status(order), prices_paid(d)[-1]) == (Status.FILLED_ALL, (5, "190.01"))


def test_sell__larger_than_the_best_level__walks_down_the_bids() -> None:
    d = desk(**THIN, positions={"AAPL": 500})
    first, *_ = sizes(d, Side.SELL)
    d.place(Side.SELL, quantity=str(first + 1), price="189.98")
    d.clock.run()
    assert prices_paid(d) == [(first, "189.99"), (1, "189.98")]
    assert sum(sizes(d)) == sum(sizes(desk(**THIN)))


def test_two_orders__what_one_took__is_not_there_for_the_other() -> None:
    d = desk(**THIN)
    first, *_ = sizes(d)
    d.place(quantity=str(first), price="190.01")
    other = d.place(quantity="1", price="190.01")
    d.clock.run()
    assert (other.status, other.filled) == (Status.SUBMITTED, 0)


def test_market_order__larger_than_the_book__takes_it_all_and_works_on() -> None:
    d = desk(**THIN)
    there = sum(sizes(d))
    order = d.place(quantity=str(there + 50), price="0", order_type=OrderType.MARKET)
    d.clock.run()
    assert (d.status(order), order.filled, sizes(d)) == (Status.FILLED_PART, there, [])
    quote = d.venue.market.quote("AAPL")
    assert (quote.ask, quote.ask_size) == (Decimal("190.04"), 0)
    d.venue.set_price("AAPL", Decimal(200))
    d.clock.run()
    assert (d.status(order), prices_paid(d)[-1]) == (Status.FILLED_ALL, (50, "200.01"))


def test_market_order__money_for_the_best_price_only__refused() -> None:
    thin = desk(**THIN)
    shares = sum(sizes(thin)[:2])
    money = shares * Decimal("190.015")
    with pytest.raises(Rejected, match="buying power"):
        desk(**THIN, leverage=1, cash=money).place(
            quantity=str(shares), price="0", order_type=OrderType.MARKET
        )


def test_partial_fills__in_a_thin_book__sum_to_the_order_and_never_above_the_limit() -> None:
    d = desk(**THIN, partial_rate=0.7)
    order = d.place(quantity=str(sum(sizes(d)[:3])), price="190.03")
    d.clock.run()
    assert d.status(order) is Status.FILLED_ALL
    assert sum(fill.quantity for fill in d.venue.book.fills) == order.quantity
    assert {str(fill.price) for fill in d.venue.book.fills} == {"190.01", "190.02", "190.03"}
    assert sum(f.quantity * f.price for f in d.venue.book.fills) == order.value


def test_split__book__is_of_new_prices() -> None:
    d = desk(**THIN)
    d.venue.market.depth("AAPL")
    d.venue.split("AAPL", 4, 1)
    assert d.venue.market.quote("AAPL").ask == Decimal("47.51")
