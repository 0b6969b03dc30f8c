"""Hazard 14: a broker that is down is waited for; only its answers count as tries."""

from models.order import OrderStatus, Reason
from tests.chaos.outage import WAITING, Outage
from tests.e2e.ledger import after_these, holdings


async def test_opend__dead_for_60_s_with_20_orders_waiting__all_executed(outage: Outage) -> None:
    desk, made = outage.desk, outage.made
    waiting = await outage.over
    assert len(waiting) == WAITING
    assert {(row.status, row.retry_count) for row in waiting} == {(OrderStatus.PENDING, 0)}
    # Nobody wakes them: they look again by themselves, at most 30 s apart.
    rows = await desk.all_end(made, OrderStatus.EXECUTED, seconds=180)
    assert {(row.reason, row.retry_count) for row in rows} == {(Reason.NONE, 0)}
    await desk.one_order_each(made)
    assert await desk.placed() == WAITING
    assert await holdings(desk) == await after_these(desk, outage.before, made)
    await desk.prove()
