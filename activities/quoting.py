"""What a request would come to, from the same sources and guards that an order is placed on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from activities.clock import unix_now
from activities.guards import Ready, Wait
from activities.pricing import Plan, Prices, Unservable, plan
from models.assets import Asset, AssetBook
from models.broker import MarketState, Quote
from models.chain import AssetTerms, Lifetimes, VaultBooks
from models.errors import SourceUnavailable
from models.messages import PlaceOrderResult
from models.money import (
    MARKET_BUY_LIMIT,
    MARKET_SELL_LIMIT,
    SHARE_SCALE,
    Settlement,
    buy_settlement,
    per_share,
    sell_settlement,
)
from models.quoting import (
    QuoteInput,
    QuoteObstacle,
    QuoteOutcome,
    QuoteResult,
    QuoteSource,
)
from models.requests import BlockRef, Side, VaultRequest, VaultStatus
from models.splits import SharesPerToken

if TYPE_CHECKING:
    from activities.confirming import Confirming
    from activities.finality import Finality
    from activities.guards import Guards
    from clients.agreeing import AgreeingVault
    from clients.broker import BrokerClient
    from clients.calendar import TradingCalendar
    from clients.oracle import FeedPrice, OracleClient
    from clients.splits import SplitReader
    from models.sessions import Sessions

_NOBODY = "0x" + "0" * 40
_NO_REQUEST = "0x" + "0" * 64
_DEFAULT_LIFETIME_SECONDS = 86_400
_PACE_BLOCKS = 20


@dataclass(frozen=True)
class QuoteSources:
    """Who is asked; the same ones that placing asks."""

    vault: AgreeingVault
    oracle: OracleClient
    broker: BrokerClient
    splits: SplitReader
    calendar: TradingCalendar
    guards: Guards
    confirming: Confirming
    finality: Finality


@dataclass(frozen=True)
class _Seen:
    """What the sources said."""

    head: BlockRef
    listed: AssetTerms
    books: VaultBooks
    decimals: int
    lifetimes: Lifetimes
    quote: Quote
    reference: FeedPrice
    ratio: SharesPerToken
    sessions: Sessions | None


class QuotingActivities:
    """Tells prices before anybody deposits. Reads only."""

    def __init__(
        self, sources: QuoteSources, assets: AssetBook, *, band_bps: int, deadline_margin: float
    ) -> None:
        self._of = sources
        self._assets = assets
        self._band_bps = band_bps
        self._margin = deadline_margin

    @activity.defn(name="quote_request")
    async def quote_request(self, ask: QuoteInput) -> QuoteResult:
        """What the request would come to now.

        Raises:
            SourceUnavailable: a source could not be asked, or said what nobody may trade on.
            UnknownAsset: the symbol is not configured.
        """
        asset = self._assets.of_symbol(ask.symbol)
        seen = await self._see(asset)
        terms = self._terms(ask, asset, seen)
        prices = Prices(
            seen.quote,
            per_share(seen.reference.usd, seen.ratio),
            min(self._band_bps, seen.listed.band_bps),
            seen.decimals,
            seen.ratio,
        )
        planned = plan(terms, asset, prices)
        obstacles = [*_of_terms(terms, seen, self._margin), *await self._of_guards(terms, planned)]
        depth, ready_at = await self._depth(terms, seen)
        return _result(ask, asset, seen, terms, planned, obstacles, depth, ready_at)

    async def _see(self, asset: Asset) -> _Seen:
        of = self._of
        head = await of.vault.head()
        listed, books, (_, decimals), lifetimes, quote = await asyncio.gather(
            of.vault.asset(asset.token, head),
            of.vault.books(head),
            of.vault.usdt(head),
            of.vault.lifetimes(head),
            of.broker.quote(asset.symbol),
        )
        if listed is None:
            raise SourceUnavailable("vault", f"quoting {asset.symbol}", "it is not listed there")
        reference, ratio = await asyncio.gather(
            of.oracle.price(listed.feed, heartbeat_seconds=listed.heartbeat, at=head),
            of.splits.ratio(listed.feed, head),
        )
        sessions = await of.calendar.sessions(asset.exchange) if asset.exchange else None
        return _Seen(head, listed, books, decimals, lifetimes, quote, reference, ratio, sessions)

    def _terms(self, ask: QuoteInput, asset: Asset, seen: _Seen) -> VaultRequest:
        market = MARKET_BUY_LIMIT if ask.side is Side.BUY else MARKET_SELL_LIMIT
        longest = min(_DEFAULT_LIFETIME_SECONDS, seen.lifetimes.longest)
        deadline = ask.deadline or int(unix_now()) + max(longest, seen.lifetimes.shortest)
        return VaultRequest(
            chain_id=self._of.vault.chain_id,
            vault=self._of.vault.address,
            n=0,
            request_id=_NO_REQUEST,
            owner=_NOBODY,
            recipient=_NOBODY,
            side=ask.side,
            asset=asset.token,
            amount=ask.amount,
            limit_price=market if ask.limit_price is None else ask.limit_price,
            deadline=deadline,
            reclaim_at=deadline + seen.lifetimes.grace,
            fee_bps=seen.books.fee_bps,
            created_block=seen.head.number,
            cancel_requested=False,
            status=VaultStatus.OPEN,
        )

    async def _of_guards(
        self, terms: VaultRequest, planned: Plan | Unservable
    ) -> list[QuoteObstacle]:
        """What would stop an order now, in the words that its row would show."""
        if isinstance(planned, Unservable):
            return [QuoteObstacle(kind=planned.reason.value, detail=planned.detail)]
        answer = await self._of.guards.preview(terms)
        if isinstance(answer, Wait):
            return [_stopped(answer.result)]
        return _short_of(answer, terms.side)

    async def _depth(self, terms: VaultRequest, seen: _Seen) -> tuple[int | None, int | None]:
        """Blocks it waits for (None: until final), and when it may be sent; None: nobody knows."""
        now = int(unix_now())
        blocks = await self._of.confirming.blocks(terms, seen.head)
        wait = blocks
        if blocks is None:
            final = await self._of.finality.block()
            wait = seen.head.number - final.number if final else None
        opens = _next_open(seen, now)
        if wait is None:
            return blocks, None
        deep = now + int(wait * await self._pace(seen.head)) if wait else now
        return blocks, max(deep, opens or now)

    async def _pace(self, head: BlockRef) -> float:
        """Seconds per block, lately."""
        before = await self._of.vault.block(max(0, head.number - _PACE_BLOCKS))
        if before is None or before.number == head.number:
            raise SourceUnavailable("chain", "measuring how fast blocks come")
        return (head.timestamp - before.timestamp) / (head.number - before.number)


def _of_terms(terms: VaultRequest, seen: _Seen, margin: float) -> list[QuoteObstacle]:
    """What the vault itself would refuse, or an order could not be in time for."""
    found: list[QuoteObstacle] = []
    left = terms.deadline - int(unix_now())
    bounds = seen.lifetimes
    if seen.books.paused:
        found.append(QuoteObstacle(kind="VAULT_PAUSED", detail="the vault takes no requests now"))
    if terms.side is Side.BUY and terms.amount < seen.books.min_deposit:
        words = f"the vault takes no deposit below {seen.books.min_deposit} units"
        found.append(QuoteObstacle(kind="MIN_DEPOSIT", detail=words))
    if not max(bounds.shortest, int(margin)) <= left <= bounds.longest:
        words = f"a request lives {bounds.shortest} to {bounds.longest} s, this one {left}"
        found.append(QuoteObstacle(kind="LIFETIME", detail=words))
    return found


def _stopped(result: PlaceOrderResult) -> QuoteObstacle:
    return QuoteObstacle(kind=result.guard or result.outcome.value, detail=result.detail)


def _short_of(ready: Ready, side: Side) -> list[QuoteObstacle]:
    """Whether the account or the vault could carry it alone; other orders' claims come on top."""
    asked, room = ready.plan, ready.headroom
    words = ""
    if side is Side.BUY and asked.cash > room.cash:
        words = f"{asked.cash} USD are needed at the broker, {room.cash} are there"
    elif side is Side.SELL and asked.quantity > room.shares:
        words = f"{asked.quantity} shares are to be sold, {room.shares} are there"
    elif side is Side.SELL and asked.payout > room.payout:
        words = f"{asked.payout} USDT units are to be paid, {room.payout} are there"
    return [QuoteObstacle(kind="NO_HEADROOM", detail=words)] if words else []


def _next_open(seen: _Seen, now: int) -> int | None:
    if seen.sessions is None or seen.sessions.is_open(now):
        return None
    return seen.sessions.next_open(now)


def _result(
    ask: QuoteInput,
    asset: Asset,
    seen: _Seen,
    terms: VaultRequest,
    planned: Plan | Unservable,
    obstacles: list[QuoteObstacle],
    depth: int | None,
    ready_at: int | None,
) -> QuoteResult:
    now = int(unix_now())
    opens = _next_open(seen, now)
    servable = planned if isinstance(planned, Plan) else None
    return QuoteResult(
        side=ask.side,
        symbol=asset.symbol,
        token=asset.token,
        amount=ask.amount,
        shares=servable.quantity if servable else 0,
        fee_bps=terms.fee_bps,
        usdt_decimals=seen.decimals,
        worst=_outcome(terms, servable, seen) if servable else None,
        expected=_outcome(terms, _at_book(terms, servable, seen), seen) if servable else None,
        market_open=opens is None and seen.quote.state is MarketState.OPEN,
        next_open=opens,
        confirmations=depth,
        earliest_placement=ready_at,
        deadline=terms.deadline,
        refund_by=terms.deadline,
        reclaim_at=terms.reclaim_at,
        obstacles=tuple(obstacles),
        sources=_sources(seen, now),
        quoted_at=now,
    )


def _at_book(terms: VaultRequest, planned: Plan, seen: _Seen) -> Plan:
    """The same shares at the other side of the broker's book, never worse than the limit."""
    if terms.side is Side.BUY:
        price = min(planned.price, seen.quote.ask) if seen.quote.ask > 0 else planned.price
    else:
        price = max(planned.price, seen.quote.bid)
    return Plan(quantity=planned.quantity, price=price)


def _outcome(terms: VaultRequest, planned: Plan, seen: _Seen) -> QuoteOutcome:
    settle = buy_settlement if terms.side is Side.BUY else sell_settlement
    found: Settlement = settle(
        planned.quantity, planned.price, terms.fee_bps, seen.decimals, seen.ratio
    )
    if terms.side is Side.BUY:
        all_in = -(-found.taken * SHARE_SCALE // found.out)
    else:
        all_in = found.out * SHARE_SCALE // found.taken
    return QuoteOutcome(
        price=planned.price,
        all_in_price=all_in,
        spent=found.taken,
        received=found.out,
        fee=found.fee,
        returned=terms.amount - found.taken,
    )


def _sources(seen: _Seen, now: int) -> tuple[QuoteSource, ...]:
    quote, feed, head = seen.quote, seen.reference, seen.head
    found = [
        ("broker", int(quote.at.timestamp()), f"bid {quote.bid}, ask {quote.ask} USD"),
        ("feed", feed.updated_at, f"{feed.usd} USD a token, round {feed.round_id}"),
        ("chain", head.timestamp, f"block {head.number}"),
    ]
    return tuple(
        QuoteSource(name=name, at=at, age_seconds=max(0, now - at), says=says)
        for name, at, says in found
    )
