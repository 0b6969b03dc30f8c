"""Which quotes an order may be based on; every edge is the last that passes."""

from decimal import Decimal
from typing import Any

import pytest

from activities.market import quote_trip
from models.assets import Asset
from models.broker import MarketState
from models.guard import Guard
from tests.builders import SYMBOL, TOKEN, quote

ASSET = Asset(symbol=SYMBOL, token=TOKEN, feed=TOKEN)


def tripped(prices: dict[str, str], state: MarketState = MarketState.OPEN) -> Guard | None:
    changes: dict[str, Any] = {name: Decimal(price) for name, price in prices.items()}
    shown = quote(state=state, **changes)
    trip = quote_trip(shown, ASSET, Decimal(199), band_bps=300, spread_bps=100)
    return trip.guard if trip else None


@pytest.mark.parametrize(
    ("changes", "guard"),
    [
        ({}, None),
        ({"bid": "200", "ask": "202"}, None),
        ({"bid": "200", "ask": "202.01"}, Guard.QUOTE_SPREAD),
        ({"bid": "199", "ask": "199"}, None),
        ({"bid": "199.01", "ask": "199"}, Guard.QUOTE_CROSSED),
        ({"tick": "0.0001"}, None),
        ({"tick": "0.003"}, Guard.QUOTE_TICK),
        ({"bid": "204.97", "ask": "204.97"}, None),
        ({"bid": "204.98", "ask": "204.98"}, Guard.DEVIATION),
        ({"bid": "193.03", "ask": "193.03"}, None),
        ({"bid": "193.02", "ask": "193.02"}, Guard.DEVIATION),
    ],
)
def test_quote__at_the_edge__trips_the_guard_it_is_about(
    changes: dict[str, str], guard: Guard | None
) -> None:
    assert tripped(changes) is guard


def test_quote__halted__is_named_before_the_prices_it_lacks() -> None:
    assert tripped({}, MarketState.HALTED) is Guard.HALT
    assert tripped({"bid": "0"}, MarketState.HALTED) is Guard.HALT


@pytest.mark.parametrize("field", ["bid", "ask", "last", "tick"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_quote__no_price_in_a_field__is_no_quote(field: str, value: str) -> None:
    assert tripped({field: value}) is Guard.QUOTE_MISSING


def test_quote__tripped__says_the_numbers() -> None:
    wide = quote(bid=Decimal(190), ask=Decimal(210))
    trip = quote_trip(wide, ASSET, Decimal(199), band_bps=300, spread_bps=100)
    assert str(trip) == (
        f"quote spread: {SYMBOL}: bid 190, ask 210 USD, more than 100 basis points apart"
    )
