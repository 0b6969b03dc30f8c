"""Everything that must be true before the house trades a position away. Fail closed, as for users.

No request's terms, and no peg of USDT: the house pays and is paid in dollars.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from activities.clock import unix_now, utc_now
from activities.guards import GuardLimits, Ready, Wait
from activities.jumps import JumpWatch
from activities.market import quote_trip
from activities.pricing import Plan
from models.assets import Asset, AssetBook
from models.broker import MarketState, Quote
from models.drafts import Headroom
from models.guard import Guard, Trip
from models.house import FlattenStep, HouseStanding, HouseVerb
from models.messages import PlaceOrderInput, PlaceOrderResult, PlaceOutcome
from models.money import band_edges, per_share
from models.requests import BlockRef, OrderRequest, Side, VaultRequest, VaultStatus
from models.splits import SharesPerToken

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault
    from clients.broker import BrokerClient
    from clients.calendar import TradingCalendar
    from clients.oracle import OracleClient
    from clients.splits import SplitReader
    from clients.store.store import Store

_RETRY_SECONDS = 10.0
_SESSION_RETRY_SECONDS = 30.0
_PLACE_WITHIN = timedelta(minutes=5)


class HouseGuards:
    """Reads every source afresh; nothing here writes. two_persons_above: dollars."""

    def __init__(
        self,
        vault: AgreeingVault,
        oracle: OracleClient,
        broker: BrokerClient,
        store: Store,
        assets: AssetBook,
        limits: GuardLimits,
        splits: SplitReader,
        calendar: TradingCalendar,
        *,
        two_persons_above: Decimal,
    ) -> None:
        self._vault = vault
        self._oracle = oracle
        self._broker = broker
        self._store = store
        self._assets = assets
        self._limits = limits
        self._splits = splits
        self._calendar = calendar
        self._two_persons_above = two_persons_above
        self._jumps = JumpWatch(limits.jump_bps, limits.jump_hold)

    async def check(self, message: PlaceOrderInput) -> Ready | Wait:
        """All guards for one round.

        Raises:
            SourceUnavailable: a source could not be asked; nothing may be sent.
        """
        asked = utc_now()
        standing = await self._store.decisions.standing(message.request.n)
        if over := self._over(message.request, standing.step):
            return over
        named = (one for one in self._assets.assets if one.symbol == standing.row.symbol)
        asset = next(named, None)
        if asset is None:
            return _stop(PlaceOutcome.HELD, f"no asset is configured for {standing.row.symbol}")
        if shut := await self._closed(asset):
            return shut
        head = await self._vault.head()
        found = await self._market(asset, head)
        if isinstance(found, Wait):
            return found
        reference, ratio, band = found
        if ratio.exact != standing.row.ratio.exact:
            words = f"it was booked at {standing.row.ratio} shares per token, now it is {ratio}"
            return _stop(PlaceOutcome.HELD, f"{words}: trade it by hand and write it off")
        plan = _plan(standing.step, band_edges(reference, band, asset.tick))
        if refused := await self._undecided(standing, plan):
            return refused
        room = await self._room(asset, message.request.side, asked)
        terms = _terms(message.request, asset, head)
        return Ready(terms, asset, plan, room, utc_now() + _PLACE_WITHIN, ratio)

    async def again(self, message: PlaceOrderInput) -> Wait | None:
        """What may have changed while it stood in line: whether there is anything left to trade."""
        standing = await self._store.decisions.standing(message.request.n)
        if standing.outstanding:
            return None
        return _stop(PlaceOutcome.ENDED, "nothing of it is left")

    def _over(self, request: OrderRequest, step: FlattenStep) -> Wait | None:
        if not step.outstanding:
            return _stop(PlaceOutcome.ENDED, "nothing of it is left")
        if step.open or step.request != request:
            return _stop(PlaceOutcome.ENDED, "another round is open, or came between")
        return None

    async def _closed(self, asset: Asset) -> Wait | None:
        if not asset.exchange:
            return None
        sessions = await self._calendar.sessions(asset.exchange)
        if sessions.is_open(unix_now()):
            return None
        words = f"the exchange is closed for {asset.symbol}"
        return _stop(PlaceOutcome.WAITING_SESSION, words, _SESSION_RETRY_SECONDS)

    async def _market(
        self, asset: Asset, head: BlockRef
    ) -> tuple[Decimal, SharesPerToken, int] | Wait:
        """Dollars per share, shares per token and the band, where quote and feed may be used."""
        listed = await self._vault.asset(asset.token, head)
        if listed is None:
            return _stop(PlaceOutcome.HELD, f"the vault does not list {asset.symbol}")
        quote: Quote = await self._broker.quote(asset.symbol)
        if quote.state is MarketState.CLOSED:
            words = f"the broker says that the market for {asset.symbol} is closed"
            return _stop(PlaceOutcome.WAITING_SESSION, words, _SESSION_RETRY_SECONDS)
        feed = await self._oracle.price(listed.feed, heartbeat_seconds=listed.heartbeat, at=head)
        margin = self._limits.split_margin
        splits = await self._splits.state(listed.feed, head, margin_seconds=margin)
        if split := splits.unsettled(head.timestamp, margin):
            return _stop(PlaceOutcome.HELD, str(Trip(Guard.SPLIT, f"{asset.symbol}: {split}")))
        if feed.decimals != listed.feed_decimals:
            words = f"{feed.decimals} now, {listed.feed_decimals} when the vault listed it"
            return _stop(PlaceOutcome.HELD, str(Trip(Guard.FEED_DECIMALS, words)))
        share = per_share(feed.usd, splits.ratio)
        band = min(self._limits.band_bps, listed.band_bps)
        jump = self._jumps.trip(listed.feed, feed.usd, unix_now())
        spread = self._limits.spread_bps
        trip = jump or quote_trip(quote, asset, share, band_bps=band, spread_bps=spread)
        return _stop(PlaceOutcome.HELD, str(trip)) if trip else (share, splits.ratio, band)

    async def _undecided(self, standing: HouseStanding, plan: Plan) -> Wait | None:
        """Prices move: what one person could decide when it was booked may need two by now."""
        worth = max(standing.value, plan.quantity * plan.price)
        decision = await self._store.decisions.decided(standing.row.id or 0, HouseVerb.FLATTEN)
        if decision.approved or (decision.proposed_by and worth <= self._two_persons_above):
            return None
        words = f"worth {worth} USD, above {self._two_persons_above}: a second person is needed"
        return _stop(PlaceOutcome.HELD, words)

    async def _room(self, asset: Asset, side: Side, asked: datetime) -> Headroom:
        """Never short and never on margin; the claim adds up what users' orders have set aside."""
        reserved = await self._store.placements.reserved(asset.symbol)
        cash, shares = Decimal(0), 0
        if side is Side.BUY:
            funds = await self._broker.funds()
            cash = funds.cash - max(Decimal(0), funds.working_buys - reserved.cash)
        for position in await self._broker.positions() if side is Side.SELL else ():
            if position.symbol == asset.symbol:
                working = position.quantity - position.sellable
                shares = max(0, position.quantity - max(0, working - reserved.shares))
        return Headroom(payout=0, cash=cash, shares=shares, as_of=asked)


def _plan(step: FlattenStep, edges: tuple[Decimal, Decimal]) -> Plan:
    """At the market, but never outside the band around the feed."""
    lowest, highest = edges
    quantity = abs(step.outstanding)
    if step.side is Side.SELL:
        return Plan(quantity=quantity, price=lowest)
    return Plan(quantity=quantity, price=highest, cash=quantity * highest)


def _terms(request: OrderRequest, asset: Asset, head: BlockRef) -> VaultRequest:
    """What the steps of placing look at; nothing of it is in a vault."""
    return VaultRequest(
        **request.model_dump(include={"chain_id", "vault", "n", "request_id", "side"}),
        owner=request.user,
        recipient=request.user,
        asset=asset.token,
        amount=0,
        limit_price=0,
        deadline=0,
        reclaim_at=0,
        fee_bps=0,
        created_block=head.number,
        cancel_requested=False,
        status=VaultStatus.OPEN,
    )


def _stop(outcome: PlaceOutcome, detail: str, seconds: float = _RETRY_SECONDS) -> Wait:
    return Wait(PlaceOrderResult(outcome=outcome, detail=detail, retry_seconds=seconds))
