"""What is held against what is owed, as one look of reconcile sees it; kept in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from activities.equations import Gap, gap_of, stale
from activities.observations import ATTESTATION_OLD, RESERVE_SHORT
from models.assets import Asset, AssetBook
from models.columns import naive_utc
from models.drafts import Observation
from models.errors import SourceUnavailable
from models.money import (
    units_exact,
    usd_to_units_down,
    usd_to_units_up,
    value_units_up,
    whole_units_down,
)
from models.records import ClaimState, ItemState
from models.requests import Side, VaultStatus
from models.reserves import (
    DAYS_LOOKED_BACK,
    Cover,
    Float,
    InFlight,
    MoneyReserve,
    Reserves,
    ShareReserve,
    days_of,
    forecast,
    money_of,
    short_words,
)
from models.splits import ONE_TO_ONE

if TYPE_CHECKING:
    from activities.reconcile_view import View
    from clients.agreeing import AgreeingVault
    from clients.reserve_file import ReserveFolder
    from clients.store.store import Store

_DAY = timedelta(days=1)
_CENTS = 2
_PUBLISHED = "attested:published"


class Reserving:
    """Makes a statement of every look and keeps it; what could not be measured is named in it."""

    def __init__(
        self,
        vault: AgreeingVault,
        store: Store,
        assets: AssetBook,
        folder: ReserveFolder | None = None,
        max_age: timedelta = timedelta(hours=2),
    ) -> None:
        """folder: where signed statements are published, None = nowhere. max_age: of the newest."""
        self._folder = folder
        self._max_age = max_age
        self._vault = vault
        self._store = store
        self._assets = assets
        self._decimals: int | None = None
        self._past: dict[date, int] = {}
        self._prices: dict[str, int] = {}

    async def look(self, view: View, now: datetime) -> Reserves:
        """The statement of this look, kept in the store.

        Raises:
            SourceUnavailable: the store or the chain could not be asked; the next run does it.
        """
        made = await self._made(view, naive_utc(now))
        await self._store.reserves.record(made)
        return made

    async def seen_old(self, now: datetime) -> list[Observation]:
        """Whether the newest published statement is too old, or cannot be read."""
        if self._folder is None:
            return []
        try:
            newest = await asyncio.to_thread(self._folder.newest)
        except SourceUnavailable as error:
            return [Observation(_PUBLISHED, ATTESTATION_OLD, str(error))]
        if newest is None:
            return [Observation(_PUBLISHED, ATTESTATION_OLD, "no statement was ever published")]
        age = naive_utc(now) - newest.statement.taken_at
        if age <= self._max_age:
            return []
        said = f"the newest published statement is {age.total_seconds():.0f} s old"
        return [Observation(_PUBLISHED, ATTESTATION_OLD, said)]

    async def _made(self, view: View, now: datetime) -> Reserves:
        money = await self._money(view)
        await self._price(view)
        listed = [asset for asset in self._assets.assets if asset.symbol in view.supply]
        shares = tuple(self._share(view, asset) for asset in listed)
        free = money.free_units - money.owed_units
        paid = await self._paid(now)
        return Reserves(
            chain_id=self._vault.chain_id,
            vault=self._vault.address,
            block=view.head,
            taken_at=now,
            broker_at=view.broker_at,
            book_at=view.book_read_at,
            usdt=money,
            float=_float(view, free),
            shares=shares,
            forecast=forecast(self._open_redeems(view), paid, max(0, free)),
            in_flight=_in_flight(view),
            problems=tuple(self._problems(view)),
        )

    async def _money(self, view: View) -> MoneyReserve:
        if self._decimals is None:
            self._decimals = (await self._vault.usdt(view.head))[1]
        return money_of(view.books, self._decimals)

    async def _price(self, view: View) -> None:
        """Prices by symbol; while a feed says none, the newest one that a statement had."""
        if not self._prices and (last := await self._store.reserves.latest()) is not None:
            self._prices = {one.symbol: one.price_units for one in last.shares}
        for asset in self._assets.assets:
            try:
                price = await self._vault.reference_price(asset.token, view.head)
            except SourceUnavailable:
                continue
            if price:
                self._prices[asset.symbol] = price

    def _share(self, view: View, asset: Asset) -> ShareReserve:
        symbol = asset.symbol
        mine = [case for case in view.cases if case.symbol == symbol]
        gap = gap_of(view, symbol)
        return ShareReserve(
            symbol=symbol,
            token=asset.token,
            held=None if view.positions is None else view.positions.get(symbol, 0),
            house=sum(row.quantity for row in view.house if row.symbol == symbol),
            in_flight=view.unsure.get(symbol, 0),
            shares_per_token=view.ratios.get(symbol, ONE_TO_ONE),
            held_units=_held_units(view, symbol),
            issued_units=view.supply[symbol],
            bought_units=sum(case.unsettled for case in mine if case.side is Side.BUY),
            sold_units=sum(case.unsettled for case in mine if case.side is Side.SELL),
            gap_units=gap.units if gap is not None else 0,
            cover=_cover(gap),
            price_units=self._prices.get(symbol, 0),
        )

    def _open_redeems(self, view: View) -> int:
        """USDT units that the redeems open now would be paid at today's prices, rounded up."""
        priced = {asset.token.lower(): self._prices.get(asset.symbol, 0) for asset in self._listed}
        return sum(
            value_units_up(request.amount, priced.get(request.asset.lower(), 0))
            for request in view.open
            if request.side is Side.SELL
        )

    @property
    def _listed(self) -> tuple[Asset, ...]:
        return self._assets.assets

    async def _paid(self, now: datetime) -> dict[date, int]:
        """USDT units paid to redeems by day; a day that is over is asked about once."""
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        first = today - DAYS_LOOKED_BACK * _DAY
        for back in range(1, DAYS_LOOKED_BACK + 1):
            day = today - back * _DAY
            if day.date() not in self._past:
                self._past[day.date()] = await self._paid_between(day, day + _DAY)
        self._past = {day: units for day, units in self._past.items() if day >= first.date()}
        return self._past | {today.date(): await self._paid_between(today, today + _DAY)}

    async def _paid_between(self, since: datetime, until: datetime) -> int:
        chain_id, vault = self._vault.chain_id, self._vault.address
        found = await self._store.reserves.paid_out(chain_id, vault, since, until)
        return sum(days_of(found).values())

    def _problems(self, view: View) -> Iterator[str]:
        if view.positions is None:
            yield "the broker did not say what shares it holds"
        if view.funds is None:
            yield "the broker did not say what money it holds"
        if stale(view):
            yield f"the broker's orders were last read at {view.book_read_at}"
        for symbol, problem in view.unread.items():
            yield f"{symbol}: {problem}"
        for asset in self._listed:
            if asset.symbol in view.supply and asset.symbol not in view.ratios:
                yield f"{asset.symbol}: a split is near, shares and tokens are not compared"
        for asset in self._listed:
            if _redeemed(view, asset) and not self._prices.get(asset.symbol):
                yield f"{asset.symbol}: no price, open redeems are not forecast"


def _held_units(view: View, symbol: str) -> int:
    """Token units of the shares held, less the house's; 0 while it cannot be said."""
    ratio = view.ratios.get(symbol)
    if ratio is None or view.positions is None:
        return 0
    owned = sum(units_exact(row.quantity, row.ratio) for row in view.house if row.symbol == symbol)
    return whole_units_down(units_exact(view.positions.get(symbol, 0), ratio) - owned)


def _cover(gap: Gap | None) -> Cover:
    if gap is None:
        return Cover.UNKNOWN
    if gap.wrong:
        return Cover.SHORT if gap.units < 0 else Cover.SURPLUS
    return Cover.COVERED if gap.well else Cover.IN_FLIGHT


def seen_short(statement: Reserves) -> Iterator[Observation]:
    """What redeems will need within a day and the vault does not have."""
    words = short_words(statement.forecast)
    if words:
        yield Observation("reserve:vault", RESERVE_SHORT, words)


def _redeemed(view: View, asset: Asset) -> bool:
    token = asset.token.lower()
    return any(one.asset.lower() == token and one.side is Side.SELL for one in view.open)


def _float(view: View, usdt_units: int) -> Float:
    if view.funds is None:
        return Float(usdt_units=usdt_units, usd_cents=None, working_cents=0)
    return Float(
        usdt_units=usdt_units,
        usd_cents=usd_to_units_down(view.funds.cash, _CENTS),
        working_cents=usd_to_units_up(view.funds.working_buys, _CENTS),
    )


def _in_flight(view: View) -> InFlight:
    claims = (claim for case in view.cases for claim in case.claims)
    items = (case.item for case in view.cases if case.status is VaultStatus.OPEN)
    return InFlight(
        placements=sum(claim.state is ClaimState.CLAIMED for claim in claims),
        orders=sum(order.alive for case in view.cases for order in case.orders),
        settlements=sum(item is not None and item.state is ItemState.SENT for item in items),
        requests=len(view.open),
    )
