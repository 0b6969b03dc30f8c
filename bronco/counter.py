"""The vault's counter on a dev chain: what a user types becomes a request, or a clear refusal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from bronco.devchain import FIRST_USER, dev_key
from bronco.trading import ChainSettings
from clients.rpc import Rpc
from clients.sender import ChainSender
from clients.splits import SplitReader
from clients.vault import VaultClient
from clients.wallet import Requested, Wallet
from models.assets import Asset
from models.chain import VaultEvent
from models.errors import ConfigurationError, InvalidInput
from models.money import MARKET_BUY_LIMIT, MARKET_SELL_LIMIT, limit_per_token, whole_shares
from models.order import REFUND_CODES
from models.requests import Side
from models.splits import ONE_TO_ONE, SharesPerToken

_SHARE_DECIMALS = 18
_POLL_SECONDS = 0.2
_UINT128 = 2**128


@dataclass(frozen=True)
class Typed:
    """A request as typed: USDT (BUY) or shares (SELL). lifetime: seconds.

    limit: USDT per share, "" = market; the vault is told the limit per token that it comes to.
    """

    side: Side
    amount: str
    symbol: str
    limit: str = ""
    lifetime: int = 3600


class Counter:
    """One user of the dev chain at the vault's counter. decimals: of its USDT.

    People type and read shares, as they see them at any broker; the vault deals in tokens.
    """

    def __init__(self, chain: ChainSettings, rpc: Rpc, wallet: Wallet, decimals: int) -> None:
        self._chain = chain
        self._wallet = wallet
        self._decimals = decimals
        self._vault = VaultClient(rpc, chain_id=chain.id, address=chain.vault)
        self._sender = ChainSender(rpc, vault=chain.vault)
        self._splits = SplitReader(rpc)
        self._ratio = ONE_TO_ONE

    async def hand_in(self, typed: Typed) -> Requested:
        """Check what was typed, approve, and send it.

        Raises:
            InvalidInput: names what was wrong; nothing was sent.
            CallReverted: the vault refused; nothing was sent but perhaps an approval.
            SourceUnavailable: nobody can say how many shares a token is.
        """
        asset = self._asset(typed.symbol)
        self._ratio = await self._shares_per_token(asset)
        limit = self._limit(typed)
        deadline = int(time.time()) + typed.lifetime
        if typed.side is Side.BUY:
            units = parse_units("amount", typed.amount, self._decimals)
            await self._check_deposit(units)
            return await self._wallet.deposit(asset.token, units, limit=limit, deadline=deadline)
        raw = parse_units("shares", typed.amount, _SHARE_DECIMALS)
        # Up, so that the tokens are worth the shares that were asked for.
        units = -(-raw * self._ratio.denominator // self._ratio.numerator)
        await self._check_redeem(units, asset)
        return await self._wallet.redeem(asset.token, units, limit=limit, deadline=deadline)

    async def ending(self, n: int, seconds: float) -> VaultEvent | None:
        """The event that ended request n; None when there is none in time."""
        deadline = time.monotonic() + seconds
        while True:
            at = await self._vault.head()
            request = await self._vault.request(n, at)
            event = await self._sender.ending(request, at) if request is not None else None
            if event is not None or time.monotonic() > deadline:
                return event
            await asyncio.sleep(_POLL_SECONDS)

    def in_words(self, typed: Typed, event: VaultEvent) -> str:
        """How a request ended."""
        args = event.args
        money, token = self._money, f"{typed.symbol}"
        buying = typed.side is Side.BUY
        if event.name != "Settled":
            amount = int(args["amount"])
            back = money(amount) if buying else self._tokens(amount, token)
            return f"{event.name.lower()}: {back} back{_why(event)}"
        taken, out, returned = int(args["taken"]), int(args["out"]), int(args["returned"])
        fee = f"fee {money(int(args['fee']))}"
        if buying:
            got, paid, back = self._tokens(out, token), money(taken), money(returned)
            return f"settled: {got} for {paid} ({fee} included), {back} back"
        sold, back = self._tokens(taken, token), self._tokens(returned, token)
        return f"settled: {money(out)} for {sold} ({fee} taken off), {back} back"

    async def _shares_per_token(self, asset: Asset) -> SharesPerToken:
        at = await self._vault.head()
        listed = await self._vault.asset(asset.token, at)
        return await self._splits.ratio(listed.feed, at) if listed is not None else ONE_TO_ONE

    def _tokens(self, units: int, token: str) -> str:
        """Tokens, and the shares they are where that is another number."""
        shown = f"{plain(units, _SHARE_DECIMALS)} {token}"
        if self._ratio.exact == 1:
            return shown
        shares = units * self._ratio.numerator // self._ratio.denominator
        return f"{shown} ({plain(shares, _SHARE_DECIMALS)} shares)"

    def _money(self, units: int) -> str:
        return f"{plain(units, self._decimals)} USDT"

    def _asset(self, symbol: str) -> Asset:
        known = {asset.symbol: asset for asset in self._chain.assets}
        if symbol not in known:
            raise InvalidInput("symbol", symbol, f"use one of {', '.join(sorted(known))}")
        return known[symbol]

    def _limit(self, typed: Typed) -> int:
        if not typed.limit:
            return MARKET_BUY_LIMIT if typed.side is Side.BUY else MARKET_SELL_LIMIT
        per_share = parse_units("limit", typed.limit, self._decimals)
        return limit_per_token(typed.side, per_share, self._ratio)

    async def _check_deposit(self, units: int) -> None:
        books = await self._vault.books(await self._vault.head())
        if units < books.min_deposit:
            least = self._money(books.min_deposit)
            raise InvalidInput("amount", self._money(units), f"the vault takes at least {least}")
        held = await self._wallet.balance(self._chain.usdt)
        if held < units:
            raise InvalidInput("amount", self._money(units), f"this user has {self._money(held)}")

    async def _check_redeem(self, units: int, asset: Asset) -> None:
        shown = plain(units, _SHARE_DECIMALS)
        if whole_shares(units, self._ratio) < 1:
            raise InvalidInput("shares", shown, "the vault takes at least one whole share")
        held = await self._wallet.balance(asset.token)
        if held < units:
            have = f"this user has {self._tokens(held, asset.symbol)}"
            raise InvalidInput("shares", shown, have)


@asynccontextmanager
async def open_counter(chain: ChainSettings, user: int) -> AsyncIterator[Counter]:
    """The counter for user 0, 1, 2, ... of the dev chain.

    Raises:
        ConfigurationError: it is no dev chain, or the settings do not fit it.
        SourceUnavailable: the chain does not answer.
    """
    if not chain.is_dev:
        problem = f"chain {chain.id} is no dev chain; its users have wallets of their own"
        raise ConfigurationError("BRONCO_CHAIN_ID", problem)
    rpc = Rpc(chain.endpoints[0], timeout_seconds=chain.call_timeout_seconds)
    try:
        vault = VaultClient(rpc, chain_id=chain.id, address=chain.vault)
        await vault.check()
        usdt, decimals = await vault.usdt(await vault.head())
        key = dev_key(FIRST_USER + user)
        wallet = Wallet(rpc, key, chain_id=chain.id, vault=chain.vault, usdt=usdt)
        yield Counter(chain, rpc, wallet, decimals)
    finally:
        await rpc.close()


def parse_units(field: str, text: str, decimals: int) -> int:
    """A typed number in base units, exactly: nothing is rounded.

    Raises:
        InvalidInput: no positive number, or finer than one unit.
    """
    try:
        value = Decimal(text.replace("_", ""))
    except InvalidOperation:
        raise InvalidInput(field, text, "give a number, e.g. 1000 or 999.50") from None
    if not value.is_finite() or value <= 0:
        raise InvalidInput(field, text, "give a number above 0")
    if value.adjusted() > 24:
        raise InvalidInput(field, text, "that is more than the vault can count")
    units = value.scaleb(decimals)
    if units != units.to_integral_value():
        raise InvalidInput(field, text, f"at most {decimals} decimal places")
    if units >= _UINT128:
        raise InvalidInput(field, text, "that is more than the vault can count")
    return int(units)


def plain(units: int, decimals: int) -> str:
    """Base units as people write them, exactly."""
    whole, rest = divmod(units, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}".rstrip("0") if rest else f"{whole}"


def _why(event: VaultEvent) -> str:
    if event.name != "Refunded":
        return ""
    code = int(event.args["reason"])
    reason = next((reason.value for reason, known in REFUND_CODES.items() if known == code), "")
    return f" ({reason or f'reason {code}'})"
