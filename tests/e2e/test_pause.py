"""A pause holds everything and loses nothing, however much arrives."""

import asyncio

from models.order import OrderStatus, Stage
from tests.e2e.desk import ONE_SHARE, Desk


async def test_pause__200_deposits__none_sent_then_all_executed(desk: Desk) -> None:
    await desk.play.pause("200 deposits will arrive")
    sent = await desk.placed()
    made = await desk.deposits(200, ONE_SHARE)
    rows = await desk.all_at(made, Stage.HELD, seconds=60)
    assert {row.status for row in rows} == {OrderStatus.PENDING}
    assert await desk.placed() == sent

    async def arrive() -> None:
        for _ in range(4):
            made.extend(await desk.deposits(5, ONE_SHARE))

    await asyncio.gather(desk.play.resume(), arrive())
    assert len(made) == 220
    await desk.all_end(made, OrderStatus.EXECUTED, seconds=90)
    await desk.one_order_each(made)
    assert await desk.placed() == sent + 220
