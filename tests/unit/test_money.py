"""Every fill that a broker limit allows must pass the vault, whatever the numbers are."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from models.money import (
    BPS,
    MARKET_BUY_LIMIT,
    SHARE_SCALE,
    Settlement,
    affordable_shares,
    band_edges,
    broker_buy_limit,
    broker_sell_limit,
    buy_settlement,
    price_from_wire,
    round_to_tick_down,
    round_to_tick_up,
    sell_settlement,
    shares_from_wire,
    units_to_usd,
    usd_to_units_down,
    usd_to_units_up,
    whole_shares,
)

# The vault's highest fee: MAX_FEE_BPS in contracts/src/VaultConfig.sol
FEES = st.integers(0, 500)
DECIMALS = st.sampled_from([6, 18])
TICKS = st.sampled_from([Decimal("0.01"), Decimal("0.0001"), Decimal("0.05"), Decimal(1)])
SHARES = st.integers(1, 100_000)
CENTS = st.integers(1, 100_000_000)


def vault_accepts_buy(item: Settlement, amount: int, limit: int, fee_bps: int) -> bool:
    """_judge of contracts/src/BroncoVault.sol, without the band."""
    if not 0 < item.taken <= amount or item.out <= 0 or item.fee >= item.taken:
        return False
    if item.fee * BPS > (item.taken - item.fee) * fee_bps:
        return False
    return limit == MARKET_BUY_LIMIT or item.taken * SHARE_SCALE <= limit * item.out


def vault_accepts_sell(item: Settlement, amount: int, limit: int, fee_bps: int) -> bool:
    if not 0 < item.taken <= amount or item.out <= 0:
        return False
    if item.fee * BPS > (item.out + item.fee) * fee_bps:
        return False
    return item.out * SHARE_SCALE >= limit * item.taken


def wire(value: Fraction) -> Decimal:
    """An average as the broker sends it: a float, of which nine decimals are believed."""
    return price_from_wire(float(value))


def averaged(prices: list[Decimal]) -> Decimal:
    return wire(sum((Fraction(price) for price in prices), Fraction(0)) / len(prices))


@given(CENTS, FEES, TICKS, DECIMALS, SHARES, st.integers(0, 50), st.integers(0, 10**18))
@example(200_00, 50, Decimal("0.01"), 6, 5, 0, 0)
def test_buy__any_fill_within_the_broker_limit__passes_the_vault(
    cents: int, fee: int, tick: Decimal, decimals: int, wanted: int, better: int, extra: int
) -> None:
    limit = cents * 10 ** (decimals - 2)
    price = broker_buy_limit(limit, fee, tick, decimals)
    assume(price > 0)
    per_share = usd_to_units_up(price, decimals) * (BPS + fee) // BPS + 1
    amount = per_share * wanted + extra % per_share
    quantity = affordable_shares(amount, price, fee, decimals)
    average = max(price - better * tick, tick)
    for shares in {1, quantity}:
        item = buy_settlement(shares, average, fee, decimals)
        assert vault_accepts_buy(item, amount, limit, fee)
        assert vault_accepts_buy(item, amount, MARKET_BUY_LIMIT, fee)
        assert item.out == shares * SHARE_SCALE


@given(CENTS, FEES, TICKS, DECIMALS, SHARES, st.integers(0, 50))
@example(200_00, 100, Decimal("0.01"), 6, 5, 0)
def test_sell__any_fill_within_the_broker_limit__passes_the_vault(
    cents: int, fee: int, tick: Decimal, decimals: int, shares: int, better: int
) -> None:
    limit = cents * 10 ** (decimals - 2)
    average = broker_sell_limit(limit, fee, tick, decimals) + better * tick
    item = sell_settlement(shares, average, fee, decimals)
    assert vault_accepts_sell(item, shares * SHARE_SCALE, limit, fee)


@given(
    st.integers(100, 1_000_000),
    FEES,
    DECIMALS,
    st.lists(st.integers(0, 30), min_size=1, max_size=40),
)
def test_average__of_many_fills_through_a_float__still_passes_the_vault(
    cents: int, fee: int, decimals: int, steps: list[int]
) -> None:
    tick = Decimal("0.01")
    limit = cents * 10 ** (decimals - 2)
    highest = broker_buy_limit(limit, fee, tick, decimals)
    lowest = broker_sell_limit(limit, fee, tick, decimals)
    assume(highest > Decimal("0.4"))
    bought = averaged([highest - tick * step for step in steps])
    amount = (affordable_price(highest, fee, decimals)) * len(steps)
    item = buy_settlement(len(steps), bought, fee, decimals)
    assert vault_accepts_buy(item, amount, limit, fee)
    sold = averaged([lowest + tick * step for step in steps])
    item = sell_settlement(len(steps), sold, fee, decimals)
    assert vault_accepts_sell(item, len(steps) * SHARE_SCALE, limit, fee)


def affordable_price(price: Decimal, fee: int, decimals: int) -> int:
    """The least amount that buys one share at the price."""
    return -(-usd_to_units_up(price, decimals) * (BPS + fee) // BPS)


@given(st.integers(1, 2**100), CENTS, FEES, DECIMALS)
def test_affordable__shares_fit_and_one_more_does_not(
    amount: int, cents: int, fee: int, decimals: int
) -> None:
    price = Decimal(cents).scaleb(-2)
    shares = affordable_shares(amount, price, fee, decimals)
    one = Fraction(price) * 10**decimals * (BPS + fee) / BPS
    assert shares * one <= amount < (shares + 1) * one


def test_affordable__price_of_nothing__is_refused() -> None:
    with pytest.raises(ValueError, match="price must be positive"):
        affordable_shares(10**9, Decimal(0), 0, 6)


@given(st.decimals("0.000001", 10**6, places=9), st.integers(0, 5_000), TICKS)
def test_band__edges__lie_on_the_tick_inside_the_band(
    reference: Decimal, band: int, tick: Decimal
) -> None:
    low, high = band_edges(reference, band, tick)
    step = Fraction(reference) * band / BPS
    assert Fraction(reference) - step <= Fraction(low)
    assert Fraction(high) <= Fraction(reference) + step
    assert Fraction(low) / Fraction(tick) % 1 == 0
    assert Fraction(high) / Fraction(tick) % 1 == 0
    assert Fraction(low) < Fraction(reference) - step + Fraction(tick)
    assert Fraction(high) > Fraction(reference) + step - Fraction(tick)


@given(st.decimals("0", 10**12, places=20), TICKS)
def test_tick__rounding__goes_to_the_nearest_tick_on_its_side(
    price: Decimal, tick: Decimal
) -> None:
    down, up = round_to_tick_down(price, tick), round_to_tick_up(price, tick)
    assert down <= price <= up
    assert up - down in (0, tick)


@given(st.decimals("0", 10**12, places=20), st.integers(0, 18))
def test_units__rounding__spends_up_and_receives_down(amount: Decimal, decimals: int) -> None:
    exact = Fraction(amount) * 10**decimals
    up, down = usd_to_units_up(amount, decimals), usd_to_units_down(amount, decimals)
    assert down <= exact <= up
    assert up - down == (0 if exact.denominator == 1 else 1)


@given(st.integers(0, 2**128), st.integers(0, 18))
def test_units__there_and_back__are_the_same(units: int, decimals: int) -> None:
    assert usd_to_units_up(units_to_usd(units, decimals), decimals) == units
    assert usd_to_units_down(units_to_usd(units, decimals), decimals) == units


@given(st.integers(1, 10**9), st.integers(3, 4))
def test_wire__a_price_as_a_float__is_the_price_again(ticks: int, places: int) -> None:
    price = Decimal(ticks).scaleb(-places)
    noisy = float(price) * (1 + 2**-52)
    assert price_from_wire(float(price)) == price
    assert price_from_wire(noisy) == price.quantize(Decimal("1e-9"), ROUND_HALF_EVEN)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (150.01 * 3 / 3, "150.01"),
        (0.1 + 0.2, "0.3"),
        (1e-12, "0"),
        (123456.789, "123456.789"),
        (float(2**53), str(2**53)),
    ],
)
def test_wire__float_noise__is_gone(value: float, expected: str) -> None:
    assert price_from_wire(value) == Decimal(expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_wire__no_number__is_refused(value: float) -> None:
    with pytest.raises((ArithmeticError, ValueError)):
        shares_from_wire(value)


def test_whole_shares__a_fraction__stays_with_the_user() -> None:
    assert whole_shares(5 * SHARE_SCALE - 1) == 4
    assert whole_shares(100 * SHARE_SCALE) == 100


@given(SHARES, CENTS, FEES, DECIMALS)
def test_settlement__fee__rounds_down_and_is_the_only_difference(
    shares: int, cents: int, fee: int, decimals: int
) -> None:
    price = Decimal(cents).scaleb(-2)
    buy = buy_settlement(shares, price, fee, decimals)
    sell = sell_settlement(shares, price, fee, decimals)
    notional = shares * cents * 10 ** (decimals - 2)
    assert (buy.taken - buy.fee, sell.out + sell.fee) == (notional, notional)
    assert buy.fee == sell.fee == notional * fee // BPS


def test_settlement__parts_of_a_unit__are_spent_up_and_received_down() -> None:
    average = Decimal("100.333333333")
    assert buy_settlement(1, average, 0, 6).taken == 100_333_334
    assert sell_settlement(1, average, 0, 6).out == 100_333_333
