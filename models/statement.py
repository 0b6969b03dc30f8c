"""The end-of-day statement: what the broker confirmed beside what the vault settled. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from models.broker import BrokerOrder
from models.money import units_burned, units_minted, usd_to_units_down, usd_to_units_up
from models.records import ItemKind, ItemState, Placement, SettlementItem
from models.requests import Side

_DONE = frozenset({ItemState.MINED, ItemState.FINAL})


class Difference(StrEnum):
    """What does not agree. FOREIGN: no request of ours. NOT_SETTLED: not mined (yet), or refunded.

    SHARES, VALUE: the settlement is of other shares, or of other money. NO_CONFIRM: settled, and
    the broker has confirmed nothing.
    """

    NONE = ""
    FOREIGN = "FOREIGN"
    NOT_SETTLED = "NOT_SETTLED"
    SHARES = "SHARES"
    VALUE = "VALUE"
    NO_CONFIRM = "NO_CONFIRM"


class StatementLine(BaseModel):
    """One confirmed order with its request's settlement; or a settlement nobody confirmed.

    shares, price, value: of this order, in shares and dollars. taken, out, fee: of the whole
    request's settlement, in base units as strings; a request of several orders has it on each of
    its lines, and `first` tells the one that counts in the totals.
    """

    model_config = ConfigDict(frozen=True)

    at: str
    symbol: str
    side: Side
    broker_order_id: str
    shares: int
    price: str
    value: str
    request_id: str
    settlement: str
    taken: str
    out: str
    fee: str
    tx_hash: str
    first: bool
    difference: Difference


class StatementTotals(BaseModel):
    """The day's sums. *_usd: dollars the broker confirmed; *_units: base units settled in USDT."""

    lines: int = 0
    differences: int = 0
    shares_bought: int = 0
    shares_sold: int = 0
    bought_usd: str = "0"
    sold_usd: str = "0"
    taken_units: str = "0"
    paid_units: str = "0"
    fee_units: str = "0"

    def add(self, line: StatementLine) -> None:
        """Count a line."""
        self.lines += 1
        self.differences += line.difference is not Difference.NONE
        if line.side is Side.BUY:
            self.shares_bought += line.shares
            self.bought_usd = _plus(self.bought_usd, line.value)
        else:
            self.shares_sold += line.shares
            self.sold_usd = _plus(self.sold_usd, line.value)
        if line.first and line.settlement in _DONE:
            self.fee_units = str(int(self.fee_units) + int(line.fee))
            if line.side is Side.BUY:
                self.taken_units = str(int(self.taken_units) + int(line.taken))
            else:
                self.paid_units = str(int(self.paid_units) + int(line.out))


class RequestFills(BaseModel):
    """All that was confirmed and settled for one request, whichever day it was."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    orders: Sequence[BrokerOrder]
    claims: Sequence[Placement]
    item: SettlementItem | None


def confirmed_line(
    order: BrokerOrder, at: datetime, request_id: str, fills: RequestFills | None, decimals: int
) -> StatementLine:
    """The line of one order that filled. decimals: of USDT. fills None: no request of ours."""
    item = fills.item if fills else None
    return StatementLine(
        at=_told(at),
        symbol=order.symbol,
        side=order.side,
        broker_order_id=order.order_id,
        shares=order.filled,
        price=_plain(order.average_price),
        value=_plain(order.average_price * order.filled),
        request_id=request_id if fills else "",
        first=fills is not None and order.order_id == min(each.order_id for each in fills.orders),
        difference=_difference(fills, decimals) if fills else Difference.FOREIGN,
        **_settled(item),
    )


def unconfirmed_line(item: SettlementItem, symbol: str, side: Side) -> StatementLine:
    """The line of a settlement for which the broker has confirmed nothing."""
    return StatementLine(
        at=_told(item.updated_at),
        symbol=symbol,
        side=side,
        broker_order_id="",
        shares=0,
        price="0",
        value="0",
        request_id=item.request_id,
        first=True,
        difference=Difference.NO_CONFIRM,
        **_settled(item),
    )


def _settled(item: SettlementItem | None) -> dict[str, str]:
    if item is None:
        return {"settlement": "", "taken": "0", "out": "0", "fee": "0", "tx_hash": ""}
    state = item.state.value if item.kind is ItemKind.SETTLE else f"REFUND {item.state.value}"
    return {
        "settlement": state,
        "taken": str(item.taken),
        "out": str(item.out),
        "fee": str(item.fee),
        "tx_hash": item.tx_hash,
    }


def _difference(fills: RequestFills, decimals: int) -> Difference:
    item = fills.item
    if item is None or item.kind is not ItemKind.SETTLE or item.state not in _DONE:
        return Difference.NOT_SETTLED
    side = fills.orders[0].side
    if _units(fills, side) != item.filled:
        return Difference.SHARES
    dollars = sum((each.average_price * each.filled for each in fills.orders), Decimal(0))
    if side is Side.BUY:
        agrees = item.taken - item.fee == usd_to_units_up(dollars, decimals)
    else:
        agrees = item.out + item.fee == usd_to_units_down(dollars, decimals)
    return Difference.NONE if agrees else Difference.VALUE


def _units(fills: RequestFills, side: Side) -> int:
    """Token units of all that was confirmed, at the shares per token of each claim."""
    ratios = {claim.remark: claim.ratio for claim in fills.claims}
    worth = units_minted if side is Side.BUY else units_burned
    found = ((order.filled, ratios.get(order.remark)) for order in fills.orders)
    return sum(worth(shares, ratio) if ratio else worth(shares) for shares, ratio in found)


def _plus(sum_so_far: str, value: str) -> str:
    return _plain(Decimal(sum_so_far) + Decimal(value))


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _told(moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds")
