"""Hazard 9: a fill that no request may claim is the house's, and stops the symbol until seen to."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.service import RPCError

from activities.observations import HOUSE, HOUSE_STALE, ORDERS, POSITION
from api.house import HouseDesk
from models.errors import SourceUnavailable
from models.house import HouseInput, HouseOutcome, HouseVerb, house_round, house_workflow_id
from models.messages import ReconcileResult
from models.money import SHARE_SCALE
from models.order import OrderStatus, Reason, Stage
from models.records import Finding, HousePosition
from models.requests import QUEUE_MAIN, RECONCILE_SCHEDULE_ID, Side, parse_remark
from simulators.opend.control import VenueOrder
from tests.e2e.desk import SYMBOL, Desk
from tests.waiting import eventually


@pytest_asyncio.fixture
async def house_desk(embedded_desk: Desk) -> AsyncIterator[Desk]:
    """Reconcile runs when the test says so: its own run in between would make a first one second.

    Nothing of the house's is left, and the invariants hold, in the end.
    """
    desk = embedded_desk
    await desk.client.get_schedule_handle(RECONCILE_SCHEDULE_ID).pause()
    await desk.holding()
    yield desk
    await desk.calm()
    assert await desk.store.house.unresolved() == []
    await desk.prove()


async def test_fill__after_the_refund__is_the_houses_and_holds_the_symbol(
    house_desk: Desk,
) -> None:
    desk = house_desk
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit()
    await desk.at(made, Stage.PLACED)
    await desk.alice.request_cancel(made.n)
    row = await desk.end(made, OrderStatus.FAILED)
    assert row.reason is Reason.USER_CANCELLED
    await desk.workflow(made).result()

    await desk.control.fault("late_fill", order_id=row.futu_order_id)
    await _in_our_book(desk, row.futu_order_id, filled=2)
    position = await _booked(desk)
    assert (position.cause, position.quantity, position.symbol) == ("LATE_FILL", 2, SYMBOL)
    assert position.broker_order_id == row.futu_order_id
    await _held_until_flattened(desk, position)


async def test_placement__executed_after_its_absence_was_proven__is_the_houses(
    house_desk: Desk,
) -> None:
    """The one thing two reads of the book cannot exclude: OpenD kept it, and sends it later."""
    desk = house_desk
    await desk.control.fault("kept")
    made = await desk.deposit()
    row = await desk.end(made, OrderStatus.FAILED)
    assert row.reason is Reason.PROVEN_ABSENT
    assert await desk.orders_of(made) == []
    assert await desk.control.fault("send_kept") == {"sent": 1}

    async def executed() -> str:
        found = await desk.orders_of(made)
        return found[0].id if found and found[0].filled == 2 else ""

    order_id = await eventually(executed)
    await _in_our_book(desk, order_id, filled=2)
    position = await _booked(desk)
    assert (position.cause, position.quantity, position.symbol) == ("LATE_FILL", 2, SYMBOL)
    assert position.broker_order_id == order_id
    await desk.one_order_each([made])
    await _held_until_flattened(desk, position)


@pytest.mark.parametrize(("side", "excess"), [(Side.BUY, 1), (Side.SELL, -1)])
async def test_over_fill__more_than_was_asked__is_the_houses_and_holds_the_symbol(
    house_desk: Desk, side: Side, excess: int
) -> None:
    desk = house_desk
    await desk.control.fault("hold_fills", on=True)
    made = await (desk.deposit() if side is Side.BUY else desk.redeem(2))
    row = await desk.at(made, Stage.PLACED)
    await desk.control.fault("over_fill", order_id=row.futu_order_id)
    row = await desk.end(made, OrderStatus.EXECUTED)
    assert (
        row.filled_quantity == 2 * SHARE_SCALE
    )  # the user gets what was asked for, not a share more
    position = await _booked(desk)
    assert (position.cause, position.quantity, position.symbol) == ("OVER_FILL", excess, SYMBOL)
    assert position.broker_order_id == row.futu_order_id
    await _held_until_flattened(desk, position)


async def test_fill_cancelled__after_it_was_settled__is_the_houses_loss_and_holds_the_symbol(
    house_desk: Desk,
) -> None:
    desk = house_desk
    made = await desk.deposit()
    row = await desk.end(made, OrderStatus.EXECUTED)
    await desk.control.fault("fill_cancelled", order_id=row.futu_order_id)
    await _in_our_book(desk, row.futu_order_id, filled=0)
    position = await _booked(desk)
    assert (position.cause, position.quantity) == ("FILL_CANCELLED", -2)
    assert (
        await desk.at(made, Stage.SETTLED)
    ).filled_quantity == 2 * SHARE_SCALE  # theirs for good
    await _held_until_flattened(desk, position)


async def _over_filled(desk: Desk) -> HousePosition:
    """One share of the house's, which one person decides about."""
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit()
    row = await desk.at(made, Stage.PLACED)
    await desk.control.fault("over_fill", order_id=row.futu_order_id)
    await desk.end(made, OrderStatus.EXECUTED)
    position = await _booked(desk)
    await _reconcile(desk)
    await desk.control.clear()
    return position


async def test_flatten__answer_lost_and_its_run_killed__one_order(house_desk: Desk) -> None:
    desk = house_desk
    position = await _over_filled(desk)
    before = await _house_orders(desk)
    await desk.control.fault("hold_fills", on=True)
    await desk.control.fault("answer_lost")
    first = asyncio.create_task(_tell(desk, position, "ann"))

    async def at_the_broker() -> bool:
        return len(await _house_orders(desk)) > len(before)

    await eventually(at_the_broker)
    run = desk.client.get_workflow_handle(house_workflow_id(position.id or 0))
    await run.terminate("killed by the test")
    with pytest.raises(SourceUnavailable):
        await first
    second = asyncio.create_task(_tell(desk, position, "ben"))
    await _in_our_book_by_remark(desk, (await _house_orders(desk))[-1].remark)
    await desk.control.fault("release_fills")
    await desk.control.clear()
    assert (await second).done
    assert len(await _house_orders(desk)) == len(before) + 1
    assert await desk.store.house.unresolved() == []
    await eventually(lambda: _no_holds(desk))


async def test_flatten__paused_or_nothing_to_sell__waits_and_sends_nothing(
    house_desk: Desk,
) -> None:
    desk = house_desk
    position = await _over_filled(desk)
    before = await desk.placed()
    held = (await desk.control.account()).positions[SYMBOL]
    await desk.play.pause("the desk is at lunch")
    flattening = asyncio.create_task(_tell(desk, position, "ann"))
    await eventually(lambda: _waits_for(desk, position, "lunch"))
    # Never short: the shares that the users' orders need are not the house's to sell.
    await desk.control.set_position(SYMBOL, 0)
    await desk.play.resume()
    await eventually(lambda: _waits_for(desk, position, "shares: 1 wanted"))
    assert await desk.placed() == before
    await desk.control.set_position(SYMBOL, held)
    assert (await flattening).done
    assert await desk.placed() == before + 1
    await eventually(lambda: _no_holds(desk))


async def _waits_for(desk: Desk, position: HousePosition, words: str) -> bool:
    handle = desk.client.get_workflow_handle(house_workflow_id(position.id or 0))
    try:
        return words in await handle.query("waits")
    except RPCError:
        return False


async def _in_our_book_by_remark(desk: Desk, remark: str) -> None:
    async def there() -> bool:
        return await desk.store.book.by_remark(remark) is not None

    await eventually(there)


async def _in_our_book(desk: Desk, order_id: str, *, filled: int) -> None:
    async def there() -> bool:
        order = await desk.store.book.by_order_id(order_id)
        return order is not None and order.filled == filled

    await eventually(there)


async def _booked(desk: Desk) -> HousePosition:
    """The one position of the house, once two runs in a row have seen it."""
    await _reconcile(desk)
    assert await desk.store.house.unresolved() == []  # seen once is perhaps only in flight
    await _reconcile(desk)
    (position,) = await desk.store.house.unresolved()
    await desk.prove()
    return position


async def _held_until_flattened(desk: Desk, position: HousePosition) -> None:
    await desk.control.clear()
    waiting = await desk.deposit()
    assert "house" in (await desk.at(waiting, Stage.HELD)).waiting_for.lower()
    # What is booked is no order of nobody's any more: the next run sees it, and the hold may go.
    await _reconcile(desk)
    await _flatten(desk, position)
    await _reconcile(desk)
    assert await _alarms(desk) == []
    await desk.end(waiting, OrderStatus.EXECUTED)
    await desk.one_order_each([waiting])


async def _reconcile(desk: Desk) -> None:
    await desk.client.execute_workflow(
        "ReconcileWorkflow",
        id=f"reconcile-{uuid.uuid4().hex}",
        task_queue=QUEUE_MAIN,
        result_type=ReconcileResult,
    )


async def _flatten(desk: Desk, position: HousePosition) -> None:
    """What operators do: look, then do it; what cost much is decided by two of them."""
    before = await _house_orders(desk)
    looked = await _tell(desk, position, "ann", act=False)
    doing = "sell" if position.quantity > 0 else "buy"
    assert looked.words.startswith(f"{doing} {abs(position.quantity)} {SYMBOL}")
    assert not looked.done
    outcome = await _tell(desk, position, "ann")
    if abs(position.quantity) > 1:
        assert "second person" in outcome.waits
        outcome = await _tell(desk, position, " Ann ")
        assert "second person" in outcome.waits, "one person is one, however written"
        assert await _house_orders(desk) == before
        outcome = await _tell(desk, position, "ben")
    assert outcome.done, outcome
    again = await _tell(desk, position, "eve")
    assert (again.done, again.words) == (True, outcome.words)
    (order,) = [one for one in await _house_orders(desk) if one not in before]
    assert (order.side, order.filled) == (doing.upper(), abs(position.quantity))
    assert await desk.store.house.unresolved() == []
    await eventually(lambda: _no_holds(desk))


async def _house_orders(desk: Desk) -> list[VenueOrder]:
    orders = await desk.control.orders()
    parsed = [(order, parse_remark(order.remark)) for order in orders]
    return [order for order, ours in parsed if ours is not None and house_round(ours[0])]


async def _alarms(desk: Desk) -> list[Finding]:
    """What reconcile would tell of, had it seen it twice."""
    kinds = {HOUSE, HOUSE_STALE, POSITION, ORDERS}
    return [one for one in await desk.store.findings.standing() if one.kind in kinds]


async def _no_holds(desk: Desk) -> bool:
    return await desk.store.holds.active() == []


async def _tell(
    desk: Desk,
    position: HousePosition,
    who: str,
    verb: HouseVerb = HouseVerb.FLATTEN,
    *,
    act: bool = True,
) -> HouseOutcome:
    assert position.id is not None
    message = HouseInput(position_id=position.id, verb=verb, who=who, reason="seen", act=act)
    return await HouseDesk(desk.client).tell(message, 60.0)
