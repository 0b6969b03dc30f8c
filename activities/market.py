"""Which quotes of the broker an order may be based on. Pure: each check names itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from models.assets import Asset
from models.broker import MarketState, Quote
from models.guard import Guard, Trip
from models.money import BPS

if TYPE_CHECKING:
    from clients.oracle import FeedPrice


def quote_trip(
    quote: Quote, asset: Asset, reference: Decimal, *, band_bps: int, spread_bps: int
) -> Trip | None:
    """Why nothing may be placed on this quote; None when it may.

    reference: dollars per share, from the feed. A quote of one side is no quote: the last trade
    says what somebody paid once, not what anybody pays now.
    """
    if quote.state is MarketState.HALTED:
        words = f"{asset.symbol} is halted or suspended at the broker, or it does not say"
        return Trip(Guard.HALT, words)
    return (
        _incomplete(quote)
        or _spread(quote, spread_bps)
        or _tick(quote, asset)
        or _deviation(quote, reference, band_bps)
    )


def _incomplete(quote: Quote) -> Trip | None:
    prices = (quote.bid, quote.ask, quote.last, quote.tick)
    if min(prices) > 0:
        return None
    shown = "/".join(str(price) for price in prices)
    return Trip(Guard.QUOTE_MISSING, f"{quote.symbol}: bid/ask/last/tick are {shown}")


def _spread(quote: Quote, spread_bps: int) -> Trip | None:
    seen = f"{quote.symbol}: bid {quote.bid}, ask {quote.ask} USD"
    if quote.bid > quote.ask:
        return Trip(Guard.QUOTE_CROSSED, seen)
    if (quote.ask - quote.bid) * BPS > quote.bid * spread_bps:
        return Trip(Guard.QUOTE_SPREAD, f"{seen}, more than {spread_bps} basis points apart")
    return None


def _tick(quote: Quote, asset: Asset) -> Trip | None:
    """Whether prices on our tick are on the broker's; else it would reject what we send."""
    if asset.tick % quote.tick == 0:
        return None
    words = f"{quote.symbol} trades in steps of {quote.tick} USD, we are told {asset.tick}"
    return Trip(Guard.QUOTE_TICK, words)


def _deviation(quote: Quote, reference: Decimal, band_bps: int) -> Trip | None:
    middle = (quote.bid + quote.ask) / 2
    if abs(middle - reference) * BPS <= reference * band_bps:
        return None
    return Trip(
        Guard.DEVIATION,
        f"the broker shows {middle} USD for {quote.symbol}, the feed {reference}: "
        f"more than {band_bps} basis points apart",
    )


def quote_basis(
    quote: Quote, feed: str, reference: FeedPrice, share: Decimal, band_bps: int
) -> dict[str, object]:
    """The prices that an order is decided on and where they are from, for the audit log.

    share: dollars per share by the feed, which answers dollars per token.
    """
    block = reference.block
    return {
        "broker": {
            "bid": quote.bid,
            "ask": quote.ask,
            "last": quote.last,
            "at": quote.at,
            "state": quote.state.value,
        },
        "feed": {
            "address": feed.lower(),
            "usd": reference.usd,
            "round": str(reference.round_id),
            "updated_at": reference.updated_at,
            "block": {"number": block.number, "hash": block.hash},
        },
        "share_usd": share,
        "band_bps": band_bps,
    }
