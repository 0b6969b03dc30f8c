"""What reconcile compares: the four sources, read one after the other, joined by request."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from activities.clock import utc_now
from activities.request_index import RequestIndex
from models.assets import AssetBook
from models.backing import Backing
from models.broker import BrokerOrder, Funds
from models.cases import Case, HouseDue, flattened, make_cases
from models.chain import VaultBooks
from models.columns import naive_utc
from models.drafts import RequestRecords
from models.errors import RetryableError, SourceUnavailable
from models.house import house_round
from models.order import Order
from models.records import ClaimState, HousePosition, ItemState
from models.requests import BlockRef, VaultRequest, VaultStatus, parse_remark
from models.splits import SharesPerToken

if TYPE_CHECKING:
    from activities.backing import Supplies
    from activities.finality import Finality
    from activities.splitting import Splitting
    from clients.agreeing import AgreeingVault
    from clients.broker import BrokerClient
    from clients.gateway import WorkflowGateway
    from clients.shares import ShareReader
    from clients.store.store import Store

_PAGE = 200


@dataclass(frozen=True)
class View:
    """One look at everything. positions None: the broker could not be asked.

    unsure: whole shares by symbol that may be on either side of the comparison just now.
    book_read_at: when the newest complete read of the broker's book began, naive UTC. ratios:
    shares per token by symbol; absent around a split, when broker and chain may differ. unread:
    symbols of which they could not be read, and why. traded: what the house's own orders filled.
    """

    head: BlockRef
    open: Sequence[VaultRequest]
    cases: Sequence[Case]
    unfinished: Sequence[Order]
    running: frozenset[str]
    books: VaultBooks
    supply: Mapping[str, int]
    positions: Mapping[str, int] | None
    house: Sequence[HousePosition]
    unsure: Mapping[str, int]
    book_read_at: datetime | None
    ratios: Mapping[str, SharesPerToken]
    unread: Mapping[str, str]
    backing: Mapping[str, Backing] = field(default_factory=dict)
    traded: Sequence[HouseDue] = ()
    funds: Funds | None = None
    broker_at: datetime | None = None
    others: Sequence[BrokerOrder] = ()


class ReconcileReader:
    """Reads and joins; changes nothing."""

    def __init__(
        self,
        vault: AgreeingVault,
        shares: ShareReader,
        store: Store,
        broker: BrokerClient,
        gateway: WorkflowGateway,
        assets: AssetBook,
        *,
        finality: Finality,
        window: timedelta,
        splitting: Splitting,
        supplies: Supplies,
        book_lag: timedelta = timedelta(seconds=15),
    ) -> None:
        """window: how far back ended requests and orders are compared, beyond finality.

        book_lag: how long the store's book may lag behind the broker's positions.
        """
        self._vault = vault
        self._shares = shares
        self._store = store
        self._broker = broker
        self._gateway = gateway
        self._assets = assets
        self._window = window
        self._book_lag = book_lag
        self._finality = finality
        self._splitting = splitting
        self._supplies = supplies
        self._index = RequestIndex(vault)

    async def read(self) -> View:
        """The broker first and the vault last: what is on its way moves from one to the other."""
        chain_id, vault = self._vault.chain_id, self._vault.address
        broker_at = naive_utc(utc_now())
        positions, funds = await asyncio.gather(self._positions(), self._funds())
        since = utc_now() - self._window
        orders = {order.order_id: order for order in await self._orders(since)}
        unfinished = await self._store.orders.unfinished(chain_id, vault)
        ended = await self._store.orders.ended_since(chain_id, vault, since)
        running = await self._gateway.running_orders(chain_id, vault)
        head, final = await asyncio.gather(self._vault.head(), self._finality.block())
        requests = await self._index.refresh(head, final)
        others = [order for order in orders.values() if parse_remark(order.remark) is None]
        named = [ours[0] for o in orders.values() if (ours := parse_remark(o.remark)) is not None]
        named += [claim.request_id for claim in await self._store.placements.open_claims()]
        named = [request_id for request_id in named if house_round(request_id) is None]
        ids = {row.request_id for row in (*unfinished, *ended)}
        records = await self._store.review.requests(
            chain_id, vault, ids | {r.request_id for r in requests} | set(named)
        )
        orders |= {order.order_id: order for order in records.orders}
        ratios, calm, unread = await self._ratios(head)
        cases = await self._cases(requests, records, list(orders.values()), head, final)
        # Without its ratio nothing of a symbol may be booked.
        cases = [
            replace(case, ratio=ratios.get(case.symbol, case.ratio))
            for case in cases
            if case.symbol not in unread
        ]
        snapshot = await self._store.book.latest_snapshot()
        return View(
            head=head,
            open=[request for request in requests if request.status is VaultStatus.OPEN],
            cases=cases,
            unfinished=unfinished,
            running=running,
            books=await self._vault.books(head),
            supply=await self._supply(head, unread),
            positions=positions,
            house=await self._store.house.unresolved(),
            unsure=await self._unsure(cases),
            book_read_at=snapshot.begun_at if snapshot is not None else None,
            ratios=(quiet := {s: ratio for s, ratio in ratios.items() if s in calm}),
            traded=flattened(orders.values(), quiet),
            unread=unread,
            funds=funds,
            broker_at=broker_at,
            others=others,
            backing=await self._supplies.look(
                [asset for asset in self._assets.assets if asset.symbol not in unread], cases, head
            ),
        )

    async def _ratios(
        self, at: BlockRef
    ) -> tuple[dict[str, SharesPerToken], set[str], dict[str, str]]:
        """Shares per token by symbol, which symbols have no split near, and what was unreadable.

        One asset that the vault does not list, or whose reference is broken, hides no other.
        """
        ratios: dict[str, SharesPerToken] = {}
        calm: set[str] = set()
        unread: dict[str, str] = {}
        for asset in self._assets.assets:
            try:
                ratios[asset.symbol] = await self._splitting.ratio(asset.token, at)
                if not await self._splitting.near(asset.token, at):
                    calm.add(asset.symbol)
            except SourceUnavailable as error:
                unread[asset.symbol] = str(error)
        return ratios, calm, unread

    async def _positions(self) -> dict[str, int] | None:
        try:
            return {held.symbol: held.quantity for held in await self._broker.positions()}
        except SourceUnavailable:
            return None

    async def _funds(self) -> Funds | None:
        try:
            return await self._broker.funds()
        except RetryableError:
            # Also where the account's window is full: nothing is decided by it.
            return None

    async def _orders(self, since: datetime) -> list[BrokerOrder]:
        changed = await self._store.book.changed_since(since)
        return [*changed, *await self._store.book.live()]

    async def _cases(
        self,
        requests: Sequence[VaultRequest],
        records: RequestRecords,
        orders: Sequence[BrokerOrder],
        head: BlockRef,
        final: BlockRef | None,
    ) -> list[Case]:
        """Cases whose vault status is certain: one that vanished counts only when that is final."""
        statuses = {request.request_id.lower(): request.status for request in requests}
        others = [row for row in records.rows if row.request_id not in statuses]
        at_head = await self._statuses(others, head)
        vanished = [row for row in others if at_head[row.request_id] is VaultStatus.NONE]
        doubtful = {row.request_id for row in vanished} - await self._gone(vanished, final)
        statuses |= at_head
        found = make_cases(
            statuses,
            terms=requests,
            rows=records.rows,
            items=records.items,
            claims=records.claims,
            orders=orders,
        )
        return [case for case in found if case.request_id not in doubtful]

    async def _gone(self, rows: Sequence[Order], final: BlockRef | None) -> set[str]:
        """Those that the final chain never had, although it is past the block they were in."""
        if final is None:
            return set()
        old = [row for row in rows if row.created_block <= final.number]
        there = await self._statuses(old, final)
        return {request_id for request_id, status in there.items() if status is VaultStatus.NONE}

    async def _statuses(self, rows: Sequence[Order], at: BlockRef) -> dict[str, VaultStatus]:
        """The vault's word on rows; NONE also where the number has another request now."""
        found: dict[str, VaultStatus] = {}
        for start in range(0, len(rows), _PAGE):
            page = rows[start : start + _PAGE]
            states = await self._vault.states([row.request_number for row in page], at)
            for row, state in zip(page, states, strict=True):
                same = state.request_id.lower() == row.request_id
                found[row.request_id] = state.status if same else VaultStatus.NONE
        return found

    async def _supply(self, at: BlockRef, besides: Collection[str]) -> dict[str, int]:
        assets = [asset for asset in self._assets.assets if asset.symbol not in besides]
        found = await asyncio.gather(*(self._shares.supply(asset.token, at) for asset in assets))
        return {asset.symbol: supply for asset, supply in zip(assets, found, strict=True)}

    async def _unsure(self, cases: Collection[Case]) -> dict[str, int]:
        """Shares of orders that work, changed just now, or were sent and are not in the book."""
        live = await self._store.book.live()
        fresh = await self._store.book.changed_since(utc_now() - self._book_lag)
        shares: dict[str, int] = {}
        for order in {order.order_id: order for order in (*live, *fresh)}.values():
            shares[order.symbol] = shares.get(order.symbol, 0) + order.quantity
        for claim in (claim for case in cases for claim in case.claims):
            if claim.state is ClaimState.CLAIMED:
                shares[claim.symbol] = shares.get(claim.symbol, 0) + claim.quantity
        return shares


def busy(case: Case) -> bool:
    """A step is in flight: an order with unknown outcome, or a settlement on its way."""
    sent = case.item is not None and case.item.state is ItemState.SENT
    return sent or any(claim.state is ClaimState.CLAIMED for claim in case.claims)
