"""Hazards 2 and 3: what was sent and not answered is looked for, never sent again."""

from datetime import UTC, datetime

from api.orders import read_order
from models.order import OrderStatus, Reason, Stage
from models.outlook import UNKNOWN_ACTION, UnknownOutlook
from tests.e2e.desk import Desk
from tests.waiting import eventually


async def test_unknown__never_executed__says_until_when_and_keeps_it(desk: Desk) -> None:
    before = await desk.alice.balance(desk.alice.usdt)
    await desk.control.fault("silence")
    made = await desk.deposit()
    row = await desk.at(made, Stage.UNKNOWN)
    shown = await read_order(desk.store, str(row.internal_id))
    outlook = shown.unknown
    assert outlook is not None
    assert "answer is unknown" in outlook.cause
    assert "not sent again" in outlook.doing
    assert row.waiting_for == outlook.words
    assert outlook.money_back_by == datetime.fromtimestamp(row.reclaim_at, UTC)
    row = await desk.end(made, OrderStatus.FAILED)
    assert row.reason is Reason.PROVEN_ABSENT
    shown = await read_order(desk.store, str(row.internal_id))
    assert shown.unknown is None
    assert shown.item is not None
    assert shown.item.created_at <= outlook.decided_by, "the refund was decided when it was said"
    assert shown.updated_at <= outlook.money_back_by
    (told,) = [entry for entry in shown.timeline if entry.what == UNKNOWN_ACTION]
    assert UnknownOutlook.model_validate(told.data) == outlook, "and nothing was put off meanwhile"
    assert await desk.orders_of(made) == []
    assert await desk.alice.balance(desk.alice.usdt) == before


async def test_placement__executed_long_after_its_time_out__one_order(desk: Desk) -> None:
    # Longer than the client waits (2 s), shorter than send window and fence (4 + 2 s).
    await desk.control.fault("late_execution", seconds=3)
    made = await desk.deposit()
    await desk.at(made, Stage.UNKNOWN)
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])
    (order,) = await desk.orders_of(made)
    came = [p.received_at for p in await desk.control.placements() if p.remark == order.remark]
    assert len(came) == 1
    assert order.received_at - came[0] >= 3, "it was executed when we had given up waiting"


async def test_placements__stuck_in_a_frozen_opend__one_order_each(desk: Desk) -> None:
    sent = await desk.placed()
    made = await desk.deposits(6)

    async def first_sent() -> bool:
        return await desk.placed() > sent

    await eventually(first_sent, interval=0.005)
    await desk.control.fault("frozen", on=True)
    # Links stay up and nobody answers; what piled up is executed on thaw.
    stuck = (Stage.HELD, Stage.UNKNOWN, Stage.PLACED, Stage.SETTLING, Stage.SETTLED)
    rows = await desk.all_at(made, *stuck)
    assert {row.stage for row in rows} & {Stage.HELD, Stage.UNKNOWN}
    await desk.control.fault("frozen", on=False)
    await desk.all_end(made, OrderStatus.EXECUTED)
    await desk.one_order_each(made)
