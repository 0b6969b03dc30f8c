"""Every named fault: what the unmodified client is told, and what happened at the venue."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from simulators.opend.errors import ControlError
from tests.integration.opend.raw import raw_client
from tests.integration.opend.rig import (
    DISCONNECT,
    ERROR,
    OK,
    TIMEOUT,
    Rig,
    running_rig,
)
from tests.waiting import eventually

VENDOR_QUERY_SECONDS = 12


@pytest.fixture(autouse=True)
async def books_agree(rig: Rig) -> AsyncIterator[None]:
    """Whatever struck, money, shares and fills still tell one story."""
    yield
    while True:  # what fills between two of these reads is in one of them only
        orders = await rig.control.orders()
        fills, account = await rig.control.fills(), await rig.control.account()
        if orders == await rig.control.orders():
            break
    signed = [(fill.quantity if fill.side == "BUY" else -fill.quantity, fill) for fill in fills]
    spent = sum((shares * fill.price for shares, fill in signed), Decimal(0))
    assert account.cash == 1_000_000 - spent
    assert account.positions.get("AAPL", 0) == sum(shares for shares, _ in signed)
    for order in orders:
        assert order.filled == sum(f.quantity for f in fills if f.order_id == order.id)


async def test_reject__next_placement__message_and_no_order(rig: Rig) -> None:
    await rig.control.fault("reject", message="No borrow available")
    assert await rig.place() == (ERROR, "No borrow available")
    assert await rig.control.orders() == []
    assert (await rig.place())[0] == OK
    assert await rig.control.fault_hits() == {"reject": 1}


async def test_answer_lost__link_alive__timeout_though_executed(rig: Rig) -> None:
    await rig.control.fault("answer_lost")
    assert await rig.place(remark="b1:lost:1") == (ERROR, TIMEOUT)
    (order,) = await rig.control.orders()
    assert (order.remark, await rig.listed()) == ("b1:lost:1", [order.id])
    (placement,) = await rig.control.placements()
    assert (placement.outcome, placement.order_id) == ("accepted", order.id)


async def test_answer_lost__vendor_timeout__twelve_seconds(rig: Rig) -> None:
    rig.context._query_timeout = VENDOR_QUERY_SECONDS
    await rig.control.fault("answer_lost")
    began = time.monotonic()
    assert await rig.place() == (ERROR, TIMEOUT)
    assert VENDOR_QUERY_SECONDS <= time.monotonic() - began < VENDOR_QUERY_SECONDS + 2


async def test_answer_lost_disconnect__executed__client_told_disconnect(rig: Rig) -> None:
    await rig.control.fault("answer_lost_disconnect")
    assert await rig.place() == (ERROR, DISCONNECT)
    (order,) = await rig.control.orders()
    await rig.renew()
    assert await rig.listed() == [order.id]


async def test_lost_before__same_words__but_nothing_executed(rig: Rig) -> None:
    await rig.control.fault("lost_before")
    assert await rig.place() == (ERROR, DISCONNECT)
    assert await rig.control.orders() == []
    assert [p.outcome for p in await rig.control.placements()] == ["lost_before"]
    count = await rig.control.count("PlaceOrder")
    assert (count.received, count.executed) == (1, 0)


async def test_silence__same_words_as_answer_lost__but_nothing_executed(rig: Rig) -> None:
    await rig.control.fault("silence")
    assert await rig.place() == (ERROR, TIMEOUT)
    assert await rig.control.orders() == []
    assert [p.outcome for p in await rig.control.placements()] == ["silence"]


async def test_silence__trailing_list__order_placed_but_only_its_id_known(rig: Rig) -> None:
    await rig.control.fault("silence", n=3, protocol="GetOrderList")
    code, answer = await rig.place()
    assert code == OK
    assert answer["order_id"][0] == (await rig.control.orders())[0].id
    assert answer["order_status"].isna().all()


async def test_busy_after_execution__refused_in_words__but_the_order_is_there(rig: Rig) -> None:
    await rig.control.fault("busy_after_execution")
    assert await rig.place(remark="b1:busy:1") == (ERROR, "系统繁忙")
    await rig.control.fault("busy_after_execution", message="Server busy")
    assert await rig.place(remark="b1:busy:2") == (ERROR, "Server busy")
    assert [p.outcome for p in await rig.control.placements()] == ["accepted", "accepted"]
    assert len(await rig.listed()) == 2
    assert (await rig.place())[0] == OK


async def test_answer_then_cut__last_words_arrive__before_the_link_dies(rig: Rig) -> None:
    await rig.control.fault("answer_then_cut", protocol="GetGlobalState")
    code, state = await rig.run(rig.context.get_global_state)
    assert (code, state["trd_logined"]) == (OK, True)
    await rig.until(lambda: rig.context.status != "READY")
    await rig.renew()
    assert (await rig.place())[0] == OK


async def test_logged_out__global_state_says_so__until_switched_off(rig: Rig) -> None:
    for on in (True, False):
        await rig.control.fault("logged_out", on=on)
        _, state = await rig.run(rig.context.get_global_state)
        assert (state["trd_logined"], state["qot_logined"]) == (not on, not on)


async def test_delay__beyond_the_timeout__executed_at_once(rig: Rig) -> None:
    await rig.control.fault("delay", seconds=3)
    placing = asyncio.create_task(rig.place())
    await eventually(rig.control.orders)
    assert not placing.done()
    assert await placing == (ERROR, TIMEOUT)


async def test_delay__short__later_requests_are_not_held_up(rig: Rig) -> None:
    await rig.control.fault("delay", seconds=0.6)
    placing = asyncio.create_task(rig.place())
    await eventually(rig.control.orders)
    assert len(await rig.listed()) == 1
    assert not placing.done()
    assert (await placing)[0] == OK


async def test_late_execution__look_up_after_the_timeout__finds_nothing_yet(rig: Rig) -> None:
    await rig.control.fault("late_execution", seconds=4)
    assert await rig.place() == (ERROR, TIMEOUT)
    assert await rig.listed() == []
    await eventually(rig.listed, timeout=20, interval=0.2)


async def test_frozen__client__times_out_before_it_sends_the_order(rig: Rig) -> None:
    await rig.control.fault("frozen")
    assert await rig.place() == (ERROR, TIMEOUT)
    await rig.control.fault("frozen", on=False)
    assert (await rig.place())[0] == OK
    assert (await rig.control.count("PlaceOrder")).received == 1


@pytest.mark.parametrize("sender_leaves", [False, True])
async def test_frozen__order_had_been_sent__executed_on_thaw(rig: Rig, sender_leaves: bool) -> None:
    async with raw_client(rig.server.port) as client:
        await rig.control.fault("frozen")
        await client.send("PlaceOrder", client.order(serial=1, remark="b1:ice:1"))
        if sender_leaves:
            client.leave()
        assert await rig.listed_by_broker() == []
        await rig.control.fault("frozen", on=False)
        await eventually(lambda: rig.has_remark("b1:ice:1"))


async def test_place__same_packet_id_twice__second_refused(rig: Rig) -> None:
    async with raw_client(rig.server.port) as client:
        first = await client.ask("PlaceOrder", client.order(serial=7))
        second = await client.ask("PlaceOrder", client.order(serial=7))
        assert (first.retType, second.retType) == (0, -1)
        assert "replayed" in second.retMsg
        assert len(await rig.control.orders()) == 1


async def test_place__conn_id_of_another_link__refused(rig: Rig) -> None:
    async with raw_client(rig.server.port) as first, raw_client(rig.server.port) as second:
        answer = await second.ask("PlaceOrder", first.order(serial=1))
        assert (answer.retType, "another connection" in answer.retMsg) == (-1, True)
        assert await rig.control.orders() == []


async def test_request__before_init_connect__refused(rig: Rig) -> None:
    async with raw_client(rig.server.port, init=False) as client:
        answer = await client.ask("GetAccList", client.request("GetAccList", userID=0))
        assert (answer.retType, "InitConnect" in answer.retMsg) == (-1, True)


async def test_protocol__not_simulated__says_so(rig: Rig) -> None:
    code, sentence = await rig.run(rig.context.get_acc_cash_flow, "2026-01-02")
    assert (code, "2226 is not simulated" in sentence) == (ERROR, True)


async def test_bytes__that_are_no_packet__only_that_link_dies(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    assert (await rig.place())[0] == OK


async def test_frozen__pushes__arrive_after_thaw(rig: Rig) -> None:
    order_id = await rig.placed(price=180)
    await rig.until(lambda: rig.pushed(order_id) == ["SUBMITTED"])
    await rig.control.fault("frozen")
    await rig.control.set_price("AAPL", Decimal(179))
    await eventually(lambda: rig.is_at(order_id, "FILLED_ALL"))
    assert rig.pushed(order_id) == ["SUBMITTED"]
    await rig.control.fault("frozen", on=False)
    await rig.until(lambda: rig.pushed(order_id) == ["SUBMITTED", "FILLED_ALL"])


async def test_dropped__call_in_flight__disconnect_then_back(rig: Rig) -> None:
    await rig.control.fault("silence")
    placing = asyncio.create_task(rig.place())
    await eventually(rig.control.placements)
    assert (await rig.control.fault("dropped"))["dropped"] == 1
    assert await placing == (ERROR, DISCONNECT)
    await rig.renew()
    assert (await rig.place())[0] == OK


async def test_outage__calls_fail_fast__and_work_again_after(rig: Rig) -> None:
    await rig.control.outage()
    code, sentence = await rig.place()
    assert code == ERROR
    assert sentence in ("Connect timeout", DISCONNECT)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", rig.server.port)
    assert await rig.control.orders() == []
    await rig.control.outage(on=False)
    await rig.reconnected()
    assert (await rig.place())[0] == OK


async def test_list_empty_after_reconnect__cache_lies__refresh_does_not(rig: Rig) -> None:
    order_id = await rig.placed()
    await rig.control.fault("list_empty_after_reconnect", n=2)
    assert await rig.listed(refresh_cache=False) == [order_id]
    await rig.control.fault("dropped")
    await rig.renew()
    assert await rig.listed(refresh_cache=False) == []
    assert await rig.listed(refresh_cache=True) == [order_id]
    assert await rig.listed(refresh_cache=False) == []
    assert await rig.listed(refresh_cache=False) == [order_id]


async def test_list_empty_after_reconnect__also_refresh__even_the_venue_lies(rig: Rig) -> None:
    order_id = await rig.placed()
    await rig.control.fault("list_empty_after_reconnect", also_refresh=True)
    await rig.control.fault("dropped")
    await rig.renew()
    assert await rig.listed(refresh_cache=True) == []
    assert await rig.listed(refresh_cache=True) == [order_id]


async def test_stale_list__new_order__missing_unless_refreshed(rig: Rig) -> None:
    first = await rig.placed()
    await rig.control.fault("stale_list")
    second = await rig.placed()
    assert await rig.listed(refresh_cache=False) == [first]
    assert await rig.listed() == [first, second]
    await rig.control.clear("stale_list")
    assert await rig.listed(refresh_cache=False) == [first, second]


async def test_no_push__order_fills__only_the_list_tells(rig: Rig) -> None:
    await rig.control.fault("no_push")
    order_id = await rig.placed()
    await eventually(lambda: rig.is_at(order_id, "FILLED_ALL"))
    assert await rig.listed(status_filter_list=["FILLED_ALL"]) == [order_id]
    assert rig.pushes == []


async def test_hold_fills__released__order_fills(rig: Rig) -> None:
    await rig.control.fault("hold_fills")
    order_id = await rig.placed()
    await rig.until(lambda: rig.pushed(order_id) == ["SUBMITTED"])
    await rig.control.fault("release_fills")
    await eventually(lambda: rig.is_at(order_id, "FILLED_ALL"))


async def test_partial_fill__rest_waits_for_release(rig: Rig) -> None:
    await rig.control.fault("partial_fill", quantity=4)
    order_id = await rig.placed(quantity=10)
    await rig.until(lambda: rig.pushed(order_id) == ["SUBMITTED", "FILLED_PART"])
    assert rig.pushes[-1]["dealt_qty"] == 4.0
    await rig.control.fault("release_fills")
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"])


async def test_reject_after_accept__ok_first__then_failed_with_the_reason(rig: Rig) -> None:
    await rig.control.fault("reject_after_accept", message="Halted by the exchange")
    order_id = await rig.placed()
    await rig.until(lambda: rig.pushed(order_id) == ["FAILED"])
    assert rig.pushes[-1]["last_err_msg"] == "Halted by the exchange"


async def cancelled(rig: Rig) -> str:
    order_id = await rig.placed(quantity=10, price=180, remark="b1:r:1")
    assert (await rig.modify(order_id, "CANCEL"))[0] == OK
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["CANCELLED_ALL"])
    return order_id


async def test_late_fill__after_cancelled__pushed_and_booked(rig: Rig) -> None:
    order_id = await cancelled(rig)
    await rig.control.fault("late_fill", order_id=order_id, quantity=3)
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["CANCELLED_PART"])
    assert rig.pushes[-1]["dealt_qty"] == 3.0
    await rig.control.fault("late_fill", remark="b1:r:1")
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"])
    assert (await rig.control.account()).positions == {"AAPL": 10}


async def test_over_fill__dealt_exceeds_asked(rig: Rig) -> None:
    order_id = await rig.placed(quantity=10, price=180)
    await rig.control.fault("over_fill", order_id=order_id, quantity=5)
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"])
    assert (rig.pushes[-1]["dealt_qty"], rig.pushes[-1]["qty"]) == (15.0, 10.0)


async def test_fill_cancelled__shares_and_money_return(rig: Rig) -> None:
    order_id = await rig.placed()
    await eventually(lambda: rig.is_at(order_id, "FILLED_ALL"))
    await rig.control.fault("fill_cancelled", order_id=order_id)
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILL_CANCELLED"])
    assert (await rig.control.account()).cash == Decimal(1_000_000)


async def test_fill_cancelled__keep_dealt__row_and_push_go_on_showing_the_fill(rig: Rig) -> None:
    order_id = await rig.placed()
    await eventually(lambda: rig.is_at(order_id, "FILLED_ALL"))
    dealt = (await rig.rows("order_list_query"))[0]["dealt_avg_price"]
    await rig.control.fault("fill_cancelled", order_id=order_id, keep_dealt=True)
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILL_CANCELLED"])
    (listed,) = await rig.rows("order_list_query")
    for row in (listed, rig.pushes[-1]):
        assert (row["dealt_qty"], row["dealt_avg_price"]) == (10.0, dealt)
    assert (await rig.control.account()).cash == Decimal(1_000_000)


async def test_subscription__second_set_of_accounts__replaces_the_first(rig: Rig) -> None:
    async with raw_client(rig.server.port) as client:
        for accounts in ([1002], [1001]):
            answer = await client.ask(
                "SubAccPush", client.request("SubAccPush", accIDList=accounts)
            )
            assert answer.retType == 0
        found = (await rig.control.call("connections"))["connections"]
        assert [1001] in [link["accounts"] for link in found]


@pytest.mark.parametrize(
    ("verb", "params", "sentence"),
    [
        ("nonsense", {}, "unknown verb"),
        ("fault", {"name": "nonsense"}, "no fault is named"),
        ("fault", {"name": "late_fill", "order_id": "5"}, "no order with"),
        ("fault", {"name": "frozen", "colour": 1}, "colour"),
        ("fault", {"name": "force_status", "order_id": "5", "status": "ODD"}, "no order with"),
        ("set_price", {"code": "AAPL", "price": "abc"}, "Invalid"),
        ("set_price", {"code": "NOPE", "price": "1"}, "Unknown stock"),
        ("set_market", {"state": "ajar"}, "ajar"),
        ("orders", {"nope": 1}, "nope"),
    ],
)
async def test_control__wrong_command__says_what_is_wrong(
    rig: Rig, verb: str, params: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ControlError, match=sentence):
        await rig.control.call(verb, **params)


async def test_clear__everything_on__all_off(rig: Rig) -> None:
    for name in ("no_push", "hold_fills", "stale_list", "logged_out", "frozen", "refuse"):
        await rig.control.fault(name)
    await rig.control.fault("reject", n=5)
    await rig.control.clear()
    found = await rig.control.call("faults")
    assert (found["armed"], found["on"]) == ([], [])
    order_id = await rig.placed()
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"])


async def spaced(rig: Rig) -> tuple[int, Any]:
    await asyncio.sleep(0.01)  # OpenD wants a gap between placements, here 0.02 s x 0.2
    return await rig.place(price=180)


async def test_limits__sixteenth_placement__refused_and_counted() -> None:
    async with running_rig(limits=True, limits_scale=0.2) as rig:
        answers = [await spaced(rig) for _ in range(16)]
        assert [code for code, _ in answers] == [OK] * 15 + [ERROR]
        assert "15 requests per 30 seconds" in answers[-1][1]
        assert len(await rig.control.orders()) == 15

        async def refreshed() -> bool:
            return (await rig.ask("order_list_query", refresh_cache=True))[0] == OK

        assert [await refreshed() for _ in range(11)] == [True] * 10 + [False]
        assert (await rig.ask("order_list_query"))[0] == OK
        await eventually(refreshed, timeout=20, interval=0.3)


async def test_push_twice__the_same_is_heard_again(rig: Rig) -> None:
    await rig.control.fault("push_twice", n=2)
    order_id = await rig.placed()
    await rig.until(lambda: rig.pushed(order_id) == ["SUBMITTED"] * 2 + ["FILLED_ALL"] * 2)


async def test_push_swapped__older_state_after_the_newer(rig: Rig) -> None:
    await rig.control.fault("push_swapped")
    order_id = await rig.placed()
    await rig.until(lambda: rig.pushed(order_id) == ["FILLED_ALL", "SUBMITTED"])
    assert [p["dealt_qty"] for p in rig.pushes] == [10.0, 0.0]


async def test_push_late__tells_what_was_when_it_was_made(rig: Rig) -> None:
    await rig.control.fault("push_late", seconds=0.4)
    order_id = await rig.placed()
    await rig.until(lambda: rig.pushed(order_id) == ["FILLED_ALL", "SUBMITTED"])


@pytest.mark.parametrize("status", ["SUBMIT_FAILED", "FAILED", "DISABLED", "DELETED"])
async def test_force_status__working_order__ends_and_cannot_be_changed(
    rig: Rig, status: str
) -> None:
    order_id = await rig.placed(price=180)
    await rig.until(lambda: rig.pushed(order_id) == ["SUBMITTED"])
    await rig.control.fault("force_status", order_id=order_id, status=status)
    await rig.until(lambda: rig.pushed(order_id)[-1:] == [status])
    assert (await rig.modify(order_id, "CANCEL"))[0] == ERROR
    with pytest.raises(ControlError, match="ended"):
        await rig.control.fault("force_status", order_id=order_id, status="SUBMITTED")


async def test_force_status__timeout__fills_nothing_until_it_works_again(rig: Rig) -> None:
    order_id = await rig.placed(price=180)
    await rig.until(lambda: rig.pushed(order_id) == ["SUBMITTED"])
    await rig.control.fault("force_status", order_id=order_id, status="TIMEOUT")
    await rig.control.set_price("AAPL", Decimal(170))
    assert (await rig.order(order_id)).status == "TIMEOUT"
    await rig.control.fault("force_status", order_id=order_id, status="SUBMITTED")
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"])


async def test_cancel_lost__accepted__and_goes_on_working(rig: Rig) -> None:
    order_id = await rig.placed(price=180)
    await rig.control.fault("cancel_lost")
    assert (await rig.modify(order_id, "CANCEL"))[0] == OK
    assert (await rig.modify(order_id, "CANCEL"))[0] == OK
    await rig.until(lambda: rig.pushed(order_id)[-1:] == ["CANCELLED_ALL"])
    assert await rig.control.fault_hits() == {"cancel_lost": 1}


@pytest.mark.parametrize(("quantity", "end"), [(None, "FILLED_ALL"), (4, "CANCELLED_PART")])
async def test_fill_overtakes_cancel__accepted__yet_it_fills(
    rig: Rig, quantity: int | None, end: str
) -> None:
    order_id = await rig.placed(price=180)
    await rig.control.fault("fill_overtakes_cancel", quantity=quantity)
    assert (await rig.modify(order_id, "CANCEL"))[0] == OK
    await rig.until(lambda: rig.pushed(order_id)[-1:] == [end])
    assert (await rig.order(order_id)).filled == (quantity or 10)


async def test_answer_garbled__executed__client_cannot_read_it(rig: Rig) -> None:
    await rig.control.fault("answer_garbled")
    code, sentence = await rig.place()
    assert (code, "check sha error" in sentence) == (ERROR, True)
    assert len(await rig.control.orders()) == 1


async def test_ret_type__time_out__is_told_as_the_vendor_does(rig: Rig) -> None:
    await rig.control.fault("busy_after_execution", ret_type=-100, message="timeout")
    assert (await rig.place())[0] == ERROR
    assert len(await rig.control.orders()) == 1
