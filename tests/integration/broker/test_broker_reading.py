"""Reads and cancels of the broker client against the simulator."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from clients.futu_maps import STATUSES
from clients.futu_vendor import load
from models.broker import BrokerStatus, MarketState, Position
from models.errors import NotFound, RateLimited, SourceUnavailable, UnknownOutcome
from models.requests import Side
from tests.integration.broker.desk import (
    Desk,
    client_of,
    open_desk,
    raises,
    real_settings,
    resting,
    ticket,
)
from tests.waiting import eventually

SEND_SECONDS = 2.0


async def test_quote__open_market__has_prices_and_tick(desk: Desk) -> None:
    quote = await desk.client.quote("AAPL")
    venue = await desk.control.quote("AAPL")
    assert (quote.bid, quote.ask, quote.last) == (venue["bid"], venue["ask"], venue["last"])
    assert (quote.tick, quote.state) == (Decimal("0.01"), MarketState.OPEN)


async def test_quote__closed_and_halted__say_so(log_home: Path) -> None:
    async with open_desk(log_home, session="closed") as desk:
        assert (await desk.client.quote("AAPL")).state is MarketState.CLOSED
        await desk.control.set_halt("MSFT")
        assert (await desk.client.quote("MSFT")).state is MarketState.HALTED


async def test_quote__wanted_by_many_at_once__is_asked_once(desk: Desk) -> None:
    quotes = await asyncio.gather(*(desk.client.quote("AAPL") for _ in range(20)))
    assert len(set(quotes)) == 1
    assert (await desk.control.count("GetSecuritySnapshot")).received == 1


async def test_quote__unknown_symbol__is_an_error_not_a_price(desk: Desk) -> None:
    await raises(SourceUnavailable, desk.client.quote("NOSUCH"))


async def test_funds__working_buys__are_told_beside_the_cash(desk: Desk) -> None:
    before = await desk.client.funds()
    await desk.client.place(resting(quantity=10), SEND_SECONDS)
    after = await desk.client.funds()
    assert before.working_buys == 0
    assert after.working_buys == Decimal(1500)
    assert after.cash == before.cash == Decimal(1_000_000)


async def test_funds__filled_buy__has_left_the_cash(desk: Desk) -> None:
    order = ticket(quantity=4)
    await desk.client.place(order, SEND_SECONDS)
    await eventually(lambda: any(push.status is BrokerStatus.FILLED for push in desk.pushes))
    [venue] = await desk.placed(order.remark)
    funds = await desk.client.funds()
    assert funds.cash == Decimal(1_000_000) - venue.value
    assert funds.working_buys == 0


async def test_funds__half_of_a_buy_filled__the_other_half_still_works(desk: Desk) -> None:
    await desk.control.fault("partial_fill", quantity=3)
    order = ticket(quantity=4, price="200")
    await desk.client.place(order, SEND_SECONDS)
    await eventually(lambda: any(push.filled == 3 for push in desk.pushes))
    assert (await desk.client.funds()).working_buys == Decimal(200)


async def test_positions__long_and_short__are_signed_whole_shares(desk: Desk) -> None:
    await desk.control.set_position("AAPL", 12)
    await desk.control.set_position("MSFT", -3)
    await desk.client.place(ticket(5, "250", Side.SELL), SEND_SECONDS)
    found = {position.symbol: position for position in await desk.client.positions()}
    assert found["AAPL"] == Position(symbol="AAPL", quantity=12, sellable=7)
    assert found["MSFT"] == Position(symbol="MSFT", quantity=-3, sellable=0)


async def test_snapshot__after_the_day_rolled__still_holds_yesterdays_orders(desk: Desk) -> None:
    order, working = ticket(), resting()
    await desk.client.place(order, SEND_SECONDS)
    await desk.client.place(working, SEND_SECONDS)
    await eventually(lambda: any(push.status is BrokerStatus.FILLED for push in desk.pushes))
    await desk.control.day_roll()
    assert await desk.client.orders(refresh=True) == ()

    snapshot = await desk.client.snapshot()
    found = {each.remark: each.status for each in snapshot.orders}
    assert found[order.remark] is BrokerStatus.FILLED
    assert found[working.remark] in (BrokerStatus.CANCELLED, BrokerStatus.REJECTED)
    assert snapshot.complete
    assert snapshot.begun_at <= snapshot.ended_at
    assert (snapshot.connection, snapshot.connected_at) == (
        desk.client.connection,
        desk.client.connected_at,
    )


async def test_snapshot__cache_is_empty_after_a_reconnect__asks_the_servers(desk: Desk) -> None:
    order = resting()
    await desk.client.place(order, SEND_SECONDS)
    await desk.control.fault("list_empty_after_reconnect", n=1)
    await desk.client.renew(desk.client.connected_at)
    assert await desk.client.orders(refresh=False) == ()
    snapshot = await desk.client.snapshot()
    assert [each.remark for each in snapshot.orders] == [order.remark]


async def test_snapshot__fill_taken_back__is_no_fill_though_the_row_keeps_it(desk: Desk) -> None:
    order = ticket()
    await desk.client.place(order, SEND_SECONDS)
    await eventually(lambda: any(push.status is BrokerStatus.FILLED for push in desk.pushes))
    await desk.control.fault("fill_cancelled", remark=order.remark, keep_dealt=True)
    await eventually(lambda: desk.pushes[-1].status is BrokerStatus.FILL_CANCELLED)
    (read,) = (await desk.client.snapshot()).orders
    for told in (desk.pushes[-1], read):
        assert (told.status, told.filled) == (BrokerStatus.FILL_CANCELLED, 0)
        assert told.average_price == 0


async def test_snapshot__history_refused__is_not_complete(desk: Desk) -> None:
    await desk.client.place(resting(), SEND_SECONDS)
    await desk.control.fault("reject", protocol="GetHistoryOrderList", message="not today")
    snapshot = await desk.client.snapshot()
    assert len(snapshot.orders) == 1
    assert not snapshot.complete


async def test_snapshot__list_refused__is_an_error_not_an_empty_book(desk: Desk) -> None:
    await desk.control.fault("reject", protocol="GetOrderList", message="not today")
    await raises(SourceUnavailable, desk.client.snapshot())


async def test_snapshot__eleventh_within_the_window__is_rate_limited(log_home: Path) -> None:
    async with open_desk(log_home, limits=True) as desk:
        for _ in range(10):
            assert (await desk.client.snapshot()).complete
        await raises(RateLimited, desk.client.snapshot())
        assert await desk.client.orders(refresh=False) == ()


async def test_orders__never_answered__is_an_error_and_a_new_connection(desk: Desk) -> None:
    before = desk.client.connection
    await desk.control.fault("silence", protocol="GetOrderList")
    await raises(SourceUnavailable, desk.client.orders())
    await eventually(lambda: desk.client.connection > before)
    assert await desk.client.orders() == ()


async def test_pushes__of_another_account__are_not_heard(
    desk: Desk, log_home: Path, tmp_path: Path
) -> None:
    """OpenD subscribes every visible account, real ones too."""
    real = real_settings(desk.server.port, tmp_path)
    ours, theirs = ticket(), ticket()
    async with client_of(real, log_home) as other:
        heard: list[str] = []
        other.on_order(lambda order: heard.append(order.remark))
        await other.place(theirs, SEND_SECONDS)
        await eventually(lambda: len(heard) >= 2)
    await desk.client.place(ours, SEND_SECONDS)
    await eventually(lambda: len(desk.pushes) >= 2)
    assert {push.remark for push in desk.pushes} == {ours.remark}


async def test_on_order__ended__is_not_called_any_more(desk: Desk) -> None:
    heard: list[str] = []
    stop = desk.client.on_order(lambda order: heard.append(order.remark))
    stop()
    await desk.client.place(ticket(), SEND_SECONDS)
    await eventually(lambda: len(desk.pushes) >= 2)
    assert heard == []


async def test_cancel__working_order__is_cancelled(desk: Desk) -> None:
    order = await desk.client.place(resting(), SEND_SECONDS)
    await desk.client.cancel(order.order_id)
    await eventually(lambda: any(p.status is BrokerStatus.CANCELLED for p in desk.pushes))


async def test_cancel__order_that_has_ended__is_no_error(desk: Desk) -> None:
    order = await desk.client.place(ticket(), SEND_SECONDS)
    await eventually(lambda: any(push.dead for push in desk.pushes))
    await desk.client.cancel(order.order_id)


async def test_cancel__no_such_order__is_not_found(desk: Desk) -> None:
    await raises(NotFound, desk.client.cancel("404"))


async def test_cancel__refused_while_the_order_lives__is_to_be_asked_again(desk: Desk) -> None:
    order = await desk.client.place(resting(), SEND_SECONDS)
    await desk.control.fault("reject", protocol="ModifyOrder", message="busy, already final")
    await raises(SourceUnavailable, desk.client.cancel(order.order_id))
    await desk.client.cancel(order.order_id)


@pytest.mark.parametrize("fault", ["answer_lost", "silence", "lost_before"])
async def test_cancel__no_answer__is_unknown(desk: Desk, fault: str) -> None:
    order = await desk.client.place(resting(), SEND_SECONDS)
    await desk.control.fault(fault, protocol="ModifyOrder")
    await raises(UnknownOutcome, desk.client.cancel(order.order_id))
    await eventually(desk.healthy)
    await desk.client.cancel(order.order_id)
    await eventually(lambda: cancelled(desk, order.remark))


async def cancelled(desk: Desk, remark: str) -> bool:
    return [venue.status for venue in await desk.placed(remark)] == ["CANCELLED_ALL"]


def test_statuses__every_one_the_vendor_has__is_known_here(log_home: Path) -> None:
    """A word that we do not know is UNKNOWN, which holds its order until somebody looks."""
    futu = load(log_home, None).futu
    words = {v for k, v in vars(futu.OrderStatus).items() if k.isupper() and isinstance(v, str)}
    assert len(words) > 10
    assert words == set(STATUSES)
