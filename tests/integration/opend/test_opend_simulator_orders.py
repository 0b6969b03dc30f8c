"""The unmodified client on a healthy simulator."""

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from simulators.opend.session import moment
from tests.integration.opend.rig import (
    ACCOUNT,
    ERROR,
    OK,
    REAL_ACCOUNT,
    Rig,
    connect,
    futu,
    running_rig,
)
from tests.waiting import eventually


async def test_accounts__us_filter__paper_and_real_with_whole_ids(rig: Rig) -> None:
    code, rows = await rig.run(rig.context.get_acc_list)
    assert code == OK
    assert rows["acc_id"].tolist() == [ACCOUNT, REAL_ACCOUNT]
    assert rows["trd_env"].tolist() == ["SIMULATE", "REAL"]
    assert rows["sim_acc_type"].tolist()[0] == "STOCK_AND_OPTION"


async def test_place__marketable_limit__filled_pushed_listed_and_paid(rig: Rig) -> None:
    code, placed = await rig.place(quantity=10, price=191, remark="b1:abc:1")
    assert code == OK
    order_id = placed["order_id"][0]
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"])
    assert rig.pushed(order_id) == ["SUBMITTED", "FILLED_ALL"]
    assert rig.pushes[-1]["remark"] == "b1:abc:1"
    (row,) = await rig.rows("order_list_query", refresh_cache=True)
    assert (row["order_id"], row["remark"], row["order_status"]) == (
        order_id,
        "b1:abc:1",
        "FILLED_ALL",
    )
    assert (row["dealt_qty"], row["dealt_avg_price"], row["price"]) == (10.0, 190.01, 191.0)
    (funds,) = await rig.rows("accinfo_query", currency="USD", refresh_cache=True)
    assert Decimal(str(funds["cash"])) == Decimal(1_000_000) - 10 * Decimal("190.01")
    (held,) = await rig.rows("position_list_query", refresh_cache=True)
    assert (held["code"], held["qty"], held["cost_price"]) == ("US.AAPL", 10.0, 190.01)
    truth = await rig.control.account()
    assert truth.positions == {"AAPL": 10}
    assert truth.cash == Decimal("998099.90")


async def test_place__working_buy__its_cash_is_on_hold(rig: Rig) -> None:
    await rig.placed(quantity=10, price=180)
    (funds,) = await rig.rows("accinfo_query", currency="USD", refresh_cache=True)
    assert (funds["frozen_cash"], funds["cash"]) == (1800.0, 1_000_000.0)
    assert funds["power"] == 2_000_000.0 - 1800.0


async def test_modify__working_order__fills_at_the_new_limit(rig: Rig) -> None:
    order_id = await rig.placed(price=180)
    code, _ = await rig.modify(order_id, "NORMAL", 12, 195)
    assert code == OK
    await eventually(lambda: rig.is_at(order_id, "FILLED_ALL"))
    assert (await rig.order(order_id)).filled == 12


async def test_cancel__working_order__accepted_then_cancelled_by_push(rig: Rig) -> None:
    order_id = await rig.placed(price=180)
    code, _ = await rig.modify(order_id, "CANCEL")
    assert code == OK
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["CANCELLED_ALL"])
    code, sentence = await rig.modify(order_id, "CANCEL")
    assert (code, "CANCELLED_ALL" in sentence) == (ERROR, True)


async def test_cancel__unknown_order__named(rig: Rig) -> None:
    code, sentence = await rig.modify("424242", "CANCEL")
    assert (code, "424242" in sentence) == (ERROR, True)


async def test_cancel_all__several_working__all_end_and_filled_ones_stay(rig: Rig) -> None:
    filled = await rig.placed(price=195)
    await eventually(lambda: rig.is_at(filled, "FILLED_ALL"))
    working = [await rig.placed(price=180) for _ in range(3)]
    code, _ = await rig.ask("cancel_all_order")
    assert code == OK
    for order_id in working:
        await eventually(partial(rig.is_at, order_id, "CANCELLED_ALL"))
    assert (await rig.order(filled)).status == "FILLED_ALL"


async def test_order_list__filters__by_id_status_and_code(rig: Rig) -> None:
    first, second = await rig.placed(price=180), await rig.placed(price=181)
    await eventually(lambda: rig.is_at(second, "SUBMITTED"))
    await rig.modify(first, "CANCEL")
    await eventually(lambda: rig.is_at(first, "CANCELLED_ALL"))
    assert await rig.listed(order_id=first) == [first]
    assert await rig.listed(status_filter_list=["SUBMITTED"]) == [second]
    assert await rig.listed(code="US.MSFT") == []


async def test_history__after_the_day__has_what_the_list_lost(rig: Rig) -> None:
    order_id = await rig.placed(price=180)
    await eventually(lambda: rig.is_at(order_id, "SUBMITTED"))
    assert await rig.control.day_roll() == 1
    assert await rig.listed() == []
    (row,) = await rig.rows("history_order_list_query")
    assert (row["order_id"], row["order_status"]) == (order_id, "CANCELLED_ALL")
    assert "expired" in row["last_err_msg"]


async def test_history__range_before_the_order__empty(rig: Rig) -> None:
    await rig.placed()
    assert await rig.rows("history_order_list_query", start="2020-01-01", end="2020-01-31") == []


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"quantity": 1.5}, "whole number"),
        ({"price": 190.001}, "tick"),
        ({"price": float("nan")}, "out of range"),
        ({"order_type": "STOP"}, "limit and market"),
        ({"time_in_force": "GTC"}, "DAY only"),
        ({"fill_outside_rth": True}, "regular trading hours"),
        ({"quantity": 100_000}, "buying power"),
        ({"side": "SELL_SHORT"}, "BUY or SELL"),
        ({"trd_env": "REAL", "acc_id": REAL_ACCOUNT}, "Unlock trade"),
    ],
)
async def test_place__against_the_rules__refused_and_no_order(
    rig: Rig, asked: dict[str, Any], sentence: str
) -> None:
    code, answer = await rig.place(**asked)
    assert (code, sentence in answer) == (ERROR, True), answer
    assert await rig.control.orders() == []
    assert (await rig.control.count("PlaceOrder")).rejected == 1


async def test_paper_account__deals_and_fees__not_supported(rig: Rig) -> None:
    for method, args in (("deal_list_query", {}), ("order_fee_query", {"order_id_list": ["1"]})):
        code, sentence = await rig.ask(method, **args)
        assert (code, "does not support" in sentence) == (ERROR, True)


async def test_real_account__unlocked__trades_and_reports_deals(rig: Rig) -> None:
    code, _ = await rig.run(rig.context.unlock_trade, "wrong")
    assert code == ERROR
    code, _ = await rig.run(rig.context.unlock_trade, "123456")
    assert code == OK
    real = {"trd_env": "REAL", "acc_id": REAL_ACCOUNT}
    order_id = await rig.placed(**real)
    await eventually(lambda: rig.is_at(order_id, "FILLED_ALL"))
    (deal,) = await rig.rows("deal_list_query", **real)
    assert (deal["order_id"], deal["qty"]) == (order_id, 10.0)
    assert (await rig.control.account()).positions == {}


async def test_max_quantities__price_given__cash_margin_and_position(rig: Rig) -> None:
    await rig.control.set_position("AAPL", 7)
    (row,) = await rig.rows("acctradinginfo_query", order_type="NORMAL", code="US.AAPL", price=200)
    assert (row["max_cash_buy"], row["max_position_sell"]) == (5000.0, 7.0)


async def test_closed_market__order_queues_until_open(rig: Rig) -> None:
    await rig.control.set_market("closed")
    order_id = await rig.placed()
    assert (await rig.order(order_id)).status == "WAITING_SUBMIT"
    _, state = await rig.run(rig.context.get_global_state)
    assert state["market_us"] == "CLOSED"
    await rig.control.set_market("open")
    await eventually(lambda: rig.is_at(order_id, "FILLED_ALL"))


async def test_calendar__half_day__order_expires_at_one_and_the_next_waits_for_monday() -> None:
    async with running_rig(session="calendar", clock=moment("2026-11-27T12:00")) as rig:
        live = await rig.placed(price=180)
        await rig.until(lambda: rig.pushed(live)[-1:] == ["SUBMITTED"])
        _, state = await rig.run(rig.context.get_global_state)
        assert state["market_us"] == "AFTERNOON"
        await rig.control.call("set_clock", to="2026-11-27T13:00")
        await rig.until(lambda: rig.pushed(live)[-1:] == ["CANCELLED_ALL"])
        _, state = await rig.run(rig.context.get_global_state)
        assert state["market_us"] == "AFTER_HOURS_BEGIN"
        queued = await rig.placed()
        assert (await rig.order(queued)).status == "WAITING_SUBMIT"
        await rig.control.call("set_clock", to="2026-11-30T09:30")
        await rig.until(lambda: rig.pushed(queued)[-1:] == ["FILLED_ALL"])
        (row,) = await rig.rows("order_list_query", refresh_cache=True)
        assert (row["order_id"], row["create_time"][:10]) == (queued, "2026-11-27")


async def test_place__partial_fills__pushes_are_cumulative() -> None:
    async with running_rig(partial_rate=1.0, seed=3) as rig:
        order_id = await rig.placed(quantity=50)
        await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"])
        dealt = [p["dealt_qty"] for p in rig.pushes if p["order_id"] == order_id]
        assert dealt == sorted(dealt)
        assert dealt[-1] == 50.0
        fills = await rig.control.fills()
        assert len(fills) > 1
        assert sum(fill.quantity for fill in fills) == 50


async def test_quotes__snapshot_subscription_and_push(rig: Rig) -> None:
    package = futu()
    base: Any = package.StockQuoteHandlerBase
    quotes = await rig.run(connect, lambda: package.OpenQuoteContext("127.0.0.1", rig.server.port))
    pushed: list[float] = []

    class Recorder(base):  # type: ignore[misc]
        def on_recv_rsp(self, message: Any) -> tuple[int, Any]:
            code, rows = super().on_recv_rsp(message)
            pushed.extend(rows["last_price"].tolist())
            return code, rows

    try:
        quotes.set_handler(Recorder())
        code, rows = await rig.run(quotes.get_market_snapshot, ["US.AAPL", "US.SIRI"])
        assert code == OK
        assert rows["bid_price"].tolist() == [189.99, 0.8499]
        assert rows["ask_price"].tolist() == [190.01, 0.8501]
        assert (await rig.run(quotes.get_market_snapshot, ["US.NOPE"]))[0] == ERROR
        assert (await rig.run(quotes.get_stock_quote, ["US.AAPL"]))[0] == ERROR
        assert (await rig.run(quotes.subscribe, ["US.AAPL"], ["QUOTE"]))[0] == OK
        await rig.control.set_price("AAPL", Decimal("191.5"))
        await rig.until(lambda: pushed[-1:] == [191.5])
        code, rows = await rig.run(quotes.get_stock_quote, ["US.AAPL"])
        assert (code, rows["last_price"][0]) == (OK, 191.5)
        await rig.control.set_halt("AAPL")
        _, rows = await rig.run(quotes.get_market_snapshot, ["US.AAPL"])
        assert rows["suspension"][0]
    finally:
        await rig.run(quotes.close)


async def test_order_book__thin__shown_walked_and_pushed() -> None:
    async with running_rig(depth_shares=100, depth_levels=4) as rig:
        package = futu()
        base: Any = package.OrderBookHandlerBase
        pushed: list[dict[str, Any]] = []

        class Recorder(base):  # type: ignore[misc]
            def on_recv_rsp(self, message: Any) -> tuple[int, Any]:
                code, book = super().on_recv_rsp(message)
                pushed.append(book)
                return code, book

        make = partial(package.OpenQuoteContext, "127.0.0.1", rig.server.port)
        quotes = await rig.run(connect, make)
        try:
            quotes.set_handler(Recorder())
            assert (await rig.run(quotes.get_order_book, "US.AAPL"))[0] == ERROR
            assert (await rig.run(quotes.subscribe, ["US.AAPL"], ["ORDER_BOOK"]))[0] == OK
            code, book = await rig.run(quotes.get_order_book, "US.AAPL", 3)
            assert (code, book["code"]) == (OK, "US.AAPL")
            assert [row[0] for row in book["Ask"]] == [190.01, 190.02, 190.03]
            assert [row[0] for row in book["Bid"]] == [189.99, 189.98, 189.97]
            first, second = (int(row[1]) for row in book["Ask"][:2])
            order_id = await rig.placed(quantity=first + 1, price=190.02)
            await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"])
            # Pushed after each fill: the first leaves the second level as it was.
            left = (190.02, second - 1)
            await rig.until(lambda: bool(pushed) and tuple(pushed[-1]["Ask"][0][:2]) == left)
            fills = [(fill.quantity, fill.price) for fill in await rig.control.fills()]
            assert fills == [(first, Decimal("190.01")), (1, Decimal("190.02"))]
            paid = first * Decimal("190.01") + Decimal("190.02")
            assert (await rig.order(order_id)).value == paid
        finally:
            await rig.run(quotes.close)
