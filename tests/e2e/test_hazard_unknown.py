"""Hazards 2 and 3: what was sent and not answered is looked for, never sent again."""

from models.order import OrderStatus, Stage
from tests.e2e.desk import Desk
from tests.waiting import eventually


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
