"""Hazard 6: what a reorganisation takes away may come back, or come back as something else."""

from models.order import OrderStatus, Stage
from models.requests import VaultStatus
from tests.e2e.desk import DOLLAR, TWO_SHARES, Desk


async def test_transaction__mined_again_after_a_reorganisation__ends_once(desk: Desk) -> None:
    await desk.play.pause("so that nothing is settled in the blocks that go")
    raw = await desk.deposit_bytes(TWO_SHARES)
    first = await desk.send(raw)
    await desk.at(first, Stage.HELD)
    await desk.reorganise(depth=1)
    await desk.at(first, Stage.ORPHANED)
    again = await desk.send(raw)
    assert (again.n, again.request_id) == (first.n, first.request_id)
    await desk.at(again, Stage.HELD)
    await desk.play.resume()
    await desk.end(again, OrderStatus.EXECUTED)
    await desk.one_order_each([again])


async def test_number__used_again_with_other_terms__old_orphaned_new_served(desk: Desk) -> None:
    await desk.play.pause("so that nothing is settled in the blocks that go")
    raw, other = await desk.deposit_bytes(TWO_SHARES), await desk.deposit_bytes(600 * DOLLAR)
    old = await desk.send(raw)
    await desk.at(old, Stage.HELD)
    await desk.reorganise(depth=1)
    new = await desk.send(other)
    assert new.n == old.n
    assert new.request_id != old.request_id
    await desk.play.resume()
    row = await desk.end(new, OrderStatus.EXECUTED)
    assert row.usdt_amount == 600 * DOLLAR
    assert (await desk.at(old, Stage.ORPHANED)).status is OrderStatus.FAILED
    assert (await desk.terms(new)).status is VaultStatus.SETTLED
    assert await desk.orders_of(old) == []
    await desk.one_order_each([new])
