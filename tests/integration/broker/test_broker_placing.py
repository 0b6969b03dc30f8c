"""What a placement may conclude, fault by fault, through the real client over TCP."""

import asyncio
import time
from pathlib import Path

import pytest

from models.broker import BrokerStatus
from models.errors import OrderRejected, PlacementUnknown, RateLimited, SourceUnavailable
from tests.integration.broker.desk import (
    CALL_SECONDS,
    SURELY_GIVEN_UP,
    Desk,
    open_desk,
    raises,
    resting,
    ticket,
)
from tests.waiting import eventually

SEND_SECONDS = 2.0


async def test_place__accepted__is_the_brokers_order_and_is_pushed(desk: Desk) -> None:
    order = ticket()
    taken = await desk.client.place(order, SEND_SECONDS)
    [venue] = await desk.placed(order.remark)
    assert (taken.order_id, taken.remark) == (venue.id, order.remark)
    assert (taken.filled, taken.status) == (0, BrokerStatus.SUBMITTING)

    filled = await eventually(
        lambda: next((p for p in desk.pushes if p.status is BrokerStatus.FILLED), None)
    )
    assert filled is not None
    assert (filled.order_id, filled.remark, filled.filled) == (venue.id, order.remark, 3)
    [venue] = await desk.placed(order.remark)
    assert filled.average_price == venue.average > 0


async def test_place__asks_nothing_beside_the_order__one_round_trip(desk: Desk) -> None:
    before = await desk.control.counts()
    await desk.client.place(resting(), SEND_SECONDS)
    after = await desk.control.counts()
    assert after["PlaceOrder"].received == 1
    assert after["GetAccList"] == before["GetAccList"]
    assert "GetOrderList" not in after


async def test_place__refused__is_the_brokers_answer_and_the_link_stays(desk: Desk) -> None:
    connections = await desk.control.connections()
    await desk.control.fault("reject", message="Insufficient buying power")
    order = ticket()
    error, _ = await raises(OrderRejected, desk.client.place(order, SEND_SECONDS))
    assert error.reason == "Insufficient buying power"
    assert await desk.placed(order.remark) == []
    assert (await desk.client.place(ticket(), SEND_SECONDS)).order_id
    assert await desk.control.connections() == connections


@pytest.mark.parametrize(
    ("fault", "executed"),
    [
        ("answer_lost", True),
        ("answer_lost_disconnect", True),
        ("lost_before", False),
        ("silence", False),
    ],
)
async def test_place__no_answer__is_unknown_and_the_connection_is_given_up(
    desk: Desk, fault: str, executed: bool
) -> None:
    await desk.control.fault(fault)
    order = ticket()
    error, took = await raises(PlacementUnknown, desk.client.place(order, SEND_SECONDS))
    assert error.remark == order.remark
    assert took < SURELY_GIVEN_UP
    assert len(await desk.placed(order.remark)) == int(executed)

    await eventually(desk.healthy)
    again = ticket()
    assert (await desk.client.place(again, SEND_SECONDS)).remark == again.remark
    assert len(await desk.placed(order.remark)) == int(executed)


@pytest.mark.parametrize("message", ["", "Server busy", "服务器内部错误", "request expired"])
async def test_place__busy_after_execution__is_unknown_and_found_by_its_remark(
    desk: Desk, message: str
) -> None:
    await desk.control.fault("busy_after_execution", message=message)
    order = ticket()
    error, _ = await raises(PlacementUnknown, desk.client.place(order, SEND_SECONDS))
    assert error.remark == order.remark
    snapshot = await desk.client.snapshot()
    assert [found.remark for found in snapshot.orders] == [order.remark]
    assert [venue.remark for venue in await desk.placed(order.remark)] == [order.remark]


async def test_place__answer_comes_late__is_unknown_and_disturbs_nobody(desk: Desk) -> None:
    await desk.control.fault("delay", seconds=2.0)
    order, following = ticket(), ticket()
    await raises(PlacementUnknown, desk.client.place(order, SEND_SECONDS))
    await eventually(desk.healthy)
    taken = await desk.client.place(following, SEND_SECONDS)
    [first], [second] = await desk.placed(order.remark), await desk.placed(following.remark)
    assert taken.order_id == second.id != first.id


async def test_place__order_list_is_silent__still_answers_at_once(desk: Desk) -> None:
    await desk.control.fault("silence", n=3, protocol="GetOrderList")
    order = ticket()
    began = time.monotonic()
    taken = await desk.client.place(order, SEND_SECONDS)
    assert time.monotonic() - began < CALL_SECONDS
    assert [venue.id for venue in await desk.placed(order.remark)] == [taken.order_id]


async def test_place__gateway_frozen__is_unknown_and_may_be_executed_on_thaw(desk: Desk) -> None:
    await desk.control.fault("frozen", on=True)
    order = ticket()
    error, took = await raises(PlacementUnknown, desk.client.place(order, SEND_SECONDS))
    assert took < SURELY_GIVEN_UP
    await desk.control.fault("frozen", on=False)
    assert error.remark == order.remark
    await eventually(lambda: desk.placed(order.remark))
    await eventually(desk.healthy)


async def test_place__queued_behind_a_silent_one__is_never_sent(desk: Desk) -> None:
    await desk.control.fault("silence")
    lost, queued = ticket(), ticket()
    first = asyncio.create_task(desk.client.place(lost, SEND_SECONDS))
    await eventually(lambda: desk.control.fault_hits())
    _, took = await raises(SourceUnavailable, desk.client.place(queued, 0.1))
    assert took < CALL_SECONDS
    await raises(PlacementUnknown, first)
    await eventually(desk.healthy)
    await desk.client.place(ticket(), SEND_SECONDS)
    assert queued.remark not in [p.remark for p in await desk.control.placements()]


async def test_place__cancelled_while_queued__is_never_sent(desk: Desk) -> None:
    await desk.control.fault("silence")
    first = asyncio.create_task(desk.client.place(ticket(), SEND_SECONDS))
    await eventually(lambda: desk.control.fault_hits())
    dropped = ticket()
    second = asyncio.create_task(desk.client.place(dropped, 30.0))
    await asyncio.wait({second}, timeout=0.05)
    second.cancel()
    await raises(asyncio.CancelledError, second)
    await raises(PlacementUnknown, first)
    await eventually(desk.healthy)
    await desk.client.place(ticket(), SEND_SECONDS)
    assert dropped.remark not in [p.remark for p in await desk.control.placements()]


async def test_place__blocked__delays_neither_reads_nor_cancels(desk: Desk) -> None:
    working = await desk.client.place(resting(), SEND_SECONDS)
    await desk.control.fault("silence")
    blocked = asyncio.create_task(desk.client.place(ticket(), SEND_SECONDS))
    await eventually(lambda: desk.control.fault_hits())
    began = time.monotonic()
    assert len(await desk.client.orders()) == 1
    await desk.client.cancel(working.order_id)
    await desk.client.quote("AAPL")
    assert time.monotonic() - began < CALL_SECONDS
    await raises(PlacementUnknown, blocked)


async def test_place__window_full__is_no_answer_and_places_nothing(log_home: Path) -> None:
    async with open_desk(log_home, limits=True, ack_seconds=0.0) as desk:
        error, order = None, resting()
        for _ in range(40):
            order = resting()
            try:
                await desk.client.place(order, SEND_SECONDS)
            except RateLimited as full:
                error = full
                break
        assert error is not None
        assert error.retry_after_seconds > 0
        assert await desk.placed(order.remark) == []


async def test_place__never_answered_while_down__is_never_sent_later(desk: Desk) -> None:
    await desk.control.outage()
    await eventually(desk.down)
    orders = [ticket() for _ in range(5)]
    for order in orders:
        _, took = await raises(SourceUnavailable, desk.client.place(order, SEND_SECONDS))
        assert took < 0.1
    await desk.control.outage(on=False)
    await eventually(desk.healthy)
    await desk.client.place(ticket(), SEND_SECONDS)
    sent = {placement.remark for placement in await desk.control.placements()}
    assert sent.isdisjoint(order.remark for order in orders)
