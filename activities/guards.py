"""Everything that must be true before an order may be sent. Fail closed: who cannot ask waits.

Place only what can be settled: the request is still there and deep enough, the market is open, feed
and broker agree, and vault, settler and broker account can carry the order to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from activities.clock import from_unix, unix_now, utc_now
from activities.fees import FeeLimits
from activities.jumps import JumpWatch
from activities.lookup import read_request
from activities.market import quote_basis, quote_trip
from activities.peg import off_peg
from activities.pricing import Plan, Prices, Unservable, plan
from activities.session import OpenLimits, session_stop
from activities.spans import span
from models.assets import Asset, AssetBook, UnknownAsset
from models.broker import MarketState
from models.chain import Fees, SettlerState
from models.drafts import Headroom
from models.errors import Unusable
from models.guard import Guard, Trip
from models.messages import PlaceOrderInput, PlaceOrderResult, PlaceOutcome
from models.money import SHARE_SCALE, per_share, units_minted
from models.order import Reason
from models.requests import BlockRef, Side, VaultRequest, VaultStatus
from models.splits import SharesPerToken

if TYPE_CHECKING:
    from activities.confirming import Confirming
    from clients.agreeing import AgreeingVault
    from clients.broker import BrokerClient
    from clients.calendar import TradingCalendar
    from clients.oracle import OracleClient
    from clients.sender import ChainSender
    from clients.splits import SplitReader
    from clients.store.store import Store

_CAPACITY_RETRY_SECONDS = 10.0
_SESSION_RETRY_SECONDS = 30.0
_BLOCK_RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class GuardLimits:
    """deadline_margin: seconds. usdt_feed empty = no peg feed is configured (dev chains only).

    min_gas_wei: what the settler holds at least. batch_gas: of one item; fees: what it may cost.
    signed_shares, signed_usdt: most that the signer signs for one request, whole tokens and USDT
    units. split_margin: seconds before and after a split in which nothing is placed. spread_bps:
    how far bid and ask may be apart. open_spread: seconds that orders take after an open.
    jump_bps, jump_hold: how far a feed may move at once, and the seconds further moves must stand.
    """

    deadline_margin: float
    band_bps: int
    usdt_band_bps: int
    min_gas_wei: int
    settler: str
    batch_gas: int
    fees: FeeLimits
    usdt_feed: str = ""
    usdt_heartbeat: int = 86_400
    signed_shares: int = 2**128
    signed_usdt: int = 2**128
    split_margin: float = 3600.0
    spread_bps: int = 100
    open_spread: float = 20.0
    jump_bps: int = 1500
    jump_hold: float = 900.0


@dataclass(frozen=True)
class Ready:
    """All guards passed: what to send, and how much all open claims together may set aside.

    place_until: after it nothing may be sent, the deadline is too near. ratio: shares per token of
    the plan. basis: the prices it was made from, and their sources.
    """

    terms: VaultRequest
    asset: Asset
    plan: Plan
    headroom: Headroom
    place_until: datetime
    ratio: SharesPerToken
    basis: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """A guard tripped: the answer to give instead of sending."""

    result: PlaceOrderResult


class Guards:
    """Reads every source afresh; nothing here writes."""

    def __init__(
        self,
        vault: AgreeingVault,
        oracle: OracleClient,
        broker: BrokerClient,
        store: Store,
        assets: AssetBook,
        limits: GuardLimits,
        sender: ChainSender,
        confirming: Confirming,
        splits: SplitReader,
        *,
        calendar: TradingCalendar | None = None,
    ) -> None:
        self._calendar = calendar
        self._jumps = JumpWatch(limits.jump_bps, limits.jump_hold)
        self._splits = splits
        self._vault = vault
        self._sender = sender
        self._oracle = oracle
        self._broker = broker
        self._store = store
        self._assets = assets
        self._limits = limits
        self._confirming = confirming

    async def check(self, message: PlaceOrderInput) -> Ready | Wait:
        """All guards, in the order of what they cost the user.

        Raises:
            SourceUnavailable: a source could not be asked; nothing may be sent.
        """
        asked = utc_now()
        terms, head = await read_request(self._vault, message.request)
        stop = await self._request(message, terms, head)
        if stop is not None or terms is None:
            return stop or _stop(PlaceOutcome.GONE, "the request is gone")
        try:
            asset = self._assets.of_token(terms.asset)
        except UnknownAsset as unknown:
            return _refund(Reason.UNKNOWN_ASSET, str(unknown))
        stop = await self._closed(terms, asset)
        return stop or await self._market_guards(terms, asset, head, asked)

    async def preview(self, terms: VaultRequest) -> Ready | Wait:
        """Whether a request with these terms would be sent now; it need not be in the vault.

        Raises:
            SourceUnavailable: a source could not be asked.
        """
        asked, head = utc_now(), await self._vault.head()
        asset = self._assets.of_token(terms.asset)
        return await self._closed(terms, asset) or await self._market_guards(
            terms, asset, head, asked
        )

    async def again(self, message: PlaceOrderInput) -> Wait | None:
        """The request's own guards once more, for whoever had to wait since `check`.

        Raises:
            SourceUnavailable: the vault could not be asked; nothing may be sent.
        """
        terms, head = await read_request(self._vault, message.request)
        return await self._request(message, terms, head)

    async def _request(
        self, message: PlaceOrderInput, terms: VaultRequest | None, head: BlockRef
    ) -> Wait | None:
        """Whether the request is there, open, wanted, in time, and deep enough in the chain."""
        if terms is None:
            return _stop(PlaceOutcome.GONE, "the vault has no such request at its newest block")
        return self._request_guards(message, terms) or await self._depth(terms, head)

    def _request_guards(self, message: PlaceOrderInput, terms: VaultRequest) -> Wait | None:
        if terms.side is not message.request.side:
            words = f"the vault says {terms.side}, this workflow was started for the other side"
            return _stop(PlaceOutcome.HELD, words, _CAPACITY_RETRY_SECONDS)
        if terms.status is not VaultStatus.OPEN:
            return _stop(PlaceOutcome.ENDED, f"the vault says {terms.status.name}")
        if terms.cancel_requested:
            return _refund(Reason.USER_CANCELLED, "cancelled by its owner before it was sent")
        if unix_now() >= terms.deadline - self._limits.deadline_margin:
            return _refund(Reason.DEADLINE, "the deadline is too close for an order")
        return None

    async def _closed(self, terms: VaultRequest, asset: Asset) -> Wait | None:
        """Whether the calendar says closed; when it says open the broker must say so, too."""
        if self._calendar is None or not asset.exchange:
            return None
        sessions = await self._calendar.sessions(asset.exchange)
        limits = OpenLimits(self._limits.deadline_margin, self._limits.open_spread)
        stop = session_stop(terms, asset.symbol, sessions, unix_now(), limits)
        return None if stop is None else Wait(stop)

    async def _depth(self, terms: VaultRequest, head: BlockRef) -> Wait | None:
        standing = await self._confirming.standing(terms, head)
        if not standing.missing:
            return None
        return _stop(PlaceOutcome.NOT_CONFIRMED, standing.words, _BLOCK_RETRY_SECONDS)

    async def _market_guards(
        self, terms: VaultRequest, asset: Asset, head: BlockRef, asked: datetime
    ) -> Ready | Wait:
        with span("quote", symbol=asset.symbol):
            listed, (_, decimals), quote, peg = await asyncio.gather(
                self._vault.asset(terms.asset, head),
                self._vault.usdt(head),
                self._broker.quote(asset.symbol),
                self._peg(head),
            )
        if listed is None or not listed.open:
            words = f"{asset.symbol} is not open in the vault"
            return _stop(PlaceOutcome.HELD, words, _CAPACITY_RETRY_SECONDS)
        if quote.state is MarketState.CLOSED:
            words = f"the broker says that the market for {asset.symbol} is closed"
            closed = Trip(Guard.SESSION, words)
            return _tripped(closed, PlaceOutcome.WAITING_SESSION, _SESSION_RETRY_SECONDS)
        reference = await self._oracle.price(
            listed.feed, heartbeat_seconds=listed.heartbeat, at=head
        )
        margin = self._limits.split_margin
        splits = await self._splits.state(listed.feed, head, margin_seconds=margin)
        if split := splits.unsettled(head.timestamp, margin):
            return _tripped(Trip(Guard.SPLIT, f"{asset.symbol}: {split}"))
        if reference.decimals != listed.feed_decimals:
            words = f"{reference.decimals} now, {listed.feed_decimals} when the vault listed it"
            raise Unusable(Guard.FEED_DECIMALS, "oracle", f"reading feed {listed.feed}", words)
        band = min(self._limits.band_bps, listed.band_bps)
        per_token, ratio = reference.usd, splits.ratio
        share = per_share(per_token, ratio)
        spread = self._limits.spread_bps
        jump = self._jumps.trip(listed.feed, per_token, unix_now())
        trip = peg or jump or quote_trip(quote, asset, share, band_bps=band, spread_bps=spread)
        if trip:
            return _tripped(trip)
        planned = plan(terms, asset, Prices(quote, share, band, decimals, ratio))
        if isinstance(planned, Unservable):
            return _refund(planned.reason, planned.detail)
        if unsigned := self._unsigned(terms.side, planned, ratio):
            return _stop(PlaceOutcome.NO_HEADROOM, unsigned, _CAPACITY_RETRY_SECONDS)
        headroom = await self._capacity(terms, asset, planned, head, asked)
        if isinstance(headroom, Wait):
            return headroom
        until = from_unix(terms.deadline) - timedelta(seconds=self._limits.deadline_margin)
        basis = quote_basis(quote, listed.feed, reference, share, band)
        return Ready(terms, asset, planned, headroom, until, ratio, basis)

    async def _capacity(
        self, terms: VaultRequest, asset: Asset, planned: Plan, head: BlockRef, asked: datetime
    ) -> Headroom | Wait:
        settler, suggested, books, reserved = await asyncio.gather(
            self._vault.settler(self._limits.settler, head),
            self._sender.fee_suggestion(),
            self._vault.books(head),
            self._store.placements.reserved(asset.symbol),
        )
        unable = self._unable(settler, suggested)
        if unable:
            return _stop(PlaceOutcome.NO_HEADROOM, unable, _CAPACITY_RETRY_SECONDS)
        cash, shares = Decimal(0), 0
        if terms.side is Side.BUY:
            cash = await self._cash(reserved.cash)
        else:
            shares = await self._sellable(asset.symbol, reserved.shares)
        return Headroom(payout=books.payable, cash=cash, shares=shares, as_of=asked)

    def _unsigned(self, side: Side, planned: Plan, ratio: SharesPerToken) -> str:
        """Why the signer would refuse what this fills; empty when it would not."""
        limits = self._limits
        minted = units_minted(planned.quantity, ratio)
        if side is Side.BUY and minted > limits.signed_shares * SHARE_SCALE:
            words = f"{planned.quantity} shares" + ("" if ratio.epoch == 0 else " in tokens")
            return f"{words}, the signer signs {limits.signed_shares} at most"
        if side is Side.SELL and planned.payout > limits.signed_usdt:
            return f"{planned.payout} USDT units, the signer signs {limits.signed_usdt} at most"
        return ""

    def _unable(self, settler: SettlerState, suggested: Fees) -> str:
        """Why what fills now could not be settled now; empty when it could."""
        limits, who = self._limits, f"settler {settler.address}"
        if not settler.has_role:
            return f"{who} may not settle"
        if suggested.base_fee > limits.fees.max_fee:
            return f"gas costs {suggested.base_fee} wei, we offer {limits.fees.max_fee} at most"
        needed = max(limits.min_gas_wei, limits.fees.purse(suggested, limits.batch_gas))
        if settler.balance < needed:
            return f"{who} holds {settler.balance} wei for gas, too little: {needed} are needed"
        return ""

    async def _cash(self, ours: Decimal) -> Decimal:
        """Dollars for our claims: own cash only, less what others' working orders hold."""
        funds = await self._broker.funds()
        return funds.cash - max(Decimal(0), funds.working_buys - ours)

    async def _sellable(self, symbol: str, ours: int) -> int:
        """Shares for our claims: the long position, less what others' working orders hold."""
        for position in await self._broker.positions():
            if position.symbol == symbol:
                working = position.quantity - position.sellable
                return max(0, position.quantity - max(0, working - ours))
        return 0

    async def _peg(self, head: BlockRef) -> Trip | None:
        """Why USDT may not be counted as a dollar; None when it may."""
        if not self._limits.usdt_feed:
            return None
        price = await self._oracle.price(
            self._limits.usdt_feed, heartbeat_seconds=self._limits.usdt_heartbeat, at=head
        )
        words = off_peg(price.usd, self._limits.usdt_band_bps)
        return Trip(Guard.USDT_BAND, words) if words else None


def _stop(outcome: PlaceOutcome, detail: str, seconds: float = 0.0) -> Wait:
    return Wait(PlaceOrderResult(outcome=outcome, detail=detail, retry_seconds=seconds))


def _tripped(
    trip: Trip,
    outcome: PlaceOutcome = PlaceOutcome.HELD,
    seconds: float = _CAPACITY_RETRY_SECONDS,
) -> Wait:
    said = {"detail": str(trip), "guard": trip.guard.value}
    return Wait(PlaceOrderResult(outcome=outcome, retry_seconds=seconds, **said))


def _refund(reason: Reason, detail: str) -> Wait:
    return Wait(PlaceOrderResult(outcome=PlaceOutcome.REFUND, reason=reason, detail=detail))
