"""What is asked of OpenD through a context, on the lane's thread; only our own types come back.

Market, environment, account and currency are said in every call: the vendor's defaults are the
Hong Kong market, real money, whichever account comes first, and HKD.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from clients import futu_maps as maps
from clients.futu_maps import BROKER, SUCCEEDED, Reply
from clients.futu_vendor import NotSent, Vendor
from models.broker import (
    BrokerOrder,
    BrokerStatus,
    Funds,
    MarketState,
    OrderTicket,
    Position,
    Quote,
)
from models.errors import RetryableError, SourceUnavailable, Unusable
from models.guard import Guard
from models.requests import Side


class Outcome(NamedTuple):
    """What came of a request that changes something. reply: the packet, None = none came."""

    reply: Reply | None
    text: str


class Book(NamedTuple):
    """A bulk read. history: whether the history answered too."""

    orders: tuple[BrokerOrder, ...]
    history: bool


@dataclass(frozen=True)
class TradeCalls:
    """Calls on a trade context, for one account."""

    vendor: Vendor
    account_id: int
    environment: str

    @property
    def _whose(self) -> dict[str, Any]:
        return {"trd_env": self.environment, "acc_id": self.account_id}

    def place(self, context: Any, ticket: OrderTicket) -> Outcome:
        """One DAY limit order. Never raises: what it means is decided from what was heard."""
        futu = self.vendor.futu
        return _change(
            context,
            "Trd_PlaceOrder",
            context.place_order,
            price=float(ticket.price),
            qty=float(ticket.quantity),
            code=maps.MARKET_PREFIX + ticket.symbol,
            trd_side=futu.TrdSide.BUY if ticket.side is Side.BUY else futu.TrdSide.SELL,
            order_type=futu.OrderType.NORMAL,
            time_in_force=futu.TimeInForce.DAY,
            fill_outside_rth=False,
            remark=ticket.remark,
            **self._whose,
        )

    def cancel(self, context: Any, order_id: str) -> Outcome:
        """Ask for a cancel; an accepted one may still lose against a fill."""
        cancel = self.vendor.futu.ModifyOrderOp.CANCEL
        return _change(
            context,
            "Trd_ModifyOrder",
            context.modify_order,
            modify_order_op=cancel,
            order_id=order_id,
            qty=0,
            price=0,
            **self._whose,
        )

    def orders(
        self, context: Any, refresh: bool, order_id: str = "", statuses: Sequence[str] = ()
    ) -> tuple[BrokerOrder, ...]:
        """The order list, of these vendor's statuses if any are given.

        refresh: from the broker's servers, not from OpenD's memory.
        """
        table = _ask(
            context,
            "order_list",
            context.order_list_query,
            order_id=order_id,
            status_filter_list=list(statuses),  # it changes the one it is given
            refresh_cache=refresh,
            order_market=self.vendor.futu.TrdMarket.US,
            **self._whose,
        )
        return _orders(_rows(table))

    def book(self, context: Any, since: datetime) -> Book:
        """Everything there is: the refreshed list, and what earlier days moved out of it."""
        listed = self.orders(context, refresh=True)
        try:
            past = self._history(context, since)
        except RetryableError:
            if context.notes.unanswered:
                raise
            return Book(listed, history=False)
        return Book(_merged(past, listed), history=True)

    def _history(self, context: Any, since: datetime) -> tuple[BrokerOrder, ...]:
        # Dates are the exchange's; a day more on both sides covers any zone.
        day = timedelta(days=1)
        table = _ask(
            context,
            "history_order_list",
            context.history_order_list_query,
            start=f"{since - day:%Y-%m-%d}",
            end=f"{datetime.now(UTC) + day:%Y-%m-%d}",
            order_market=self.vendor.futu.TrdMarket.US,
            **self._whose,
        )
        return _orders(_rows(table))

    def funds(self, context: Any) -> Funds:
        """Dollars, never another currency's. The list first: a fill in between errs downwards."""
        # A day has thousands that have ended, and reading those takes the client seconds.
        orders = self.orders(context, refresh=False, statuses=maps.MAY_WORK)
        buys = (order for order in orders if order.side is Side.BUY and not order.dead)
        working = sum((order.price * (order.quantity - order.filled) for order in buys), Decimal(0))
        table = _ask(
            context,
            "accinfo",
            context.accinfo_query,
            refresh_cache=False,
            currency=self.vendor.futu.Currency.USD,
            **self._whose,
        )
        return Funds(cash=_dollars(_rows(table), working), working_buys=working)

    def positions(self, context: Any) -> tuple[Position, ...]:
        """US holdings."""
        table = _ask(
            context,
            "position_list",
            context.position_list_query,
            refresh_cache=False,
            position_market=self.vendor.futu.TrdMarket.US,
            currency=self.vendor.futu.Currency.USD,
            **self._whose,
        )
        found = (maps.position_of(row) for row in _rows(table))
        return tuple(position for position in found if position is not None)


def global_state(context: Any) -> Mapping[str, Any]:
    """OpenD's own state."""
    state: Mapping[str, Any] = _ask(context, "global_state", context.get_global_state)
    return state


def server_time(context: Any) -> float:
    """What time the broker's servers have, whole seconds since 1970.

    https://openapi.futunn.com/futu-api-doc/en/quote/get-global-state.html
    """
    return float(global_state(context)["timestamp"])


def quote(context: Any, symbol: str) -> Quote:
    """One snapshot, and whether the market is open; `at` is when it was asked for."""
    at = datetime.now(UTC)
    state = global_state(context)
    if not state["qot_logined"]:
        raise SourceUnavailable(BROKER, f"quoting {symbol}", "OpenD has no link to its quotes")
    table = _ask(
        context, "market_snapshot", context.get_market_snapshot, code_list=[f"US.{symbol}"]
    )
    row = _only(_rows(table), f"quoting {symbol}")
    found = Quote(
        symbol=symbol,
        bid=maps.amount(row["bid_price"]),
        ask=maps.amount(row["ask_price"]),
        last=maps.amount(row["last_price"]),
        tick=maps.amount(row["price_spread"]),
        state=maps.market_state(state["market_us"], row["suspension"], row["sec_status"]),
        at=at,
    )
    return _usable(found)


def _usable(found: Quote) -> Quote:
    """An open market has prices; zero would be a price nobody meant."""
    prices = (found.bid, found.ask, found.last, found.tick)
    if found.state is MarketState.OPEN and min(prices) <= 0:
        problem = f"open, but bid/ask/last/tick are {'/'.join(map(str, prices))}"
        raise Unusable(Guard.QUOTE_MISSING, BROKER, f"quoting {found.symbol}", problem)
    return found


def _change(context: Any, protocol: str, method: Any, **arguments: Any) -> Outcome:
    try:
        _, data = method(**arguments)
        text = str(data)
    except NotSent as error:
        text = str(error)
    except Exception as error:
        # Raised before or after it was sent: only what was heard counts.
        text = repr(error)
    return Outcome(context.notes.replies.get(protocol), text)


def _ask(context: Any, call: str, method: Any, **arguments: Any) -> Any:
    context.notes.replies.clear()
    code, data = method(**arguments)
    if code == SUCCEEDED:
        return data
    replies = list(context.notes.replies.values())
    raise maps.query_failure(call, replies[-1] if replies else None, str(data))


def _rows(table: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_dict("records")
    return rows


def _only(rows: list[dict[str, Any]], doing: str) -> dict[str, Any]:
    if len(rows) != 1:
        raise SourceUnavailable(BROKER, doing, f"OpenD answered {len(rows)} rows")
    return rows[0]


def _orders(rows: Iterable[Mapping[str, Any]]) -> tuple[BrokerOrder, ...]:
    found = (maps.order_of(row) for row in rows)
    return tuple(order for order in found if order is not None)


def _merged(past: Iterable[BrokerOrder], listed: Iterable[BrokerOrder]) -> tuple[BrokerOrder, ...]:
    """Both lists by order id; of two reports the one that tells more, else the list's."""
    merged = {order.order_id: order for order in past}
    for order in listed:
        known = merged.get(order.order_id)
        if known is None or not _tells_more(known, order):
            merged[order.order_id] = order
    return tuple(merged.values())


def _tells_more(past: BrokerOrder, listed: BrokerOrder) -> bool:
    """A fill that was taken back is the last word on an order; else more fill is the later one."""
    taken_back = BrokerStatus.FILL_CANCELLED
    if taken_back in (past.status, listed.status):
        return listed.status is not taken_back
    return past.dead and past.filled > listed.filled


def _dollars(rows: list[dict[str, Any]], working: Decimal) -> Decimal:
    """Cash before working buys; no more than may be spent without borrowing, where that is told."""
    row = _only(rows, "reading the funds")
    cash = maps.number(row["us_cash"])
    if cash is None and row["currency"] == "USD":
        cash = maps.number(row["cash"])
    if cash is None:
        raise SourceUnavailable(BROKER, "reading the funds", "OpenD told no dollar balance")
    power = maps.number(row["usd_net_cash_power"])
    return cash if power is None else min(Decimal(cash), power + working)
