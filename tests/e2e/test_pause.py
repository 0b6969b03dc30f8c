"""A pause holds everything and loses nothing, however much arrives."""

from datetime import UTC, datetime

import pytest

from models.order import OrderStatus, Stage
from tests.e2e.desk import ONE_SHARE, Desk


@pytest.mark.parametrize("count", [pytest.param(200, marks=pytest.mark.soak)])
async def test_pause__many_deposits__none_sent_then_all_executed(desk: Desk, count: int) -> None:
    await desk.play.pause(f"{count} deposits will arrive")
    sent = await desk.placed()
    made = await desk.deposits(count, ONE_SHARE)
    rows = await desk.all_at(made, Stage.HELD, seconds=120)
    assert {row.status for row in rows} == {OrderStatus.PENDING}
    assert await desk.placed() == sent

    await desk.play.resume()  # returns when trading is open: waking what is held begins only then
    asked_at, first_sent_at = desk.play.pauses[-1].until, datetime.now(UTC)
    late = [one for _ in range(4) for one in await desk.deposits(5, ONE_SHARE)]
    # Read after the last one was mined: what has not ended here had not ended then.
    left = [row for row in await desk.rows(made) if row.status is not OrderStatus.EXECUTED]
    assert asked_at is not None
    assert asked_at < first_sent_at
    assert [row for row in left if row.stage is Stage.HELD], "the resume was over too soon"

    assert len(late) == 20
    await desk.all_end([*made, *late], OrderStatus.EXECUTED, seconds=180)
    await desk.one_order_each([*made, *late])
    assert await desk.placed() == sent + count + len(late)


async def test_pause__that_cancels__takes_working_orders_back_and_places_them_anew(
    desk: Desk,
) -> None:
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposits(3)
    await desk.all_at(made, Stage.PLACED)
    answer = await desk.play.pause("wrong price", cancel_working=True)
    assert answer.cancelling == len(made)
    rows = await desk.all_at(made, Stage.HELD)
    assert all("wrong price" in row.waiting_for for row in rows)
    assert {row.retry_count for row in rows} == {0}
    taken_back = await desk.orders_of(*made)
    assert {(order.status, order.filled) for order in taken_back} == {("CANCELLED_ALL", 0)}

    await desk.control.fault("release_fills")
    await desk.play.resume()
    await desk.all_end(made, OrderStatus.EXECUTED)
    anew = [order for order in await desk.orders_of(*made) if order not in taken_back]
    assert len(taken_back) == len(anew) == len(made)
    assert {order.remark.rpartition(":")[2] for order in anew} == {"2"}
    assert all(order.filled == order.quantity for order in anew)
