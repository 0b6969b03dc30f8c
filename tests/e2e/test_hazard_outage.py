"""Hazard 14: a broker that is down is waited for; only its answers count as tries."""

import asyncio

from models.order import OrderStatus, Reason, Stage
from models.requests import BROKER_WATCH_WORKFLOW_ID
from models.watch import BrokerWatchStatus
from tests.e2e.desk import ONE_SHARE, QUICK, Desk
from tests.waiting import eventually

_TRIES = 3


async def test_opend__down_with_20_orders_waiting__none_refunded(desk: Desk) -> None:
    # 60 s with tries 5 s apart in production; what matters is that more tries fail than would
    # have refunded every order if they counted.
    assert "BRONCO_ORDERS_TRIES" not in QUICK
    await desk.control.outage()
    made = await desk.deposits(20, ONE_SHARE)
    await desk.all_at(made, Stage.HELD)
    for done in range(1, _TRIES + 1):
        await asyncio.gather(*(desk.looked_again(one, times=done) for one in made))
        await desk.wake(made)
    await asyncio.gather(*(desk.looked_again(one, times=_TRIES + 1) for one in made))
    rows = await desk.all_at(made, Stage.HELD)
    assert {(row.status, row.retry_count) for row in rows} == {(OrderStatus.PENDING, 0)}
    await desk.control.outage(False)

    watch = desk.client.get_workflow_handle(BROKER_WATCH_WORKFLOW_ID)

    async def broker_is_back() -> bool:
        status = await watch.query("status", result_type=BrokerWatchStatus)
        return not status.problem

    await eventually(broker_is_back, timeout=30)
    await desk.wake(made)  # they look again by themselves, but no later than 30 s
    rows = await desk.all_end(made, OrderStatus.EXECUTED)
    assert {row.reason for row in rows} == {Reason.NONE}
    await desk.one_order_each(made)
