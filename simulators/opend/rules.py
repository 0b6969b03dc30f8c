"""What paper trading of US stocks accepts, checked in the order a venue would.

Sub-tick prices and over-long remarks are refused rather than rounded: what the real OpenD does
there is not documented alike everywhere, and a client must not depend on it.
"""

from decimal import Decimal

from simulators.opend.accounts import Account
from simulators.opend.errors import Rejected
from simulators.opend.market import MarketData
from simulators.opend.orders import OrderType, Side, Ticket

# https://openapi.futunn.com/futu-api-doc/en/trade/place-order.html
REMARK_BYTES = 64
ORDER_SHARES = 500_000
DAY = 0  # Trd_Common.TimeInForce
SESSIONS = (0, 1)  # Common.Session: none given, regular hours


def check_kind(ticket: Ticket) -> None:
    """Order type, lifetime and session.

    Raises:
        Rejected: something paper trading does not offer.
    """
    # https://openapi.moomoo.com/moomoo-api-doc/en/qa/trade.html
    if ticket.order_type not in (OrderType.NORMAL, OrderType.MARKET):
        raise Rejected("Paper trading supports limit and market orders only.")
    if ticket.time_in_force != DAY:
        raise Rejected("Paper trading supports time in force DAY only.")
    if ticket.outside_rth or ticket.session not in SESSIONS:
        raise Rejected("Paper trading supports regular trading hours only.")
    if ticket.side not in (Side.BUY, Side.SELL):
        raise Rejected("Orders are placed with trd_side BUY or SELL.")
    if len(ticket.remark.encode()) > REMARK_BYTES:
        raise Rejected(f"The remark is longer than {REMARK_BYTES} bytes in UTF-8.")


def whole_shares(quantity: Decimal) -> int:
    """The quantity as a number of shares.

    Raises:
        Rejected: not a whole, positive, bearable number.
    """
    if not quantity.is_finite() or quantity != quantity.to_integral_value():
        raise Rejected(f"Quantity {quantity} is not a whole number of shares.")
    if not 0 < quantity <= ORDER_SHARES:
        raise Rejected(f"Quantity {quantity} is not between 1 and {ORDER_SHARES} shares.")
    return int(quantity)


def limit_price(ticket: Ticket, market: MarketData) -> Decimal:
    """The price to keep: the limit, or 0 for a market order whose price is ignored.

    Raises:
        Rejected: not positive, or not on the tick.
    """
    if ticket.order_type == OrderType.MARKET:
        return Decimal(0)
    price = ticket.price
    if not price.is_finite() or not 0 < price < 10_000_000:
        raise Rejected(f"Price {price} of {ticket.code} is out of range.")
    tick = market.tick(price)
    if price % tick:
        raise Rejected(f"Price {price} of {ticket.code} is not a multiple of its tick {tick}.")
    return price


def check_sell(account: Account, code: str, shares: int, working: int, shorting: bool) -> None:
    """A sell closes a long, or opens a short where nothing is held; never both in one order.

    `working` are the shares that open sell orders already claim.

    Raises:
        Rejected: more than can be sold.
    """
    held = account.held(code)
    if held > 0 and shares > held - working:
        raise Rejected(
            f"Insufficient position: {held - working} shares of {code} can be sold, not {shares}."
        )
    if held <= 0 and not shorting:
        raise Rejected(f"Insufficient position: no shares of {code} are held.")


def check_buy(account: Account, code: str, shares: int, working: int) -> None:
    """A buy closes a short, or opens or grows a long; never both in one order.

    `working` are the shares that open buy orders already claim.

    Raises:
        Rejected: it would buy through zero, which takes two orders.
    """
    # https://openapi.moomoo.com/moomoo-api-doc/en/qa/trade.html
    short = -account.held(code)
    if short > 0 and shares > short - working:
        raise Rejected(
            f"Insufficient position: {short - working} short shares of {code} can be bought "
            f"back, not {shares}; going long takes another order."
        )


def check_power(account: Account, code: str, side: Side, cost: Decimal, power: Decimal) -> None:
    """An order that opens or grows a position must be covered by buying power.

    One that closes cannot also open: check_buy and check_sell came before.

    Raises:
        Rejected: it is not.
    """
    closes = account.held(code) * side.sign < 0
    if not closes and cost > power:
        raise Rejected(f"Insufficient buying power: {cost} needed, {power} available.")
