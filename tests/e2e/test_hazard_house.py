"""Hazard 9: a fill that no request may claim is the house's, and stops the symbol until seen to."""

import uuid
from datetime import UTC, datetime

from models.control import HoldCommand, HoldKind
from models.messages import ReconcileResult
from models.order import OrderStatus, Reason, Stage
from models.requests import CONTROL_WORKFLOW_ID, QUEUE_MAIN, RECONCILE_SCHEDULE_ID
from tests.e2e.desk import SYMBOL, Desk
from tests.waiting import eventually


async def test_fill__after_the_refund__is_the_houses_and_holds_the_symbol(
    embedded_desk: Desk,
) -> None:
    desk = embedded_desk
    # Its own run in between would make our first one the second.
    await desk.client.get_schedule_handle(RECONCILE_SCHEDULE_ID).pause()
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit()
    await desk.at(made, Stage.PLACED)
    await desk.alice.request_cancel(made.n)
    row = await desk.end(made, OrderStatus.FAILED)
    assert row.reason is Reason.USER_CANCELLED
    await desk.workflow(made).result()

    await desk.control.fault("late_fill", order_id=row.futu_order_id)

    async def in_our_book() -> bool:
        order = await desk.store.book.by_order_id(row.futu_order_id)
        return order is not None and order.filled == 2

    await eventually(in_our_book)
    await _reconcile(desk)
    assert await desk.store.house.unresolved() == []  # seen once is perhaps only in flight
    await _reconcile(desk)
    (position,) = await desk.store.house.unresolved()
    assert (position.cause, position.quantity, position.symbol) == ("LATE_FILL", 2, SYMBOL)
    assert position.broker_order_id == row.futu_order_id
    await desk.prove()

    await desk.control.clear()
    waiting = await desk.deposit()
    assert "house" in (await desk.at(waiting, Stage.HELD)).waiting_for.lower()
    await _flatten(desk, position.id, position.quantity)
    await desk.end(waiting, OrderStatus.EXECUTED)
    await desk.one_order_each([waiting])
    await desk.prove()


async def _reconcile(desk: Desk) -> None:
    await desk.client.execute_workflow(
        "ReconcileWorkflow",
        id=f"reconcile-{uuid.uuid4().hex}",
        task_queue=QUEUE_MAIN,
        result_type=ReconcileResult,
    )


async def _flatten(desk: Desk, position_id: int | None, quantity: int) -> None:
    """What an operator does: sell the shares, say so, lift the hold."""
    assert position_id is not None
    held = (await desk.control.account()).positions[SYMBOL]
    await desk.control.set_position(SYMBOL, held - quantity)
    now = datetime.now(UTC)
    await desk.store.house.resolve(position_id, "sold by hand", who="tests", now=now)
    lift = HoldCommand(key=f"house:{SYMBOL}", kind=HoldKind.HOUSE, who="tests", symbol=SYMBOL)
    await desk.client.get_workflow_handle(CONTROL_WORKFLOW_ID).signal("lift_hold", lift)
