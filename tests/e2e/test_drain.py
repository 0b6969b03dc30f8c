"""A drain: nothing new is placed, what was begun ends, zero is told, and its end opens again."""

import aiohttp
import pytest

from api.draining import DrainStatus
from models.order import OrderStatus, Stage
from tests.e2e.desk import Desk
from tests.waiting import eventually


async def _post(desk: Desk, path: str) -> None:
    headers = {"X-API-Key": desk.stack.api_key}
    body = {"reason": "upgrade", "who": "ada"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{desk.stack.api_url}{path}", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def _status(desk: Desk) -> DrainStatus:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{desk.stack.api_url}/status/drain") as answer,
    ):
        assert answer.status == 200
        return DrainStatus.model_validate(await answer.json())


@pytest.mark.soak  # its numbers and words are tried without a stack
async def test_drain__orders_at_the_broker__end_and_new_ones_wait_across_a_restart(
    desk: Desk,
) -> None:
    await desk.control.fault("hold_fills", on=True)
    begun = await desk.deposits(2)
    await desk.all_at(begun, Stage.PLACED)
    await _post(desk, "/control/drain")
    new = await desk.deposits(2)
    rows = await desk.all_at(new, Stage.HELD)
    assert all("upgrade" in row.waiting_for for row in rows)
    seen = await _status(desk)
    assert (seen.draining, seen.working, seen.empty) == (True, 2, False)

    await desk.control.fault("release_fills")

    async def empty() -> bool:
        return (await _status(desk)).empty

    await eventually(empty, timeout=60)
    await desk.all_end(begun, OrderStatus.EXECUTED)
    worker = desk.stack.processes["worker"]
    await worker.stop()
    await worker.start()
    await desk.wake(new)
    await desk.all_at(new, Stage.HELD)
    assert await desk.orders_of(*new) == []
    seen = await _status(desk)
    assert (seen.empty, seen.waiting) == (True, 2)

    await _post(desk, "/control/drain/end")
    await desk.all_end(new, OrderStatus.EXECUTED)
    await desk.one_order_each([*begun, *new])
    assert not (await _status(desk)).draining
