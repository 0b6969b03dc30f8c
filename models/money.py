"""Units of money and shares, and the only place where anything is rounded.

Units
  UsdtUnits   base units of USDT (10^-decimals USDT; decimals are read from the token)
  ShareUnits  base units of a share token, 10^-18 of one token
  Shares      whole shares at the broker
  Usd         Decimal US dollars (a price, or money at the broker)

One token is numerator / denominator shares (models.splits); every conversion takes the ratio that
was in force when the order was placed, and 1:1 unless told.

USD and USDT are exchanged 1:1 here; whether that may be done at all is a guard's business.
Directions: what a user spends rounds up, what a user receives rounds down, a fee rounds down,
a broker limit rounds to the tick in the user's favour. Tokens minted for shares round down, tokens
burned for shares round up, whole shares of tokens round down: less than one unit each time, and
never out of what backs the tokens.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple, NewType

from models.requests import Side
from models.splits import ONE_TO_ONE, SharesPerToken

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
    """Whole tokens as units: whole shares as well, where a token is one share."""
    return ShareUnits(shares * SHARE_SCALE)


def units_minted(shares: int, ratio: SharesPerToken = ONE_TO_ONE) -> ShareUnits:
    """Token units that bought shares are worth, rounded down."""
    return ShareUnits(shares * SHARE_SCALE * ratio.denominator // ratio.numerator)


def units_burned(shares: int, ratio: SharesPerToken = ONE_TO_ONE) -> ShareUnits:
    """Token units that sold shares take, rounded up."""
    return ShareUnits(-(-shares * SHARE_SCALE * ratio.denominator // ratio.numerator))


def units_exact(shares: int, ratio: SharesPerToken = ONE_TO_ONE) -> Fraction:
    """Token units that shares are worth, to compare with; nothing is rounded."""
    return Fraction(shares * SHARE_SCALE * ratio.denominator, ratio.numerator)


def whole_units_down(exact: Fraction) -> int:
    """Whole units of an exact number of them, rounded down."""
    return exact.numerator // exact.denominator


def whole_shares(units: int, ratio: SharesPerToken = ONE_TO_ONE) -> Shares:
    """Whole shares in a token amount, rounded down: the rest goes back to the user."""
    return Shares(units * ratio.numerator // (SHARE_SCALE * ratio.denominator))


def shares_minted(units: int, ratio: SharesPerToken = ONE_TO_ONE) -> Shares:
    """The shares that `units_minted` gave these units for: rounded up, since that rounded down."""
    return Shares(-(-units * ratio.numerator // (SHARE_SCALE * ratio.denominator)))


def per_share(price: Decimal, ratio: SharesPerToken = ONE_TO_ONE) -> Usd:
    """Dollars per share where a token has this price; to 80 digits, half-even."""
    with localcontext() as context:
        context.prec = _PRECISION
        return Usd(price * ratio.denominator / ratio.numerator)


def limit_per_token(side: Side, limit: int, ratio: SharesPerToken = ONE_TO_ONE) -> UsdtUnits:
    """A limit per token from one per share, both USDT units; rounded in the user's favour."""
    if side is Side.BUY:
        return UsdtUnits(limit * ratio.numerator // ratio.denominator)
    return UsdtUnits(-(-limit * ratio.numerator // ratio.denominator))


def broker_buy_limit(
    limit: int, fee_bps: int, tick: Decimal, decimals: int, ratio: SharesPerToken = ONE_TO_ONE
) -> Usd:
    """Highest tick price per share whose all-in cost stays within `limit` USDT units per token.

    Measured on what one share mints, rounded down as it is: the vault checks that.
    """
    net = limit * units_minted(1, ratio) * BPS // (SHARE_SCALE * (BPS + fee_bps))
    return round_to_tick_down(units_to_usd(net, decimals), tick)


def broker_sell_limit(
    limit: int, fee_bps: int, tick: Decimal, decimals: int, ratio: SharesPerToken = ONE_TO_ONE
) -> Usd:
    """Lowest tick price per share whose proceeds after fee reach `limit` USDT units per token.

    Measured on what one share burns, rounded up as it is: the vault checks that.
    """
    gross = -(-limit * units_burned(1, ratio) * BPS // (SHARE_SCALE * (BPS - fee_bps)))
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


def buy_settlement(
    filled: int,
    average_price: Decimal,
    fee_bps: int,
    decimals: int,
    ratio: SharesPerToken = ONE_TO_ONE,
) -> Settlement:
    """What a buy of so many shares at that price comes to."""
    cost = average_price * filled
    return settlement_of(Side.BUY, cost, units_minted(filled, ratio), fee_bps, decimals)


def sell_settlement(
    filled: int,
    average_price: Decimal,
    fee_bps: int,
    decimals: int,
    ratio: SharesPerToken = ONE_TO_ONE,
) -> Settlement:
    """What a sale of so many shares at that price comes to."""
    cost = average_price * filled
    return settlement_of(Side.SELL, cost, units_burned(filled, ratio), fee_bps, decimals)


def settlement_of(
    side: Side, dollars: Decimal, units: int, fee_bps: int, decimals: int
) -> Settlement:
    """What fills come to that moved so many dollars and token units.

    Buy: notional up, fee down. Sell: gross down, fee down, net paid out.
    """
    if side is Side.BUY:
        notional = usd_to_units_up(dollars, decimals)
        fee = notional * fee_bps // BPS
        return Settlement(taken=notional + fee, out=units, fee=fee)
    gross = usd_to_units_down(dollars, decimals)
    fee = gross * fee_bps // BPS
    return Settlement(taken=units, out=gross - fee, fee=fee)


def price_per_token(price: int, ratio: SharesPerToken = ONE_TO_ONE) -> int:
    """A feed's integer price of a token from one of a share, down, as ShareReference rounds."""
    return price * ratio.numerator // ratio.denominator


def share_price_bounds(
    anchor: int, max_move_bps: int, ratio: SharesPerToken = ONE_TO_ONE
) -> tuple[int, int]:
    """Lowest and highest integer price of a share whose token is within basis points of `anchor`.

    Both inwards: `price_per_token` of them is inside, of the next ones beyond it is not.
    """
    low = -(-anchor * (BPS - max_move_bps) // BPS)
    high = anchor * (BPS + max_move_bps) // BPS
    lowest = -(-low * ratio.denominator // ratio.numerator)
    return lowest, ((high + 1) * ratio.denominator - 1) // ratio.numerator


def move_bps_up(price: int, anchor: int) -> int:
    """How far a price is from another, basis points of that, rounded up."""
    return -(-abs(price - anchor) * BPS // anchor)


def value_units_up(share_units: int, price: int) -> UsdtUnits:
    """Share units at a price (USDT units per token), rounded up (what is at stake)."""
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
