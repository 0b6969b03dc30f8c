"""Wallets, broker account and orders around a test: what must have moved, and not a unit more."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from clients.wallet import Requested
from models.money import buy_settlement, price_from_wire, sell_settlement
from models.requests import Side, VaultRequest, VaultStatus
from simulators.opend.control import VenueOrder
from tests.e2e.desk import Desk

_DECIMALS = 6


@dataclass(frozen=True)
class Holdings:
    """tokens: units by (owner, token). shares, cash: the account at the broker."""

    tokens: dict[tuple[str, str], int]
    shares: dict[str, int]
    cash: Decimal


async def holdings(desk: Desk) -> Holdings:
    """What chain and broker say now."""
    chain, account = desk.stack.chain, await desk.control.account()
    tokens = {
        (wallet.address, token): await wallet.balance(token)
        for wallet in desk.wallets
        for token in (chain.usdt, *chain.shares.values())
    }
    return Holdings(tokens, dict(account.positions), account.cash)


async def after_these(desk: Desk, before: Holdings, made: Sequence[Requested]) -> Holdings:
    """What there must be once these requests have ended: by the vault's word and the fills.

    One that was settled moved what its one filled order filled; one that was given back, nothing.
    """
    tokens, shares = defaultdict(int, before.tokens), defaultdict(int, before.shares)
    cash = before.cash
    for one in made:
        terms = await desk.terms(one)
        filled = [order for order in await desk.orders_of(one) if order.filled]
        assert (terms.status, len(filled)) in ((VaultStatus.SETTLED, 1), (VaultStatus.REFUNDED, 0))
        for order in filled:
            sign = 1 if terms.side is Side.BUY else -1
            shares[order.code.removeprefix("US.")] += sign * order.filled
            cash -= sign * order.value
            usdt, token = _moved(terms, order)
            tokens[terms.owner, desk.stack.chain.usdt] += usdt
            tokens[terms.owner, terms.asset] += token
    held = {symbol: count for symbol, count in shares.items() if count}
    return Holdings(dict(tokens), held, cash)


def _moved(terms: VaultRequest, order: VenueOrder) -> tuple[int, int]:
    """USDT and share units that the owner has more for a settled request."""
    average = price_from_wire(float(order.average))
    if terms.side is Side.BUY:
        bought = buy_settlement(order.filled, average, terms.fee_bps, _DECIMALS)
        return -bought.taken, bought.out
    sold = sell_settlement(order.filled, average, terms.fee_bps, _DECIMALS)
    return sold.out, -sold.taken
