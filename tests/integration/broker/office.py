"""A desk with a store and flags behind it, and workflows that only remember their signals."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from temporalio.testing import ActivityEnvironment

from activities.broker import BrokerActivities
from activities.broker_watch import BrokerWatchActivities
from activities.clock import utc_now
from clients.flags import Flags
from clients.gateway import WorkflowGateway
from clients.store import Store, upgrade
from models.broker import BrokerOrder, OrderTicket
from models.drafts import ClaimDraft, Headroom
from models.errors import SourceUnavailable
from models.order import Order
from models.records import ClaimState
from models.requests import OrderRequest, Side, remark_of
from models.watch import WatchBrokerInput
from tests.builders import order_request, request_id_of, vault_request
from tests.integration.broker.desk import Desk, open_desk
from tests.services import embedded_redis

WINDOW = (10, 30.0, 0.0)
PACE = WatchBrokerInput(list_seconds=0.1, snapshot_seconds=0.5)
_numbers = itertools.count(1)


class Inbox:
    """Stands for Temporal: takes signals, unless it is down or the workflow has ended."""

    def __init__(self) -> None:
        self.down = False
        self.ended: set[str] = set()
        self.orders: list[tuple[str, BrokerOrder]] = []
        self.links: list[str] = []

    async def signal_order(self, workflow_id: str, signal: str, *args: Any) -> bool:
        if self.down:
            raise SourceUnavailable("Temporal", f"signalling {workflow_id}", "down")
        if signal == "link":
            self.links.append(args[0])
        elif workflow_id not in self.ended:
            self.orders.append((workflow_id, args[0]))
        return workflow_id not in self.ended

    def of(self, workflow_id: str) -> list[BrokerOrder]:
        return [order for told, order in self.orders if told == workflow_id]


@dataclass
class Customer:
    """One admitted request."""

    request: OrderRequest
    workflow_id: str

    def ticket(self, price: str = "195", attempt: int = 1) -> OrderTicket:
        remark = remark_of(self.request.request_id, attempt)
        return OrderTicket(
            remark=remark, symbol="AAPL", side=Side.BUY, quantity=3, price=Decimal(price)
        )


@dataclass
class Office:
    """Everything the broker's activities are given."""

    desk: Desk
    store: Store
    flags: Flags
    inbox: Inbox = field(default_factory=Inbox)
    beats: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def gateway(self) -> WorkflowGateway:
        return cast(WorkflowGateway, self.inbox)

    def cancelling(self, window: tuple[int, float, float] = (20, 30.0, 0.0)) -> BrokerActivities:
        return BrokerActivities(self.desk.client, self.store, self.flags, window)

    async def admit(self) -> Customer:
        number = next(_numbers)
        request = order_request(number, symbol="AAPL")
        workflow_id = f"order-{number}"
        await self.store.orders.admit(
            vault_request(number),
            workflow_id=workflow_id,
            symbol="AAPL",
            tx_hash="",
            now=utc_now(),
        )
        return Customer(request, workflow_id)

    async def claim(
        self, customer: Customer, send_by: timedelta, ago: timedelta = timedelta()
    ) -> None:
        ticket, now = customer.ticket(), utc_now() - ago
        draft = ClaimDraft(
            request_id=request_id_of(customer.request.n),
            attempt=1,
            remark=ticket.remark,
            symbol=ticket.symbol,
            side=ticket.side,
            quantity=ticket.quantity,
            price=ticket.price,
            send_by=now + send_by,
        )
        room = Headroom(payout=0, cash=Decimal(10**6), shares=0)
        await self.store.placements.claim(draft, room, now)

    async def placed_days_ago(self, customer: Customer, days: int, *, booked: bool) -> str:
        """An order that still worked when we last heard of it, as broker and store tell it."""
        ago = timedelta(days=days)
        await self.claim(customer, timedelta(seconds=15), ago)
        order = await self.desk.client.place(customer.ticket("150"), 2.0)
        self.desk.server.gateway.venue.book.orders[
            int(order.order_id)
        ].received_at -= ago.total_seconds()
        await self.store.placements.mark(
            customer.request.request_id,
            1,
            ClaimState.PLACED,
            broker_order_id=order.order_id,
            now=utc_now() - ago,
        )
        if booked:
            await self.store.book.apply([order], utc_now() - ago)
        return order.order_id

    async def row(self, customer: Customer) -> Order:
        request = customer.request
        return await self.store.orders.get(request.chain_id, request.vault, request.request_id)

    @asynccontextmanager
    async def watching(
        self, window: tuple[int, float, float] = WINDOW, pace: WatchBrokerInput = PACE
    ) -> AsyncIterator[tuple[ActivityEnvironment, "asyncio.Task[None]"]]:
        """The activity as a worker runs it."""
        activities = BrokerWatchActivities(
            self.desk.client,
            self.store,
            self.flags,
            self.gateway,
            window,
            lambda _source, problem: self.problems.append(problem),
        )
        environment = ActivityEnvironment()
        environment.on_heartbeat = lambda *details: self.beats.append(details[0])
        running = asyncio.create_task(environment.run(activities.watch_broker, pace))
        try:
            yield environment, running
        finally:
            environment.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await running


@asynccontextmanager
async def open_office(home: Path, log_home: Path, **options: Any) -> AsyncIterator[Office]:
    url = f"sqlite:///{home}/bronco.db"
    await asyncio.to_thread(upgrade, url)
    store = Store(url, pool_size=4)
    with embedded_redis() as redis_url:
        flags = Flags(redis_url)
        async with open_desk(log_home, **options) as desk:
            yield Office(desk, store, flags)
        await flags.close()
    store.close()
