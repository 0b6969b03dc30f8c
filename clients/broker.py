"""The broker behind one class: Futu OpenD through futu-api, supervised, bounded, in our words."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bronco.metrics import QUOTED_AT
from clients import futu_calls, futu_maps
from clients.broker_links import BrokerLinks, LinkListener
from clients.futu_calls import TradeCalls
from clients.futu_maps import BROKER, SUCCEEDED
from clients.futu_send import send
from clients.futu_vendor import MODIFY_ORDER, PLACE_ORDER, Fence
from clients.shared import Shared
from models.broker import (
    LOOK_BACK,
    BookSnapshot,
    BrokerOrder,
    BrokerStatus,
    Funds,
    OrderTicket,
    Position,
    Quote,
)
from models.errors import NotFound, SourceUnavailable

if TYPE_CHECKING:
    from bronco.trading import BrokerSettings

# OpenD allows 60 of these calls in 30 s, all processes together.
# https://openapi.futunn.com/futu-api-doc/en/quote/get-market-snapshot.html
_QUOTE_KEPT_SECONDS = 1.0
# A long list takes the client longer to read than the bound of one round trip.
_LIST_REQUESTS = 3


class BrokerClient(BrokerLinks):
    """One account at the broker. Safe to share between the tasks of one event loop.

    Every method raises SourceUnavailable when OpenD could not be asked; an empty answer always is
    an answer. Making one raises ConfigurationError where a setting or a key does not fit.
    reads_only: it never places, so that REAL needs nothing that unlocks trading.
    """

    def __init__(
        self,
        settings: "BrokerSettings",
        *,
        log_home: Path,
        reads_only: bool = False,
        on_link: LinkListener = lambda _link, _up: None,
    ) -> None:
        super().__init__(settings, log_home=log_home, reads_only=reads_only, on_link=on_link)
        self._quotes: dict[str, tuple[float, Quote]] = {}
        self._quoting = asyncio.Lock()
        self._funds = Shared(self._read_funds)
        self._positions = Shared(self._read_positions)

    async def quote(self, symbol: str) -> Quote:
        """A snapshot at most a second old; one caller asks for all who want it meanwhile.

        Raises:
            RateLimited: OpenD's own window for snapshots is full.
        """
        async with self._quoting:
            asked, known = self._quotes.get(symbol, (0.0, None))
            if known is not None and time.monotonic() - asked < _QUOTE_KEPT_SECONDS:
                return known
            asked, doing = time.monotonic(), f"quoting {symbol}"
            found = await self._quote.lane(doing).call(
                doing, lambda context: futu_calls.quote(context, symbol), 2 * self._bound
            )
            self._quotes[symbol] = (asked, found)
            QUOTED_AT.labels(symbol).set(time.time())
            return found

    async def server_time(self) -> float:
        """What time the broker's servers have, whole seconds since 1970."""
        doing = "reading the clock"
        return await self._quote.lane(doing).call(doing, futu_calls.server_time, self._bound)

    async def funds(self) -> Funds:
        """Dollars before working buys, and what those take; margin never counts.

        Read after this was asked; one read serves all who wait for it. So are the positions.
        """
        return await self._funds.get()

    async def positions(self) -> tuple[Position, ...]:
        """US holdings in whole shares."""
        return await self._positions.get()

    async def _read_funds(self) -> Funds:
        return await self._read("reading the funds", TradeCalls.funds, 1 + _LIST_REQUESTS)

    async def _read_positions(self) -> tuple[Position, ...]:
        return await self._read("reading the positions", TradeCalls.positions)

    async def orders(self, refresh: bool = False) -> tuple[BrokerOrder, ...]:
        """The order list: open orders and today's. refresh counts against the account's window.

        Raises:
            RateLimited: that window is full.
        """
        return await self._read(
            "listing the orders",
            lambda calls, context: calls.orders(context, refresh),
            _LIST_REQUESTS,
        )

    async def snapshot(self, since: datetime | None = None) -> BookSnapshot:
        """All orders in one bulk read: refreshed list, and history `since` (UTC; a day ago).

        Not complete where the history did not answer. Takes one slot of each of the two windows.

        Raises:
            RateLimited: the list's window is full.
        """
        doing = "reading the book"
        lane, calls = self._control.lane(doing), self._trade(doing)
        number, connected_at = self.connection, self.nothing_before
        begun_at = datetime.now(UTC)
        past = since or begun_at - LOOK_BACK
        book = await lane.call(
            doing,
            lambda context: calls.book(context, past),
            2 * _LIST_REQUESTS * self._bound,
        )
        return BookSnapshot(
            orders=book.orders,
            begun_at=begun_at,
            ended_at=datetime.now(UTC),
            connection=number,
            connected_at=connected_at,
            complete=book.history,
            since=past,
        )

    async def place(self, ticket: OrderTicket, deadline_seconds: float) -> BrokerOrder:
        """Send one order, at most once, and within `deadline_seconds` or never.

        The caller holds the claim for `ticket.remark`; asking twice places twice. Cancelled or
        timed out, nothing is sent afterwards, whatever the vendor's thread is stuck in.

        Raises:
            OrderRejected: the broker's answer to this order is no.
            PlacementUnknown: it was sent, and what came of it is not known.
            SourceUnavailable: it was not sent and never will be.
            RateLimited: the broker's window is full; nothing was placed.
            InvalidInput: the ticket itself is wrong.
        """
        futu_maps.check_ticket(ticket)
        doing = f"placing {ticket.remark}"
        lane, calls = self._place.lane(doing), self._trade(doing)
        fence = Fence(PLACE_ORDER, time.monotonic() + deadline_seconds)
        reply, text = await send(
            lane,
            lambda context: calls.place(context, ticket),
            fence,
            send_seconds=deadline_seconds,
            answer_seconds=self._bound,
        )
        if reply is not None and reply.ret_type == SUCCEEDED and reply.order_id:
            return _accepted(ticket, reply.order_id)
        raise futu_maps.placement_failure(ticket.remark, fence.sent, reply, text)

    async def cancel(self, order_id: str) -> None:
        """Ask for a cancel; returns when the broker took it or the order has ended already.

        Whether it was cancelled, only the book says. Asking twice is harmless.

        Raises:
            UnknownOutcome: sent, not answered.
            RateLimited: the broker's window is full.
            NotFound: the broker has no such order.
            SourceUnavailable: not sent, or refused while the order lives.
        """
        doing = f"cancelling {order_id}"
        lane, calls = self._control.lane(doing), self._trade(doing)
        fence = Fence(MODIFY_ORDER, time.monotonic() + self._bound)
        reply, text = await send(
            lane,
            lambda context: calls.cancel(context, order_id),
            fence,
            send_seconds=self._bound,
            answer_seconds=self._bound,
        )
        if reply is not None and reply.ret_type == SUCCEEDED:
            return
        failure = futu_maps.cancel_failure(order_id, fence.sent, reply, text)
        if failure is not None:
            raise failure
        await self._check_ended(order_id, text)

    async def _check_ended(self, order_id: str, refusal: str) -> None:
        """A refused cancel is judged by the order, not by the refusal's words."""
        found = await self._read(
            f"reading order {order_id}",
            lambda calls, context: calls.orders(context, False, order_id),
        )
        order = next((order for order in found if order.order_id == order_id), None)
        if order is None:
            raise NotFound("broker order", order_id)
        if not order.dead:
            raise SourceUnavailable(BROKER, f"cancelling {order_id}", refusal)


def _accepted(ticket: OrderTicket, order_id: str) -> BrokerOrder:
    """What is known when the broker has taken an order; its status comes by push or list."""
    return BrokerOrder(
        order_id=order_id,
        status=BrokerStatus.SUBMITTING,
        vendor_status="",
        **ticket.model_dump(),
    )
