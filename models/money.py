"""Units of money and shares, and the only place where anything is rounded.

Units
  UsdtUnits   base units of USDT (10^-decimals USDT; decimals are read from the token)
  ShareUnits  base units of a share token, 10^-18 of one token
  Shares      whole shares at the broker
  Usd         Decimal US dollars (a price, or money at the broker)

USD and USDT are exchanged 1:1 here; whether that may be done at all is a guard's business.
Directions: what a user spends rounds up, what a user receives rounds down, a fee rounds down,
a broker limit rounds to the tick in the user's favour.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import NamedTuple, NewType

UsdtUnits = NewType("UsdtUnits", int)
ShareUnits = NewType("ShareUnits", int)
Shares = NewType("Shares", int)
Usd = NewType("Usd", Decimal)

SHARE_SCALE = 10**18
BPS = 10_000
MARKET_BUY_LIMIT = 2**128 - 1
"""A deposit's limit price that means: market, within the reference band."""
MARKET_SELL_LIMIT = 0
_PRECISION = 80
_WIRE_STEP = Decimal("1e-9")


class Settlement(NamedTuple):
    """What one filled request comes to.

    taken: USDT spent all-in (buy) or share units sold (redeem); out: share units minted (buy) or
    USDT paid net of fee (redeem); fee: USDT.
    """

    taken: int
    out: int
    fee: int


def price_from_wire(value: float) -> Usd:
    """A vendor's float price as Decimal dollars, float noise below 10^-9 removed."""
    return Usd(Decimal(repr(float(value))).quantize(_WIRE_STEP, ROUND_HALF_EVEN).normalize())


def shares_from_wire(value: float) -> Shares:
    """A vendor's float count as whole shares, a fraction cut off towards zero."""
    return Shares(int(Decimal(repr(float(value)))))


def usd_to_units_up(amount: Decimal, decimals: int) -> UsdtUnits:
    """Dollars in USDT units, rounded up (what a user spends)."""
    return UsdtUnits(_scaled(amount, decimals, ROUND_CEILING))


def usd_to_units_down(amount: Decimal, decimals: int) -> UsdtUnits:
    """Dollars in USDT units, rounded down (what a user receives)."""
    return UsdtUnits(_scaled(amount, decimals, ROUND_FLOOR))


def units_to_usd(units: int, decimals: int) -> Usd:
    """USDT units as exact dollars."""
    with localcontext() as context:
        context.prec = _PRECISION
        return Usd(Decimal(units).scaleb(-decimals))


def shares_to_units(shares: int) -> ShareUnits:
    """Whole shares as token units."""
    return ShareUnits(shares * SHARE_SCALE)


def whole_shares(units: int) -> Shares:
    """Whole shares in a token amount, rounded down: the rest goes back to the user."""
    return Shares(units // SHARE_SCALE)


def broker_buy_limit(limit: int, fee_bps: int, tick: Decimal, decimals: int) -> Usd:
    """Highest tick price whose all-in cost per share stays within `limit` USDT units."""
    net = limit * BPS // (BPS + fee_bps)
    return round_to_tick_down(units_to_usd(net, decimals), tick)


def broker_sell_limit(limit: int, fee_bps: int, tick: Decimal, decimals: int) -> Usd:
    """Lowest tick price whose proceeds per share after fee reach `limit` USDT units."""
    gross = -(-limit * BPS // (BPS - fee_bps))
    return round_to_tick_up(units_to_usd(gross, decimals), tick)


def round_to_tick_down(price: Decimal, tick: Decimal) -> Usd:
    """The nearest tick at or below."""
    with localcontext() as context:
        context.prec = _PRECISION
        return Usd((price / tick).to_integral_value(ROUND_FLOOR) * tick)


def round_to_tick_up(price: Decimal, tick: Decimal) -> Usd:
    """The nearest tick at or above."""
    with localcontext() as context:
        context.prec = _PRECISION
        return Usd((price / tick).to_integral_value(ROUND_CEILING) * tick)


def band_edges(reference: Decimal, band_bps: int, tick: Decimal) -> tuple[Usd, Usd]:
    """Lowest and highest tick price inside ±band around the reference."""
    step = reference * band_bps / BPS
    return round_to_tick_up(reference - step, tick), round_to_tick_down(reference + step, tick)


def affordable_shares(amount: int, price: Decimal, fee_bps: int, decimals: int) -> Shares:
    """Whole shares that `amount` USDT units buy at `price`, fee included; rounded down."""
    per_share = usd_to_units_up(price, decimals)
    if per_share <= 0:
        raise ValueError(f"price must be positive: {price}")
    shares = amount * BPS // (per_share * (BPS + fee_bps))
    return Shares(shares)


def buy_settlement(filled: int, average_price: Decimal, fee_bps: int, decimals: int) -> Settlement:
    """Cost of a filled buy: notional up, fee down."""
    notional = usd_to_units_up(average_price * filled, decimals)
    fee = notional * fee_bps // BPS
    return Settlement(taken=notional + fee, out=shares_to_units(filled), fee=fee)


def sell_settlement(filled: int, average_price: Decimal, fee_bps: int, decimals: int) -> Settlement:
    """Proceeds of a filled sell: gross down, fee down, net paid out."""
    gross = usd_to_units_down(average_price * filled, decimals)
    fee = gross * fee_bps // BPS
    return Settlement(taken=shares_to_units(filled), out=gross - fee, fee=fee)


def value_units_up(share_units: int, price: int) -> UsdtUnits:
    """Share units at a price (USDT units per whole share), rounded up (what is at stake)."""
    return UsdtUnits(-(-share_units * price // SHARE_SCALE))


def plain_decimal(value: Decimal) -> Decimal:
    """The number to nine decimals, half-even, as the one text it has: no exponent, no end zeros."""
    with localcontext() as context:
        context.prec = _PRECISION
        digits = format(value.quantize(_WIRE_STEP, ROUND_HALF_EVEN), "f").rstrip("0").rstrip(".")
        return Decimal(digits) + 0


def _scaled(amount: Decimal, decimals: int, rounding: str) -> int:
    with localcontext() as context:
        context.prec = _PRECISION
        return int(amount.scaleb(decimals).to_integral_value(rounding))
