"""futu-api's words in ours: statuses, numbers, and what an answer means. Pure: no vendor import.

The client returns (-1, text) for everything that goes wrong and throws the answer's retType away,
so texts alone cannot tell "no" from "lost". What counts here is the packet itself (`Reply`) and
whether the request left (`sent`):

request left   packet came back                    it means
no             -                                   provably not sent: SourceUnavailable
yes            none                                unknown (same texts for executed and not)
yes            retType 0                           accepted
yes            retType -1, words of an answer      the broker says no (see futu_texts)
yes            retType -1, any other words         unknown: OpenD also says it is busy this way
yes            any other retType                   OpenD itself does not know: unknown
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from clients.futu_texts import Refusal, refusal_of
from models.broker import DEAD, BrokerOrder, BrokerStatus, MarketState, OrderTicket, Position
from models.errors import (
    BroncoError,
    InvalidInput,
    OrderRejected,
    PlacementUnknown,
    RateLimited,
    SourceUnavailable,
    UnknownOutcome,
)
from models.money import Usd, price_from_wire, shares_from_wire
from models.requests import Side, parse_remark

BROKER = "broker"
MARKET_PREFIX = "US."
# https://openapi.futunn.com/futu-api-doc/en/trade/place-order.html
REMARK_BYTES = 64
# Slots of the documented windows come free every 1.5 s (cancel) to 3 s (query) on average.
RATE_PAUSE_SECONDS = 3.0

# RetType; -200 and -500 are in Common.proto only.
# https://openapi.futunn.com/futu-api-doc/en/ftapi/common.html
SUCCEEDED, FAILED = 0, -1


class Reply(NamedTuple):
    """What one packet from OpenD said. protocol: name of its message, e.g. Trd_PlaceOrder."""

    protocol: str
    ret_type: int
    text: str
    order_id: str = ""


# https://openapi.futunn.com/futu-api-doc/en/trade/trade.html (OrderStatus)
STATUSES: Mapping[str, BrokerStatus] = {
    "N/A": BrokerStatus.UNKNOWN,
    "UNSUBMITTED": BrokerStatus.SUBMITTING,
    "WAITING_SUBMIT": BrokerStatus.SUBMITTING,
    "SUBMITTING": BrokerStatus.SUBMITTING,
    "SUBMIT_FAILED": BrokerStatus.REJECTED,
    "TIMEOUT": BrokerStatus.UNKNOWN,
    "SUBMITTED": BrokerStatus.WORKING,
    "FILLED_PART": BrokerStatus.PART_FILLED,
    "FILLED_ALL": BrokerStatus.FILLED,
    "CANCELLING_PART": BrokerStatus.CANCELLING,
    "CANCELLING_ALL": BrokerStatus.CANCELLING,
    "CANCELLED_PART": BrokerStatus.CANCELLED,
    "CANCELLED_ALL": BrokerStatus.CANCELLED,
    "FAILED": BrokerStatus.REJECTED,
    "DISABLED": BrokerStatus.CANCELLED,
    "DELETED": BrokerStatus.CANCELLED,
    "FILL_CANCELLED": BrokerStatus.FILL_CANCELLED,
}
MAY_WORK = tuple(vendor for vendor, status in STATUSES.items() if status not in DEAD)
"""What the broker may still hold money for; a doubtful one is counted."""

SIDES: Mapping[str, Side] = {
    "BUY": Side.BUY,
    "BUY_BACK": Side.BUY,
    "SELL": Side.SELL,
    "SELL_SHORT": Side.SELL,
}

# Regular hours only: paper trading queues what comes outside them.
# https://openapi.futunn.com/futu-api-doc/en/quote/quote.html (MarketState)
OPEN_STATES = frozenset({"MORNING", "AFTERNOON"})
# https://openapi.futunn.com/futu-api-doc/en/quote/quote.html (SecurityStatus). "N/A" is what the
# client writes where OpenD left the status out, said "unknown", or said one that this client is too
# old to know (quote_query.py and FtEnum.to_string2 of 10.11.7108): any of them may be a halt. US
# stocks that trade are NORMAL: https://open.futunn.com/zh-cn/api/quote/push/data-format (US.AAPL).
TRADED_STATUSES = frozenset({"NORMAL"})


def query_failure(call: str, reply: Reply | None, text: str) -> BroncoError:
    """Why a read gave nothing: a full window, or no answer worth anything."""
    if reply is not None and refusal_of(reply.text) is Refusal.RATE:
        return RateLimited(call, RATE_PAUSE_SECONDS)
    return SourceUnavailable(BROKER, call, text)


def placement_failure(remark: str, sent: bool, reply: Reply | None, text: str) -> BroncoError:
    """What a placement that was not accepted means. Unsure is always PlacementUnknown."""
    doing = f"placing {remark}"
    if reply is None:
        return PlacementUnknown(remark, text) if sent else SourceUnavailable(BROKER, doing, text)
    if reply.ret_type != FAILED:
        return PlacementUnknown(remark, f"retType {reply.ret_type} {reply.text}".strip())
    match refusal_of(reply.text):
        case Refusal.RATE:
            return RateLimited("place_order", RATE_PAUSE_SECONDS)
        case Refusal.LOCKED:
            return SourceUnavailable(BROKER, doing, reply.text)
        case Refusal.ANSWER:
            return OrderRejected(remark, reply.text)
        case Refusal.UNSURE | None:
            return PlacementUnknown(remark, reply.text)


def cancel_failure(order_id: str, sent: bool, reply: Reply | None, text: str) -> BroncoError | None:
    """What a cancel that was not accepted means; None: refused, so the order itself must tell."""
    doing = f"cancelling {order_id}"
    lost = UnknownOutcome(f"the cancel of {order_id} was sent but not answered ({text})")
    if reply is None:
        return lost if sent else SourceUnavailable(BROKER, doing, text)
    if reply.ret_type != FAILED:
        return lost
    match refusal_of(reply.text):
        case Refusal.RATE:
            return RateLimited("modify_order", RATE_PAUSE_SECONDS)
        case Refusal.LOCKED:
            return SourceUnavailable(BROKER, doing, reply.text)
        case Refusal.UNSURE:
            return lost
        case Refusal.ANSWER | None:
            return None


def check_ticket(ticket: OrderTicket) -> None:
    """Refuse here what the client would refuse with a text, or worse, send.

    Raises:
        InvalidInput: names the field.
    """
    if not ticket.symbol or ticket.symbol.startswith(MARKET_PREFIX):
        raise InvalidInput("symbol", ticket.symbol, "a US symbol without market, e.g. AAPL")
    if ticket.quantity < 1:
        raise InvalidInput("quantity", ticket.quantity, "at least one whole share")
    if not ticket.price.is_finite() or ticket.price <= 0:
        raise InvalidInput("price", ticket.price, "a positive price in dollars")
    if not 1 <= len(ticket.remark.encode()) <= REMARK_BYTES:
        raise InvalidInput("remark", ticket.remark, f"1 to {REMARK_BYTES} bytes in UTF-8")


def number(value: Any) -> Usd | None:
    """A cell as a number; None for what the client writes where it has none ('N/A', NaN, '')."""
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return None
    wire = float(value)
    return price_from_wire(wire) if math.isfinite(wire) else None


def amount(value: Any) -> Usd:
    """A cell that may be empty, as a number; empty = 0."""
    found = number(value)
    return Usd(Decimal(0)) if found is None else found


def shares(value: Any) -> int:
    """A cell with a count of shares; empty = 0."""
    if number(value) is None:
        return 0
    return int(shares_from_wire(float(value)))


def text_of(value: Any) -> str:
    """A cell as text; empty where the client has none."""
    return value if isinstance(value, str) and value != "N/A" else ""


def symbol_of(code: Any) -> str:
    """AAPL for US.AAPL; empty for anything that is no US security."""
    found = text_of(code)
    return found.removeprefix(MARKET_PREFIX) if found.startswith(MARKET_PREFIX) else ""


def order_of(row: Mapping[str, Any]) -> BrokerOrder | None:
    """One row of an order list, or one push; None for an order that cannot be one of ours.

    A fill that was taken back counts as none, whatever the row goes on saying was dealt.

    Raises:
        SourceUnavailable: a row with our remark cannot be read.
    """
    symbol, side = symbol_of(row["code"]), SIDES.get(text_of(row["trd_side"]))
    remark = text_of(row.get("remark"))
    if not symbol or side is None:
        if parse_remark(remark) is None:
            return None
        raise SourceUnavailable(
            BROKER, f"reading order {remark}", f"{row['code']} {row['trd_side']}"
        )
    vendor_status = str(row["order_status"])
    status = STATUSES.get(vendor_status, BrokerStatus.UNKNOWN)
    kept = status is not BrokerStatus.FILL_CANCELLED
    return BrokerOrder(
        order_id=str(row["order_id"]),
        remark=remark,
        symbol=symbol,
        side=side,
        quantity=shares(row["qty"]),
        price=amount(row["price"]),
        status=status,
        vendor_status=vendor_status,
        filled=shares(row["dealt_qty"]) if kept else 0,
        average_price=amount(row["dealt_avg_price"]) if kept else Usd(Decimal(0)),
        error=text_of(row["last_err_msg"]),
    )


def position_of(row: Mapping[str, Any]) -> Position | None:
    """One row of the position list; None for another market's."""
    symbol = symbol_of(row["code"])
    if not symbol:
        return None
    held = abs(shares(row["qty"]))
    if text_of(row["position_side"]) == "SHORT":
        return Position(symbol=symbol, quantity=-held, sellable=0)
    return Position(symbol=symbol, quantity=held, sellable=max(0, shares(row["can_sell_qty"])))


def market_state(us_state: Any, suspended: Any, security_status: Any) -> MarketState:
    """Whether an order placed now would work now."""
    if bool(suspended) or str(security_status) not in TRADED_STATUSES:
        return MarketState.HALTED
    return MarketState.OPEN if us_state in OPEN_STATES else MarketState.CLOSED
