"""Every vendor status, text and cell, and what it must mean here."""

import math
from decimal import Decimal
from typing import Any

import pytest

from clients import futu_maps
from clients.futu_maps import Reply
from models.broker import BrokerStatus, MarketState, OrderTicket
from models.errors import (
    InvalidInput,
    OrderRejected,
    PlacementUnknown,
    RateLimited,
    SourceUnavailable,
    UnknownOutcome,
)
from models.requests import Side, remark_of
from simulators.opend.errors import Rejected
from simulators.opend.gateway import DEFAULT_REJECT
from simulators.opend.orders import Side as VenueSide
from tests.unit.opend_clock import desk

REMARK = remark_of("0x" + "ab" * 32, 1)
TICKET = OrderTicket(
    remark=REMARK, symbol="AAPL", side=Side.BUY, quantity=3, price=Decimal("190.01")
)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "order_id": "7",
        "code": "US.AAPL",
        "trd_side": "BUY",
        "order_status": "FILLED_PART",
        "qty": 3.0,
        "price": 190.01,
        "dealt_qty": 1.0,
        "dealt_avg_price": 189.9949999999,
        "last_err_msg": "",
        "remark": REMARK,
    } | changes


def no(text: str) -> Reply:
    return Reply("Trd_PlaceOrder", -1, text)


@pytest.mark.parametrize(
    ("vendor", "ours"),
    [
        ("N/A", BrokerStatus.UNKNOWN),
        ("UNSUBMITTED", BrokerStatus.SUBMITTING),
        ("WAITING_SUBMIT", BrokerStatus.SUBMITTING),
        ("SUBMITTING", BrokerStatus.SUBMITTING),
        ("SUBMIT_FAILED", BrokerStatus.REJECTED),
        ("TIMEOUT", BrokerStatus.UNKNOWN),
        ("SUBMITTED", BrokerStatus.WORKING),
        ("FILLED_PART", BrokerStatus.PART_FILLED),
        ("FILLED_ALL", BrokerStatus.FILLED),
        ("CANCELLING_PART", BrokerStatus.CANCELLING),
        ("CANCELLING_ALL", BrokerStatus.CANCELLING),
        ("CANCELLED_PART", BrokerStatus.CANCELLED),
        ("CANCELLED_ALL", BrokerStatus.CANCELLED),
        ("FAILED", BrokerStatus.REJECTED),
        ("DISABLED", BrokerStatus.CANCELLED),
        ("DELETED", BrokerStatus.CANCELLED),
        ("FILL_CANCELLED", BrokerStatus.FILL_CANCELLED),
        ("SOMETHING_NEW", BrokerStatus.UNKNOWN),
    ],
)
def test_order_of__each_vendor_status__means_one_of_ours(vendor: str, ours: BrokerStatus) -> None:
    order = futu_maps.order_of(row(order_status=vendor))
    assert order is not None
    assert (order.status, order.vendor_status) == (ours, vendor)


def test_order_of__a_full_row__keeps_exact_numbers() -> None:
    order = futu_maps.order_of(row())
    assert order is not None
    assert (order.symbol, order.side, order.remark) == ("AAPL", Side.BUY, REMARK)
    assert (order.quantity, order.filled) == (3, 1)
    assert (order.price, order.average_price) == (Decimal("190.01"), Decimal("189.995"))


def test_order_of__fill_taken_back__has_none_whatever_the_row_keeps() -> None:
    kept = row(order_status="FILL_CANCELLED", dealt_qty=3.0, dealt_avg_price=190.01)
    order = futu_maps.order_of(kept)
    assert order is not None
    assert (order.status, order.filled) == (BrokerStatus.FILL_CANCELLED, 0)
    assert order.average_price == Decimal(0)


@pytest.mark.parametrize("empty", ["N/A", math.nan, None, ""])
def test_order_of__cells_the_client_left_empty__are_zero(empty: Any) -> None:
    order = futu_maps.order_of(
        row(price=empty, dealt_qty=empty, dealt_avg_price=empty, last_err_msg=empty, remark=empty)
    )
    assert order is not None
    assert order.price == order.average_price == Decimal(0)
    assert order.filled == 0
    assert (order.error, order.remark) == ("", "")


@pytest.mark.parametrize("foreign", [{"code": "HK.00700"}, {"trd_side": "N/A"}, {"code": "N/A"}])
def test_order_of__somebody_elses_unreadable_order__is_left_out(foreign: dict[str, Any]) -> None:
    assert futu_maps.order_of(row(remark="by hand", **foreign)) is None


def test_order_of__our_own_unreadable_order__is_an_error() -> None:
    with pytest.raises(SourceUnavailable, match=REMARK):
        futu_maps.order_of(row(trd_side="N/A"))


@pytest.mark.parametrize("text", ["", "Disconnect", "PacketErr.Timeout", "anything at all"])
def test_placement_failure__sent_and_no_packet__is_unknown_whatever_the_text(text: str) -> None:
    failure = futu_maps.placement_failure(REMARK, sent=True, reply=None, text=text)
    assert isinstance(failure, PlacementUnknown)


@pytest.mark.parametrize("text", ["Connect timeout", "Connection closed", "Disconnect"])
def test_placement_failure__never_sent__is_unavailable(text: str) -> None:
    failure = futu_maps.placement_failure(REMARK, sent=False, reply=None, text=text)
    assert isinstance(failure, SourceUnavailable)


@pytest.mark.parametrize("ret_type", [-100, -200, -400, -500, 0, 7])
def test_placement_failure__opend_itself_does_not_know__is_unknown(ret_type: int) -> None:
    reply = Reply("Trd_PlaceOrder", ret_type, "insufficient buying power")
    failure = futu_maps.placement_failure(REMARK, sent=True, reply=reply, text="")
    assert isinstance(failure, PlacementUnknown)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("账户购买力不足", OrderRejected),
        ("资金不足", OrderRejected),
        ("TrdPlaceOrder failed: 持仓不足", OrderRejected),
        ("无法同时买多和卖空", OrderRejected),
        ("该股票不支持卖空", OrderRejected),
        ("价格不在正确的价位上", OrderRejected),
        ("模拟交易不支持该订单类型", OrderRejected),
        ("该账户没有交易权限", OrderRejected),
        ("触发风控限制", OrderRejected),
        ("Insufficient buying power", OrderRejected),
        ("Insufficient funds", OrderRejected),
        ("Paper trading does not support this order type.", OrderRejected),
        ("unknown stock XYZ", OrderRejected),
        (DEFAULT_REJECT, OrderRejected),
        ("", PlacementUnknown),
        ("  ", PlacementUnknown),
        ("系统繁忙", PlacementUnknown),
        ("系统繁忙 请稍后再试", PlacementUnknown),
        ("服务器内部错误", PlacementUnknown),
        ("系统错误: 查询购买力不足", PlacementUnknown),
        ("解锁状态未知: 系统繁忙", PlacementUnknown),
        ("请求已过期", PlacementUnknown),
        ("未知错误", PlacementUnknown),
        ("下单失败", PlacementUnknown),
        ("Server busy", PlacementUnknown),
        ("System error", PlacementUnknown),
        ("Internal error while checking: insufficient funds", PlacementUnknown),
        ("request expired", PlacementUnknown),
        ("Unknown error", PlacementUnknown),
        ("Order failed", PlacementUnknown),
        ("Please try again later", PlacementUnknown),
        ("something nobody has seen yet", PlacementUnknown),
        ("packetID was used before: replayed request.", PlacementUnknown),
        ("下单频率太高", RateLimited),
        ("High frequency: PlaceOrder is limited to 15 requests per 30 seconds.", RateLimited),
        ("没有解锁交易", SourceUnavailable),
        ("Please unlock trade first", SourceUnavailable),
        ("请求超时", PlacementUnknown),
        ("网络中断", PlacementUnknown),
        ("Request timed out", PlacementUnknown),
        ("the connection to the trading server is down", PlacementUnknown),
    ],
)
def test_placement_failure__answered_with_no__is_what_the_text_says(
    text: str, meaning: type[Exception]
) -> None:
    failure = futu_maps.placement_failure(REMARK, sent=True, reply=no(text), text=text)
    assert type(failure) is meaning


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": "1.5"},
        {"quantity": "0"},
        {"quantity": "500001"},
        {"quantity": "11000"},
        {"price": "190.001"},
        {"price": "-1"},
        {"order_type": 10},
        {"time_in_force": 1},
        {"outside_rth": True},
        {"side": 3},
        {"remark": "é" * 33},
        {"side": VenueSide.SELL, "quantity": "6"},
    ],
)
def test_placement_failure__each_refusal_of_the_simulator__is_its_answer(
    change: dict[str, Any],
) -> None:
    with pytest.raises(Rejected) as caught:
        desk(positions={"AAPL": 5}).place(**change)
    failure = futu_maps.placement_failure(
        REMARK, sent=True, reply=no(str(caught.value)), text="text"
    )
    assert type(failure) is OrderRejected


@pytest.mark.parametrize(
    ("sent", "reply", "meaning"),
    [
        (False, None, SourceUnavailable),
        (True, None, UnknownOutcome),
        (True, Reply("Trd_ModifyOrder", -400, ""), UnknownOutcome),
        (True, no("频率太高"), RateLimited),
        (True, no("请求超时"), UnknownOutcome),
        (True, no("order is already final"), type(None)),
        (True, no("order not found"), type(None)),
        (True, no("系统繁忙"), type(None)),
    ],
)
def test_cancel_failure__each_case__leaves_a_refusal_to_the_order_itself(
    sent: bool, reply: Reply | None, meaning: type
) -> None:
    assert type(futu_maps.cancel_failure("7", sent, reply, "text")) is meaning


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", ""),
        ("symbol", "US.AAPL"),
        ("quantity", 0),
        ("quantity", -1),
        ("price", Decimal(0)),
        ("price", Decimal("NaN")),
        ("price", Decimal("Infinity")),
        ("remark", ""),
        ("remark", "é" * 32 + "x"),
    ],
)
def test_check_ticket__a_wrong_field__is_named(field: str, value: Any) -> None:
    ticket = TICKET.model_copy(update={field: value})
    with pytest.raises(InvalidInput) as caught:
        futu_maps.check_ticket(ticket)
    assert caught.value.field == field


def test_check_ticket__the_longest_remark__passes() -> None:
    futu_maps.check_ticket(TICKET.model_copy(update={"remark": "é" * 32}))


@pytest.mark.parametrize(
    ("us_state", "suspended", "security", "state"),
    [
        ("AFTERNOON", False, "NORMAL", MarketState.OPEN),
        ("MORNING", False, "NORMAL", MarketState.OPEN),
        ("MORNING", False, "N/A", MarketState.HALTED),
        ("MORNING", False, "", MarketState.HALTED),
        ("MORNING", False, "A_STATUS_OF_NEXT_YEAR", MarketState.HALTED),
        ("MORNING", "N/A", "NORMAL", MarketState.HALTED),
        ("PRE_MARKET_BEGIN", False, "NORMAL", MarketState.CLOSED),
        ("AFTER_HOURS_BEGIN", False, "NORMAL", MarketState.CLOSED),
        ("N/A", False, "NORMAL", MarketState.CLOSED),
        ("AFTERNOON", True, "NORMAL", MarketState.HALTED),
        ("AFTERNOON", False, "RECOVERABLE_CIRCUIT_BREAKER", MarketState.HALTED),
        ("AFTERNOON", False, "DELISTED", MarketState.HALTED),
    ],
)
def test_market_state__session_and_security__decide(
    us_state: str, suspended: bool, security: str, state: MarketState
) -> None:
    assert futu_maps.market_state(us_state, suspended, security) is state


@pytest.mark.parametrize(
    ("cells", "quantity", "sellable"),
    [
        ({"qty": 12.0, "can_sell_qty": 5.0, "position_side": "LONG"}, 12, 5),
        ({"qty": 12.9, "can_sell_qty": 12.9, "position_side": "LONG"}, 12, 12),
        ({"qty": -4.0, "can_sell_qty": 4.0, "position_side": "SHORT"}, -4, 0),
        ({"qty": 4.0, "can_sell_qty": 4.0, "position_side": "SHORT"}, -4, 0),
        ({"qty": "N/A", "can_sell_qty": math.nan, "position_side": "N/A"}, 0, 0),
    ],
)
def test_position_of__long_short_and_fractions__are_whole_signed_shares(
    cells: dict[str, Any], quantity: int, sellable: int
) -> None:
    position = futu_maps.position_of({"code": "US.AAPL"} | cells)
    assert position is not None
    assert (position.quantity, position.sellable) == (quantity, sellable)
