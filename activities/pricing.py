"""What to ask the broker for: limit price and whole shares, from fresh prices. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from models.assets import Asset
from models.broker import Quote
from models.money import (
    BPS,
    MARKET_BUY_LIMIT,
    MARKET_SELL_LIMIT,
    affordable_shares,
    band_edges,
    broker_buy_limit,
    broker_sell_limit,
    per_share,
    plain_decimal,
    units_to_usd,
    usd_to_units_up,
    whole_shares,
)
from models.order import Reason
from models.requests import Side, VaultRequest
from models.splits import ONE_TO_ONE, SharesPerToken


@dataclass(frozen=True)
class Plan:
    """An order to place, and what rule six sets aside for it.

    price: dollars on the tick. payout: USDT units of the vault. cash: dollars at the broker.
    """

    quantity: int
    price: Decimal
    payout: int = 0
    cash: Decimal = Decimal(0)


@dataclass(frozen=True)
class Unservable:
    """Why this request cannot become an order, whatever the market does."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Prices:
    """What a plan is made from.

    reference: dollars per share, from the feed. decimals: of USDT. ratio: shares per token now.
    """

    quote: Quote
    reference: Decimal
    band_bps: int
    decimals: int
    ratio: SharesPerToken = ONE_TO_ONE


def indicative(
    terms: VaultRequest, price: int, decimals: int, ratio: SharesPerToken = ONE_TO_ONE
) -> str:
    """What a request would come to at the feed's price (USDT units per token), in words.

    Binds nobody: the price that counts is asked for when the order is placed, within the limit.
    """
    if price <= 0:
        return "no reference price now"
    usd = plain_decimal(per_share(units_to_usd(price, decimals), ratio))
    if terms.side is Side.SELL:
        shares = whole_shares(terms.amount, ratio)
    else:
        shares = affordable_shares(terms.amount, usd, terms.fee_bps, decimals)
    return f"about {shares} shares at {usd} USDT"


def plan(terms: VaultRequest, asset: Asset, prices: Prices) -> Plan | Unservable:
    """The order that serves a request at these prices."""
    build = _buy if terms.side is Side.BUY else _sell
    return build(terms, asset, prices)


def _buy(terms: VaultRequest, asset: Asset, prices: Prices) -> Plan | Unservable:
    """Whole shares that the deposit buys at the limit; never above the band's upper edge."""
    _, highest = band_edges(prices.reference, prices.band_bps, asset.tick)
    if terms.limit_price >= MARKET_BUY_LIMIT:
        price = highest
    else:
        own = broker_buy_limit(
            terms.limit_price, terms.fee_bps, asset.tick, prices.decimals, prices.ratio
        )
        price = min(own, highest)
    if price <= 0:
        return Unservable(Reason.LIMIT_UNREACHABLE, "after the fee the limit is below one tick")
    quantity: int = affordable_shares(terms.amount, price, terms.fee_bps, prices.decimals)
    quantity -= quantity % asset.lot
    if quantity < 1:
        units = usd_to_units_up(price, prices.decimals) * (BPS + terms.fee_bps) // BPS
        return Unservable(
            Reason.TOO_SMALL,
            f"{terms.amount} USDT units do not buy one {asset.symbol} at {price} USD "
            f"({units} units with the fee)",
        )
    return Plan(quantity=quantity, price=price, cash=price * quantity)


def _sell(terms: VaultRequest, asset: Asset, prices: Prices) -> Plan | Unservable:
    """Whole shares; never below the band's lower edge."""
    lowest, highest = band_edges(prices.reference, prices.band_bps, asset.tick)
    if terms.limit_price <= MARKET_SELL_LIMIT:
        price = lowest
    else:
        own = broker_sell_limit(
            terms.limit_price, terms.fee_bps, asset.tick, prices.decimals, prices.ratio
        )
        price = max(own, lowest)
    quantity: int = whole_shares(terms.amount, prices.ratio)
    quantity -= quantity % asset.lot
    if quantity < 1:
        return Unservable(Reason.TOO_SMALL, f"{terms.amount} units are less than one whole share")
    payout = usd_to_units_up(max(price, highest) * quantity, prices.decimals)
    return Plan(quantity=quantity, price=price, payout=payout)
